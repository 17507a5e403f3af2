"""Losses of action recognition and temporal localization."""
