"""A table as splits: in memory if it fits, else by row groups."""

from collections.abc import Callable, Mapping, Sequence
from typing import Any

import numpy as np
import torch
from torch import Tensor

from trainer.config.schema import Config
from trainer.config.schema import Loader as LoaderConfig
from trainer.data import labels, row_ids
from trainer.data.digests import Parts
from trainer.data.earlier import Earlier
from trainer.data.fingerprint import MOST_ROWS, Fingerprint
from trainer.data.loaders import InMemory, Loader
from trainer.data.parts import Part, owners, roles_of, with_roles
from trainer.data.roles import LEFT_OUT, ROLES, TRAIN
from trainer.data.row_ids import Ids
from trainer.data.splits import Split, Splits, keep_in_memory
from trainer.data.table import Prepared, Table
from trainer.data.tabular.chunks import Chunks
from trainer.data.tabular.row_groups import RowGroups
from trainer.data.tabular.rows import read_ids, read_rows
from trainer.data.tabular.source import Source
from trainer.data.tabular.unseen import Unseen
from trainer.data.target_scaling import TargetScaling
from trainer.data.tensors import TensorData
from trainer.data.workers import Batch, Workers
from trainer.errors import ConfigError
from trainer.text import counted

MakeLoader = Callable[[Part[Source]], Loader]

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
    prepared = table.prepare(node, dtype, fitted, targets, labels.ignored(config.loss))
    targets.check(prepared.preprocessing.facts.task)
    preprocessing, notes, files = prepared.preprocessing, list(prepared.notes), table.source.files
    opened, unseen = _streamed if _is_streamed(table, prepared, config.loader) else _in_memory, Unseen()
    fingerprint, over = opened(prepared, config, device, dtype, unseen)
    if earlier is None or earlier.if_changed != "measure":  # which reads them again, for what training did not have
        for part in owners(prepared.parts):
            part.data.forget()
    if earlier is not None:
        groups = prepared.groups
        if groups is not None:  # rows of other files are not split
            groups = np.pad(groups, (0, len(fingerprint.ids) - len(groups)), constant_values=-1)
        notes += earlier.settle(fingerprint, groups)
    parts = with_roles(prepared.parts, fingerprint.roles)
    if TRAIN not in parts:
        raise ConfigError(f"{files[0]} has no row left to train on")
    splits = {name: Split(over(parts[role]), parts[role]) for name, role in ROLES.items() if role in parts}
    return Splits(
        name=files[0].name.partition(".")[0] or "table",
        source=files[0].name if len(files) == 1 else counted(len(files), "file"),
        facts=preprocessing.facts,
        parts=splits,
        loader_name=splits["train"].loader.name,
        num_workers=config.loader.workers,
        truth={},
        sample=_sample(splits["train"]),
        device=device,
        preprocessing=preprocessing,
        fingerprint=fingerprint,
        notes=notes,
        warnings=[*prepared.warnings, *([text] for text in unseen.warnings())],
    )


def _streamed(
    prepared: Prepared, config: Config, device: torch.device, dtype: torch.dtype, unseen: Unseen
) -> tuple[Fingerprint, MakeLoader]:
    """Parquet whose row groups are read and compared when they are needed."""
    preprocessing, sources = prepared.preprocessing, owners(prepared.parts)
    chunks = Chunks([file for part in sources for file in part.data.files], preprocessing.of_table()[1].names)
    if sum(len(part.roles) for part in sources) > MOST_ROWS:
        ids = [row_ids.positions(len(part.roles), salt)[part.roles != LEFT_OUT] for salt, part in enumerate(sources)]
    else:
        ids = [read_ids(part.data, part.roles != LEFT_OUT, preprocessing, unseen) for part in sources]
    fingerprint = _fingerprint(prepared, chunks.parts, ids, lazy=True)
    fingerprint.read_rest = chunks.digest_rest
    return fingerprint, lambda part: RowGroups(part, preprocessing, device, dtype, chunks)


def _in_memory(
    prepared: Prepared, config: Config, device: torch.device, dtype: torch.dtype, unseen: Unseen
) -> tuple[Fingerprint, MakeLoader]:
    """A table whose rows are all read now."""
    preprocessing, sources = prepared.preprocessing, owners(prepared.parts)
    rows = {part.data: read_rows(part.data, part.roles != LEFT_OUT, preprocessing, unseen) for part in sources}
    files = [(source, file) for source in rows for file in source.files]
    sizes = [source.size(file) for source, file in files]
    whole = Parts.of([str(file) for _, file in files], sizes, [source.digest(file) for source, file in files])

    def over(part: Part[Source]) -> Loader:
        mine = rows[part.data]
        chosen = torch.from_numpy(part.roles[mine.keep] == part.role)
        x, y, scale_x = mine.x[chosen], mine.y[chosen], preprocessing.of_table()[0].expand
        if keep_in_memory([x, y], config.loader, device)[0]:
            return InMemory(x, y, scale_x, preprocessing.y, device)
        data = TensorData(x, y, meaning=preprocessing.facts.meaning)
        return Workers(data, data.collate, scale_x, preprocessing.y, device, config.loader, config.seed)

    return _fingerprint(prepared, whole, [some.ids for some in rows.values()], lazy=False), over


def _fingerprint(prepared: Prepared, parts: Parts, ids: Sequence[Ids], *, lazy: bool) -> Fingerprint:
    """ids: of the rows that are kept of each source."""
    roles = roles_of(prepared.parts)
    every = np.zeros(len(roles), dtype=np.uint64)
    every[roles != LEFT_OUT] = np.concatenate(ids)
    return Fingerprint(parts, every, roles, "content" if len(roles) <= MOST_ROWS else "position", lazy)


def _is_streamed(table: Table, prepared: Prepared, loader: LoaderConfig) -> bool:
    if table.source.text or table.source.in_memory or loader.in_memory is True:
        return False
    is_large = 8 * len(prepared.parts[TRAIN].roles) * len(table.source.names) > MOST
    if is_large and loader.workers > 0:
        raise ConfigError("a table that is read in parts cannot have workers", "loader.num_workers=0")
    return (loader.in_memory is False or is_large) and loader.workers == 0


def _sample(train: Split) -> tuple[Tensor, Tensor]:
    loader = train.loader
    if isinstance(loader, Workers):
        data: Any = loader.loader.dataset
        return loader.load(Batch(data.dataset.x[:2], data.dataset.y[:2], 2))
    return loader.load(next(iter(loader.fetch([torch.arange(min(2, train.num_rows))], 0))))
