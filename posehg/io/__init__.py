"""Reading inputs (images, videos, cameras, bounding boxes) and writing results."""
