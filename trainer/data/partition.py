"""Which rows train, validate and test: as your own Dataset says, or as dataset.split draws them."""

import inspect
import numbers
from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Any

import numpy as np
import torch
from torch import Tensor
from torch.utils.data import Subset

from trainer.data import split_note
from trainer.data.keys import Keys
from trainer.data.parts import Part, of_rows, owners
from trainer.data.roles import NAMES, ROLES, TRAIN, VAL
from trainer.data.rows import Rows
from trainer.data.splitting import Rule, Splitting
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
    ConfigError for splits that overlap, are empty or name rows that do not exist.

    A Dataset of your own may have `val` and `test`, each a Dataset, or a method `split` that returns row numbers by
    part. name: the Dataset's, for messages; node: the config's keys that say how rows are held back; keys: those that
    say what a sample holds.
    """
    how, rows = Splitting(node.get("split") or "auto").typed(node), _rows_of(dataset, name, keys)
    listed, others = _brought(dataset, rows, name, how)
    brings = [part for part in ("val", "test") if part in listed or part in others]
    notes = [*rows.notes, *how.check_brought(brings, name)]
    if "train" not in listed:
        taken = torch.cat([torch.zeros(0, dtype=torch.int64), *listed.values()])
        listed["train"] = torch.from_numpy(np.setdiff1d(np.arange(len(rows)), taken.numpy()))
    how = how.settled(classes=rows.meaning.task in ("classes", "labels"))
    if "val" in brings:
        how = replace(how, split="random", folds=None, val_fraction=0.0)
    rule = _rule(dataset, rows, name, listed["train"], how)
    drawn = torch.from_numpy(how.draw(rule))
    if how.val_fraction and how.folds is None and how.split != "random" and not {TRAIN, VAL} <= set(drawn.tolist()):
        text = f"dataset.split={how.split} with dataset.val_fraction={how.val_fraction:g} leaves no row for one of the"
        raise ConfigError(f"{text} two parts", "dataset.split=random")
    train = listed["train"]
    found = {role: train[drawn == role] for role in ROLES.values()}
    found |= {ROLES[part]: some for part, some in listed.items() if part != "train"}
    if not len(found[TRAIN]):
        raise ConfigError(f"{name} has no row left to train on")
    parts = of_rows(rows, {role: some for role, some in found.items() if len(some)})
    notes += split_note.lines(how, f"{how.split}s", {role for role in parts if NAMES[role] not in brings})
    for part, own in others.items():
        parts |= of_rows(own, {ROLES[part]: torch.arange(len(own))})
    return parts, notes


def _rows_of(dataset: Any, name: str, keys: Keys) -> RowData:
    if isinstance(dataset, TensorData):
        return dataset.with_task(keys.task, keys.ignored, name)
    return Rows(dataset, name, keys)


def _brought(dataset: Any, rows: RowData, name: str, how: Splitting) -> tuple[dict[str, Tensor], dict[str, RowData]]:
    """What a Dataset brings by part: (the numbers of its rows, data of their own)."""
    if isinstance(rows, TensorData):
        own: dict[str, TensorData | None] = {"val": rows.val, "test": rows.test}
        return {}, {part: data for part, data in own.items() if data is not None and len(data)}
    others = {part: data for part in ("val", "test") if (data := _dataset_of(dataset, part, name)) is not None}
    listed = _listed(dataset, len(rows), name, how.split_seed)
    if both := [part for part in others if part in listed]:
        raise ConfigError(f"{name} has `{both[0]}`, and its split() returns {both[0]} too", "leave one of the two out")
    return listed, {part: Rows(data, f"{name}.{part}", rows.keys, rows) for part, data in others.items()}


def _rule(dataset: Any, rows: RowData, name: str, train: Tensor, how: Splitting) -> Rule:
    """What the rows `train` are drawn by. Raises ConfigError for a split that the data cannot have."""
    if how.split not in SPLITS:
        raise ConfigError(f"dataset.split={how.split} is not one of {', '.join(SPLITS)}", "dataset.split=random")
    if how.split == "random":
        return Rule("random", np.zeros(len(train), dtype=np.int8), chunk=max(1, len(train)))
    if how.split == "time":
        return Rule("time", _ranks(_each_row(dataset, "times", rows, name))[train.numpy()])
    if how.split == "stratified" and rows.meaning.task == "labels":
        return Rule("labels", _labels(rows, name)[train].numpy())
    values = _labels(rows, name).tolist() if how.split == "stratified" else _each_row(dataset, "groups", rows, name)
    known = dict[str, int]()
    codes = np.array([known.setdefault(str(values[row]), len(known)) for row in train.tolist()], dtype=np.int64)
    words = list(known)
    if how.split == "stratified":
        words = [(rows.meaning.classes or [])[int(word)] if int(word) >= 0 else word for word in words]
    return Rule(how.split, codes, words.__getitem__)


def _labels(rows: RowData, name: str) -> Tensor:
    """The label of every row (N,), or its labels (N, C). Raises ConfigError for other targets."""
    if isinstance(rows, Rows):
        if rows.meaning.task == "labels":
            return torch.stack([torch.as_tensor(rows.target(row)) for row in range(len(rows))])
        return rows.all_labels()
    if rows.meaning.task not in ("classes", "labels") or not isinstance(rows.y, Tensor):
        raise ConfigError(f"dataset.split=stratified, but {name} holds {rows.meaning.task}", "dataset.split=random")
    return rows.y


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
    groups = map(str, _each_row(dataset, "groups", rows, type(dataset).__name__))
    codes = np.unique(list(groups), return_inverse=True)[1]
    return np.pad(codes.astype(np.int64), (0, sum(map(len, others))), constant_values=-1)


def _each_row(dataset: Any, attribute: str, rows: Any, name: str) -> Sequence[Any]:
    """One value a row from an attribute or method. Raises ConfigError where one is missing."""
    values = getattr(dataset, attribute, None)
    values = values() if callable(values) else values
    how = attribute.removesuffix("s")
    if values is None:
        raise ConfigError(f"dataset.split={how} needs {name}.{attribute}: one value for each row")
    values = list(values.tolist() if isinstance(values, Tensor) else values)
    if len(values) != len(rows):
        raise ConfigError(
            f"{name}.{attribute} has {counted(len(values), 'value')}, but there are {counted(len(rows), 'row')}"
        )
    for row, value in enumerate(values):
        if value is None or value != value:  # NaN and NaT differ from themselves
            raise ConfigError(f"{name}.{attribute}[{row}] has no value")
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
