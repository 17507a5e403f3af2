"""Networks between a backbone and a head."""
