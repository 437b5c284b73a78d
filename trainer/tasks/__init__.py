"""The loss and the metrics that fit the targets."""
