"""Metrics that several tasks share, and what they are counted with."""
