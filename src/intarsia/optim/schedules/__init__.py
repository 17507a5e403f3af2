"""Schedules as pure curves."""
