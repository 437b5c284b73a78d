"""Randomness as a function: a seed for every (seed, purpose, position), so that a resumed run needs no saved state."""

import hashlib


def derive(seed: int, purpose: str, *position: int) -> int:
    """A 63-bit seed from the run's seed, a purpose and a position. The order of calls does not matter."""
    text = f"{seed}/{purpose}/{'/'.join(map(str, position))}"
    return int.from_bytes(hashlib.blake2b(text.encode(), digest_size=8).digest(), "little") >> 1
