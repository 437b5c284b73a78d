"""Optimizers, their schedulers and the short fused step."""
