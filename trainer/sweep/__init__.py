"""Sweeps: many runs from lists of overrides, side by side in processes of their own, and what they came to."""
