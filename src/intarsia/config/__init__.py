"""Reading, checking and writing config files. Imports no torch."""
