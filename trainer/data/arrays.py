"""Arrays of one's own: an .npz or .safetensors file with inputs `x` and targets `y`, and perhaps their test split."""

import zipfile
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import torch
from torch import Tensor

from trainer.data.tabular.source import find
from trainer.data.tensors import Scaling, TensorData
from trainer.errors import ConfigError
from trainer.text import first_line


class _Arrays(TensorData):
    """Integers in y are classes, floats numbers. scaling: auto standardises rows of numbers column by column, and all
    else (bytes, pictures) by one mean and deviation."""

    def __init__(
        self,
        arrays: dict[str, Tensor],
        name: str,
        x: str,
        y: str,
        classes: Sequence[str] | None,
        scaling: str,
    ) -> None:
        train = _pair(arrays, name, x, y)
        test = _pair(arrays, name, f"{x}_test", f"{y}_test") if f"{x}_test" in arrays else None
        numbers = train[1].is_floating_point()
        if numbers and classes is not None:
            raise ConfigError(f"{name}: {y} holds floats, and dataset.classes names classes", "dataset.classes=null")
        names = None if numbers else list(classes or _labels(train[1]))
        how: Scaling = scaling  # type: ignore[assignment]
        if scaling == "auto":
            by_column = train[0].ndim == 2 and train[0].is_floating_point()
            how = "standardize" if by_column else "standardize_whole"
        given = TensorData(*test, classes=names, scaling=how) if test is not None else None
        super().__init__(*train, classes=names, scaling=how, scale_targets=numbers, test=given, source=Path(name).name)


class Npz(_Arrays):
    """A NumPy .npz file. Nothing in it is unpickled."""

    def __init__(
        self, path: str, x: str = "x", y: str = "y", classes: Sequence[str] | None = None, scaling: str = "auto"
    ) -> None:
        (file,) = find(path)
        super().__init__(read_npz(file), str(file), x, y, classes, scaling)


class SafeTensors(_Arrays):
    """A .safetensors file."""

    def __init__(
        self, path: str, x: str = "x", y: str = "y", classes: Sequence[str] | None = None, scaling: str = "auto"
    ) -> None:
        (file,) = find(path)
        super().__init__(read_safetensors(file), str(file), x, y, classes, scaling)


def read(file: Path) -> dict[str, Tensor]:
    """The arrays of a file of either kind. Raises ConfigError."""
    return read_npz(file) if file.suffix == ".npz" else read_safetensors(file)


def read_npz(file: Path) -> dict[str, Tensor]:
    """Its arrays of numbers by name. Raises ConfigError for what is no .npz, and for an array of objects or text."""
    try:
        with file.open("rb") as stream:  # numpy would leave a broken one open
            archive = np.load(stream, allow_pickle=False)
            if not isinstance(archive, np.lib.npyio.NpzFile):
                raise ConfigError(f"{file} holds one array without a name", "numpy.savez(path, x=…, y=…)")
            return {name: _tensor(archive[name], f"{file}: {name}") for name in archive.files}
    except (ValueError, OSError, EOFError, zipfile.BadZipFile) as error:
        raise ConfigError(f"{file} is no .npz of numbers: {first_line(error)}") from error


def read_safetensors(file: Path) -> dict[str, Tensor]:
    """Its tensors by name. Raises ConfigError for what is no .safetensors."""
    import safetensors.torch

    try:
        return safetensors.torch.load_file(file)
    except (safetensors.SafetensorError, OSError) as error:
        raise ConfigError(f"{file} is no .safetensors file: {first_line(error)}") from error


def _tensor(array: "np.ndarray[tuple[int, ...], np.dtype[np.generic]]", name: str) -> Tensor:
    try:
        return torch.from_numpy(np.ascontiguousarray(array))
    except TypeError as error:
        raise ConfigError(f"{name} is an array of {array.dtype}, and numbers are needed") from error


def _pair(arrays: dict[str, Tensor], name: str, x: str, y: str) -> tuple[Tensor, Tensor]:
    for wanted in (x, y):
        if wanted not in arrays:
            raise ConfigError(f"{name} has no array '{wanted}'", f"it has: {', '.join(list(arrays)[:8])}")
    inputs, targets = arrays[x], arrays[y]
    if not inputs.ndim or not targets.ndim or len(inputs) != len(targets) or not len(inputs):
        shapes = f"{x} {tuple(inputs.shape)} and {y} {tuple(targets.shape)}"
        raise ConfigError(f"{name}: {shapes} are not as many rows, one for one")
    for wanted, tensor in ((x, inputs), (y, targets)):
        if tensor.is_floating_point() and not bool((finite := tensor.isfinite()).all()):
            row = int((~finite.flatten(1) if tensor.ndim > 1 else ~finite[:, None]).any(1).nonzero()[0])
            raise ConfigError(f"{name}: {wanted}[{row}] is NaN or infinite")
    if targets.is_floating_point():
        return inputs, targets.reshape(len(targets), -1)
    targets = targets.reshape(len(targets), -1)
    if targets.shape[1] != 1:
        raise ConfigError(f"{name}: {y} has {targets.shape[1]} labels a row, and one is needed")
    return inputs, targets[:, 0].long()


def _labels(y: Tensor) -> list[str]:
    if int(y.min()) < 0:
        raise ConfigError(f"label {int(y.min())} in row {int(y.argmin())}: labels count from 0")
    if (most := int(y.max())) > 100_000:
        raise ConfigError(
            f"label {most} in row {int(y.argmax())}: as a class it is one of {most + 1:,}", "float targets"
        )
    return [str(label) for label in range(most + 1)]
