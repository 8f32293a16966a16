"""From masks on photos to splats, and from removed splats to the pixels that nobody ever saw."""
