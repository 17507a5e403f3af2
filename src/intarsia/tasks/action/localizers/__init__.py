"""Models that find when something happens."""
