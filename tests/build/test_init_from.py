"""A run that starts from weights: what is loaded, what stays new, what is stored, and what is refused."""

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
import yaml
from conftest import Cli, config
from hypothesis import given
from hypothesis import strategies as some
from safetensors.torch import load_file, save_file
from torch import nn
from watch import Watch

from trainer.build import matching
from trainer.build.build import build
from trainer.cli import main
from trainer.disk import layout, signature
from trainer.errors import ConfigError

QUICK = ["threads=1", "device=cpu", "report=false"]
IRIS = [*QUICK, "dataset=iris", "model.hidden=[8]", "epochs=1"]
NAMES = ["net.0.weight", "net.0.bias", "net.2.weight", "net.2.bias"]


class Tied(nn.Module):
    """Two names for one matrix."""

    def __init__(self) -> None:
        super().__init__()
        self.first, self.second = nn.Linear(4, 4), nn.Linear(4, 4)
        self.second.weight = self.first.weight
        self.head = nn.Linear(4, 3)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return self.head(self.second(self.first(x)))


def state(*words: str) -> dict[str, torch.Tensor]:
    return build(config(*IRIS, *words))[0].model.state_dict()


def save(path: str, tensors: dict[str, torch.Tensor]) -> str:
    """Write a file of either kind."""
    save_file(tensors, path) if path.endswith(".safetensors") else torch.save(tensors, path)
    return path


def run_folder() -> Path:
    return Path("outputs/latest").resolve()


@pytest.fixture
def names() -> list[str]:
    return list(state())


@pytest.mark.parametrize("file", ["w.pt", "w.pth", "w.safetensors", "lightning.pt"])
def test_matching_tensors_are_the_files_and_new_ones_have_the_bits_of_a_run_without(file: str) -> None:
    """The second layer of the file has another width: it stays new."""
    fresh, other = state(), state("seed=7")
    head = list(fresh)[-2:]
    there = {name: value if name not in head else torch.zeros(5, *value.shape[1:]) for name, value in other.items()}
    if file == "lightning.pt":
        torch.save({"epoch": 3, "state_dict": there, "loops": {}}, file)
    else:
        save(file, {**there, "more.scale": torch.ones(3), "more.shift": torch.ones(3)})
    run, setup = build(config(*IRIS, f"init_from={file}"))
    for name, value in run.model.state_dict().items():
        assert torch.equal(value, fresh[name] if name in head else other[name]), name
    assert not torch.equal(fresh["layers.0.weight" if "layers.0.weight" in fresh else next(iter(fresh))], other[next(iter(other))])
    module = head[0].rpartition(".")[0]
    unused = "; unused: more.*" if file != "lightning.pt" else ""
    first, second, third = setup.first_weights.lines
    assert first == f"2 of 4 tensors from {file}; new: {module}.*{unused}"
    assert second == f"of another shape, so new: {head[0]} is 5×8 there, 3×8 here; {head[1]} is 5 there, 3 here"
    assert third.startswith("sha256 ")
    assert third.endswith(f" of {file}")
