"""loader.sampler=balanced: an order of rows in which every class occurs as often as the others."""

import torch
from torch import Tensor

from trainer.config.schema import Loader as LoaderConfig
from trainer.data import seeds
from trainer.data.loaders import InMemory
from trainer.data.rows import Rows
from trainer.data.splits import Splits
from trainer.data.tensors import TensorData
from trainer.errors import ConfigError


def balanced_order(labels: Tensor, seed: int) -> Tensor:
    """As many row indices as there are rows, int64: of each class equally many, give or take one. The rows of a class
    come again only when all of them have come. labels: (N,) int64; a row below 0 is of no class, and does not come."""
    classes = labels[labels >= 0].unique()
    turn = seeds.permutation(len(classes), seed)  # which classes come once more than others
    drawn = []
    for place, label in zip(turn.tolist(), classes.tolist(), strict=True):
        rows = (labels == label).nonzero().flatten()
        count = len(labels) // len(classes) + (place < len(labels) % len(classes))
        passes = range(-(-count // len(rows)))
        orders = [rows[seeds.permutation(len(rows), seeds.derive(seed, "class", label, again))] for again in passes]
        drawn.append(torch.cat(orders)[:count])
    order = torch.cat(drawn)
    return order[seeds.permutation(len(order), seeds.derive(seed, "mixed"))]


def training_labels(splits: Splits, loader: LoaderConfig) -> Tensor | None:
    """The label of every training row, (N,) int64 on the CPU, -1 for one that does not count; None where classes come
    as often as they occur. Raises ConfigError for rows without a class each, or without all labels at hand."""
    if loader.sampler is None:
        return None
    facts, train = splits.facts, splits.train
    if not loader.shuffle:
        raise ConfigError("loader.sampler=balanced draws an order, but loader.shuffle=false", "loader.shuffle=true")
    if facts.task != "classes":
        text = f"loader.sampler=balanced is for classes, but the targets are {facts.task}"
        raise ConfigError(text, "loader.sampler=null")
    if isinstance(train.loader, InMemory) and isinstance(train.loader.y, Tensor):
        labels = train.loader.y.cpu()
    elif isinstance(train.part.data, Rows):
        labels = train.part.data.all_labels()[train.part.rows]
    elif isinstance(train.part.data, TensorData):
        labels = train.part.data.y[train.part.rows]
    else:
        text = "loader.sampler=balanced needs the labels of all rows of a table in memory"
        raise ConfigError(text, "loader.num_workers=0 loader.in_memory=true; or loss.weight=balanced")
    return labels.where(labels != facts.ignored, -1)
