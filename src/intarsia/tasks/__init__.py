"""What differs by task: models, heads, losses, data sets, metrics."""
