"""Predicts rows batch by batch: the output has the input's columns and the predictions."""

import signal
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import torch
from torch import Tensor

from trainer.data.facts import Facts
from trainer.data.tabular.unseen import Unseen
from trainer.errors import ConfigError, Interrupted, complain
from trainer.inference.model import Trained
from trainer.inference.rows import open_rows
from trainer.inference.writer import check_name, open_sink
from trainer.processes import signals
from trainer.text import cleaned, counted

MOST_NAMED = 20  # pictures that cannot be read
PREDICTION, PROBABILITY = "prediction", "probability_"


def check_out(out: str | None) -> None:
    """Raise ConfigError, before anything is read, if the output cannot be written."""
    if out is not None:
        check_name(out)


def write(model: Trained, path: str, out: str | None, node: Mapping[str, Any], size: int) -> int:
    """Predict rows and write them with their predictions; warn of values that training did not have.

    node: the dataset of the run's config; size: rows at once. Returns the exit code, 1 where pictures of a folder
    cannot be read. Raises ConfigError for wrong rows.
    """
    typed = out is not None and out.endswith((".parquet", ".pq"))
    rows = open_rows(path, model.preprocessing, node, size, typed=typed)
    table = model.preprocessing.table
    added = names(model.facts, table.targets if table is not None else list(map(str, range(model.facts.num_outputs))))
    if clash := [name for name in added if name in rows.names]:
        raise ConfigError(f"{path} already has a column '{clash[0]}'", "rename that column")
    if out is not None and Path(out).expanduser().resolve() in [file.resolve() for file in rows.files]:
        raise ConfigError(f"-o {out} is the input itself", "give -o another name")
    num_rows = 0
    with signals.listening(), open_sink(out) as sink:
        for given, raw in rows.batches:
            output = torch.cat([model.predict(part) for part in raw.split(size)])
            sink.write({**given, **columns(output, model.facts, added)})
            num_rows += len(raw)
            if (number := signals.stop_requested()) is not None:
                raise Interrupted(number, f"stopped by {signal.Signals(number).name}; no file was written")
        if not num_rows:
            raise ConfigError(f"{path} has no rows")
    tell_unknown(rows.unknown)
    if out is not None:
        print(cleaned(f"{counted(num_rows, 'row')} in {out}"))
    for text in rows.unreadable[:MOST_NAMED]:
        complain(f"error: {text}")
    if more := rows.unreadable[MOST_NAMED:]:
        complain(f"error: {len(more):,} more pictures cannot be read")
    return 1 if rows.unreadable else 0


def tell_unknown(unknown: Unseen) -> None:
    """Warn on stderr of values that training did not have."""
    for text in unknown.warnings():
        complain(f"warning: {text}")


def names(facts: Facts, targets: list[str]) -> list[str]:
    """Names of the added columns: prediction, and a probability for each class; or a prediction for each target."""
    if facts.classes is not None:
        return [PREDICTION, *(PROBABILITY + name for name in facts.classes)]
    return [PREDICTION] if facts.num_outputs == 1 else [f"{PREDICTION}_{name}" for name in targets]


def columns(output: Tensor, facts: Facts, added: list[str]) -> Mapping[str, Any]:
    """The added columns. output: probabilities (B, classes), or numbers (B, outputs). Raises ConfigError for others."""
    if output[0].numel() != len(added) - (facts.classes is not None):
        shape = "×".join(map(str, output.shape[1:]))
        raise ConfigError(
            f"a row gets {shape} values, which are no columns of a table",
            "export it with trainer export, and run it in a program of yours",
        )
    values = [pa.array(column) for column in np.ascontiguousarray(output.reshape(len(output), -1).numpy().T)]
    if facts.classes is not None:
        values = [pa.array(facts.classes).take(pa.array(output.argmax(1).numpy())), *values]
    return dict(zip(added, values, strict=True))
