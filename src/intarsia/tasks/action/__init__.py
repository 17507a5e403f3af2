"""Action: what happens in a clip, and when in a long video."""
