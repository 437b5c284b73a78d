"""Everything that only tables need."""
