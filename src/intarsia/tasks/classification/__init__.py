"""Image classification: one label an image, or several."""
