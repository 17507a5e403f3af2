"""Backbones of clips and skeletons, and those whose names mean something else in other tasks."""
