"""Rasterizers: splats and cameras in, pictures out, differentiable in everything."""
