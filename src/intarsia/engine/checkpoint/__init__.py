"""Saving and resuming the state of a run."""
