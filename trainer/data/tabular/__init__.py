"""The parts that only tables need."""
