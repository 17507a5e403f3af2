"""Heads: feature maps to heat maps, coordinates or distributions."""
