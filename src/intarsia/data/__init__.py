"""Data sets, transforms, samplers and loaders that know no task."""
