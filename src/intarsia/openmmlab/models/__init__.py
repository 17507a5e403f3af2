"""Base classes of networks with the methods that old code overrides, over those of the tasks."""
