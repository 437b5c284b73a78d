"""A finished run as a model: load, predict, export."""
