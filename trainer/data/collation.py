"""Batches that a Dataset's own collate_fn makes."""

from collections.abc import Sequence
from typing import Any

import torch

from trainer.errors import ConfigError, TrainerError, described

PASSED = (TrainerError, MemoryError, torch.OutOfMemoryError)  # errors in a user's Dataset that keep their own words


def batch(dataset: Any, samples: Sequence[Any], rows: Sequence[int], name: str) -> Any:
    """What the collate_fn of a Dataset makes of samples. rows: their numbers; name: of the Dataset, for messages.
    Raises ConfigError, which names the first row that cannot be put into a batch with those before it."""
    try:
        return dataset.collate_fn(list(samples))
    except PASSED:
        raise
    except Exception as error:
        fails = (row for place, row in enumerate(rows, 1) if not _works(dataset, samples[:place]))
        at = f" at row {row}" if (row := next(fails, None)) is not None else ""
        raise ConfigError(f"{name}.collate_fn raises {described(error)}{at}") from error


def _works(dataset: Any, samples: Sequence[Any]) -> bool:
    try:
        dataset.collate_fn(list(samples))
    except Exception:
        return False
    return True
