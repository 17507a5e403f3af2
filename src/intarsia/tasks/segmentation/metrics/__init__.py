"""Metrics of segmentation: counts of pixels, and what is said of them."""
