"""Labelled rows to measure a finished run on: a split of its own data, or all rows of other data."""

import dataclasses
from collections import Counter
from collections.abc import Iterator, Sequence
from typing import Any, Protocol

import numpy as np
import torch
from torch import Tensor

from trainer.config import given
from trainer.config.schema import Config
from trainer.data.batches import EvalBatches
from trainer.data.earlier import Earlier, summary
from trainer.data.fingerprint import Fingerprint
from trainer.data.loaders import place
from trainer.data.loading import make_splits
from trainer.data.preprocessing import Preprocessing
from trainer.data.roles import ROLES, TRAIN
from trainer.data.row_ids import Ids
from trainer.data.splits import Splits
from trainer.data.tabular import typed
from trainer.data.tabular.frame import FrameSource
from trainer.data.tabular.rows import ids_of, unseen_in
from trainer.data.tabular.source import Source
from trainer.data.tabular.targets import PADDED, targets_of, unknown_labels
from trainer.data.tabular.unseen import Unseen
from trainer.data.tree import Tree
from trainer.errors import ConfigError, complain
from trainer.inference.model import Trained
from trainer.inference.rows import encoded, open_table
from trainer.tasks import losses
from trainer.tasks.model_loss import OfModel
from trainer.terminal.spelling import closest
from trainer.text import counted, listed

UNTOLD = "warning: whether the run was trained on these rows cannot be told: they are known by their position"


class Labelled(Protocol):
    """Batches (x, y, number of rows), ready for the model. name: of the data; split: in front of the names of metrics;
    num_rows: complete after the last batch, as are the warnings. warnings: lines, some of them from comparing with the
    data that the run was trained on, if that is known."""

    name: str
    split: str
    num_rows: int

    def __iter__(self) -> Iterator[tuple[Tree, Tree, int]]: ...
    def warnings(self, known: Fingerprint | None) -> Iterator[str]: ...


class OfSplits:
    """The rows of some splits of a data set, one split after another, at most `size` rows at a time."""

    def __init__(self, splits: Splits, names: Sequence[str], size: int, *, own: bool) -> None:
        """own: whether it is the run's own data, as it is now."""
        self.name, self.split, self.splits, self.own = splits.name, names[0] if own else "all", splits, own
        parts = [splits.parts[name] for name in names]
        self.parts = [EvalBatches(part.loader, part.num_rows, size) for part in parts]
        self.num_rows = sum(part.num_rows for part in self.parts)
        self.names, self.roles = names, [ROLES[name] for name in names]

    def __iter__(self) -> Iterator[tuple[Tree, Tree, int]]:
        for part in self.parts:
            yield from part

    def warnings(self, known: Fingerprint | None) -> Iterator[str]:
        if known is None:
            return
        now = self.splits.fingerprint
        if self.own and (differences := now.differences(known)):
            yield f"warning: the data of this run has changed: {summary(differences)}"
        count = known.num_trained(now, np.isin(now.roles, self.roles))
        if count is None:
            yield UNTOLD
        elif count and (self.split, count) != ("train", self.num_rows):
            yield _trained_on(count, self.num_rows)
        elif known.known_by != "position" and self.split != "train":
            same = known.num_known(now.ids[np.isin(now.roles, self.roles)])
            if same:
                rows = "is equal to one that was" if same == 1 else "are equal to rows that were"
                yield f"warning: {same:,} of these {self.num_rows:,} rows {rows} trained on"
        for name in self.names if self.splits.preprocessing.table is not None and self.split != "train" else ():
            unseen = unseen_in(self.splits.parts[name].part, self.splits.preprocessing)
            yield from (f"warning: {text}" for text in unseen.warnings())


class OfTable:
    """The rows of a table that have a target, at most `size` at a time."""

    split = "all"

    def __init__(
        self, name: str, source: Source, prepared: Preprocessing, size: int, run: Trained, *, by_value: bool
    ) -> None:
        """by_value: whether the label 01 is the class 1. The rows raise ConfigError for labels that the run does
        not know."""
        self.name, self.source, self.prepared, self.size = name, source, prepared, size
        self.device, self.dtype, self.by_value = run.device, run.dtype, by_value
        self.num_rows = self.left_out = 0
        self.unknown, self.ids = Unseen(), list[Ids]()

    def __iter__(self) -> Iterator[tuple[Tree, Tree, int]]:
        inputs, how = self.prepared.of_table()
        strange = Counter[str]()
        for batch, raw in encoded(self.source, how, self.unknown):
            strange += unknown_labels(batch, self.prepared, by_value=self.by_value)
            if strange:
                continue
            y = targets_of(batch, self.prepared)
            present = ~y.isnan().any(1) if y.is_floating_point() else y >= 0
            self.num_rows += int(present.sum())
            self.left_out += int((~present).sum())
            self.ids.append(ids_of(batch, raw.numpy(), y, how)[present.numpy()])
            for x_part, y_part in zip(raw[present].split(self.size), y[present].split(self.size), strict=True):
                y_part = y_part if self.prepared.y is None else self.prepared.y(y_part)
                x = place(inputs(x_part), self.device, self.dtype)
                yield x, place(y_part, self.device, self.dtype), len(x)
        if strange:
            raise self._not_known(strange)

    def _not_known(self, strange: Counter[str]) -> ConfigError:
        """The error for labels that the run does not know. strange: how often each occurs."""
        target, classes = self.prepared.of_table()[1].targets[0], self.prepared.facts.classes or []
        counts = [f"{label} ({count:,} row{'s' * (count != 1)})" for label, count in strange.most_common()]
        remedy = "write them as the run does, or leave these rows out"
        if any(PADDED.fullmatch(label) and str(int(label)) in classes for label in strange):
            remedy = typed.types(target, "number")
        text = f"{self.name}: the run does not know the {target} {listed(counts)}; its classes are {listed(classes)}"
        return ConfigError(text, remedy)

    def warnings(self, known: Fingerprint | None) -> Iterator[str]:
        yield from (f"warning: {text}" for text in self.unknown.warnings())
        if self.left_out:
            yield f"warning: left out: {counted(self.left_out, 'row')} without a target"
        if known is not None and known.known_by != "content":
            yield UNTOLD
        elif known is not None and (count := known.num_known(np.concatenate(self.ids))):
            yield _trained_on(count, self.num_rows)


def open_own(config: Config, run: Trained, known: Fingerprint | None, split: str | None, *, download: bool) -> Labelled:
    """Open a split of the run's own data; without a name its test split, or val if it has none. Raises ConfigError.

    known: the data that the run was trained on, whose splits are used; None draws them again.
    """
    splits = own_splits(config, run, known, download=download)
    names = [name for name in ROLES if name in splits.parts]
    if split is None and names == ["train"]:
        if known is not None and (known.roles > TRAIN).any():
            raise ConfigError("none of the rows that this run held back is left in its data", "split=train")
        raise ConfigError("this run held back no rows to evaluate on", "split=train")
    if split is not None and split not in names:
        raise ConfigError(
            f"split={split}: this run has no such split, only {', '.join(names)}",
            f"split={closest(split, names) or names[-1]}",
        )
    return OfSplits(splits, [split or names[-1]], config.loader.eval_batch_size, own=True)


def own_splits(config: Config, run: Trained, known: Fingerprint | None, *, download: bool) -> Splits:
    """All splits of the run's own data, see open_own. Raises ConfigError."""
    return _splits(_plain(config, run), run, Earlier(run.preprocessing, known, "measure"), download=download)


def open_other(config: Config, run: Trained, *, download: bool) -> Labelled:
    """Open the data that config.dataset names. Raises ConfigError where it does not match the run's own."""
    size, prepared = config.loader.eval_batch_size, run.preprocessing
    is_given = config.dataset["_target_"] in given.DATA
    if prepared.table is not None:
        path = "data" if is_given else config.dataset["path"]
        rows = FrameSource(given.data()["train"], "data", prepared.table.dialect) if is_given else path
        source = open_table(rows, prepared.table, with_targets=True)
        by_value = (config.dataset.get("types") or {}).get(prepared.table.targets[0]) == "number"
        return OfTable(str(path), source, prepared, size, run, by_value=by_value)
    config = _plain(config, run, val_fraction=0.0)
    splits = _splits(config, run, Earlier(prepared, None, "measure"), download=download)
    for note in splits.notes:
        complain(f"note     {note}")
    of_splits = OfSplits(splits, [name for name in ROLES if name in splits.parts], size, own=False)
    of_splits.name = str(config.dataset.get("path", "data"))
    return of_splits


def _splits(config: Config, run: Trained, earlier: Earlier, *, download: bool) -> Splits:
    """The splits, with targets as the run's loss takes them."""
    splits = make_splits(config, run.device, run.dtype, download=download, earlier=earlier)
    if isinstance(run.loss_fn, OfModel):
        splits.give_target(run.loss_fn.argument or "labels")
    if run.facts.task == "input" and losses.takes_one_shape(run.loss_fn):
        with torch.no_grad():
            made = run.fit(run.call(splits.sample[0]))
        if isinstance(made, Tensor):
            splits.shape_targets(tuple(made.shape[1:]))
    return splits


def _plain(config: Config, run: Trained, **keys: Any) -> Config:
    """The config with other keys of its dataset, and with pictures as they are."""
    keys |= {"augment": False} if run.preprocessing.pictures is not None else {}
    as_they_are = dataclasses.replace(config.augment, transforms=[])
    return dataclasses.replace(config, dataset={**config.dataset, **keys}, augment=as_they_are)


def _trained_on(count: int, num_rows: int) -> str:
    return f"warning: {count:,} of these {counted(num_rows, 'row')} {'was' if count == 1 else 'were'} trained on"
