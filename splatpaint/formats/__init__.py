"""Splat files, read and written by suffix."""
