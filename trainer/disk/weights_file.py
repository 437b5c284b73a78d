"""A file of weights that the user names, as tensors: safetensors, or what torch.save wrote. Nothing in it is run."""

import hashlib
import io
import re
import warnings
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import safetensors.torch
import torch
from torch import Tensor

from trainer.disk import digest, layout
from trainer.disk.reading import Damaged
from trainer.disk.tensors import tensors_of
from trainer.errors import ConfigError
from trainer.text import cut

MOST = 2**63  # bytes: as many as there are, since the user named the file
STATE_DICT = (
    "state_dict",
    "model_state_dict",
    "model",
)  # the key of the state_dict in what other programs save beside it
CODE = re.compile(r"(?:GLOBAL|Unsupported class)\s+(\S+)")  # what torch says of a pickle
ALONE = "where it was made, save the weights alone: torch.save(model.state_dict(), 'weights.pt')"


@dataclass(frozen=True)
class WeightsFile:
    """The tensors of a file by name, on the CPU, and the sha256 of its bytes."""

    path: Path
    tensors: dict[str, Tensor]
    sha256: str


def read(path: Path, key: str) -> WeightsFile:
    """The weights of a file, or the best ones of a run folder. Raises ConfigError for a file that is missing or
    damaged, needs code to be read, or holds a value that is not finite. key: that of the config which names it."""
    if path.is_dir():
        path, data = path / layout.MODEL, _of_run(path, key)
    else:
        data = _bytes(path, key)
    is_safetensors = path.suffix.lower() == ".safetensors"
    tensors = _safetensors(data, path, key) if is_safetensors else _torchs(data, path, key)
    if not tensors:
        raise ConfigError(f"{path} holds no tensors by name", ALONE, key)
    for name, tensor in tensors.items():
        if tensor.layout is not torch.strided or tensor.is_quantized:
            raise ConfigError(f"{path}: {name} is not a plain tensor, but sparse or quantized", ALONE, key)
        tensor = tensor.float() if tensor.element_size() == 1 else tensor  # torch asks no float8 whether it is finite
        if not bool(tensor.isfinite().all()):
            kind = "NaN" if bool(tensor.isnan().any()) else "infinity"
            raise ConfigError(f"{path}: {name} holds {kind}", f"{key}=null", key)
    return WeightsFile(path, tensors, hashlib.sha256(data).hexdigest())


def _bytes(path: Path, key: str) -> bytes:
    try:
        return path.read_bytes()
    except FileNotFoundError:
        raise ConfigError(f"there is no file {path}", f"{key}=null", key) from None
    except OSError as error:
        raise ConfigError(f"{path} cannot be read: {error.strerror}", f"{key}=null", key) from error


def _of_run(folder: Path, key: str) -> bytes:
    folder = layout.opened(folder)
    command = f"trainer resume {layout.relative(folder)}"
    try:
        return digest.read_tensors(folder / layout.MODEL, MOST)
    except FileNotFoundError:
        raise ConfigError(f"{folder} has no {layout.MODEL} yet", command, key) from None
    except Damaged as damage:
        raise ConfigError(str(damage), command, key) from damage


def _safetensors(data: bytes, path: Path, key: str) -> dict[str, Tensor]:
    try:
        return dict(sorted(safetensors.torch.load(data).items()))  # it gives them in no order
    except Exception as error:  # of safetensors, and of torch for a dtype that it does not have
        raise _damaged(path, "a safetensors file", key) from error


def _torchs(data: bytes, path: Path, key: str) -> dict[str, Tensor]:
    """What torch.save wrote: a state_dict, or a mapping with one in it."""
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # torch's own code for files of old versions
            found = torch.load(io.BytesIO(data), map_location="cpu", weights_only=True)
    except Exception as error:  # the classes of errors are many, for bytes of any kind
        if "TorchScript" in str(error):
            raise ConfigError(f"{path} is a TorchScript program, not weights", ALONE, key) from error
        if match := CODE.search(str(error)):
            name = cut(match[1], 60)
            text = f"{path} holds more than tensors: reading it would run {name}, so it is not read"
            raise ConfigError(text, ALONE, key) from error
        raise _damaged(path, "a file of torch.save", key) from error
    if isinstance(found, Mapping):
        found = next((found[key] for key in STATE_DICT if isinstance(found.get(key), Mapping)), found)
    return _by_name(found)


def _by_name(found: Any) -> dict[str, Tensor]:
    mapping = found if isinstance(found, Mapping) else {}
    return {str(name): tensor for name, tensor in tensors_of(mapping).items()}


def _damaged(path: Path, kind: str, key: str) -> ConfigError:
    return ConfigError(
        f"{path} cannot be read as {kind}: it is cut off, damaged or of another kind", f"{key}=null", key
    )
