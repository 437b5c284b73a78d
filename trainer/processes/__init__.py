"""Signals, ranks, forking, and the cores and memory of the machine."""
