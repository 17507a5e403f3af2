"""Metrics of pose estimation, by the protocols of the papers."""
