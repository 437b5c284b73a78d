"""Signals, ranks, forking, and what the machine has."""
