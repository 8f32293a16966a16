"""Generative priors: what unseen places may look like."""
