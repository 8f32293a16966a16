"""Data types of a scene: cameras, splats, views, captures."""
