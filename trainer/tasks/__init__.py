"""What a target means: its loss and its metrics."""
