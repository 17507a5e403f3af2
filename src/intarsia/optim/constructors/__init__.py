"""Optimizer constructors: which parameter gets which options."""
