"""Weights of other libraries in the names and shapes of our networks."""
