"""Rows of tensors, pictures or your own Dataset as splits."""

import math
from collections.abc import Mapping
from dataclasses import replace
from typing import Any

import torch
from torch import Tensor
from torch.utils.data import Subset, default_collate

from trainer.config.schema import Config
from trainer.data import identify, labels, scaling
from trainer.data.augmentation import Augmented
from trainer.data.earlier import Earlier
from trainer.data.facts import Facts
from trainer.data.images import Images
from trainer.data.loaders import InMemory, Loader, Seeded, Workers
from trainer.data.partition import Part, owners, parts_of, with_roles
from trainer.data.preprocessing import Preprocessing
from trainer.data.rows import Rows
from trainer.data.scaling import Scale, TargetScaling, Way
from trainer.data.splits import Split, Splits, keep_in_memory
from trainer.data.tabular.one_hot import Columns
from trainer.data.tensors import TensorData
from trainer.errors import ConfigError
from trainer.text import listed


def row_splits(
    dataset: Any,
    node: Mapping[str, Any],
    config: Config,
    device: torch.device,
    dtype: torch.dtype,
    earlier: Earlier | None,
    targets: TargetScaling,
) -> Splits:
    """Split a Dataset and put a loader over each part. Raises ConfigError.

    node: the config's keys that say how to split; earlier, targets: see make_splits.
    """
    path, ignored = config.dataset["_target_"], labels.ignored(config.loss)
    name, notes, fitted = path.rpartition(".")[2], list[str](), earlier.preprocessing if earlier is not None else None
    pictures = dataset if isinstance(dataset, Images) else None
    if pictures is not None:
        fitted = pictures.match(fitted) if fitted is not None else pictures.preprocessing(dtype)
        notes += pictures.notes
    parts, about_parts = parts_of(dataset, path, node, ignored)
    fingerprint, checked = identify.of_parts(parts, pictures, name)
    brought = pictures is not None and pictures.val is not None  # such pictures say themselves how they are split
    notes += ([] if brought else about_parts) + checked
    if earlier is None and pictures is not None:
        pictures.digest_alike(fingerprint.roles)
    if earlier is not None:
        notes += earlier.settle(fingerprint, pictures.digest_all if pictures is not None else lambda: None)
        parts = with_roles(parts, fingerprint.roles)
    tensors = [tensor for data in owners(parts).values() if isinstance(data, TensorData) for tensor in data.tensors]
    in_memory, why_not = keep_in_memory(tensors, config.loader, device)
    if in_memory and not tensors:
        parts = _gathered(parts, config.seed)
    train, facts = parts["train"], facts_of(parts["train"].data, ignored)
    if fitted is None:
        fitted, about_targets = _fit(train, facts, targets, name, dtype, config.seed)
        notes += about_targets
    facts = check_classes(facts, fitted.facts, path)
    if earlier is None:
        facts = replace(facts, class_counts=_class_counts(train, facts))
        fitted = replace(fitted, facts=facts)
    augment = pictures is not None and pictures.augment
    splits = {
        key: Split(_loader(part, fitted, config, device, in_memory, augment and key == "train"), len(part.rows))
        for key, part in parts.items()
    }
    loader_name = "in memory, augmented by a " * (in_memory and augment) + splits["train"].loader.name
    return Splits(
        name=name,
        source=train.data.source,
        facts=facts,
        parts=splits,
        loader_name=loader_name + (f" ({why_not})" if why_not else ""),
        truth=getattr(dataset, "truth", {}),
        sample=_sample(splits["train"].loader, train.data, train.rows[:2], device),
        preprocessing=fitted,
        fingerprint=fingerprint,
        notes=notes,
    )


def _loader(
    part: Part, prepared: Preprocessing, config: Config, device: torch.device, in_memory: bool, augment: bool
) -> Loader:
    data, rows, path = part.data, part.rows, config.dataset["_target_"]
    if isinstance(prepared.x, Columns):
        raise ConfigError(f"this run was trained on a table, not on {path}")
    is_whole = torch.equal(rows, torch.arange(len(data)))
    if isinstance(data, TensorData):
        x, y = data.tensors if is_whole else data[rows]
        if prepared.facts.classes is not None:
            labels.check_labels(y, len(prepared.facts.classes), path, prepared.facts.ignored)
        if in_memory and not augment:
            return InMemory(x, y, prepared.x, prepared.y, device)
    chosen: Any = data if is_whole else Subset(data, rows.tolist())
    chosen = Augmented(chosen) if augment else chosen
    return Workers(chosen, prepared.x, prepared.y, device, config.loader, config.seed)


def _sample(loader: Loader, data: TensorData | Rows, rows: Tensor, device: torch.device) -> tuple[Tensor, Tensor]:
    """The first training rows, ready for the model, without augmentation."""
    if isinstance(loader, InMemory):
        return loader.load(torch.arange(len(rows), device=device))
    batch: Any = default_collate([data.read(int(row)) for row in rows])
    return loader.load(batch)


def _class_counts(train: Part, facts: Facts) -> tuple[int, ...] | None:
    y = train.data.labels
    if facts.classes is None or y is None or y.ndim != 1:
        return None
    y = y[train.rows]
    return tuple(torch.bincount(y[y != facts.ignored], minlength=len(facts.classes)).tolist())


def _gathered(parts: Mapping[str, Part], seed: int) -> dict[str, Part]:
    """The same parts of tensors: every row is read once; what is random in it is drawn once. Raises ConfigError."""
    tensors: dict[int, TensorData] = {}
    for data in owners(parts).values():
        read = Seeded(data, seed, before_training=True)
        x, y = default_collate([read[0, row] for row in range(len(data))])
        tensors[id(data)] = TensorData(x, y, classes=data.classes, source=data.source)
    return {key: Part(tensors.get(id(part.data), part.data), part.rows) for key, part in parts.items()}


def facts_of(data: TensorData | Rows, ignored: int) -> Facts:
    """Shapes, task and classes of data. ignored: the label that the loss leaves out."""
    x_shape, y_shape = data.shapes
    if data.classes is None:
        return Facts(x_shape, None, math.prod(y_shape))
    return Facts(x_shape, data.classes, len(data.classes), ignored)


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


def _fit(
    train: Part, facts: Facts, targets: TargetScaling, name: str, dtype: torch.dtype, seed: int
) -> tuple[Preprocessing, list[str]]:
    """(The preprocessing of the training rows, fitted on them alone; lines for the header). name: of the data."""
    data = train.data
    targets.check(facts.classes)
    scale_x: Scale = scaling.Cast(dtype)
    if isinstance(data, TensorData):
        scale_x = scaling.fit(data.x[train.rows], data.scaling, dtype)
    if facts.classes is not None:
        return Preprocessing(facts, facts.input_shape, scale_x, None), []
    ready = not (isinstance(data, TensorData) and data.scale_targets)
    way, line = targets.choose(name, facts.num_outputs, ready=ready)
    return Preprocessing(facts, facts.input_shape, scale_x, _scale_of_targets(train, dtype, way, seed)), [line]


def _scale_of_targets(train: Part, dtype: torch.dtype, way: Way | None, seed: int) -> Scale:
    """Targets of a Dataset that is read row by row are read once, if necessary."""
    if isinstance(train.data, TensorData):
        y = train.data.y[train.rows]
    elif way is None:
        return scaling.Cast(dtype, train.data.form.y)
    else:
        read = Seeded(train.data, seed, before_training=True)
        y = default_collate([read[0, row][1] for row in train.rows.tolist()])
    return scaling.for_targets(*scaling.moments(y), way, dtype, tuple(y.shape[1:]))
