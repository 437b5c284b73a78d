"""Looks at a config before or beside a run: doctor, plan, bench, lr-find."""
