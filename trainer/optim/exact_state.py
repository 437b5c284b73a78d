"""The state of an optimizer as a checkpoint holds it, checked, and loaded with the types that it was saved in."""

from collections.abc import Mapping
from typing import Any

import torch
from torch import Tensor
from torch.optim import Optimizer

from trainer.disk import json_text


def read(optimizer: Optimizer, tensors: Mapping[str, Tensor], stored: Mapping[str, Any]) -> dict[str, Any]:
    """A state_dict for an optimizer, of the tensors and the plain data that a checkpoint holds of one. Raises
    ValueError where it does not fit the parameters: fused kernels trust the shapes that they are given."""
    expected = optimizer.state_dict()["param_groups"]
    groups = json_text.decode(stored["param_groups"])
    if [(g.keys(), g["params"]) for g in groups] != [(g.keys(), g["params"]) for g in expected]:
        raise ValueError("its optimizer has other parameter groups")
    parameters = [p for group in optimizer.param_groups for p in group["params"]]
    fused = {number for group in [*groups, *expected] if group.get("fused") for number in group["params"]}
    entries: dict[int, dict[str, Any]] = {}
    scalars = {key: json_text.decode(value) for key, value in stored["scalars"].items()}
    for key, value in [*tensors.items(), *scalars.items()]:
        number, _, name = key.partition(".")
        shape = () if name == "step" else parameters[int(number)].shape
        if int(number) in fused and isinstance(value, Tensor) and value.shape != shape:
            raise ValueError(f"optimizer state {key} has shape {tuple(value.shape)}, not {tuple(shape)}")
        if isinstance(value, Tensor) and value.shape == (like := parameters[int(number)]).shape:
            value = torch.empty_like(like, dtype=value.dtype, device=value.device).copy_(value)  # with its strides
        entries.setdefault(int(number), {})[name] = value
    return {"state": entries, "param_groups": groups}


def load(optimizer: Optimizer, saved: dict[str, Any]) -> None:
    """Load a state_dict. Torch casts each state to the type of its parameter, NAdam's float32 product of momenta to
    float64 for one; here it stays what it was, so that the next step has the same bits. Raises ValueError for other
    groups."""
    optimizer.load_state_dict(saved)
    parameters = [p for group in optimizer.param_groups for p in group["params"]]
    for number, entry in saved["state"].items():
        loaded = optimizer.state[parameters[number]]
        for name, value in entry.items():
            if isinstance(value, Tensor) and loaded[name].dtype != value.dtype:
                loaded[name] = value.to(loaded[name].device)
