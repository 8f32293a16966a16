"""Cameras, splats, captures: the nouns that everything else is about."""
