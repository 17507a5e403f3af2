"""Backbones whose arguments or defaults are segmentation's own."""
