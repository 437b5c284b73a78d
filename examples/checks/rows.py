"""The validation rows of an example's run, in a file that `trainer predict` reads, and what is true of them."""

import csv
import importlib.util
import json
import shutil
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from types import ModuleType
from typing import Any

import numpy as np
import torch
from checks.example import Example
from safetensors.numpy import load_file
from sklearn.datasets import load_digits
from torch.utils.data import default_collate

from trainer.data import seeds

TARGETS = ("label", "labels", "target")
VALIDATES = 1  # the role of a row, in a run's data.safetensors


@dataclass
class Rows:
    """job: the module job.py; source: the file or folder to predict; x, y: the inputs and what is true, a numpy array
    or, of several tensors, a dict of them; learned: what the run has trained in its loss."""

    job: ModuleType
    source: Path
    learned: dict[str, Any]
    x: Any = None
    y: Any = None


def of(example: Example, run: Path) -> Rows:
    """The validation rows of a run."""
    learned = load_file(run / "loss.safetensors") if (run / "loss.safetensors").is_file() else {}
    rows = Rows(module(example), example.folder / "validation.npz", learned)
    if example.name in OF_TRAINER:
        OF_TRAINER[example.name](rows, run)
        return rows
    dataset = getattr(rows.job, example.config["dataset"]["_target_"].removeprefix("job."))()
    batch = getattr(dataset, "collate_fn", default_collate)(list(_drawn(dataset, seed=example.seeds[0])))
    if isinstance(batch, dict):
        (name,) = [name for name in TARGETS if name in batch]
        x, y = {key: value for key, value in batch.items() if key != name}, batch[name]
    elif isinstance(batch, torch.Tensor):
        x = y = batch
    elif "inputs" in example.config["dataset"]:  # two views, and no target
        x, y = {str(place): view for place, view in enumerate(batch)}, None
    else:
        x, y = batch
    rows.x, rows.y = _arrays(x), _arrays(y)
    np.savez(rows.source, **(rows.x if isinstance(rows.x, dict) else {"x": rows.x}))
    return rows


def module(example: Example) -> ModuleType:
    """An example's job.py."""
    spec = importlib.util.spec_from_file_location(f"job_of_{example.name}", example.folder / "job.py")
    assert spec is not None
    assert spec.loader is not None
    found = sys.modules[spec.name] = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(found)
    return found


def _drawn(dataset: Any, seed: int) -> Iterator[Any]:
    """Yield the validation rows. What a Dataset draws is what trainer draws in every evaluation."""
    for place, row in enumerate(dataset.split()["val"]):
        torch.manual_seed(seeds.derive(seed, "sample", 0, place))
        yield dataset[int(row)]


def _arrays(part: Any) -> Any:
    if isinstance(part, dict):
        return {name: _arrays(inner) for name, inner in part.items()}
    return None if part is None else part.numpy()


def _validating(run: Path) -> list[int]:
    """The numbers of the rows that validate."""
    return [int(row) for row in np.flatnonzero(load_file(run / "data.safetensors")["roles"] == VALIDATES)]


def _digits(rows: Rows, run: Path) -> None:
    data, chosen = load_digits(), _validating(run)
    rows.x, rows.y = data.images[chosen, None].astype(np.float32), data.target[chosen]
    np.savez(rows.source, x=rows.x)


def _pictures(rows: Rows, run: Path) -> None:
    """Each in the folder of its class; their order is that of the file names in what is predicted."""
    rows.source = rows.source.with_suffix("")
    parts = json.loads((run / "data.json").read_text())["parts"]
    for name, _ in (parts[row] for row in _validating(run)):
        target = rows.source / Path(name).parent.name / Path(name).name
        target.parent.mkdir(parents=True, exist_ok=True)
        shutil.copy(rows.source.parent / "pictures" / name, target)


def _table(rows: Rows, run: Path) -> None:
    """y: the prices; x: those of the training rows, to standardise by."""
    rows.source = rows.source.with_suffix(".csv")
    with (rows.source.parent / "flats.csv").open(newline="") as file:
        head, *lines = csv.reader(file)
    chosen = _validating(run)
    with rows.source.open("w", newline="") as file:
        csv.writer(file).writerows([head, *(lines[row] for row in chosen)])
    prices = np.array([float(line[-1]) for line in lines])
    rows.x, rows.y = np.delete(prices, chosen), prices[chosen]


OF_TRAINER = {"digits": _digits, "pictures": _pictures, "table": _table}  # their Datasets are trainer's own
