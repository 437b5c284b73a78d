"""Run folders become rows, a ranking and a table."""
