"""The parts of a data set: the rows that train, those that validate, those that test."""

from collections.abc import Mapping
from dataclasses import dataclass
from functools import cached_property
from typing import Any, Generic, TypeVar

import numpy as np
import torch
from torch import Tensor

from trainer.data.roles import LEFT_OUT, NAMES, TRAIN, Roles

Data = TypeVar("Data", covariant=True)


@dataclass(frozen=True)
class Part(Generic[Data]):
    """The rows of some data that have one role. roles: (N,) of all rows of the data; order: the numbers of the part's
    rows, int64, where its data brings an order; a row may occur twice in it."""

    data: Data
    roles: Roles
    role: int
    order: Tensor | None = None

    @cached_property
    def rows(self) -> Tensor:
        """The numbers of the rows, int64."""
        return torch.from_numpy(np.flatnonzero(self.roles == self.role)) if self.order is None else self.order

    @property
    def num_rows(self) -> int:
        """The number of rows."""
        return int((self.roles == self.role).sum()) if self.order is None else len(self.order)


def of_rows(data: Any, rows: Mapping[int, Tensor]) -> dict[int, Part[Any]]:
    """The parts of some data. rows: the numbers of the rows of each role, int64."""
    roles = np.full(len(data), LEFT_OUT, dtype=np.int8)
    for role, some in rows.items():
        roles[some.numpy()] = role
    return {role: Part(data, roles, role, some) for role, some in rows.items()}


def owners(parts: Mapping[int, Part[Data]]) -> list[Part[Data]]:
    """A part of each of the different data behind some parts, that of the training rows first. parts: by role."""
    first: dict[int, Part[Data]] = {}
    for _, part in sorted(parts.items()):
        first.setdefault(id(part.data), part)
    return list(first.values())


def roles_of(parts: Mapping[int, Part[Any]]) -> Roles:
    """The role of every row of all data, one after another."""
    return np.concatenate([part.roles for part in owners(parts)])


def with_roles(parts: Mapping[int, Part[Data]], roles: Roles) -> dict[int, Part[Data]]:
    """The same data with other roles, as roles_of gives them; a role without rows has no part.

    A role that has data of its own, such as a file to validate on, is not given to rows of other data, and no other
    role to rows of that data: such rows are left out. Parts whose roles are as they were keep their order.
    """
    if np.array_equal(roles, roles_of(parts)):
        return dict(parts)
    result, owned = dict[int, Part[Data]](), owners(parts)
    ends = np.cumsum([len(part.roles) for part in owned])[:-1]
    for part, mine in zip(owned, np.split(roles, ends), strict=True):
        may = [role for role in NAMES if parts.get(role, parts[TRAIN]).data is part.data]
        mine = np.where(np.isin(mine, may), mine, LEFT_OUT).astype(np.int8)
        result |= {role: Part(part.data, mine, role) for role in may if (mine == role).any()}
    return result
