"""Videos computed when they are read."""
