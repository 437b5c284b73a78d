"""The layout of a run folder, durable writes, safe reads, locks and history."""
