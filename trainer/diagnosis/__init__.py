"""Diagnose a config before a run: doctor, plan, bench, lr-find; and compare two runs for verify."""
