"""What may stand in a config: one dataclass a group, one field a key, with its type, range and a line of help.

Defaults stand in conf/ alone. Nothing here imports torch or hydra.
"""
