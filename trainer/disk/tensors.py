"""A state_dict as the bytes of a safetensors file and back. Plain data among the tensors, such as a module's extra
state, becomes JSON in the header's metadata."""

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import safetensors.torch
import torch
from safetensors import SafetensorError
from torch import Tensor

from trainer.disk import json_text
from trainer.disk.reading import Damaged, parse_json

# What reading a stranger's file may raise: it does not parse, or does not hold what it should.
MALFORMED = (LookupError, ValueError, TypeError, AttributeError, OverflowError, RuntimeError, SafetensorError, Damaged)

EXTRA = "_extra_state"  # how torch ends the name of what get_extra_state returns; also our entry in the metadata


def tensor_bytes(state: Mapping[str, Any]) -> bytes:
    """A safetensors file of a state_dict, its tensors as contiguous copies on the CPU; tied tensors appear under each
    name. Raises TypeError for a value that is neither a tensor nor plain data."""
    copies = {name: value.detach().cpu().clone().contiguous() for name, value in tensors_of(state).items()}
    extra = {name: json_text.encode(value, name) for name, value in state.items() if name not in copies}
    return safetensors.torch.save(copies, {EXTRA: json.dumps(extra, allow_nan=False)} if extra else None)


def read_tensors(data: bytes) -> dict[str, Any]:
    """The state_dict in the bytes of a file. Raises SafetensorError, Damaged or ValueError for other bytes."""
    state: dict[str, Any] = safetensors.torch.load(data)
    header = json.loads(data[8 : 8 + int.from_bytes(data[:8], "little")])
    text = header.get("__metadata__", {}).get(EXTRA)
    if text is not None:
        extra = parse_json(text.encode(), Path("extra state"))
        if not all(name.endswith(EXTRA) and name not in state for name in extra):
            raise ValueError("the extra state has the name of a tensor")
        state |= {name: json_text.decode(value) for name, value in extra.items()}
    return state


def tensors_of(state: Mapping[str, Any]) -> dict[str, Tensor]:
    """The tensors of a state_dict, which may hold extra state of any type."""
    return {name: value for name, value in state.items() if isinstance(value, Tensor)}


def unstorable(state: Mapping[str, Any]) -> tuple[str, str] | None:
    """(the first part of a state_dict that no file can hold, in words; what to do instead); None if there is none."""
    for name, value in state.items():
        if not isinstance(value, Tensor):
            try:
                json_text.encode(value, name)
            except TypeError as error:
                return str(error), "numbers, texts, lists or dicts from get_extra_state"
        elif value.layout is not torch.strided or not _has_name(value.dtype):
            kind = f"{value.layout} tensor" if value.layout is not torch.strided else str(value.dtype)
            what = f"{name} is a {kind.removeprefix('torch.')}"
            return what, "a dense tensor of at most 64 bits, or register_buffer(…, persistent=False)"
        elif any(size > 1 and stride == 0 for size, stride in zip(value.shape, value.stride(), strict=True)):
            return f"{name} is expanded, so that several elements are one in memory", "call .clone() after .expand(…)"
    return None


def _has_name(dtype: torch.dtype) -> bool:
    try:
        safetensors.torch.save({"x": torch.empty(0, dtype=dtype)})
    except (KeyError, ValueError, RuntimeError, SafetensorError):
        return False
    return True
