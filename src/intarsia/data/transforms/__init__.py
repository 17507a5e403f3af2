"""Steps of data pipelines that several tasks share."""
