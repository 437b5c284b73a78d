"""The parts of Parquet files that a run reads: the footer of each, and the column chunks of each row group."""

from collections.abc import Collection, Iterator, Sequence
from pathlib import Path
from typing import Any

from trainer.data import digests
from trainer.data.digests import Digest, Parts
from trainer.data.tabular.source import open_parquet


class Chunks:
    """Digests of some columns of Parquet files: of the footers at once, of a row group when `check` is called.

    names: of the columns. parts: each file, followed by its row groups.
    """

    def __init__(self, files: Sequence[Path], names: Collection[str]) -> None:
        entries: list[tuple[str, int, Digest]] = []
        self.groups: dict[tuple[Path, int], tuple[int, list[tuple[int, int]]]] = {}  # number of the part, its places
        for file in files:
            entries.append((str(file), file.stat().st_size, digests.of_bytes(_footer(file))))
            for group, places in enumerate(_groups(file, names)):
                self.groups[file, group] = len(entries), places
                entries.append((f"{file} row group {group}", sum(size for _, size in places), digests.UNREAD))
        titles, sizes, found = zip(*entries, strict=True)
        self.parts = Parts.of(titles, sizes, found)

    def digest_rest(self) -> None:
        """Digest now the row groups that have not been read."""
        for (file, group), (number, _) in self.groups.items():
            if not self.parts.is_read(number):
                self.check(file, group)

    def check(self, file: Path, group: int) -> None:
        """Note the digest of a row group. Raises TrainerError if it was different before."""
        number, places = self.groups[file, group]
        with file.open("rb") as stream:

            def read(place: tuple[int, int]) -> bytes:
                stream.seek(place[0])
                return stream.read(place[1])

            self.parts.check(number, digests.of_bytes(*map(read, places)))


def _groups(file: Path, names: Collection[str]) -> Iterator[list[tuple[int, int]]]:
    """(offset, size) of the column chunks of each row group, in bytes."""
    metadata: Any = open_parquet(file).metadata
    for group in map(metadata.row_group, range(metadata.num_row_groups)):
        chunks = [chunk for chunk in map(group.column, range(group.num_columns)) if chunk.path_in_schema in names]
        yield [(c.dictionary_page_offset or c.data_page_offset, c.total_compressed_size) for c in chunks]


def _footer(file: Path) -> bytes:
    """The metadata at the end of a file: before PAR1 and its own length in 4 bytes."""
    with file.open("rb") as stream:
        stream.seek(-8, 2)
        length = int.from_bytes(stream.read(4), "little")
        stream.seek(-8 - length, 2)
        return stream.read(length)
