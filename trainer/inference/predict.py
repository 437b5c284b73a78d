"""Predicts rows batch by batch: a table has the input's columns and the predictions, an array file all outputs."""

import signal
from collections.abc import Mapping
from itertools import count
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import torch
from torch import Tensor

from trainer.data import tree
from trainer.data.meaning import INDEXED
from trainer.data.tabular.unseen import Unseen
from trainer.data.tree import Tree
from trainer.errors import ConfigError, Interrupted, TrainerError, complain, place
from trainer.inference import array_file, outputs
from trainer.inference.model import Trained
from trainer.inference.rows import Unlabelled
from trainer.inference.writer import check_name, open_sink
from trainer.processes import signals
from trainer.tasks.columns import POSITION, PREDICTION
from trainer.text import cleaned, counted, first_line, listed

MOST_NAMED = 20  # pictures that cannot be read


def check_out(out: str | None) -> None:
    """Raise ConfigError, before anything is read, if the output cannot be written."""
    if out is not None:
        check_name(out)


def write(model: Trained, path: str, out: str | None, node: Mapping[str, Any], size: int) -> int:
    """Predict rows and write them with their predictions; warn of values that training did not have.

    node: the dataset of the run's config; size: rows at once. Returns the exit code, 1 where pictures of a folder
    cannot be read. Raises ConfigError for wrong rows, and for predictions that do not fit into a table.
    """
    typed = out is not None and out.endswith((".parquet", ".pq"))
    rows = model.open(path, node, size, typed=typed)
    if out is not None and Path(out).expanduser().resolve() in [file.resolve() for file in rows.files]:
        raise ConfigError(f"-o {out} is the input itself", "give -o another name")
    with signals.listening():
        if out is not None and out.endswith(array_file.ENDINGS):
            num_rows = _write_arrays(model, rows, path, out, size)
        else:
            num_rows = _write_table(model, rows, path, out, size)
    tell_unknown(rows.unknown)
    if out is not None:
        print(cleaned(f"{counted(num_rows, 'row')} in {out}"))
    for text in rows.unreadable[:MOST_NAMED]:
        complain(f"error: {text}")
    if more := rows.unreadable[MOST_NAMED:]:
        complain(f"error: {len(more):,} more pictures cannot be read")
    return 1 if rows.unreadable else 0


def _write_table(model: Trained, rows: Unlabelled, path: str, out: str | None, size: int) -> int:
    """Write a row for each row or position. Returns the number of rows."""
    number, num_rows = count(), 0
    with open_sink(out) as sink:
        for given, raw in rows.batches:
            parts = [
                added_columns(model, _outputs(model, part, next(number), rows), out) for part in tree.split(raw, size)
            ]
            _check_stop()
            if parts:
                added = {name: torch.cat([part[name] for part in parts]) for name in parts[0]}
                if clash := [name for name in added if name in rows.names]:
                    raise ConfigError(f"{path} already has a column '{clash[0]}'", "rename that column")
                sink.write(table_of(given, added, tree.num_rows(raw), model))
                num_rows += tree.num_rows(raw)
        if not num_rows:
            raise ConfigError(f"{path} has no rows")
    return num_rows


def added_columns(model: Trained, output: Tree, out: str | None) -> dict[str, Tensor]:
    """The added columns of a batch. Raises ConfigError for what does not fit into a table."""
    table, mine = model.preprocessing.table, model.fit(output)
    found, shift = model.task.columns(mine, table.targets if table is not None else ()), model.fit.shift
    if found is None:
        what = f"{'×'.join(map(str, mine.shape[1:]))} values" if isinstance(mine, Tensor) else "several outputs"
        hint = f"-o {Path(out or 'predictions').name.partition('.')[0]}.npz"
        raise ConfigError(f"a row gets {what}, which are no columns of a table", hint)
    return {name: values.cpu() + shift if name == POSITION else values.cpu() for name, values in found.items()}


def table_of(given: Mapping[str, Any], added: Mapping[str, Tensor], num_rows: int, model: Trained) -> dict[str, Any]:
    """The columns of the output. given: a value a row, which is repeated where a row has several positions."""
    each = len(next(iter(added.values()))) // num_rows
    if each != 1:
        places = pa.array(np.arange(num_rows).repeat(each))
        given = {name: values.take(places) for name, values in given.items()}
    columns = {name: pa.array(values.numpy()) for name, values in added.items()}
    if model.facts.task in INDEXED and PREDICTION in columns:
        columns[PREDICTION] = pa.array(model.facts.classes).take(columns[PREDICTION])
    return {**given, **columns}


def _write_arrays(model: Trained, rows: Unlabelled, path: str, out: str, size: int) -> int:
    """Write all outputs by name. Returns the number of rows."""
    found, num_rows, files = arrays(model, rows, path, size)
    array_file.write(Path(out).expanduser(), found, files)
    return num_rows


def arrays(model: Trained, rows: Unlabelled, path: str, size: int) -> tuple[dict[str, Tensor], int, list[str]]:
    """(All outputs by name, on the CPU; the number of rows; the files that they are from, if they are). path: what
    messages call the rows; size: rows at once."""
    number, num_rows, files = count(), 0, list[str]()
    parts, axes = list[dict[str, Tensor]](), dict[str, int | None]()
    for given, raw in rows.batches:
        for part in tree.split(raw, size):
            axes = axes or outputs.row_axes(lambda few: _arrays(model, few, 0, rows), part)
            parts.append(_arrays(model, part, next(number), rows))
            _check_stop()
        num_rows += tree.num_rows(raw)
        files += given["file"].to_pylist() if "file" in given else []
    if not num_rows:
        raise ConfigError(f"{path} has no rows")
    if left := [name for name, axis in axes.items() if axis is None]:
        complain(f"warning: left out, as not one axis is as long as there are rows: {listed(left)}")
    found = outputs.joined(parts, axes)
    if not found:
        raise ConfigError(f"no output of {type(model.model).__name__} has an axis as long as there are rows")
    return found, num_rows, files


def _arrays(model: Trained, raw: Tree, number: int, rows: Unlabelled) -> dict[str, Tensor]:
    """All outputs of a batch by name: what the task decides on, its answer, and each output under its path."""
    output = _outputs(model, raw, number, rows)
    found, mine = outputs.named(model.task, model.fit, output), model.fit(output)
    guess = model.task.guess(mine) if isinstance(mine, Tensor) else None
    if guess is not None:
        found = {PREDICTION: guess} | {name: values for name, values in found.items() if name != PREDICTION}
    return {name: values.cpu() for name, values in found.items()}


def _outputs(model: Trained, raw: Tree, number: int, rows: Unlabelled) -> Tree:
    """What the model gives. Raises ConfigError for rows that it does not take."""
    try:
        return model.outputs(raw, number)
    except (TrainerError, torch.OutOfMemoryError):
        raise
    except Exception as error:
        if rows.unlike:
            raise ConfigError(rows.unlike) from error
        why = f"{first_line(error)}{place(error)}"
        raise ConfigError(f"model {type(model.model).__name__} does not take these rows: {why}") from error


def _check_stop() -> None:
    """Raise Interrupted after a signal."""
    if (number := signals.stop_requested()) is not None:
        raise Interrupted(number, f"stopped by {signal.Signals(number).name}; no file was written")


def tell_unknown(unknown: Unseen) -> None:
    """Warn on stderr of values that training did not have."""
    for text in unknown.warnings():
        complain(f"warning: {text}")
