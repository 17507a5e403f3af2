"""Images as arrays: files, sizes, positions, values. Pure functions; nothing is changed in place."""
