"""Intarsia: trains, evaluates and ships vision models from config files."""
