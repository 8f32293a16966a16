"""splatpaint removes, replaces and completes things in 3D Gaussian splat scenes."""

__version__ = "0.1.0"
