"""What a person reads: screen, chart, warnings, spelling."""
