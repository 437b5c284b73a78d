"""A table as splits: in memory if it fits, else by row groups."""

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import torch
from torch import Tensor

from trainer.config.schema import Config
from trainer.config.schema import Loader as LoaderConfig
from trainer.data import row_ids
from trainer.data.digests import Parts
from trainer.data.earlier import Earlier
from trainer.data.fingerprint import MOST_ROWS, Fingerprint
from trainer.data.loaders import InMemory, Loader, Workers
from trainer.data.roles import LEFT_OUT, ROLES, TRAIN
from trainer.data.row_ids import Ids
from trainer.data.scaling import TargetScaling
from trainer.data.splits import Split, Splits, keep_in_memory
from trainer.data.table import Prepared, Table
from trainer.data.tabular.chunks import Chunks
from trainer.data.tabular.parts import Part, by_source, with_roles
from trainer.data.tabular.row_groups import RowGroups
from trainer.data.tabular.rows import Rows, read_ids, read_rows, unseen_in
from trainer.data.tensors import TensorData
from trainer.errors import ConfigError

MOST = 512 * 2**20  # bytes of a Parquet table, as float64, up to which in_memory=auto reads all of it


def table_splits(
    table: Table,
    node: Mapping[str, Any],
    config: Config,
    device: torch.device,
    dtype: torch.dtype,
    earlier: Earlier | None,
    targets: TargetScaling,
) -> Splits:
    """Prepare a table and put a loader over each of its parts. Raises ConfigError.

    node: the config's keys that say how to split; earlier, targets: see make_splits.
    """
    fitted = earlier.preprocessing if earlier is not None else None
    prepared = table.prepare(node.get("val_fraction", 0.0), node.get("split_seed", 0), dtype, fitted, targets)
    targets.check(prepared.preprocessing.facts.classes)
    preprocessing, sources, notes = prepared.preprocessing, by_source(prepared.parts), list(prepared.notes)
    facts, names = preprocessing.facts, preprocessing.of_table()[1].names
    streamed = _is_streamed(table, prepared, config.loader)
    files = [file for part in sources for file in part.source.files]
    rows: list[Rows] = []
    if streamed:
        chunks = Chunks(files, names)
        fingerprint = _fingerprint(prepared, chunks.parts, _ids(prepared), lazy=True)
    else:
        rows = [read_rows(part.source, part.roles != LEFT_OUT, preprocessing) for part in sources]
        sizes = [file.stat().st_size for file in files]
        read = [part.source.digest(file) for part in sources for file in part.source.files]
        whole = Parts.of(list(map(str, files)), sizes, read)
        fingerprint = _fingerprint(prepared, whole, [some.ids for some in rows], lazy=False)
    if earlier is not None:
        notes += earlier.settle(fingerprint)
    parts = with_roles(prepared.parts, fingerprint.roles)

    def over(part: Part) -> Loader:
        if streamed:
            return RowGroups(part, preprocessing, device, dtype, chunks)
        index = next(index for index, source in enumerate(sources) if source.source is part.source)
        chosen = torch.from_numpy(part.roles[sources[index].roles != LEFT_OUT] == part.role)
        x, y, scale_x = rows[index].x[chosen], rows[index].y[chosen], preprocessing.of_table()[0].expand
        if keep_in_memory([x, y], config.loader, device)[0]:
            return InMemory(x, y, scale_x, preprocessing.y, device)
        data = TensorData(x, y, classes=facts.classes)
        return Workers(data, scale_x, preprocessing.y, device, config.loader, config.seed)

    if TRAIN not in parts:
        raise ConfigError(f"{files[0]} has no row left to train on")
    unseen = {role: unseen_in(part, preprocessing) for role, part in parts.items() if role != TRAIN}
    splits = {
        name: Split(over(parts[role]), parts[role].num_rows, unseen.get(role, ()))
        for name, role in ROLES.items()
        if role in parts
    }
    return Splits(
        name=files[0].name.partition(".")[0] or "table",
        source=files[0].name if len(table.source.files) == 1 else f"{len(table.source.files)} files",
        facts=facts,
        parts=splits,
        loader_name=splits["train"].loader.name,
        truth={},
        sample=_sample(splits["train"]),
        preprocessing=preprocessing,
        fingerprint=fingerprint,
        notes=notes,
        warnings=[*prepared.warnings, *([f"{name}: {text}"] for name, some in splits.items() for text in some.unseen)],
    )


def _ids(prepared: Prepared) -> list[Ids]:
    """The ids of the rows that are kept of each source; their positions if there are too many."""
    sources = by_source(prepared.parts)
    if sum(len(part.roles) for part in sources) > MOST_ROWS:
        return [row_ids.positions(len(part.roles), salt)[part.roles != LEFT_OUT] for salt, part in enumerate(sources)]
    return [read_ids(part.source, part.roles != LEFT_OUT, prepared.preprocessing) for part in sources]


def _fingerprint(prepared: Prepared, parts: Parts, ids: Sequence[Ids], *, lazy: bool) -> Fingerprint:
    """ids: of the rows that are kept of each source."""
    roles = np.concatenate([part.roles for part in by_source(prepared.parts)])
    every = np.zeros(len(roles), dtype=np.uint64)
    every[roles != LEFT_OUT] = np.concatenate(ids)
    return Fingerprint(parts, every, roles, "content" if len(roles) <= MOST_ROWS else "position", lazy)


def _is_streamed(table: Table, prepared: Prepared, loader: LoaderConfig) -> bool:
    if table.source.text or loader.in_memory is True:
        return False
    is_large = 8 * len(prepared.parts[TRAIN].roles) * len(table.source.names) > MOST
    if is_large and loader.num_workers > 0:
        raise ConfigError("a table that is read in parts cannot have workers", "loader.num_workers=0")
    return (loader.in_memory is False or is_large) and loader.num_workers == 0


def _sample(train: Split) -> tuple[Tensor, Tensor]:
    loader = train.loader
    if isinstance(loader, Workers):
        data: Any = loader.loader.dataset
        return loader.load((data.dataset.x[:2], data.dataset.y[:2]))
    return loader.load(next(iter(loader.fetch([torch.arange(min(2, train.num_rows))], 0))))
