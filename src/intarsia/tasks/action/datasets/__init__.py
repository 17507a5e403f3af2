"""Data sets of videos, frames, skeletons and features."""
