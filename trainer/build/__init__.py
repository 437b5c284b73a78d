"""A checked config becomes a TrainState."""
