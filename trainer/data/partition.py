"""Which rows train, validate and test: as your own Dataset says, or as dataset.split draws them."""

import inspect
import numbers
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import torch
from torch import Tensor
from torch.utils.data import Subset

from trainer.data import roles, split_note
from trainer.data.keys import Keys
from trainer.data.parts import Part, of_rows, owners
from trainer.data.roles import ROLES, TEST, TRAIN, VAL
from trainer.data.rows import Rows
from trainer.data.tensors import TensorData
from trainer.errors import ConfigError
from trainer.text import counted

SPLITS = ("random", "stratified", "group", "time")
RowData = TensorData | Rows
FLAGS = (bool, str, numbers.Number, type(None))  # what an attribute `test` may be that is not a Dataset


def parts_of(
    dataset: Any, name: str, node: Mapping[str, Any], keys: Keys
) -> tuple[dict[int, Part[RowData]], list[str]]:
    """(The parts to train on and, if there are any, to validate and to test on, by role; lines for the header). Raises
    ConfigError.

    name: the Dataset's, for messages; node: the config's keys val_fraction, split_seed and split; keys: those that say
    what a sample holds.
    """
    if isinstance(dataset, TensorData):
        dataset = dataset.with_task(keys.task, keys.ignored, name)
        train, val = split_rows(len(dataset), node.get("val_fraction", 0.0), node.get("split_seed", 0))
        parts, notes = of_rows(dataset, {TRAIN: train} | ({VAL: val} if len(val) else {})), list(dataset.notes)
        if len(val):
            notes.append(split_note.of("random", None, node["val_fraction"], node.get("split_seed", 0)))
        if dataset.test is not None and len(dataset.test):
            parts |= of_rows(dataset.test, {TEST: torch.arange(len(dataset.test))})
        return parts, notes
    rows = Rows(dataset, name, keys)
    own, notes = own_parts(dataset, rows, node)
    return own, rows.notes + notes


def split_rows(num_rows: int, val_fraction: float, split_seed: int) -> tuple[Tensor, Tensor]:
    """Row numbers for training and for validation, int64, sorted: a permutation by split_seed, cut in two."""
    drawn = torch.from_numpy(roles.random_roles(num_rows, val_fraction, split_seed, chunk=max(1, num_rows)))
    return (drawn == TRAIN).nonzero()[:, 0], (drawn == VAL).nonzero()[:, 0]


def own_parts(dataset: Any, rows: Rows, node: Mapping[str, Any]) -> tuple[dict[int, Part[RowData]], list[str]]:
    """parts_of for a Dataset of your own. rows: its rows. Raises ConfigError for splits that overlap, are empty or name
    rows that do not exist.

    A Dataset may have `val` and `test`, each a Dataset, or a method `split` that returns row numbers by part.
    """
    name, num_rows = rows.name, len(rows)
    others = {part: data for part in ("val", "test") if (data := _dataset_of(dataset, part, name)) is not None}
    listed = _listed(dataset, num_rows, name, node.get("split_seed", 0))
    if both := [part for part in others if part in listed]:
        raise ConfigError(f"{name} has `{both[0]}`, and its split() returns {both[0]} too", "leave one of the two out")
    if "train" not in listed:
        taken = torch.cat([torch.zeros(0, dtype=torch.int64), *listed.values()])
        listed["train"] = torch.from_numpy(np.setdiff1d(np.arange(num_rows), taken.numpy()))
    notes = list[str]()
    if "val" in others or "val" in listed:
        notes.append(f"val comes with {name}: dataset.val_fraction is not used")
        if how := node.get("split"):
            raise ConfigError(f"dataset.split={how}, but {name} brings its own val", "leave dataset.split out")
    else:
        listed |= _draw(dataset, rows, listed["train"], node)
        if len(listed["val"]):
            how = node.get("split") or "random"
            notes.append(split_note.of(how, f"{how}s", node["val_fraction"], node.get("split_seed", 0)))
    if not len(listed["train"]):
        raise ConfigError(f"{name} has no row left to train on")
    parts = of_rows(rows, {role: listed[part] for part, role in ROLES.items() if len(listed.get(part, ()))})
    for part, data in others.items():
        own = Rows(data, f"{name}.{part}", rows.keys, rows)
        parts |= of_rows(own, {ROLES[part]: torch.arange(len(own))})
    return parts, notes


def _dataset_of(dataset: Any, part: str, name: str) -> Any:
    """The Dataset that an attribute or method called `part` gives; None where there is none."""
    value = getattr(dataset, part, None)
    if callable(value) and not hasattr(type(value), "__getitem__"):
        value = value() if not _required(value) else None
    if isinstance(value, FLAGS):
        return None
    inner = value.dataset if isinstance(value, Subset) else value
    if inner is dataset:
        raise ConfigError(
            f"{name}.{part} holds rows of {name} itself, which would be trained on too",
            "give it a method split() instead",
        )
    return value


def _listed(dataset: Any, num_rows: int, name: str, split_seed: int) -> dict[str, Tensor]:
    """Row numbers by part, as the Dataset's split() returns them. Raises ConfigError where they are wrong."""
    split = getattr(dataset, "split", None)
    if not callable(split):
        return {}
    found = split(split_seed) if _required(split) else split()
    form = "return {'train': rows, 'val': rows, 'test': rows}, or some of them"
    if not isinstance(found, Mapping) or not found or not set(found) <= set(ROLES):
        what = f"the keys {', '.join(map(str, found))}" if isinstance(found, Mapping) else f"a {type(found).__name__}"
        raise ConfigError(f"{name}.split() returns {what}", form)
    listed = {part: _row_numbers(rows, num_rows, f"{name}.split()['{part}']") for part, rows in found.items()}
    owner = np.full(num_rows, "", dtype="U5")
    for part, rows in listed.items():
        if len(again := rows[torch.from_numpy(owner[rows.numpy()] != "")]):
            text = f"{name}.split() puts row {int(again[0])} into {owner[int(again[0])]} and into {part}"
            raise ConfigError(text, "put each row into one part")
        owner[rows.numpy()] = part
    return listed


def _row_numbers(rows: Any, num_rows: int, place: str) -> Tensor:
    """Row numbers int64, from numbers or from a mask of all rows."""
    try:
        found = torch.as_tensor(rows if isinstance(rows, (Tensor, np.ndarray)) else list(rows))
    except (TypeError, ValueError, RuntimeError) as error:
        raise ConfigError(f"{place} is not a list of row numbers: {error}") from error
    if found.dtype is torch.bool and tuple(found.shape) == (num_rows,):
        found = found.nonzero().flatten()
    if not found.numel():
        raise ConfigError(f"{place} is empty", "leave it out")
    if found.ndim != 1 or found.is_floating_point() or found.dtype is torch.bool:
        raise ConfigError(f"{place} is not a list of row numbers")
    if bool((outside := (found < 0) | (found >= num_rows)).any()):
        raise ConfigError(f"{place} holds row {int(found[outside][0])}, but there are rows 0 to {num_rows - 1}")
    return found.long()


def groups_of(dataset: Any, parts: Mapping[int, Part[RowData]]) -> "np.ndarray[Any, np.dtype[np.int64]]":
    """The group of each row of all data as a number; -1 for rows that come in a split of their own."""
    rows, *others = (part.data for part in owners(parts))
    codes = np.unique(list(map(str, _each_row(dataset, "groups", rows))), return_inverse=True)[1]
    return np.pad(codes.astype(np.int64), (0, sum(map(len, others))), constant_values=-1)


def _draw(dataset: Any, rows: Rows, train: Tensor, node: Mapping[str, Any]) -> dict[str, Tensor]:
    """Draw validation rows among `train`. Returns the row numbers of train and val."""
    how, val_fraction = node.get("split") or "random", node.get("val_fraction", 0.0)
    split_seed = node.get("split_seed", 0)
    if how not in SPLITS:
        raise ConfigError(f"dataset.split={how} is not one of {', '.join(SPLITS)}", "dataset.split=random")
    if how == "random":
        first, second = split_rows(len(train), val_fraction, split_seed)
        return {"train": train[first], "val": train[second]}
    if how == "time":
        drawn = roles.time_roles(_ranks(_each_row(dataset, "times", rows))[train.numpy()], val_fraction)
    else:
        values = rows.all_labels().tolist() if how == "stratified" else _each_row(dataset, "groups", rows)
        known = dict[str, int]()
        codes = np.array([known.setdefault(str(values[row]), len(known)) for row in train.tolist()], dtype=np.int64)
        drawn = (roles.stratified_roles if how == "stratified" else roles.group_roles)(codes, val_fraction, split_seed)
    found = {"train": train[torch.from_numpy(drawn == TRAIN)], "val": train[torch.from_numpy(drawn == VAL)]}
    if val_fraction and not all(map(len, found.values())):
        text = f"dataset.split={how} with dataset.val_fraction={val_fraction:g} leaves no row for one of the two parts"
        raise ConfigError(text, "dataset.split=random")
    return found


def _each_row(dataset: Any, attribute: str, rows: Any) -> Sequence[Any]:
    """One value a row from an attribute or method. Raises ConfigError where one is missing."""
    values = getattr(dataset, attribute, None)
    values = values() if callable(values) else values
    how = attribute.removesuffix("s")
    if values is None:
        raise ConfigError(f"dataset.split={how} needs {rows.name}.{attribute}: one value for each row")
    values = list(values.tolist() if isinstance(values, Tensor) else values)
    if len(values) != len(rows):
        raise ConfigError(
            f"{rows.name}.{attribute} has {counted(len(values), 'value')}, but there are {counted(len(rows), 'row')}"
        )
    for row, value in enumerate(values):
        if value is None or value != value:  # NaN and NaT differ from themselves
            raise ConfigError(f"{rows.name}.{attribute}[{row}] has no value")
    return values


def _ranks(times: Sequence[Any]) -> Any:
    """The place of each time among the different ones, float64 (N,). Raises ConfigError for what has no order."""
    values = np.asarray(times)
    try:
        if values.dtype.kind in "OUS":
            values = values.astype("datetime64[us]")
        return np.unique(values, return_inverse=True)[1].astype(np.float64)
    except (TypeError, ValueError) as error:
        raise ConfigError(f"dataset.split=time: times are neither numbers nor dates: {error}") from error


def _required(method: Any) -> bool:
    """Whether a method cannot be called without an argument."""
    try:
        inspect.signature(method).bind()
    except TypeError:
        return True
    return False
