"""Output for people: screen, chart, warnings, spelling."""
