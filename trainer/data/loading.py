"""Splits from a dataset node: rows for training and validation, and the official test set if there is one."""

import math
from collections.abc import Mapping
from typing import Any

import torch
from torch import Tensor
from torch.utils.data import Subset, default_collate

from trainer.config import target
from trainer.config.schema import Config
from trainer.data import labels, scaling, seeds
from trainer.data.facts import Facts
from trainer.data.loaders import InMemory, Loader, Seeded, Workers, place
from trainer.data.partition import Part, parts_of
from trainer.data.preprocessing import Preprocessing
from trainer.data.rows import Rows
from trainer.data.scaling import Scale
from trainer.data.splits import Splits, keep_in_memory
from trainer.data.tabular.one_hot import Columns
from trainer.data.tensors import TensorData
from trainer.device import seed_all
from trainer.errors import ConfigError, TrainerError

OWN_KEYS = ("val_fraction", "split_seed")  # of a dataset node: for make_splits, not for the dataset
TABLE = "trainer.data.table.Table"


def make_splits(
    config: Config, device: torch.device, dtype: torch.dtype, *, download: bool, fitted: Preprocessing | None = None
) -> Splits:
    """Build the dataset, split it by (val_fraction, split_seed) and put a loader over each part. Raises ConfigError.

    fitted: the preprocessing of an earlier run; None fits one to the training split. The rows of each split do not
    depend on the run's seed.
    """
    node, seed = config.dataset, config.seed
    val_fraction, split_seed = node.get("val_fraction", 0.0), node.get("split_seed", 0)
    seed_all(seeds.derive(split_seed, "dataset"))
    name, ignored = node["_target_"], labels.ignored(config.loss)
    takes_split = "split" in node and "split" in target.parameters(target.locate(name, "dataset"))
    mine = OWN_KEYS if takes_split else (*OWN_KEYS, "split")
    keywords = {k: v for k, v in node.items() if k not in mine}
    if name.startswith("trainer.data.arrays."):
        keywords["ignored_label"] = ignored
    dataset = target.construct(keywords, "dataset", may_download=download)
    if name == TABLE:
        from trainer.data.tabular.splits import table_splits  # imports pyarrow, which only tables need

        return table_splits(dataset, dataset.prepare(val_fraction, split_seed, dtype, fitted), config, device, dtype)
    truth = getattr(dataset, "truth", {})
    parts, notes = parts_of(dataset, name, {key: value for key, value in node.items() if key in mine}, ignored)
    if takes_split:
        notes.append(f"dataset.split is an argument of {name}")
    stored = {id(part.data): part.data for part in parts.values() if isinstance(part.data, TensorData)}.values()
    tensors = [tensor for data in stored for tensor in (data.x, data.y)]
    in_memory, why_not = keep_in_memory(tensors, config.loader, device)
    if in_memory and not stored:
        parts = _gathered(parts, seed)
    data, train_rows = parts["train"].data, parts["train"].rows
    facts = facts_of(data, ignored)
    scale_x, scale_y = _scales(data, train_rows, dtype) if fitted is None else (fitted.x, fitted.y)
    if isinstance(scale_x, Columns):
        raise ConfigError(f"this run was trained on a table, not on {name}")
    scale_x.to(device)
    if scale_y is not None:
        scale_y.to(device)

    def over(part: Part) -> Loader:
        data, rows = part.data, part.rows
        is_whole = torch.equal(rows, torch.arange(len(data)))
        if isinstance(data, TensorData):
            x, y = (data.x, data.y) if is_whole else data[rows]
            if facts.classes is not None:
                labels.check_labels(y, len(facts.classes), name, ignored)
            if in_memory:
                return InMemory(x, y, scale_x, scale_y, device)
        chosen = data if is_whole else Subset(data, rows.tolist())
        return Workers(chosen, scale_x, scale_y, device, config.loader, seed)

    loaders = {key: over(part) for key, part in parts.items()}
    num_rows = {key: len(part.rows) for key, part in parts.items()}
    first = [data.read(int(row)) if isinstance(data, Rows) else data[int(row)] for row in train_rows[:2]]
    x, y = (place(part, device, dtype) for part in default_collate(first))
    return Splits(
        name=name.rpartition(".")[2],
        source=data.source,
        facts=facts,
        train=loaders["train"],
        val=loaders.get("val"),
        test=loaders.get("test"),
        num_train=num_rows["train"],
        num_val=num_rows.get("val", 0),
        num_test=num_rows.get("test", 0),
        loader_name=loaders["train"].name + (f" ({why_not})" if why_not else ""),
        scale_y=scale_y,
        truth=truth,
        sample=(scale_x(x), y if scale_y is None else scale_y(y)),
        preprocessing=fitted or Preprocessing(facts, facts.input_shape, scale_x, scale_y),
        class_counts=_class_counts(data, train_rows, facts),
        notes=notes,
    )


def _class_counts(dataset: TensorData | Rows, train_rows: Tensor, facts: Facts) -> tuple[int, ...] | None:
    y = dataset.y if isinstance(dataset, TensorData) else dataset.known
    if facts.classes is None or y is None or y.ndim != 1:
        return None
    y = y[train_rows]
    return tuple(torch.bincount(y[y != facts.ignored], minlength=len(facts.classes)).tolist())


def _gathered(parts: Mapping[str, Part], seed: int) -> dict[str, Part]:
    """The same parts of tensors: every row is read once; what is random in it is drawn once. Raises ConfigError."""
    tensors: dict[int, TensorData] = {}
    for data in {id(part.data): part.data for part in parts.values() if isinstance(part.data, Rows)}.values():
        read = Seeded(data, seed)
        try:
            x, y = default_collate([read[0, row] for row in range(len(data))])
        except TrainerError as error:  # nothing has been trained yet
            raise ConfigError(error.message, error.hint) from error
        tensors[id(data)] = TensorData(x, y, classes=data.classes, source=data.source)
    return {key: Part(tensors.get(id(part.data), part.data), part.rows) for key, part in parts.items()}


def facts_of(data: TensorData | Rows, ignored: int) -> Facts:
    """Shapes, task and classes of data. ignored: the label that the loss leaves out."""
    if isinstance(data, Rows):
        x_shape, y_shape = data.form.x, data.form.y
    else:
        x_shape, y_shape = tuple(data.x.shape[1:]), tuple(data.y.shape[1:])
    if data.classes is None:
        return Facts(x_shape, None, math.prod(y_shape))
    return Facts(x_shape, data.classes, len(data.classes), ignored)


def _scales(dataset: Any, train_rows: Tensor, dtype: torch.dtype) -> tuple[Scale, Scale | None]:
    """The scaling of inputs, and of targets that are numbers, fitted on the training rows alone."""
    if not isinstance(dataset, TensorData):
        numbers = default_collate([dataset[0]])[1].is_floating_point()
        return scaling.Cast(dtype), scaling.Cast(dtype) if numbers else None
    scale_x = scaling.fit(dataset.x[train_rows], dataset.scaling, dtype)
    if dataset.classes is not None:
        return scale_x, None
    return scale_x, scaling.fit(dataset.y[train_rows], "standardize" if dataset.scale_targets else "none", dtype)
