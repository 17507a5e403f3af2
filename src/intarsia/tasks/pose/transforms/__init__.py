"""Steps of data pipelines that change images and their joints."""
