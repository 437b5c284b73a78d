"""The fingerprint of a run's data, in two files of the run folder: what was read, and the role of each row.

data.json holds the names and sizes of the parts of the data; data.safetensors their digests, and the id and the role of
each row.
"""

from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any, Literal

import numpy as np
import safetensors.torch
import torch
import xxhash
from safetensors import SafetensorError

from trainer.data.digests import Parts
from trainer.data.roles import LEFT_OUT, TEST, TRAIN, VAL, Roles
from trainer.data.row_ids import Ids
from trainer.disk import digest, layout, reading, storage
from trainer.disk.tensors import tensor_bytes
from trainer.errors import StorageError
from trainer.text import first_line

FORMAT = 1
MOST_ROWS = 10_000_000  # of a table, above which rows are known by their position alone
MOST_JSON = 128 * 2**20  # bytes: a million pictures
MOST_TENSORS = 384 * 2**20  # bytes
KnownBy = Literal["content", "file", "position"]
MALFORMED = (KeyError, ValueError, TypeError, AttributeError, SafetensorError)


@dataclass
class Fingerprint:
    """parts: of the data, with the digests of those that have been read. lazy: whether they are read one by one during
    the run. ids, roles: (N,) of every row, those of a test split included. known_by: what an id stands for.
    since: the step from which on these rows validate, above 0 where other rows did before."""

    parts: Parts
    ids: Ids
    roles: Roles
    known_by: KnownBy
    lazy: bool = False
    since: int = 0

    @cached_property
    def digest(self) -> str:
        """32 hexadecimal digits for all of it; of parts that are read one by one, for their names and sizes."""
        lines = [f"{name} {size}\n" for name, size in zip(self.parts.names, self.parts.sizes, strict=True)]
        state = xxhash.xxh3_128("".join(lines).encode())
        if not self.lazy:
            state.update(self.parts.digests.numpy().data)
        return state.hexdigest()

    def differences(self, earlier: "Fingerprint") -> list[str]:
        """What has changed since an earlier run, in words; empty where nothing has, as far as both have read."""
        lines = self.parts.differences(earlier.parts)
        if lines and self.known_by == earlier.known_by == "content":
            lines = [*_moves(self.ids, earlier.ids), *lines]
        return lines

    def num_trained(self, now: "Fingerprint", chosen: Any) -> int | None:
        """How many of the rows `chosen`, a bool for each row of `now`, this run was trained on; of data that has
        changed since, how many are the same as rows that it was trained on. None where that cannot be told."""
        if len(self.ids) == len(now.ids) and not now.differences(self):
            return int((self.roles[chosen] == TRAIN).sum())
        if "position" in (self.known_by, now.known_by) or self.known_by != now.known_by:
            return None
        return self.num_known(now.ids[chosen])

    def num_known(self, ids: Ids) -> int:
        """How many of the rows `ids` are the same as rows that this run was trained on."""
        return int(np.isin(ids, self.ids[(self.roles == TRAIN) & (self.ids != 0)]).sum())

    def keep_roles(self, ids: Ids, drawn: Roles) -> Roles:
        """The roles of the rows `ids`: as in this run for the rows that it had, else as drawn.

        Of equal rows as many as in this run validate, and as many train, each where it was drawn for that if it can be;
        if there are more of them now, and none was trained on, none is. A row that is left out stays so.
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
        return roles


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


def _copies(ids: Ids) -> Any:
    """For each row, how many rows before it have the same id."""
    order = np.argsort(ids, kind="stable")
    ordered = ids[order]
    starts = np.searchsorted(ordered, ordered)
    result = np.empty(len(ids), dtype=np.int64)
    result[order] = np.arange(len(ids)) - starts
    return result


def write(folder: Path, fingerprint: Fingerprint) -> None:
    """Write both files into a run folder."""
    parts = fingerprint.parts
    data = {
        "format": FORMAT,
        "digest": fingerprint.digest,
        "rows": len(fingerprint.ids),
        "known_by": fingerprint.known_by,
        "lazy": fingerprint.lazy,
        "since": fingerprint.since,
        "unit": parts.unit,
        "parts": [[name, size] for name, size in zip(parts.names, parts.sizes, strict=True)],
    }
    write_digests(folder, fingerprint)
    storage.write_json(folder / layout.DATA, digest.with_checksum(data))


def write_digests(folder: Path, fingerprint: Fingerprint) -> None:
    """Write the file of tensors: what has been read so far."""
    tensors = {
        "digests": fingerprint.parts.digests,
        "ids": torch.from_numpy(fingerprint.ids.view(np.int64)),
        "roles": torch.from_numpy(fingerprint.roles),
    }
    storage.write_file(folder / layout.DATA_ROWS, digest.with_digest(tensor_bytes(tensors)))


def read(folder: Path) -> Fingerprint | None:
    """The fingerprint in a run folder, of any author; None if there is none, as in a run of version 0.1.0. Raises
    StorageError for malformed files."""
    path = folder / layout.DATA
    try:
        data = digest.read_facts(path, MOST_JSON)
        tensors = safetensors.torch.load(digest.read_tensors(folder / layout.DATA_ROWS, MOST_TENSORS))
        return _rebuilt(data, tensors)
    except FileNotFoundError:
        return None
    except reading.Damaged as error:
        raise StorageError(str(error)) from error
    except MALFORMED as error:
        raise StorageError(f"{path.with_suffix('')}.* cannot be used: {first_line(error)}") from error


def _rebuilt(data: Any, tensors: dict[str, torch.Tensor]) -> Fingerprint:
    if data["format"] != FORMAT:
        raise ValueError(f"format {data['format']}, this trainer reads {FORMAT}")
    names, sizes = [str(name) for name, _ in data["parts"]], [int(size) for _, size in data["parts"]]
    digests, ids, roles = tensors["digests"], tensors["ids"], tensors["roles"]
    if digests.dtype != torch.int64 or ids.dtype != torch.int64 or roles.dtype != torch.int8:
        raise ValueError("its tensors are of another type")
    if digests.shape != (len(names), 2) or ids.ndim != 1 or ids.shape != roles.shape:
        raise ValueError("its tensors have other shapes")
    if data["known_by"] not in ("content", "file", "position") or type(data["lazy"]) is not bool:
        raise ValueError("it does not say how rows are known")
    parts = Parts(names, sizes, digests, str(data["unit"])[:20])
    since = reading.count(data["since"]) or 0
    return Fingerprint(parts, ids.numpy().view(np.uint64), roles.numpy(), data["known_by"], data["lazy"], since)
