"""What a task shows of a model's predictions over a split, as plain data, see disk/figures.py."""
