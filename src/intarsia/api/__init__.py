"""Assembles runs: a checked config becomes built parts. The only place that does."""
