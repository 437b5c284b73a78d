"""Splits from a dataset node: rows for training and validation, and the official test set if there is one."""

from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Any

import numpy as np
import torch
from torch import Tensor
from torch.utils.data import Subset, default_collate

from trainer.config import target
from trainer.config.schema import Config
from trainer.data import identify, labels, scaling, seeds
from trainer.data.augmentation import Augmented
from trainer.data.earlier import Earlier
from trainer.data.facts import Facts
from trainer.data.fingerprint import Fingerprint
from trainer.data.images import Images
from trainer.data.loaders import InMemory, Loader, Seeded, Workers
from trainer.data.preprocessing import Preprocessing
from trainer.data.roles import TEST, TRAIN, VAL
from trainer.data.scaling import Scale, TargetScaling, Way
from trainer.data.splits import Splits, keep_in_memory
from trainer.data.tabular.one_hot import Columns
from trainer.data.tensors import TensorData
from trainer.device import seed_all
from trainer.errors import ConfigError
from trainer.text import listed

OWN_KEYS = ("val_fraction", "split_seed", "scale_targets")  # of a dataset node: for make_splits, not for the dataset
TABLE = "trainer.data.table.Table"


def make_splits(
    config: Config,
    device: torch.device,
    dtype: torch.dtype,
    *,
    download: bool,
    earlier: Earlier | None = None,
    targets: TargetScaling | None = None,
) -> Splits:
    """Build the dataset, split it by (val_fraction, split_seed) and put a loader over each part. Raises ConfigError.

    earlier: what an earlier start of the run stored; None fits the preprocessing to the training split. targets: how
    numbers to predict are scaled, not needed with `earlier`. The rows of each split do not depend on the run's seed.
    """
    fitted = earlier.preprocessing if earlier is not None else None
    node, seed = config.dataset, config.seed
    val_fraction, split_seed = node.get("val_fraction", 0.0), node.get("split_seed", 0)
    seed_all(seeds.derive(split_seed, "dataset"))
    targets, mine, notes = targets or TargetScaling(), set(OWN_KEYS), list[str]()
    if takes_scale_targets(node):
        targets, mine = replace(targets, asked="auto"), mine - {"scale_targets"}
        notes.append(f"dataset.scale_targets is an argument of {node['_target_']}")
    keywords = {k: v for k, v in node.items() if k not in mine}
    dataset = target.construct(keywords, "dataset", may_download=download)
    if node["_target_"] == TABLE:
        from trainer.data.tabular.splits import table_splits  # imports pyarrow, which only tables need

        prepared = dataset.prepare(val_fraction, split_seed, dtype, fitted, targets)
        targets.check(prepared.preprocessing.facts.classes)
        return table_splits(dataset, prepared, config, device, dtype, earlier)
    if not (hasattr(dataset, "__getitem__") and hasattr(dataset, "__len__")):
        text = f"{node['_target_']} is not a map-style Dataset: it needs __len__ and __getitem__"
        raise ConfigError(text, "see torch.utils.data.Dataset")
    if len(dataset) == 0:
        raise ConfigError(f"{node['_target_']} has no rows")
    pictures = dataset if isinstance(dataset, Images) else None
    if pictures is not None:
        fitted = pictures.match(fitted) if fitted is not None else pictures.preprocessing(dtype)
        notes += pictures.notes
    val, test = getattr(dataset, "val", None), getattr(dataset, "test", None)
    datasets = {"": dataset, "val": val, "test": test}
    known, about_data = _fingerprint(datasets, val_fraction if val is None else 0.0, split_seed)
    notes += about_data
    if earlier is not None:
        notes += earlier.settle(known, pictures.digest_all if pictures is not None else lambda: None)
    train_rows, val_rows = (
        torch.from_numpy(np.flatnonzero(known.roles[: len(dataset)] == role)) for role in (TRAIN, VAL)
    )
    stored = [part for part in (dataset, val, test) if part is not None] if isinstance(dataset, TensorData) else []
    in_memory, why_not = keep_in_memory(
        [tensor for part in stored for tensor in (part.x, part.y)], config.loader, device
    )
    if in_memory and not stored:
        classes, source = facts_of(dataset).classes, getattr(dataset, "source", "")
        dataset = TensorData(*_gathered(dataset, seed), classes=classes, source=source)
        val, test = (
            TensorData(*_gathered(part, seed), classes=classes) if part is not None else None for part in (val, test)
        )
    facts = facts_of(dataset)
    targets.check(facts.classes)
    name = node["_target_"].rpartition(".")[2]
    if fitted is not None:
        facts = check_classes(facts, fitted.facts, node["_target_"])
    num_classes = len(facts.classes) if facts.classes is not None else None
    if fitted is None:
        scale_x = _scale_of_inputs(dataset, train_rows, dtype)
        scale_y = None
        if num_classes is None:
            ready = not (isinstance(dataset, TensorData) and dataset.scale_targets)
            way, line = targets.choose(name, facts.num_outputs, ready=ready)
            scale_y = _scale_of_targets(dataset, train_rows, dtype, way, seed)
            notes.append(line)
    else:
        if isinstance(fitted.x, Columns):
            raise ConfigError(f"this run was trained on a table, not on {node['_target_']}")
        scale_x, scale_y = fitted.x, fitted.y

    def over(data: Any, rows: Tensor | None = None, *, augment: bool = False) -> Loader:
        if in_memory and not augment:
            x, y = (data.x, data.y) if rows is None else data[rows]
            if num_classes is not None:
                labels.check_labels(y, num_classes, node["_target_"])
            return InMemory(x, y, scale_x, scale_y, device)
        data = data if rows is None else Subset(data, rows.tolist())
        data = Augmented(data) if augment else data
        return Workers(data, scale_x, scale_y, device, config.loader, seed, num_classes)

    augment = pictures is not None and pictures.augment
    train = over(dataset, train_rows, augment=augment)
    loader_name = "in memory, augmented by a " * (in_memory and augment) + train.name
    two = train_rows[:2]
    as_rows = in_memory and not augment
    batch = torch.arange(len(two), device=device) if as_rows else default_collate([dataset[int(row)] for row in two])
    return Splits(
        name=name,
        source=getattr(dataset, "source", ""),
        facts=facts,
        train=train,
        val=over(val) if val is not None else over(dataset, val_rows) if len(val_rows) else None,
        test=over(test) if test is not None else None,
        num_train=len(train_rows),
        num_val=len(val) if val is not None else len(val_rows),
        num_test=len(test) if test is not None else 0,
        loader_name=loader_name + (f" ({why_not})" if why_not else ""),
        truth=getattr(dataset, "truth", {}),
        sample=train.load(batch),
        preprocessing=fitted or Preprocessing(facts, facts.input_shape, scale_x, scale_y),
        fingerprint=known,
        notes=notes,
        class_counts=_class_counts(dataset, train_rows, num_classes),
    )


def _fingerprint(datasets: Mapping[str, Any], val_fraction: float, split_seed: int) -> tuple[Fingerprint, list[str]]:
    """The fingerprint of a data set with newly drawn roles, and lines for the header. datasets: the rows to train on,
    and those of val and test, or None."""
    rows, val, test = datasets.values()
    roles = np.full(len(rows), TRAIN, dtype=np.int8)
    roles[split_rows(len(rows), val_fraction, split_seed)[1]] = VAL
    ends = [np.full(len(part), role, dtype=np.int8) for part, role in ((val, VAL), (test, TEST)) if part is not None]
    roles = np.concatenate([roles, *ends])
    given = {name: part for name, part in datasets.items() if part is not None}
    if isinstance(rows, Images):
        return identify.of_pictures(rows, roles), []
    if isinstance(rows, TensorData):
        return identify.of_tensors(given, roles), []
    known, note = identify.of_datasets(given, roles)
    return known, [note]


def _class_counts(dataset: Any, train_rows: Tensor, num_classes: int | None) -> tuple[int, ...] | None:
    if num_classes is None or not isinstance(dataset, TensorData) or dataset.y.ndim != 1:
        return None
    y = dataset.y[train_rows]
    return tuple(torch.bincount(y[y >= 0], minlength=num_classes).tolist())


def _gathered(dataset: Any, seed: int) -> Sequence[Tensor]:
    """(inputs, targets) of every row, each read once; what is random in them is drawn once."""
    rows: Sequence[Tensor] = default_collate([Seeded(dataset, seed)[0, row] for row in range(len(dataset))])
    return rows


def split_rows(num_rows: int, val_fraction: float, split_seed: int) -> tuple[Tensor, Tensor]:
    """Row indices for training and for validation, int64, sorted: a permutation by split_seed, cut in two."""
    num_val = int(num_rows * val_fraction)
    order = seeds.permutation(num_rows, split_seed)
    return order[num_val:].sort().values, order[:num_val].sort().values


def facts_of(dataset: Any) -> Facts:
    """Shapes, task and classes of a dataset, from its first row and its `classes` or labels. Raises ConfigError."""
    sample = dataset[0]
    if not isinstance(sample, (tuple, list)) or len(sample) != 2:
        raise ConfigError(f"{type(dataset).__name__}[0] is not a pair (input, target)")
    x, y = default_collate([sample])
    if not isinstance(x, Tensor) or not isinstance(y, Tensor):
        raise ConfigError(f"{type(dataset).__name__}[0] is not a pair of numbers, arrays or tensors")
    shape = tuple(x.shape[1:])
    if y.is_floating_point():
        return Facts(shape, None, y[0].numel())
    classes = getattr(dataset, "classes", None) or _classes_in(dataset)
    return Facts(shape, [str(name) for name in classes], len(classes))


def check_classes(found: Facts, run: Facts, name: str) -> Facts:
    """The facts of a run, for data with its classes in its order. Raises ConfigError for other ones. name: the data."""
    if found.task != run.task:
        raise ConfigError(f"{name} holds {found.task}, but the run was trained on {run.task}")
    known = run.classes or []
    for label, word in enumerate(found.classes or []):
        if word not in known[label : label + 1]:
            text = f"label {label} of {name} is {word}, but the run was trained on {listed(known)}"
            raise ConfigError(text, "the same classes in the same order")
    return run


def _classes_in(dataset: Any) -> list[str]:
    """Names 0, 1, … up to the largest label: from the dataset's `targets` if it has them, else by reading every row."""
    y = getattr(dataset, "targets", None)
    if y is None:
        y = [int(dataset[index][1]) for index in range(len(dataset))]
    return [str(label) for label in range(int(torch.as_tensor(y).max()) + 1)]


def takes_scale_targets(node: Mapping[str, Any]) -> bool:
    """Whether dataset.scale_targets was typed for a class that has an argument of that name: it gets the value."""
    value = node.get("scale_targets", "auto")
    if value == "auto":
        return False
    return "scale_targets" in target.parameters(target.locate(node["_target_"], "dataset"))


def _scale_of_inputs(dataset: Any, train_rows: Tensor, dtype: torch.dtype) -> Scale:
    """Fitted on the training rows alone."""
    if not isinstance(dataset, TensorData):
        return scaling.Cast(dtype)
    return scaling.fit(dataset.x[train_rows], dataset.scaling, dtype)


def _scale_of_targets(dataset: Any, train_rows: Tensor, dtype: torch.dtype, way: Way | None, seed: int) -> Scale:
    """Fitted on the training rows alone. Those of a Dataset that is read row by row are read once, if necessary."""
    if isinstance(dataset, TensorData):
        y = dataset.y[train_rows]
    elif way is None:
        y = default_collate([dataset[0]])[1]
        return scaling.Cast(dtype, tuple(y.shape[1:]))
    else:
        seeded = Seeded(dataset, seed)
        y = default_collate([seeded[0, row][1] for row in train_rows.tolist()])
    return scaling.for_targets(*scaling.moments(y), way, dtype, tuple(y.shape[1:]))
