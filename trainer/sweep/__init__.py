"""Sweeps: many runs from lists of overrides, each in its own process, and their results."""
