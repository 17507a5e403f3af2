"""Necks that only segmentation knows."""
