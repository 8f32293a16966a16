"""Generative priors: what unobserved places may look like."""
