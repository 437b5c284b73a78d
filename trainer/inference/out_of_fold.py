"""The predictions of a cross-validation: each row by the runs that held it back."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import pyarrow as pa
import torch

from trainer.data.fingerprint import Fingerprint
from trainer.data.roles import TRAIN, VAL
from trainer.disk.val_rows import Array
from trainer.errors import ConfigError, complain
from trainer.inference.ensemble import ensemble, output_of
from trainer.inference.labelled import OfSplits
from trainer.inference.model import Trained
from trainer.inference.predict import added_columns, table_of
from trainer.inference.writer import open_sink
from trainer.loop import predict
from trainer.text import counted

ROW, REPEAT, FOLD = "row", "repeat", "fold"


@dataclass(frozen=True)
class Held:
    """A trained model with the rows that its run held back. repeat, fold: from 0; known: the data that it was trained
    on."""

    name: str
    trained: Trained
    rows: OfSplits
    known: Fingerprint
    repeat: int
    fold: int

    @property
    def held_back(self) -> Array:
        """The numbers of its rows in the data, int64."""
        return self.rows.splits.parts["val"].part.rows.numpy()


@torch.no_grad()
def write(held: Sequence[Held], out: str | None) -> int:
    """Write a line for each row and repeat, in their order: its number in the data from 0, its fold, and what predict
    writes. Several runs of one fold, which differ in their seeds, are averaged. A row that no run held back, such as
    one of the first block by time, has no prediction. Returns the number of lines."""
    by_fold: dict[tuple[int, int], list[Held]] = {}
    for one in held:
        by_fold.setdefault((one.repeat, one.fold), []).append(one)
    repeats = sorted({repeat for repeat, _ in by_fold})
    parts = [_predicted(members, out, with_repeat=len(repeats) > 1) for members in by_fold.values()]
    rows = np.flatnonzero(np.isin([one.known.roles for one in held], (TRAIN, VAL)).any(0))
    for repeat in repeats:
        done = [part[ROW].to_numpy() for (its, _), part in zip(by_fold, parts, strict=True) if its == repeat]
        if len(np.unique(np.concatenate(done))) < sum(map(len, done)):
            text = "several folds held back the same row, so they are not of one cut"
            raise ConfigError(text, "a sweep over dataset.fold with one dataset.split_seed")
        if len(lacking := np.setdiff1d(rows, np.concatenate(done))):
            blank = {ROW: lacking} | ({REPEAT: np.full(len(lacking), repeat)} if len(repeats) > 1 else {})
            parts.append(pa.table({name: pa.array(values) for name, values in blank.items()}))
            text = f"no run held back {counted(len(lacking), 'row')} of {len(rows):,}: they have no prediction"
            complain(f"note     {text}")
    joined = pa.concat_tables(parts, promote_options="default")
    joined = joined.sort_by([(name, "ascending") for name in (REPEAT, ROW) if name in joined.column_names])
    with open_sink(out) as sink:
        sink.write({name: joined[name].combine_chunks() for name in joined.column_names})
    return len(joined)


def _predicted(members: Sequence[Held], out: str | None, *, with_repeat: bool) -> pa.Table:
    """The lines of the rows that the runs of one fold held back."""
    first = members[0]
    together = ensemble([one.trained for one in members], [one.name for one in members])
    rows, parts, begun = first.held_back, list[pa.Table](), 0
    for one in members:
        if not np.array_equal(one.held_back, rows):
            text = f"{first.name} and {one.name} held back other rows as the same fold"
            raise ConfigError(text, "a sweep over dataset.fold with one dataset.split_seed")
    for batch in zip(*(predict(one.trained, one.rows) for one in members), strict=True):
        outputs = [output_of(one.trained, made) for one, (_, made, _, _) in zip(members, batch, strict=True)]
        num_rows = batch[0][3]
        given: dict[str, Any] = {ROW: rows[begun : begun + num_rows]}
        given |= {REPEAT: np.full(num_rows, first.repeat)} if with_repeat else {}
        given |= {FOLD: np.full(num_rows, first.fold)}
        known = {name: pa.array(values) for name, values in given.items()}
        added = added_columns(together, together.mean(outputs), out)
        parts.append(pa.table(table_of(known, added, num_rows, together)))
        begun += num_rows
    return pa.concat_tables(parts)
