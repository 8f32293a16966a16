"""What a fit minimizes, one objective a file."""
