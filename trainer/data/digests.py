"""Digests of the parts of a data set, files or others, each taken while the part is read.

The digest is xxh3_128 (https://xxhash.com): it finds accidents, not forgeries.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, BinaryIO

import torch
import xxhash
from torch import Tensor

from trainer.errors import TrainerError
from trainer.text import cleaned, cut, first_few

Digest = tuple[int, int]  # 128 bits as two int64
AT_ONCE = 2**20  # bytes of a file
MOST_NAME = 200  # characters of a part in a message
UNREAD: Digest = (0, 0)  # of a part that has not been read


def of_bytes(*data: Any) -> Digest:
    """The digest of one or more bytes-like objects, as if they were one."""
    digest = xxhash.xxh3_128()
    for part in data:
        digest.update(part)
    return halves(digest)


def of_file(path: Path) -> Digest:
    """The digest of all bytes of a file."""
    with path.open("rb") as file:
        stream = Digesting(file)
        while stream.read(AT_ONCE):
            pass
        return stream.digest


def of_tensors(*tensors: Tensor) -> Digest:
    """The digest of the dtypes, shapes and bytes of tensors on the CPU."""
    digest = xxhash.xxh3_128()
    for tensor in tensors:
        digest.update(f"{tensor.dtype} {tuple(tensor.shape)} ".encode())
        digest.update(tensor.contiguous().reshape(-1).view(torch.uint8).numpy().data)
    return halves(digest)


def halves(digest: xxhash.xxh3_128) -> Digest:
    """A digest as two int64."""
    data = digest.digest()
    return int.from_bytes(data[:8], "little", signed=True), int.from_bytes(data[8:], "little", signed=True)


class Digesting:
    """A stream whose bytes are digested while they are read from beginning to end. ended: whether all of them were."""

    def __init__(self, stream: BinaryIO) -> None:
        self.stream, self.state, self.ended = stream, xxhash.xxh3_128(), False

    @property
    def digest(self) -> Digest:
        """The digest of what has been read."""
        return halves(self.state)

    def read(self, size: int = -1) -> bytes:
        """Read up to `size` bytes."""
        data = self.stream.read(size)
        self.update(data)
        return data

    def update(self, data: bytes) -> None:
        """Digest what was read; apart from `read`, so that a benchmark can time it."""
        self.state.update(data)
        self.ended = not data


@dataclass
class Parts:
    """The parts of a data set. names; sizes: in `unit`. digests: (P, 2) int64, shared with the loader's workers; zeros
    for a part that has not been read."""

    names: Sequence[str]
    sizes: Sequence[int]
    digests: Tensor
    unit: str = "bytes"

    @classmethod
    def of(
        cls, names: Sequence[str], sizes: Sequence[int], digests: Sequence[Digest] | None = None, unit: str = "bytes"
    ) -> "Parts":
        """Parts with these digests; without any, they will be read one by one."""
        tensor = torch.tensor(digests or [UNREAD] * len(names), dtype=torch.int64)
        return cls(names, sizes, tensor.reshape(len(names), 2).share_memory_(), unit)

    def expect(self, earlier: "Parts") -> None:
        """Take over the digests of an earlier run for the parts of the same name."""
        known = {name: index for index, name in enumerate(earlier.names)}
        for index, name in enumerate(self.names):
            if name in known:
                self.digests[index] = earlier.digests[known[name]]

    def is_read(self, index: int) -> bool:
        """Whether the digest of a part is known."""
        return bool(self.digests[index].any())

    def check(self, index: int, digest: Digest) -> None:
        """Note the digest of a part that was just read. Raises TrainerError if it was different before."""
        before = tuple(self.digests[index].tolist())
        if before not in (UNREAD, digest):
            raise TrainerError(f"{_some([self.names[index]])} has changed since this run first read it")
        if before != digest:
            self.digests[index] = torch.tensor(digest, dtype=torch.int64)

    def differences(self, earlier: "Parts") -> list[str]:
        """What has changed since an earlier run, in words; parts that one of them has not read are compared by name and
        size. Of a Dataset that is checked in part, other rows are checked if its length is another."""
        before = {name: index for index, name in enumerate(earlier.names)}
        new, resized, changed = list[str](), list[str](), list[str]()
        for index, (name, size) in enumerate(zip(self.names, self.sizes, strict=True)):
            if name not in before:
                new.append(name)
                continue
            old = before.pop(name)
            one, other = self.digests[index], earlier.digests[old]
            if size != earlier.sizes[old]:
                resized.append(f"{_some([name])} had {earlier.sizes[old]:,} {self.unit} and has {size:,}")
            elif bool(one.any()) and bool(other.any()) and not torch.equal(one, other):
                changed.append(name)
        if self.unit == "rows" and resized:
            new, before = [], {}
        found = (new, "new"), (list(before), "gone"), (changed, "changed")
        return resized + [
            f"{_some(names)} {'is' if len(names) == 1 else 'are'} {what}" for names, what in found if names
        ]


def _some(names: Sequence[str]) -> str:
    """The first two of some names, and how many more there are; a stranger's run may hold any names."""
    return first_few([cleaned(cut(name, MOST_NAME)) for name in names], 2)
