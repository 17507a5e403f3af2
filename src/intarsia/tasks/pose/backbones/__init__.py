"""Backbones whose arguments or defaults are those of pose estimation."""
