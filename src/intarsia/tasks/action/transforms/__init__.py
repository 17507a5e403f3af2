"""Steps of pipelines for clips, skeletons and features."""
