"""Image Router: one typed API in front of many image models."""
