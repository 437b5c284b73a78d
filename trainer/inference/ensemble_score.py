"""The metrics of an ensemble beside those of its members, on rows that none of them was trained or selected on."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np
import torch

from trainer.data.fingerprint import Fingerprint
from trainer.data.roles import TRAIN, VAL
from trainer.errors import ConfigError
from trainer.inference.ensemble import IN_UNITS, Ensemble, output_of
from trainer.inference.labelled import Labelled, OfSplits, OfTable
from trainer.inference.model import Trained
from trainer.loop import evaluate, predict
from trainer.tasks import losses, named_totals

USED = (TRAIN, VAL)


@dataclass(frozen=True)
class Member:
    """A trained model, what its run knew of its data, and what opens the rows to measure it on."""

    name: str
    trained: Trained
    known: Fingerprint | None
    open: Callable[[], Labelled]


@dataclass(frozen=True)
class Score:
    """Metrics by name of the ensemble, and of each member. rows: as the first member read them."""

    rows: Labelled
    ensemble: dict[str, float]
    members: Sequence[dict[str, float]]


@torch.no_grad()
def measure(ensemble: Ensemble, members: Sequence[Member]) -> Score:
    """Measure an ensemble and its members. Raises ConfigError for rows that a member was trained or selected on, or of
    which that cannot be told."""
    alone, first = [], None
    for member in members:
        rows = member.open()
        alone.append(evaluate(member.trained, rows, rows.split))
        _check_unseen(rows, member)
        first = first or rows
    assert first is not None  # noqa: S101 - an ensemble has members
    names = [name for name in ensemble.metrics if name in ensemble.task.modes or name in ensemble.task.more]
    totals = named_totals.begin(ensemble.task, names)
    denominator, _ = losses.denominator(ensemble.loss_fn)
    has_loss = ensemble.task.name not in IN_UNITS and losses.is_torchs(type(ensemble.loss_fn))
    given = [predict(member.trained, member.open()) for member in members]
    for number, batch in enumerate(zip(*given, strict=True)):
        outputs = [output_of(member.trained, output) for member, (_, output, _, _) in zip(members, batch, strict=True)]
        _, _, y, num_rows = batch[0]
        mean, scale = ensemble.mean(outputs), members[0].trained.task.scale
        truth = scale.inverse(y) if scale is not None and ensemble.task.name in IN_UNITS else y
        if has_loss:
            totals.add_loss(ensemble.loss_fn(mean, y), denominator(y, num_rows))
        elif number == 0:
            totals.add_loss(mean.new_zeros(()), mean.new_ones(()))
        totals.add(ensemble.fit(mean), ensemble.fit.target(truth))
    found = totals.reduce(first.split)
    shown = {name: value for name, value in found.items() if has_loss or not name.endswith("/loss")}
    return Score(first, shown, alone)


def _check_unseen(rows: Labelled, member: Member) -> None:
    """Raise ConfigError unless it is known that the run was neither trained nor selected on any of these rows."""
    count = _num_seen(rows, member.known)
    if count is None:
        text = f"whether {member.name} was trained on these rows cannot be told, so the ensemble is not measured"
        raise ConfigError(text, "dataset.path=FILE of other rows")
    if count:
        text = f"{member.name} was trained or selected on {count:,} of these {rows.num_rows:,} rows"
        raise ConfigError(f"{text}, so the ensemble would look better than it is", "dataset.path=FILE of other rows")


def _num_seen(rows: Labelled, known: Fingerprint | None) -> int | None:
    if known is None:
        return None
    used = known.ids[np.isin(known.roles, USED) & (known.ids != 0)]
    if isinstance(rows, OfTable):
        return None if known.known_by != "content" else int(np.isin(np.concatenate(rows.ids), used).sum())
    if not isinstance(rows, OfSplits):
        return None
    now = rows.splits.fingerprint
    mine = np.isin(now.roles, rows.roles)
    if not now.differences(known):
        return int(np.isin(known.roles[mine], USED).sum())
    if "position" in (known.known_by, now.known_by):
        return None
    return int(np.isin(now.ids[mine], used).sum())
