"""Registry, index, arguments, building, errors: the standard library only."""
