"""Values and text on their way to logs."""
