"""From data to a model's input, and from its output back to classes and units, in two files beside the weights.

preprocessing.safetensors holds the tensors, `x.…` and `y.…`; preprocessing.json everything else that is needed to
rebuild it without the training data.
"""

import math
import re
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, cast

import safetensors.torch
import torch
from torch import Tensor

from trainer.data import facts as inputs_of
from trainer.data.facts import Facts, Spec
from trainer.data.labels import IGNORED
from trainer.data.meaning import INDEXED, TASKS, Meaning
from trainer.data.picture_file import BACKGROUNDS, SQUARES, PictureFormat
from trainer.data.scaling import AsIs, Cast, Scale, Standardize
from trainer.data.tabular import table_format
from trainer.data.tabular.one_hot import Columns
from trainer.data.tabular.table_format import TableFormat
from trainer.disk import digest, layout, reading, storage, typed
from trainer.disk.tensors import MALFORMED, tensor_bytes
from trainer.errors import ConfigError, StorageError
from trainer.text import first_line

FORMAT = 1
MOST_JSON = 16 * 2**20  # bytes: 10,000 columns of 32 categories
MOST_TENSORS = 256 * 2**20  # bytes: 300 columns of 100,000 rare categories
TERM = re.compile(r"\w[\w.-]*")  # the name of a term of a loss
MOST_DEPTH = 8  # of tuples and dicts in each other
WHOLE = ("bool", "uint8", "int8", "int16", "int32", "int64", "uint16", "uint32", "uint64")
DTYPES = (*WHOLE, "float16", "bfloat16", "float32", "float64", "complex64", "complex128")


@dataclass
class Preprocessing:
    """x: raw input (B, *raw_shape) to the model's (B, *facts.input_shape), or a tree of inputs; y: targets that are
    numbers, or labels of 0 and 1, to what the loss sees; None for others. table, pictures: how rows are read, if the
    data is a table or a folder of pictures. path: of keys and positions to the output that the targets are about;
    class_axis: the axis of that output which holds the classes; terms: the names of the loss's terms; shift: of targets
    against outputs, see Fit."""

    facts: Facts
    raw_shape: tuple[int, ...]
    x: Scale | Columns
    y: Scale | None
    table: TableFormat | None = None
    pictures: PictureFormat | None = None
    path: tuple[str | int, ...] = ()
    class_axis: int = 1
    terms: tuple[str, ...] = ()
    shift: int = 0

    @property
    def of_answers(self) -> Scale | None:
        """The scale of what the model answers: that of inputs, where they are the target too."""
        return self.x if self.facts.task == "input" and isinstance(self.x, Scale) else self.y

    def of_table(self) -> tuple[Columns, TableFormat]:
        """x and table. Raises ConfigError if the run was not trained on a table."""
        if self.table is None or not isinstance(self.x, Columns):
            raise ConfigError("this run was not trained on a table")
        return self.x, self.table


def write(folder: Path, preprocessing: Preprocessing) -> None:
    """Write both files into a run folder."""
    facts, x, y, table = preprocessing.facts, preprocessing.x, preprocessing.y, preprocessing.table
    modules = {"x": x} if y is None else {"x": x, "y": y}
    tensors = {
        f"{key}.{name}": tensor for key, module in modules.items() for name, tensor in module.state_dict().items()
    }
    for place, column in enumerate(table.columns if table is not None else []):
        if column.rare:
            tensors[f"rare.{place}"] = torch.tensor(sorted(column.rare))
    storage.write_file(folder / layout.PREPROCESSING, digest.with_digest(tensor_bytes(tensors)))
    data = {
        "format": FORMAT,
        "task": facts.task,
        "classes": facts.classes,
        "num_outputs": facts.num_outputs,
        "ignored": facts.ignored,
        "class_counts": facts.class_counts,
        "input_shape": list(facts.input_shape),
        "inputs": inputs_of.as_data(facts.inputs),
        "decided_by": facts.meaning.why,
        "path": list(preprocessing.path),
        "class_axis": preprocessing.class_axis,
        "terms": list(preprocessing.terms),
        "shift": preprocessing.shift,
        "raw_shape": list(preprocessing.raw_shape),
        "x": type(x).__name__,
        "y": type(y).__name__ if y is not None else None,
        "y_shape": y.row_shape if y is not None else None,
        "table": table_format.as_data(table) if table is not None else None,
        "pictures": asdict(preprocessing.pictures) if preprocessing.pictures is not None else None,
    }
    storage.write_json(folder / layout.PREPROCESSING_FACTS, digest.with_checksum(data))


def read(folder: Path, dtype: torch.dtype) -> Preprocessing:
    """Rebuild the preprocessing of a run folder, of any author. Raises StorageError for malformed files."""
    path = folder / layout.PREPROCESSING_FACTS
    try:
        data = digest.read_facts(path, MOST_JSON)
        tensors = safetensors.torch.load(digest.read_tensors(folder / layout.PREPROCESSING, MOST_TENSORS))
        return _rebuilt(data, tensors, dtype)
    except FileNotFoundError as error:
        text = f"{folder} has no {Path(error.filename).name}"
        raise StorageError(text, "train it again: it ended too early") from error
    except reading.Damaged as error:
        raise StorageError(str(error)) from error
    except (*MALFORMED, ConfigError) as error:
        raise StorageError(f"{path.with_suffix('')}.* cannot be used: {first_line(error)}") from error


def _rebuilt(data: Any, tensors: Mapping[str, Tensor], dtype: torch.dtype) -> Preprocessing:
    if typed.whole(data["format"]) != FORMAT:
        raise ValueError(f"format {data['format']}, this trainer reads {FORMAT}")
    classes = None if data["classes"] is None else typed.texts(data["classes"])
    outputs = typed.whole(data["num_outputs"], 1)
    ignored = typed.as_type(data.get("ignored", IGNORED), int)  # version 0.1.0 wrote neither this nor the counts
    counts = None
    if data.get("class_counts") is not None:
        counts = tuple(typed.as_type(count, int) for count in typed.as_type(data["class_counts"], list))
    why = typed.as_type(data.get("decided_by", ""), str)
    if not -(2**63) <= ignored < 2**63:
        raise ValueError(f"ignored is {ignored}, which is no label")
    meaning = Meaning(typed.as_type(data["task"], str), why, classes, outputs, ignored)
    inputs = Spec(typed.shape(data["input_shape"])) if data.get("inputs") is None else _specs(data["inputs"])
    facts = Facts(inputs, meaning, counts)
    if facts.input_shape != typed.shape(data["input_shape"]):
        raise ValueError("inputs and input_shape do not fit together")
    if counts is not None and (min(counts, default=-1) < 0 or classes is None or len(counts) != len(classes)):
        raise ValueError("class_counts and classes do not fit together")
    if facts.task not in TASKS or (classes is None) == (facts.task in (*INDEXED, "labels")):
        raise ValueError("task and classes do not fit together")
    if classes is not None and len(classes) != outputs:
        raise ValueError(f"{len(classes)} classes, {outputs} outputs")
    raw_shape = typed.shape(data["raw_shape"])
    groups = {
        key: {n.removeprefix(f"{key}."): t for n, t in tensors.items() if n.startswith(f"{key}.")}
        for key in ("x", "y", "rare")
    }
    table = None if data["table"] is None else table_format.rebuilt(data["table"], groups["rare"])
    if sum(map(len, groups.values())) != len(tensors):
        raise ValueError("a tensor has an unknown name")
    x: Scale | Columns
    if table is not None:
        num_numbers = sum(column.kind != "category" for column in table.columns)
        mean, std = _mean_and_std(groups["x"], [(num_numbers,)])
        if data["x"] != "Columns" or raw_shape != (len(table.columns),):
            raise ValueError("x and its columns do not fit together")
        x = Columns(table.columns, mean, std, dtype)
        if facts.input_shape != (sum(column.width for column in table.columns),):
            raise ValueError("input_shape and the columns do not fit together")
    else:
        x = cast(Scale, _scale(data["x"], groups["x"], dtype, raw_shape))
        if facts.input_shape != raw_shape or x is None or not (facts.is_plain or isinstance(x, AsIs)):
            raise ValueError("input_shape and raw_shape differ")
    y_shape = None if data.get("y_shape") is None else typed.shape(data["y_shape"])  # version 0.1.0 wrote none
    if y_shape is not None and math.prod(y_shape) != outputs:
        raise ValueError(f"{outputs} outputs in rows of shape {y_shape}")
    y = _scale(data["y"], groups["y"], dtype, (outputs,) if y_shape is None else y_shape)
    if y is not None:
        y.row_shape = y_shape
    if (y is None) == (facts.task in ("numbers", "labels")):
        raise ValueError("targets are scaled if they are numbers or labels, and not if they are classes")
    pictures = _pictures(data["pictures"]) if data.get("pictures") is not None else None
    if pictures is not None and (table is not None or pictures.shape != raw_shape):
        raise ValueError("pictures and raw_shape do not fit together")
    path = tuple(
        part if type(part) is int else typed.as_type(part, str) for part in typed.as_type(data.get("path", []), list)
    )
    axis, terms = typed.whole(data.get("class_axis", 1), 1), tuple(typed.texts(data.get("terms", [])))
    shift = typed.whole(data.get("shift", 0))
    if shift > (facts.task == "tokens") or len(set(terms)) < len(terms) or not all(map(TERM.fullmatch, terms)):
        raise ValueError("shift does not fit the task, or terms are no names")
    return Preprocessing(facts, raw_shape, x, y, table, pictures, path, axis, terms, shift)


def _scale(name: Any, tensors: Mapping[str, Tensor], dtype: torch.dtype, shape: tuple[int, ...]) -> Scale | None:
    if name == "Standardize":  # by one number, one per value, or one per channel
        shapes = [(), shape, shape[:1] + (1,) * (len(shape) - 1)]
        return Standardize(*_mean_and_std(tensors, shapes), dtype)
    if name not in ("Cast", "AsIs", None) or tensors:
        raise ValueError(f"unknown scaling {name!r}, or tensors that it does not have")
    return {"Cast": Cast, "AsIs": AsIs}[name](dtype) if name is not None else None


def _mean_and_std(tensors: Mapping[str, Tensor], shapes: Sequence[tuple[int, ...]]) -> tuple[Tensor, Tensor]:
    """Both in float64; version 0.1.0 stored some in the model's dtype."""
    if set(tensors) != {"mean", "std"}:
        raise ValueError("exactly the tensors mean and std are needed")
    mean, std = tensors["mean"], tensors["std"]
    if not (mean.dtype.is_floating_point and std.dtype.is_floating_point and mean.shape == std.shape):
        raise ValueError("mean and std are not floats of one shape")
    if tuple(mean.shape) not in shapes or not bool(mean.isfinite().all() and std.isfinite().all() and (std > 0).all()):
        raise ValueError(f"mean and std have shape {tuple(mean.shape)}, or are not finite, or std is not above 0")
    return mean.to(torch.float64), std.to(torch.float64)


def _pictures(data: Any) -> PictureFormat:
    if data["background"] not in BACKGROUNDS or data["resize"] not in SQUARES:
        raise ValueError("pictures are read in an unknown way")
    return PictureFormat(
        typed.whole(data["size"], 1), typed.as_type(data["grey"], bool), data["background"], data["resize"]
    )


def _specs(data: Any, depth: int = 0) -> Any:
    """The inputs that as_data describes: a Spec, or a tuple or dict of such."""
    if depth > MOST_DEPTH or (isinstance(data, list) and not data):
        raise ValueError("the inputs are nested too deeply, or there are none")
    if isinstance(data, list):
        return tuple(_specs(inner, depth + 1) for inner in data)
    if set(data) == {"parts"}:
        return {
            typed.as_type(name, str): _specs(inner, depth + 1)
            for name, inner in typed.as_type(data["parts"], dict).items()
        }
    if data["dtype"] not in DTYPES:
        raise ValueError("an input has an unknown type")
    values = data["num_values"]
    return Spec(typed.shape(data["shape"]), data["dtype"], None if values is None else typed.whole(values))
