"""A run's model as files that others can load without trainer, and the card and program that go with them."""
