"""Metrics of recognition and localization."""
