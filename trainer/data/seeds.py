"""Randomness as a function: a seed for every (seed, what for, position), so that a resume needs no saved state."""

import hashlib


def derive(seed: int, purpose: str, *position: int) -> int:
    """A 63-bit seed from the run's seed, a purpose and a position. Any two differ, whatever their order."""
    text = f"{seed}/{purpose}/{'/'.join(map(str, position))}"
    return int.from_bytes(hashlib.blake2b(text.encode(), digest_size=8).digest(), "little") >> 1
