"""Rows through a trained model, batch by batch: the input's columns come back with a prediction beside them."""

import signal
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import torch
from torch import Tensor

from trainer import signals
from trainer.data import matrix
from trainer.data.column import Column
from trainer.data.rows import encoded, open_table
from trainer.data.sink import check_name, open_sink
from trainer.data.source import Batch
from trainer.errors import ConfigError, Interrupted
from trainer.screen import complain
from trainer.sizes import Facts
from trainer.trained import Trained

PREDICTION, PROBABILITY = "prediction", "probability_"


def check_out(out: str | None) -> None:
    """Raise ConfigError, before anything is read, for a place where nothing can be written."""
    if out is not None:
        check_name(out)


def write(model: Trained, path: str, out: str | None, size: int) -> int:
    """Predict the rows of a table and write them with their predictions; says on stderr what was unknown."""
    how = model.preprocessing.table
    if how is None:
        raise ConfigError("this run was not trained on a table")
    source = open_table(path, how, with_targets=False)
    added = names(model.facts, how.targets)
    if clash := [name for name in added if name in source.names]:
        raise ConfigError(f"{path} has a column '{clash[0]}' already", "rename that column")
    if out is not None and Path(out).expanduser().resolve() in [file.resolve() for file in source.files]:
        raise ConfigError(f"-o {out} is the input itself", "-o another name")
    typed = out is not None and out.endswith((".parquet", ".pq"))
    unknown: dict[str, set[str]] = {}
    num_rows = 0
    with signals.listening(), open_sink(out) as sink:
        for batch, raw in encoded(source, how, unknown):
            output = torch.cat([model.predict(part) for part in raw.split(size)])
            own = dict(_typed(batch, how.columns, how.missing)) if typed else batch.columns
            sink.write({**own, **columns(output, model.facts, added)})
            num_rows += batch.num_rows
            if (number := signals.wish()) is not None:
                raise Interrupted(number, f"stopped by {signal.Signals(number).name}; no file was written")
    if not num_rows:
        raise ConfigError(f"{path} has no rows")
    for name, seen in sorted(unknown.items()):
        some = ", ".join(sorted(seen)[:6]) + (", …" if len(seen) > 6 else "")
        complain(f"warning: {name} holds what training had not, and which counts as other: {some}")
    if out is not None:
        print(f"{num_rows:,} rows in {out}")
    return 0


def names(facts: Facts, targets: list[str]) -> list[str]:
    """Of the columns that are added: prediction, and a probability for each class; one for each of several targets."""
    if facts.classes is not None:
        return [PREDICTION, *(PROBABILITY + name for name in facts.classes)]
    return [PREDICTION] if len(targets) <= 1 else [f"{PREDICTION}_{name}" for name in targets]


def columns(output: Tensor, facts: Facts, added: list[str]) -> Mapping[str, Any]:
    """The columns that are added, from probabilities (B, classes) or numbers (B, outputs)."""
    if facts.classes is None:
        return dict(zip(added, map(pa.array, np.ascontiguousarray(output.reshape(len(output), -1).numpy().T)), strict=True))
    best = pa.array(facts.classes).take(pa.array(output.argmax(1).numpy()))
    return dict(zip(added, [best, *map(pa.array, np.ascontiguousarray(output.numpy().T))], strict=True))


def _typed(batch: Batch, known: list[Column], missing: list[str]) -> Iterator[tuple[str, Any]]:
    """A batch's columns; numbers that came as text are numbers again."""
    numbers = {column.name for column in known if column.kind == "number"}
    for name, values in batch.columns.items():
        if name in numbers and pa.types.is_string(values.type):
            yield name, pa.array(matrix.to_floats(values, "number", missing), from_pandas=True)
        else:
            yield name, values
