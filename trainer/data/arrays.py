"""Your own arrays: an .npz or .safetensors file with inputs `x` and targets `y`, and optionally a test split."""

import zipfile
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor

from trainer.config import given
from trainer.data import labels
from trainer.data import meaning as meanings
from trainer.data.meaning import Meaning
from trainer.data.paths import find
from trainer.data.tensors import Scaling, TensorData
from trainer.errors import ConfigError
from trainer.text import first_line

BYTES = (torch.uint8, torch.int8, torch.bool)  # most likely pixels


def _read_npz(file: Path) -> dict[str, Tensor]:
    """The numeric arrays of an .npz file by name. Raises ConfigError for other files, and for arrays of objects or
    text. Nothing is unpickled."""
    try:
        with file.open("rb") as stream:  # numpy would leave a broken one open
            archive = np.load(stream, allow_pickle=False)
            if not isinstance(archive, np.lib.npyio.NpzFile):
                raise ConfigError(f"{file} holds one array without a name", "write it with numpy.savez(path, x=…, y=…)")
            return {name: tensor(archive[name], f"{file}: {name}") for name in archive.files}
    except (ValueError, OSError, EOFError, zipfile.BadZipFile) as error:
        raise ConfigError(f"{file} is not an .npz file of numbers: {first_line(error)}") from error


def _read_safetensors(file: Path) -> dict[str, Tensor]:
    """The tensors of a .safetensors file by name. Raises ConfigError for other files."""
    import safetensors.torch

    try:
        return safetensors.torch.load_file(file)
    except (safetensors.SafetensorError, OSError) as error:
        raise ConfigError(f"{file} is not a .safetensors file: {first_line(error)}") from error


def tensor(array: "np.ndarray[tuple[int, ...], np.dtype[np.generic]]", name: str) -> Tensor:
    """An array as a tensor. name: for messages. Raises ConfigError for text and objects."""
    try:
        native = array.astype(array.dtype.newbyteorder("="), copy=False)
        return torch.from_numpy(np.require(native, requirements=["C", "W"]))  # copied if it is not writable
    except TypeError as error:
        what = "text" if array.dtype.kind in "US" else str(array.dtype)
        remedy = "words, y = numpy.unique(y, return_inverse=True), and dataset.classes=[WORD,…]"
        text = f"{name} is an array of {what} ({array.dtype}), but only numbers can be used"
        raise ConfigError(text, remedy if what == "text" else None) from error


READERS = {".npz": _read_npz, ".safetensors": _read_safetensors}


class _Arrays(TensorData):
    """An array file as a data set; what y means, see meaning.decide.

    path: the file. x, y: the names of its arrays; f"{x}_test" and f"{y}_test" hold the test split. classes: their
    names; the labels themselves by default. scaling: see TensorData; "auto" standardises rows of numbers column by
    column, and everything else (bytes, pictures) with one mean and standard deviation. ignored_label: the label that
    the loss leaves out; asked_task: dataset.task; num_outputs: of the model, see Keys.
    """

    suffix: str  # of the kind of file

    def __init__(
        self,
        path: str,
        x: str = "x",
        y: str = "y",
        classes: Sequence[str] | None = None,
        scaling: str = "auto",
        ignored_label: int = labels.IGNORED,
        asked_task: str = meanings.AUTO,
        num_outputs: int | None = None,
    ) -> None:
        (file,) = find(path)
        arrays, rules = READERS[self.suffix](file), (ignored_label, asked_task, num_outputs)
        super().__init__(**_rows(arrays, str(file), x, y, ("test",), classes, scaling, *rules), source=file.name)


class Given(TensorData):
    """Arrays of a Python program, see config/given.py. of: their shapes, for people. The others: as of _Arrays."""

    def __init__(
        self,
        of: str,
        classes: Sequence[str] | None = None,
        scaling: str = "auto",
        ignored_label: int = labels.IGNORED,
        asked_task: str = meanings.AUTO,
        num_outputs: int | None = None,
    ) -> None:
        arrays, rules = dict[str, Tensor](), (ignored_label, asked_task, num_outputs)
        for name, (x, y) in given.data().items():
            end = "" if name == "train" else f"_{name}"
            arrays |= {f"x{end}": x, f"y{end}": y}
        rows = _rows(arrays, "data", "x", "y", ("val", "test"), classes, scaling, *rules)
        super().__init__(**rows, source="given arrays")


class Npz(_Arrays):
    """A NumPy .npz file. Nothing in it is unpickled."""

    suffix = ".npz"


class SafeTensors(_Arrays):
    """A .safetensors file."""

    suffix = ".safetensors"


def _rows(
    arrays: dict[str, Tensor],
    name: str,
    x: str,
    y: str,
    splits: Sequence[str],
    classes: Sequence[str] | None,
    scaling: str,
    ignored: int,
    asked: str,
    outputs: int | None,
) -> dict[str, Any]:
    """The arguments of a TensorData. name: of the arrays, in messages; splits: that `arrays` may bring."""
    inputs, targets = _pair(arrays, name, x, y)
    if targets.is_floating_point() and classes is not None:
        raise ConfigError(f"{name}: {y} holds floats, but dataset.classes names classes", "dataset.classes=null")
    meaning, notes = _meaning(inputs, targets, f"{name}: {y}", classes, ignored, asked, outputs)
    how: Scaling = scaling  # type: ignore[assignment]
    if scaling == "auto":
        by_column = inputs.ndim == 2 and inputs.dtype not in BYTES
        how = "standardize" if by_column else "standardize_whole"
    rows: dict[str, Any] = {"x": inputs, "y": _as_taken(targets, meaning), "meaning": meaning, "scaling": how}
    for split in splits:
        if f"{x}_{split}" in arrays:
            others, truths = _pair(arrays, name, f"{x}_{split}", f"{y}_{split}")
            _check_alike(inputs, others, f"{name}: {x}_{split}")
            _check_alike(targets, truths, f"{name}: {y}_{split}")
            rows[split] = TensorData(others, _as_taken(truths, meaning), meaning=meaning, scaling=how)
    return {**rows, "scale_targets": meaning.task == "numbers", "notes": notes}


def _pair(arrays: dict[str, Tensor], name: str, x: str, y: str) -> tuple[Tensor, Tensor]:
    """Inputs and targets, as they are."""
    for key in (x, y):
        if key not in arrays:
            raise ConfigError(f"{name} has no array '{key}'", f"it has: {', '.join(list(arrays)[:8])}")
    inputs, targets = arrays[x], arrays[y]
    if not inputs.ndim or not targets.ndim or len(inputs) != len(targets) or not len(inputs):
        shapes = f"{x} {tuple(inputs.shape)} and {y} {tuple(targets.shape)}"
        raise ConfigError(f"{name}: {shapes} need the same number of rows, and at least one")
    for key, tensor in ((x, inputs), (y, targets)):
        if tensor.is_floating_point() and not bool((finite := tensor.isfinite()).all()):
            row = int((~finite.reshape(len(finite), -1)).any(1).nonzero()[0])
            raise ConfigError(f"{name}: {key}[{row}] is NaN or infinite")
    return inputs, targets


def _check_alike(train: Tensor, other: Tensor, place: str) -> None:
    """Raise ConfigError if the rows of another split have another shape, or numbers where the others have indices."""
    if train.shape[1:] != other.shape[1:]:
        shapes = " and ".join("×".join(map(str, tensor.shape[1:])) or "one number" for tensor in (train, other))
        raise ConfigError(f"{place} has rows of another shape than training: {shapes}", "rows of the same shape")
    if other.is_floating_point() and not train.is_floating_point() and bool((other != other.round()).any()):
        raise ConfigError(f"{place} holds {other.dtype}, and training {train.dtype}".replace("torch.", ""))


def _meaning(
    x: Tensor, y: Tensor, place: str, words: Sequence[str] | None, ignored: int, asked: str, outputs: int | None
) -> tuple[Meaning, list[str]]:
    """(What the targets y mean, lines for the header). place: what messages call them; words: names of the classes."""
    is_binary = bool(((y == 0) | (y == 1)).all())
    asked = meanings.AUTO if asked == "input" else asked  # TensorData makes that
    how: dict[str, Any] = {"outputs": outputs, "zero_and_one": lambda: is_binary}
    found = replace(meanings.decide(x[0], y[0], place, same=False, asked=asked, **how), ignored=ignored)
    hint = found.task == "numbers" and asked == meanings.AUTO and is_binary and y.ndim == 2 and y.shape[1] > 1
    indices = found.of_batch(y)
    meaning, notes = meanings.named(found, words or None, place, lambda: labels.tally(indices, ignored, place))
    return meaning, [*notes, *[meanings.LABELS_HINT] * hint]


def _as_taken(y: Tensor, meaning: Meaning) -> Tensor:
    """Targets as their task takes them: class indices int64, numbers (N, outputs), others as they are."""
    taken: Tensor = meaning.of_batch(y)
    if meaning.task == "numbers":
        taken = (y if y.is_floating_point() else y.double()).reshape(len(y), -1)
    return taken
