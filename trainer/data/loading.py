"""Splits from a dataset node: rows for training and validation, and the official test set if there is one."""

from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Any

import torch

from trainer.config import target
from trainer.config.check import check_value
from trainer.config.options import DatasetKeys
from trainer.config.options.dataset import MAY_BE_THEIRS
from trainer.config.schema import Config
from trainer.config.schema_key import keys as keys_of
from trainer.data import held, labels, meaning, seeds, splitting
from trainer.data.earlier import Earlier
from trainer.data.keys import Keys
from trainer.data.meaning import UNKNOWN
from trainer.data.room import Room
from trainer.data.row_splits import row_splits
from trainer.data.splits import Splits
from trainer.data.target_scaling import TargetScaling
from trainer.device import seed_all
from trainer.errors import ConfigError

OWN_KEYS = ("split", *splitting.KEYS, "scale_targets", "inputs", "target", "task")  # not for the class
THEIRS = (*MAY_BE_THEIRS, "inputs", "target")  # a class with an argument of this name gets the value
TABLES = ("trainer.data.table.Table", "trainer.data.table.Frame")


def make_splits(
    config: Config,
    device: torch.device,
    dtype: torch.dtype,
    *,
    download: bool,
    earlier: Earlier | None = None,
    targets: TargetScaling | None = None,
    room: Room | None = None,
    hold: bool = False,
) -> Splits:
    """Build the dataset, split it by the keys that say how and put a loader over each part. Raises ConfigError.

    earlier: what an earlier start of the run stored; None fits the preprocessing to the training split. targets: how
    numbers to predict are scaled, not needed with `earlier`. room: for pictures; None: all of this machine. hold: for
    the processes that are forked from this one, see held.py. The rows of each split do not depend on the run's seed.
    """
    node, path, targets = dict(config.dataset), config.dataset["_target_"], targets or TargetScaling()
    own = own_task(node)
    if own is not None:
        node["task"] = meaning.class_of(own).name
        if path in TABLES and node["task"] not in ("classes", "numbers"):
            text = f"dataset.task._target_={own['_target_']} is a task of {node['task']}, but a table has other targets"
            raise ConfigError(text, "a subclass of Classes or Numbers", "dataset.task")
    given = _arguments(node)
    if "scale_targets" in given:
        targets = replace(targets, asked="auto")
    mine = {key: node[key] for key in OWN_KEYS if key in node and key not in given}
    for key in mine.keys() & {*splitting.KEYS}:  # not checked before, where a class might have wanted the value
        mine[key] = check_value(f"dataset.{key}", mine[key], keys_of(DatasetKeys)[key])
    seed_all(seeds.derive(mine.get("split_seed", 0), "dataset"))
    keywords = {key: value for key, value in node.items() if key not in mine}
    keys = Keys(
        outputs=num_outputs(config.model),
        ignored=labels.ignored(config.loss),
        why=f"dataset.task is {own['_target_']}" if own is not None else "",
        vocabulary=leaves_open(config.model, target.VOCABULARY_NAMES),
    )
    known = repr((config.dataset, config.loader, config.loss, config.augment, keys, targets, device, dtype))
    if earlier is None and (splits := held.take(known)) is not None:
        return splits
    if path.startswith("trainer.data.arrays."):
        keywords |= {"ignored_label": keys.ignored, "asked_task": mine.get("task", "auto"), "num_outputs": keys.outputs}
    dataset = target.construct(keywords, "dataset", may_download=download)
    if path in TABLES:
        from trainer.data.tabular.splits import table_splits  # imports pyarrow, which only tables need

        return table_splits(dataset, mine, config, device, dtype, earlier, targets)
    keys = _keys(keys, dataset, mine)
    splits = row_splits(dataset, mine, keys, config, device, dtype, earlier, targets, room or Room())
    splits.notes = [*(f"dataset.{key} is an argument of {path}" for key in given), *splits.notes]
    if hold:
        held.put(known, splits)
    return splits


def _keys(keys: Keys, dataset: Any, mine: Mapping[str, Any]) -> Keys:
    """The keys that say what a sample holds: as typed, or as the Dataset's attribute trainer_keys says."""
    theirs = getattr(dataset, "trainer_keys", {})
    found = {key: theirs[key] for key in ("inputs", "target", "task") if key in theirs}
    found |= {key: mine[key] for key in ("inputs", "target", "task") if mine.get(key, "auto") != "auto"}
    return replace(keys, **found)


def num_outputs(model: Mapping[str, Any]) -> int | None:
    """The number of outputs that a model node types; None where the data decides it, UNKNOWN where nothing says it."""
    known = target.parameters(target.locate(model["_target_"], "model"))
    sizes = [model.get(name) for name in target.OUTPUT_NAMES if name in known or name in model]
    return sizes[0] if sizes else UNKNOWN


def own_task(node: Mapping[str, Any]) -> Mapping[str, Any] | None:
    """The class of a task of your own, {_target_: …}, that a dataset node asks for, if it does."""
    asked = node.get("task")
    if not isinstance(asked, Mapping):
        return None
    theirs = "task" in target.parameters(target.locate(node["_target_"], "dataset"))
    if theirs and node["_target_"] not in TABLES:
        return None
    if not isinstance(asked.get("_target_"), str):
        text = "dataset.task is a mapping, but names no class by _target_"
        raise ConfigError(text, "'dataset.task={_target_: my_file.MyTask}'", "dataset.task")
    return asked


def leaves_open(model: Mapping[str, Any], names: Sequence[str]) -> bool:
    """Whether a model node, or one inside it, leaves one of these sizes to the data."""
    known = target.parameters(target.locate(model["_target_"], "model"))
    inside = any(name in node and node[name] is None for _, node in target.nodes(model) for name in names)
    return inside or any(name in known and model.get(name) is None for name in names)


def _arguments(node: Mapping[str, Any]) -> list[str]:
    """Those of our keys that were typed for a class with an argument of that name: it gets the value."""
    typed = [key for key in THEIRS if node.get(key) not in (None, "auto")]
    known = target.parameters(target.locate(node["_target_"], "dataset")) if typed else {}
    return [key for key in typed if key in known]
