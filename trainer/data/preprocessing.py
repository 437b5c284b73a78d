"""What turns data into a model's input and its output back into words and units, in two files beside the weights.

preprocessing.safetensors: the numbers, `x.…` and `y.…`. preprocessing.json: all else that is needed to rebuild them
without the training data.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, cast

import safetensors.torch
import torch
from safetensors import SafetensorError
from torch import Tensor

from trainer.data.facts import Facts
from trainer.data.scaling import Cast, Scale, Standardize
from trainer.data.tabular.column import KINDS, Column
from trainer.data.tabular.one_hot import Columns
from trainer.disk import layout, reading, storage
from trainer.disk.tensors import tensor_bytes
from trainer.errors import ConfigError, StorageError

FORMAT = 1
MOST_JSON = 16 * 2**20  # bytes: 10,000 columns of 32 categories
MOST_TENSORS = 64 * 2**20  # bytes
MOST_INPUTS = 10**7
MALFORMED = (KeyError, ValueError, TypeError, AttributeError, IndexError, RuntimeError, OverflowError, SafetensorError)


@dataclass
class Table:
    """How a table was read. columns: what the model learns from, in order; targets: the names of the column(s) that it
    predicts; target_kind: how they are read; missing: texts that count as no value."""

    columns: list[Column]
    targets: list[str]
    target_kind: str
    delimiter: str
    encoding: str
    missing: list[str]


@dataclass
class Preprocessing:
    """x: raw input (B, *raw_shape) to the model's (B, *facts.input_shape); y: numeric targets to what the loss sees,
    None for classes. table: how rows were read, where the data is one."""

    facts: Facts
    raw_shape: tuple[int, ...]
    x: Scale | Columns
    y: Scale | None
    table: Table | None = None

    def of_table(self) -> tuple[Columns, Table]:
        """x and table. Raises ConfigError for what was trained on no table."""
        if self.table is None or not isinstance(self.x, Columns):
            raise ConfigError("this run was not trained on a table")
        return self.x, self.table


def write(folder: Path, made: Preprocessing) -> None:
    """Write both files into a run folder."""
    tensors = {f"x.{name}": tensor for name, tensor in made.x.state_dict().items()}
    tensors |= {f"y.{name}": tensor for name, tensor in (made.y.state_dict() if made.y else {}).items()}
    storage.write_file(folder / layout.PREPROCESSING, tensor_bytes(tensors))
    facts, table = made.facts, made.table
    data: dict[str, Any] = {
        "format": FORMAT,
        "task": facts.task,
        "classes": facts.classes,
        "num_outputs": facts.num_outputs,
        "input_shape": list(facts.input_shape),
        "raw_shape": list(made.raw_shape),
        "x": type(made.x).__name__,
        "y": type(made.y).__name__ if made.y is not None else None,
        "table": None,
    }
    if table is not None:
        columns = [{**vars(column), "levels": list(column.levels)} for column in table.columns]
        data["table"] = {**vars(table), "columns": columns}
    storage.write_json(folder / layout.PREPROCESSING_FACTS, data)


def read(folder: Path, dtype: torch.dtype) -> Preprocessing:
    """Rebuild it from a run folder, whoever made that. Raises StorageError for what is not two files of ours."""
    path = folder / layout.PREPROCESSING_FACTS
    try:
        data = reading.read_json(path, MOST_JSON)
        tensors = safetensors.torch.load(reading.read_file(folder / layout.PREPROCESSING, MOST_TENSORS))
        return _rebuilt(data, tensors, dtype)
    except FileNotFoundError as error:
        raise StorageError(
            f"{folder} has no {Path(error.filename).name}", "train it again: it ended too early"
        ) from error
    except (*MALFORMED, reading.Damaged) as error:
        raise StorageError(f"{path.with_suffix('')}.* is no preprocessing of ours: {_first_line(error)}") from error


def _rebuilt(data: Any, tensors: Mapping[str, Tensor], dtype: torch.dtype) -> Preprocessing:
    if _int(data["format"]) != FORMAT:
        raise ValueError(f"format {data['format']}, this trainer reads {FORMAT}")
    classes = None if data["classes"] is None else _texts(data["classes"])
    outputs = _int(data["num_outputs"], 1)
    if (data["task"] == "classes") != (classes is not None) or data["task"] not in ("classes", "numbers"):
        raise ValueError("its task and its classes do not fit")
    if classes is not None and len(classes) != outputs:
        raise ValueError(f"{len(classes)} classes, {outputs} outputs")
    raw_shape, input_shape = _shape(data["raw_shape"]), _shape(data["input_shape"])
    table = None if data["table"] is None else _table(data["table"])
    parts = {key: {n[2:]: t for n, t in tensors.items() if n.startswith(key + ".")} for key in ("x", "y")}
    if sum(map(len, parts.values())) != len(tensors):
        raise ValueError("its tensors have other names")
    x: Scale | Columns
    if table is not None:
        num_numbers = sum(column.kind != "category" for column in table.columns)
        mean, std = _moments(parts["x"], torch.float64, [(num_numbers,)])
        if data["x"] != "Columns" or raw_shape != (len(table.columns),):
            raise ValueError("its columns do not fit")
        x = Columns(table.columns, mean, std, dtype)
        if input_shape != (sum(column.width for column in table.columns),):
            raise ValueError("its columns make other inputs")
    else:
        x = cast(Scale, _scale(data["x"], parts["x"], dtype, raw_shape))
        if input_shape != raw_shape or x is None:
            raise ValueError("its input has two shapes")
    y = _scale(data["y"], parts["y"], dtype, (outputs,))
    if (y is None) != (data["task"] == "classes"):
        raise ValueError("its targets are scaled although they are classes, or the other way round")
    facts = Facts(input_shape, classes, outputs)
    return Preprocessing(facts, raw_shape, x, y, table)


def _scale(name: Any, tensors: Mapping[str, Tensor], dtype: torch.dtype, shape: tuple[int, ...]) -> Scale | None:
    if name == "Standardize":
        return Standardize(*_moments(tensors, dtype, _broadcasting(shape)))
    if name not in ("Cast", None) or tensors:
        raise ValueError(f"it scales by {name!r}")
    return Cast(dtype) if name == "Cast" else None


def _broadcasting(shape: tuple[int, ...]) -> list[tuple[int, ...]]:
    """Shapes that a mean for this shape may have: one number, one a value, or one a channel."""
    return [(), shape, shape[:1] + (1,) * (len(shape) - 1)]


def _moments(
    tensors: Mapping[str, Tensor], dtype: torch.dtype, shapes: Sequence[tuple[int, ...]]
) -> tuple[Tensor, Tensor]:
    if set(tensors) != {"mean", "std"}:
        raise ValueError("it needs mean and std, and nothing else")
    mean, std = tensors["mean"], tensors["std"]
    if not (mean.dtype.is_floating_point and std.dtype.is_floating_point and mean.shape == std.shape):
        raise ValueError("its mean and std are no floats of one shape")
    if tuple(mean.shape) not in shapes or not bool(mean.isfinite().all() and std.isfinite().all() and (std > 0).all()):
        raise ValueError(f"its mean and std have shape {tuple(mean.shape)}, or are not finite and above 0")
    return mean.to(dtype), std.to(dtype)


def _table(data: Any) -> Table:
    columns = [_column(entry) for entry in _list(data["columns"])]
    if not columns or len({column.name for column in columns}) != len(columns):
        raise ValueError("its columns have no names of their own")
    targets, kind = _texts(data["targets"]), data["target_kind"]
    if not targets or kind not in KINDS or set(targets) & {column.name for column in columns}:
        raise ValueError("its targets are no columns")
    delimiter, encoding = _text(data["delimiter"]), _text(data["encoding"])
    return Table(columns, targets, kind, delimiter, encoding, _texts(data["missing"]))


def _column(entry: Any) -> Column:
    levels, kind = tuple(_texts(entry["levels"])), entry["kind"]
    if kind not in KINDS or (kind != "category" and (levels or entry["other"])) or len(set(levels)) != len(levels):
        raise ValueError(f"column {entry['name']!r} is no column")
    if type(entry["other"]) is not bool or type(entry["missing"]) is not bool:
        raise ValueError(f"column {entry['name']!r} is no column")
    return Column(_text(entry["name"]), kind, levels, entry["other"], entry["missing"])


def _list(value: Any) -> list[Any]:
    if not isinstance(value, list):
        raise ValueError(f"{str(value)[:30]} is no list")
    return value


def _text(value: Any) -> str:
    if not isinstance(value, str):
        raise ValueError(f"{str(value)[:30]} is no text")
    return value


def _texts(value: Any) -> list[str]:
    return [_text(entry) for entry in _list(value)]


def _int(value: Any, least: int = 0) -> int:
    if type(value) is not int or not least <= value <= MOST_INPUTS:
        raise ValueError(f"{str(value)[:30]} is no number of things")
    return value


def _shape(value: Any) -> tuple[int, ...]:
    shape = tuple(_int(size, 1) for size in _list(value))
    size = 1
    for side in shape:
        size *= side
    if size > MOST_INPUTS or len(shape) > 8:
        raise ValueError(f"its input has shape {shape}")
    return shape


def _first_line(error: BaseException) -> str:
    return (str(error).splitlines() or [type(error).__name__])[0]
