"""trainer: train PyTorch models from the command line. The loop is in loop.py."""

__version__ = "0.1.0"
