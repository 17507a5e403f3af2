"""The loop, its hooks, its checkpoints and its logs."""
