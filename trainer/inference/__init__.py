"""A finished run as a model: load it, predict with it, export it."""
