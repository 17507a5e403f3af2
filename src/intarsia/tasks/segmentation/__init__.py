"""Semantic segmentation: every pixel gets a class."""
