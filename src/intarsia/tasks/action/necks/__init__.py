"""Necks of recognizers."""
