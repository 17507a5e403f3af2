"""Images with annotated joints on disk."""
