"""How good is it: metrics over regions."""
