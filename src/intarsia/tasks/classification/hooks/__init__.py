"""Hooks that know what a class is."""
