"""Diagnose a config before a run: doctor, plan, bench, profile, lr-find; and compare two runs for verify."""
