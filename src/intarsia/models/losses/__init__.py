"""Losses that several tasks use."""
