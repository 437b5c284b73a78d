"""Rows of tensors, pictures or your own Dataset as splits."""

from collections.abc import Mapping
from dataclasses import replace
from typing import Any

import torch
from torch import Tensor
from torch.utils.data import Subset

from trainer.config import given
from trainer.config.schema import Config
from trainer.data import kept_pictures, scaling
from trainer.data.earlier import Earlier
from trainer.data.facts import Facts, specs_of
from trainer.data.images import Images
from trainer.data.inventory import take_inventory
from trainer.data.kept_pictures import KeptPictures
from trainer.data.keys import Keys
from trainer.data.loaders import InMemory, Loader, TreesInMemory
from trainer.data.partition import RowData, groups_of
from trainer.data.parts import Part, owners, with_roles
from trainer.data.preprocessing import Preprocessing
from trainer.data.roles import ROLES, TRAIN
from trainer.data.room import Room
from trainer.data.rows import SCANNED, Rows
from trainer.data.scaling import Scale
from trainer.data.splits import Split, Splits, keep_in_memory
from trainer.data.tabular.one_hot import Columns
from trainer.data.target_scaling import TargetScaling, Way, for_targets
from trainer.data.tensors import TensorData
from trainer.data.transformed import Change, changes
from trainer.data.tree import Tree
from trainer.data.workers import Batch, Seeded, Workers
from trainer.errors import ConfigError
from trainer.text import listed


def row_splits(
    dataset: Any,
    node: Mapping[str, Any],
    keys: Keys,
    config: Config,
    device: torch.device,
    dtype: torch.dtype,
    earlier: Earlier | None,
    targets: TargetScaling,
    room: Room,
) -> Splits:
    """Split a Dataset and put a loader over each part. Raises ConfigError.

    node: the config's keys that say how to split; keys: those that say what a sample holds; earlier, targets, room: see
    make_splits.
    """
    found = take_inventory(dataset, node, keys, config, dtype, earlier.preprocessing if earlier is not None else None)
    path, parts, notes = given.called(config.dataset["_target_"]), found.parts, found.notes
    if earlier is not None:
        groups = groups_of(dataset, parts) if node.get("split") == "group" else None
        notes += earlier.settle(found.fingerprint, groups)
        parts = with_roles(parts, found.fingerprint.roles)
    tensors = [tensor for part in owners(parts) if isinstance(part.data, TensorData) for tensor in part.data.tensors]
    in_memory, why_not = keep_in_memory(tensors, config.loader, device)
    if in_memory and not tensors:
        if found.random and earlier is None:
            notes.append(f"{found.random} differs each time it is read; loader.in_memory=true reads it once")
        parts = gathered(parts, config.seed)
    prepared, about_targets = _prepared(parts[TRAIN], found.preprocessing, targets, config, dtype, new=earlier is None)

    if not prepared.facts.meaning.counted:  # an earlier start has settled it
        for part in owners(parts):
            part.data.settle(prepared.facts.num_outputs)

    change = changes(config.augment, parts[TRAIN], augment=found.augment)
    keep = False
    if isinstance(dataset, Images) and not in_memory:
        num_rows = sum(part.num_rows for role, part in parts.items() if change is None or role != TRAIN)
        loader, keep, why_not = kept_pictures.decide(dataset, num_rows, config.loader, device, room)
        config = replace(config, loader=loader)

    def split(role: int) -> Split:
        augment = change if role == TRAIN else None
        return Split(_loader(parts[role], prepared, config, device, in_memory or keep, augment), parts[role])

    splits = {key: split(role) for key, role in ROLES.items() if role in parts}
    loader_name = "in memory, augmented by a " * (in_memory and change is not None) + splits["train"].loader.name
    return Splits(
        name=path.rpartition(".")[2],
        source=parts[TRAIN].data.source,
        facts=prepared.facts,
        parts=splits,
        loader_name=loader_name + (f" ({why_not})" if why_not else ""),
        truth=dataset.truth if isinstance(dataset, TensorData) else {},
        sample=_sample(splits["train"].loader, parts[TRAIN], device),
        device=device,
        preprocessing=prepared,
        fingerprint=found.fingerprint,
        notes=notes + about_targets,
        num_workers=config.loader.workers,
    )


def _loader(
    part: Part[RowData],
    prepared: Preprocessing,
    config: Config,
    device: torch.device,
    in_memory: bool,
    augment: Change | None,
) -> Loader:
    data, rows, path = part.data, part.rows, given.called(config.dataset["_target_"])
    if isinstance(prepared.x, Columns):
        raise ConfigError(f"this run was trained on a table, not on {path}")
    is_whole = torch.equal(rows, torch.arange(len(data)))
    is_same = prepared.facts.task == "input"
    if isinstance(data, TensorData):
        x, y = (data.x, data.y) if is_whole else data[rows]
        prepared.facts.meaning.check(y, path)
        if in_memory and augment is None and isinstance(x, Tensor) and (is_same or isinstance(y, Tensor)):
            return InMemory(x, None if is_same else y, prepared.x, prepared.y, device)
        if in_memory and augment is None:
            return TreesInMemory(x, y, prepared.x, prepared.y, device)
    chosen: Any = data if is_whole else Subset(data, rows.tolist())
    chosen = augment(chosen) if augment is not None else chosen
    how = (prepared.x, prepared.y, device, config.loader, config.seed)
    workers = Workers(chosen, data.collate, *how, is_same=is_same)
    if in_memory and not augment and isinstance(data, Rows) and data.labels is not None:
        return KeptPictures(prepared.raw_shape, data.labels[rows], workers, prepared.x, device)
    return workers


def _sample(loader: Loader, train: Part[RowData], device: torch.device) -> tuple[Tree, Tree]:
    """The first two training rows, ready for the model, without augmentation."""
    rows = train.rows[:2]
    if isinstance(loader, KeptPictures):
        x, _ = train.data.collate([train.data.read(int(row)) for row in rows])
        loader.keep(torch.arange(len(rows)), x)
    if isinstance(loader, InMemory):
        return loader.load(torch.arange(len(rows), device=device))
    return loader.load(Batch(*train.data.collate([train.data.read(int(row)) for row in rows]), len(rows)))


def _class_counts(train: Part[RowData], facts: Facts) -> tuple[int, ...] | None:
    y = train.data.labels
    if facts.classes is None or y is None or y.ndim != 1:
        return None
    y = y[train.rows]
    return tuple(torch.bincount(y[y != facts.ignored], minlength=len(facts.classes)).tolist())


def gathered(parts: Mapping[int, Part[RowData]], seed: int) -> dict[int, Part[RowData]]:
    """The same parts of tensors: every row is read once; what is random in it is drawn once. Raises ConfigError."""
    tensors: dict[int, TensorData] = {}
    for data in (part.data for part in owners(parts)):
        read = Seeded(data, seed, before_training=True)
        x, y = data.collate([read[0, row] for row in range(len(data))])
        tensors[id(data)] = TensorData(x, y, meaning=data.meaning, source=data.source)
        tensors[id(data)].picture_files = data.picture_files
    return {role: replace(part, data=tensors[id(part.data)]) for role, part in parts.items()}


def facts_of(data: RowData) -> Facts:
    """Shapes, task and classes of data."""
    if isinstance(data, TensorData):
        stay = data.scaling == "none" or not isinstance(data.x, Tensor)  # as indices do
        return Facts(specs_of(data.x, batch=True, is_all=stay), data.meaning)
    return Facts(specs_of(data.form[0], largest=data.largest), data.meaning)


def check_classes(found: Facts, run: Facts, name: str) -> None:
    """Raise ConfigError for data without the classes of the run in their order. name: of the data."""
    if found.task != run.task:
        raise ConfigError(f"{name} holds {found.task}, but the run was trained on {run.task}")
    known = run.classes or []
    for label, word in enumerate(found.classes or []):
        if word not in known[label : label + 1]:
            text = f"label {label} of {name} is {word}, but the run was trained on {listed(known)}"
            raise ConfigError(text, "the same classes in the same order")


def _prepared(
    train: Part[RowData],
    known: Preprocessing | None,
    targets: TargetScaling,
    config: Config,
    dtype: torch.dtype,
    *,
    new: bool,
) -> tuple[Preprocessing, list[str]]:
    """(The preprocessing that is known, or one that is fitted; lines for the header). new: whether the run starts for
    the first time, so that its classes are counted."""
    path = given.called(config.dataset["_target_"])
    facts, notes = facts_of(train.data), list[str]()
    if known is None:
        known, notes = _fit(train, facts, targets, path.rpartition(".")[2], dtype, config.seed)
    check_classes(facts, known.facts, path)
    if new:
        known = replace(known, facts=replace(known.facts, class_counts=_class_counts(train, known.facts)))
    return known, notes


def _fit(
    train: Part[RowData], facts: Facts, targets: TargetScaling, name: str, dtype: torch.dtype, seed: int
) -> tuple[Preprocessing, list[str]]:
    """(The preprocessing of the training rows, fitted on them alone; lines for the header). name: of the data."""
    data = train.data
    targets.check(facts.task)
    scale_x: Scale = scaling.for_inputs(facts.inputs, dtype)
    if isinstance(data, TensorData) and isinstance(data.x, Tensor):
        scale_x = scaling.fit(data.x[train.rows], data.scaling, dtype)
    if facts.task != "numbers":
        scale_y = scaling.Cast(dtype) if facts.task == "labels" else None
        return Preprocessing(facts, facts.input_shape, scale_x, scale_y), []
    ready = not (isinstance(data, TensorData) and data.scale_targets)
    way, line = targets.choose(name, facts.num_outputs, ready=ready)
    return Preprocessing(facts, facts.input_shape, scale_x, _scale_of_targets(train, dtype, way, seed)), [line]


def _scale_of_targets(train: Part[RowData], dtype: torch.dtype, way: Way | None, seed: int) -> Scale:
    """Targets of a Dataset that is read row by row are read once, if necessary, and kept without the inputs."""
    if isinstance(train.data, TensorData):
        y = train.data.y[train.rows]
    elif way is None:
        return scaling.Cast(dtype, tuple(train.data.form[1].shape))
    else:
        read = Seeded(train.data, seed, before_training=True)
        groups = (group.tolist() for group in train.rows.split(SCANNED))
        y = torch.cat([train.data.collate([read[0, row] for row in group])[1] for group in groups])
    return for_targets(*scaling.moments(y), way, dtype, tuple(y.shape[1:]))
