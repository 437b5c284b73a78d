"""Hydra, the schema, `_target_` and trust. Code lives here; the YAML lives in conf/, beside this folder in a wheel."""
