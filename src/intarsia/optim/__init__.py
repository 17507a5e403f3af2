"""Optimizers, how they are constructed, and schedules."""
