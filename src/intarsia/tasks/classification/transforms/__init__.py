"""Steps of data pipelines whose names or habits are those of image classification."""
