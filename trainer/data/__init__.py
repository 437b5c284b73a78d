"""Datasets, their splits, and the loaders that make batches and windows from them."""
