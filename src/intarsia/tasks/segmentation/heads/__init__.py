"""Decode heads, one file each."""
