"""The optimization loop and what it needs."""
