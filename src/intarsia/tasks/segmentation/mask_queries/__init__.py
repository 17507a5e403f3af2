"""What heads that find masks by queries are made of."""
