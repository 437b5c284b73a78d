"""The fingerprint of a run's data, in a file of the run folder: what was read, and the role of each row.

data.safetensors holds the digests of the parts of the data, the id and the role of each row, and as JSON the names and
sizes of the parts: one file, so that a kill never leaves half of a change. data.json is a copy of the JSON for people.
"""

import json
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any, Literal

import numpy as np
import safetensors.torch
import torch
import xxhash

from trainer.data.digests import Parts
from trainer.data.roles import LEFT_OUT, TEST, TRAIN, VAL, Roles
from trainer.data.row_ids import Ids
from trainer.disk import digest, layout, reading, storage
from trainer.disk.tensors import MALFORMED, tensor_bytes
from trainer.errors import StorageError
from trainer.text import first_line

FORMAT = 1
MOST_ROWS = 10_000_000  # of a table, above which rows are known by their position alone
MOST_JSON = 128 * 2**20  # bytes: a million pictures
MOST_BYTES = 4 * 2**30  # 400 million rows
KnownBy = Literal["content", "file", "position"]


@dataclass
class Fingerprint:
    """parts: of the data, with the digests of those that have been read. lazy: whether they are read one by one during
    the run. ids, roles: (N,) of every row, those of a test split included. known_by: what an id stands for.
    since: the step from which on these rows validate, above 0 where other rows did before. read_rest: reads the parts
    that have not been read, for their digests."""

    parts: Parts
    ids: Ids
    roles: Roles
    known_by: KnownBy
    lazy: bool = False
    since: int = 0
    read_rest: Callable[[], None] = lambda: None

    @cached_property
    def digest(self) -> str:
        """32 hexadecimal digits for all of it; of parts that are read one by one, for their names and sizes."""
        lines = [f"{name} {size}\n" for name, size in zip(self.parts.names, self.parts.sizes, strict=True)]
        state = xxhash.xxh3_128("".join(lines).encode(errors="surrogatepass"))  # a name may not be UTF-8
        if not self.lazy:
            state.update(self.parts.digests.numpy().data)
        return state.hexdigest()

    def differences(self, earlier: "Fingerprint") -> list[str]:
        """What has changed since an earlier run, in words; empty where nothing has, as far as both have read."""
        lines = self.parts.differences(earlier.parts)
        if not lines and len(self.ids) != len(earlier.ids):
            return [f"it had {len(earlier.ids):,} rows and has {len(self.ids):,}"]
        if lines and self.known_by == earlier.known_by == "content":
            lines = [*_moves(self.ids, earlier.ids), *lines]
        return lines

    def validates_as(self, earlier: "Fingerprint") -> bool:
        """Whether the same rows validate as in an earlier run, in any order."""
        if self.known_by == "position" and self.differences(earlier):
            return False  # a row may have changed in its place
        return sorted(self._validating()) == sorted(earlier._validating())

    def _validating(self) -> Iterable[Any]:
        """What tells the rows that validate apart; a picture's class is the folder that it is in."""
        rows = np.flatnonzero(self.roles == VAL)
        ids: list[int] = self.ids[rows].tolist()
        if self.known_by != "file":
            return ids
        return zip(ids, (self.parts.names[row].rpartition("/")[0] for row in rows.tolist()), strict=True)

    def num_trained(self, now: "Fingerprint", chosen: Any) -> int | None:
        """How many of the rows `chosen`, a bool for each row of `now`, this run was trained on; of data that has
        changed since, how many are the same as rows that it was trained on. None where that cannot be told."""
        if not now.differences(self):
            return int((self.roles[chosen] == TRAIN).sum())
        if "position" in (self.known_by, now.known_by) or self.known_by != now.known_by:
            return None
        return self.num_known(now.ids[chosen])

    def num_known(self, ids: Ids) -> int:
        """How many of the rows `ids` are the same as rows that this run was trained on."""
        return int(np.isin(ids, self.ids[(self.roles == TRAIN) & (self.ids != 0)]).sum())

    def keep_roles(self, ids: Ids, drawn: Roles, groups: Any = None) -> Roles:
        """The roles of the rows `ids`: as in this run for the rows that it had, else as drawn.

        Of equal rows as many as in this run validate, and as many train, each where it was drawn for that if it can be;
        if there are more of them now, and none was trained on, none is. A row that is left out stays so.

        groups: (N,) int64, where groups stay together: a new row has the role of its group, if this run had rows of
        it; -1 for a row without a group.
        """
        had = self.roles != LEFT_OUT
        unique, places = np.unique(self.ids[had], return_inverse=True)
        roles_had, size = self.roles[had], len(unique)
        left = {role: np.bincount(places[roles_had == role], minlength=size) for role in (VAL, TEST, TRAIN)}
        had_train, had_val = left[TRAIN] > 0, left[VAL] > 0
        rows = np.flatnonzero((drawn != LEFT_OUT) & np.isin(ids, unique))
        for role in left:  # validation first: a row of it trains only where enough others are left to validate
            mine = rows[drawn[rows] == role]
            place = np.searchsorted(unique, ids[mine])
            kept = _copies(ids[mine]) < left[role][place]
            if role == TRAIN:
                kept &= left[VAL][place] == 0
            left[role] = left[role] - np.bincount(place[kept], minlength=size)
            rows = np.setdiff1d(rows, mine[kept], assume_unique=True)
        place, copy = np.searchsorted(unique, ids[rows]), _copies(ids[rows])
        val, test, train = (left[role][place] for role in (VAL, TEST, TRAIN))
        more = np.where(had_train[place], drawn[rows], np.where(had_val[place], VAL, TEST))
        roles = drawn.copy()
        roles[rows] = np.select([copy < val, copy < val + test, copy < val + test + train], [VAL, TEST, TRAIN], more)
        return roles if groups is None else _together(roles, np.isin(ids, unique), groups)


def _moves(ids: Ids, before: Ids) -> list[str]:
    """How many rows are new or gone, in words; equal rows count as often as they occur."""
    unique, places = np.unique(np.concatenate([ids, before]), return_inverse=True)
    more = np.bincount(places[: len(ids)], minlength=len(unique)) - np.bincount(
        places[len(ids) :], minlength=len(unique)
    )
    counts = (int(more[more > 0].sum()), "new"), (-int(more[more < 0].sum()), "gone")
    lines = [f"{count:,} {'rows are' if count > 1 else 'row is'} {what}" for count, what in counts if count]
    if not lines:
        lines = [
            "the same rows, written in another way" if np.array_equal(ids, before) else "the rows have another order"
        ]
    return lines


def _together(roles: Roles, known: Any, groups: Any) -> Roles:
    """The roles, where the rows that are not known have that of the known rows of their group. A group that is both
    held back and trained on counts as held back."""
    of_group = np.full(groups.max() + 2, LEFT_OUT, dtype=np.int8)  # the last one for -1, no group
    for role in (TRAIN, TEST, VAL):
        of_group[groups[known & (groups >= 0) & (roles == role)]] = role
    given = of_group[groups]
    return np.where(~known & (roles != LEFT_OUT) & (given != LEFT_OUT), given, roles)


def _copies(ids: Ids) -> Any:
    """For each row, how many rows before it have the same id."""
    order = np.argsort(ids, kind="stable")
    ordered = ids[order]
    starts = np.searchsorted(ordered, ordered)
    result = np.empty(len(ids), dtype=np.int64)
    result[order] = np.arange(len(ids)) - starts
    return result


def write(folder: Path, fingerprint: Fingerprint) -> None:
    """Write the file into a run folder, and the copy for people."""
    write_rows(folder, fingerprint)
    storage.write_json(folder / layout.DATA, _about(fingerprint))


def write_rows(folder: Path, fingerprint: Fingerprint) -> None:
    """Write the file: what has been read so far."""
    tensors = {
        "about": torch.frombuffer(bytearray(json.dumps(_about(fingerprint)).encode()), dtype=torch.uint8),
        "digests": fingerprint.parts.digests,
        "ids": torch.from_numpy(fingerprint.ids.view(np.int64)),
        "roles": torch.from_numpy(fingerprint.roles),
    }
    storage.write_file(folder / layout.DATA_ROWS, digest.with_digest(tensor_bytes(tensors)))


def _about(fingerprint: Fingerprint) -> dict[str, Any]:
    parts = fingerprint.parts
    return {
        "format": FORMAT,
        "digest": fingerprint.digest,
        "rows": len(fingerprint.ids),
        "known_by": fingerprint.known_by,
        "lazy": fingerprint.lazy,
        "since": fingerprint.since,
        "unit": parts.unit,
        "parts": [[name, size] for name, size in zip(parts.names, parts.sizes, strict=True)],
    }


def read(folder: Path) -> Fingerprint | None:
    """The fingerprint in a run folder, of any author; None if there is none, as in a run of version 0.1.0. Raises
    StorageError for a malformed file."""
    path = folder / layout.DATA_ROWS
    try:
        content = digest.read_tensors(path, MOST_BYTES)
    except FileNotFoundError:
        return None
    except reading.Damaged as error:
        raise StorageError(str(error)) from error
    try:
        tensors = safetensors.torch.load(content)
        about = tensors["about"].numpy()
        if about.nbytes > MOST_JSON:
            raise ValueError(f"the names of its parts take {about.nbytes:,} bytes")
        return _rebuilt(reading.parse_json(about.tobytes(), path), tensors)
    except MALFORMED as error:
        why = f"it does not name {error}" if isinstance(error, KeyError) else first_line(error)
        raise StorageError(f"{path} cannot be used: {why}") from error


def _rebuilt(data: Any, tensors: dict[str, torch.Tensor]) -> Fingerprint:
    if data["format"] != FORMAT:
        raise ValueError(f"format {data['format']}, this trainer reads {FORMAT}")
    names, sizes = [name for name, _ in data["parts"]], [reading.count(size) for _, size in data["parts"]]
    digests, ids, roles, unit = tensors["digests"], tensors["ids"], tensors["roles"], data["unit"]
    since, num_rows = reading.count(data["since"]), reading.count(data["rows"])
    if digests.dtype != torch.int64 or ids.dtype != torch.int64 or roles.dtype != torch.int8:
        raise ValueError("its tensors are of another type")
    if digests.shape != (len(names), 2) or ids.shape != (num_rows,) or ids.shape != roles.shape:
        raise ValueError("its tensors have other shapes")
    if not all(isinstance(name, str) for name in [*names, unit]) or len(unit) > 20 or None in (since, *sizes):
        raise ValueError("it does not say how large each part is")
    if data["known_by"] not in ("content", "file", "position") or type(data["lazy"]) is not bool:
        raise ValueError("it does not say how rows are known")
    if len(roles) and not LEFT_OUT <= int(roles.min()) <= int(roles.max()) <= TEST:
        raise ValueError("a row has an unknown role")
    parts = Parts(names, [size or 0 for size in sizes], digests, unit)
    return Fingerprint(parts, ids.numpy().view(np.uint64), roles.numpy(), data["known_by"], data["lazy"], since or 0)
