"""Files of weights, of any author: tensors are read, nothing is run, and what cannot be used is one message."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors.torch import save_file
from torch import nn
from watch import Watch

from trainer.disk import weights_file
from trainer.errors import ConfigError

STATE = {"a.weight": torch.arange(6.0).reshape(2, 3), "a.bias": torch.ones(2), "a.count": torch.tensor(3)}


class Runs:
    """Code that a pickle would run."""

    def __reduce__(self) -> Any:
        return Path.touch, (Path("ran"),)


def cut_off(path: str, keep: float) -> None:
    data = Path(path).read_bytes()
    Path(path).write_bytes(data[: int(keep * len(data))])


GOOD: dict[str, Callable[[str], object]] = {
    "w.pt": lambda path: torch.save(STATE, path),
    "old.pth": lambda path: torch.save(STATE, path, _use_new_zipfile_serialization=False),
    "of_torchs_tutorial.pt": lambda path: torch.save({"epoch": 3, "model_state_dict": STATE}, path),
    "beside_a_tensor.pt": lambda path: torch.save({"epoch": torch.tensor(3), "state_dict": STATE}, path),
    "of_lightning.ckpt": lambda path: torch.save({"epoch": 3, "state_dict": STATE, "loops": {}}, path),
    "detr.pth": lambda path: torch.save({"model": STATE, "optimizer": {}}, path),
    "w.SAFETENSORS": lambda path: save_file(STATE, path),
    "halves.pt": lambda path: torch.save({name: value.half() for name, value in STATE.items()}, path),
}


@pytest.mark.parametrize("name", GOOD)
def test_the_tensors_of_a_file_are_read(name: str) -> None:
    GOOD[name](name)
    found = weights_file.read(Path(name), "init_from").tensors
    assert found.keys() == STATE.keys()
    assert all(torch.equal(found[key].double(), value.double()) for key, value in STATE.items())


BAD: dict[str, tuple[Callable[[str], object], str]] = {
    "pickle.pt": (
        lambda path: torch.save({"x": Runs(), **STATE}, path),
        "holds more than tensors: reading it would run",
    ),
    "old_pickle.pt": (
        lambda path: torch.save([Runs()], path, _use_new_zipfile_serialization=False),
        "holds more than tensors",
    ),
    "whole_model.pt": (lambda path: torch.save(nn.Linear(1, 1), path), "would run torch.nn.modules.linear.Linear"),
    "half.pt": (lambda path: [torch.save(STATE, path), cut_off(path, 0.5)], "it is cut off, damaged"),
    "half_old.pt": (
        lambda path: [torch.save(STATE, path, _use_new_zipfile_serialization=False), cut_off(path, 0.5)],
        "it is cut off, damaged",
    ),
    "last.safetensors": (lambda path: [save_file(STATE, path), cut_off(path, 0.99)], "it is cut off, damaged"),
    "empty.pth": (lambda path: Path(path).touch(), "it is cut off, damaged"),
    "text.safetensors": (lambda path: Path(path).write_text("hello"), "it is cut off, damaged"),
    "list.pt": (lambda path: torch.save([1, 2], path), "holds no tensors by name"),
    "nan.pt": (lambda path: torch.save({"w": torch.tensor([1.0, float("nan")])}, path), "nan.pt: w holds NaN"),
    "inf.pt": (lambda path: torch.save({"w": torch.tensor(float("-inf"))}, path), "inf.pt: w holds infinity"),
    "sparse.pt": (lambda path: torch.save({"w": torch.eye(2).to_sparse()}, path), "sparse or quantized"),
    "missing.pt": (lambda path: None, "there is no file missing.pt"),
    "folder.pt": (lambda path: Path(path).mkdir(), "has no model.safetensors yet"),
}


@pytest.mark.parametrize("name", BAD)
def test_what_cannot_be_used_is_one_message(name: str, watch: Watch) -> None:
    make, text = BAD[name]
    make(name)
    watch.seen.clear()
    watch.on = True
    try:
        with pytest.raises(ConfigError) as error:
            weights_file.read(Path(name), "init_from")
    finally:
        watch.on = False
    assert text in error.value.message
    assert "\n" not in error.value.message
    assert error.value.hint
    assert not watch.seen
    assert not Path("ran").exists()
