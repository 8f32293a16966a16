"""splatpaint removes, replaces and completes objects in 3D Gaussian splat scenes."""

__version__ = "0.1.0"
