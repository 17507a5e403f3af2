"""Heads that give a clip its class."""
