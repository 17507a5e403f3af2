"""Losses of heat maps, coordinates and distributions."""
