"""Posed photo captures: every common layout in, one `Capture` out."""
