"""Every labelled row of other data than a run was trained on, as batches for an evaluation."""

import dataclasses
from collections.abc import Iterator, Mapping
from types import MappingProxyType

from torch import Tensor

from trainer.config.schema import Config
from trainer.data.batches import EvalBatches
from trainer.data.loading import make_splits
from trainer.data.splits import Splits
from trainer.errors import complain
from trainer.inference.model import Trained
from trainer.inference.rows import Labelled, open_table


class EveryRow:
    """The rows of all splits, one split after another, as batches (x, y) of at most `size` rows."""

    left_out = 0
    unknown: Mapping[str, set[str]] = MappingProxyType({})

    def __init__(self, splits: Splits, size: int) -> None:
        loaders = (splits.train, splits.val, splits.test)
        counts = (splits.num_train, splits.num_val, splits.num_test)
        parts = (EvalBatches.of(loader, count, size) for loader, count in zip(loaders, counts, strict=True))
        self.parts, self.num_rows = [part for part in parts if part is not None], sum(counts)

    def __iter__(self) -> Iterator[tuple[Tensor, Tensor]]:
        for part in self.parts:
            yield from part


def open_labelled(config: Config, run: Trained, *, download: bool) -> Labelled | EveryRow:
    """Open the data that config.dataset names. Raises ConfigError where it does not match the run's own."""
    size, prepared = config.loader.eval_batch_size, run.preprocessing
    if prepared.table is not None:
        source = open_table(config.dataset["path"], prepared.table, with_targets=True)
        return Labelled(source, prepared, size, run.device, run.dtype)
    whole = {"val_fraction": 0.0} | ({"augment": False} if prepared.pictures is not None else {})
    config = dataclasses.replace(config, dataset={**config.dataset, **whole})
    splits = make_splits(config, run.device, run.dtype, download=download, fitted=prepared)
    for note in splits.notes:
        complain(f"note     {note}")
    return EveryRow(splits, size)
