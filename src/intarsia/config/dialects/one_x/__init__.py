"""The 1.x vocabulary, one module a section."""
