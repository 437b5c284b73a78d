"""What a run has come to: its outcome in numbers, a picture, and one hint. Made from data, not from live objects."""
