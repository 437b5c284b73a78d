"""Datasets, how they are split, and the loaders that make batches and windows of them."""
