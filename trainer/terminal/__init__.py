"""Output for people: screen, live region, bar, chart, warnings, spelling."""
