"""A part of many cases for the default run; the slow one takes them all."""

from collections.abc import Iterable
from typing import Any

import pytest


def sampled(cases: Iterable[tuple[Any, ...]], step: int) -> list[Any]:
    """All cases; all but each `step`-th are marked slow."""
    return [pytest.param(*case, marks=[pytest.mark.slow] * (n % step > 0)) for n, case in enumerate(cases)]
