"""Samplers of pixels: which of them a loss counts."""
