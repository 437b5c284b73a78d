"""The pairs of two groups of runs, and the interval of their difference. Reads their val_rows.safetensors."""

import math
from collections import defaultdict
from collections.abc import Mapping, Sequence
from pathlib import Path
from statistics import fmean

import numpy as np

from trainer.compare import paired, row_variance
from trainer.compare.paired import Difference
from trainer.compare.rows import Row
from trainer.disk import layout, val_rows
from trainer.disk.reading import Damaged
from trainer.disk.val_rows import ValRows

Pair = tuple[Row, Row]


def difference(first: Sequence[Row], second: Sequence[Row], metric: str) -> Difference | None:
    """The mean of first - second over the pairs of runs with the same seed and the same validation rows; None without a
    pair. metric: such as val/acc."""
    pairs = _pairs(first, second, metric)
    if not pairs:
        return None
    by_split: dict[tuple[str, ...], list[Pair]] = defaultdict(list)
    for a, b in pairs:
        by_split[a.seeds[1:]].append((a, b))
    gaps = {split: [a.metrics[metric] - b.metrics[metric] for a, b in some] for split, some in by_split.items()}
    variances = {split: _row_variance(some, metric.removeprefix("val/")) for split, some in by_split.items()}
    known = [found for found in variances.values() if found is not None]
    num_rows = sum(count for _, count in known)
    if len(by_split) == 1:
        of_rows = known[0][0] if known else None
        return paired.over_seeds(next(iter(gaps.values())), of_rows, num_rows)
    of_rows = sum(v for v, _ in known) / len(by_split) ** 2 if len(known) == len(by_split) else None
    sizes = [(a.num_val, a.num_train) for a, _ in pairs]
    ratio = fmean(val / train if val and train else 1.0 for val, train in sizes)
    return paired.over_splits(list(gaps.values()), ratio, of_rows, num_rows)


def _pairs(first: Sequence[Row], second: Sequence[Row], metric: str) -> list[Pair]:
    """Runs that ended well, by their seeds. Of several with the same seeds, the first counts."""
    found: list[Mapping[tuple[str, ...], Row]] = []
    for rows in (first, second):
        by_seeds: dict[tuple[str, ...], Row] = {}
        for row in rows:
            if row.value(metric) is not None:
                by_seeds.setdefault(row.seeds, row)
        found.append(by_seeds)
    return [(row, found[1][seeds]) for seeds, row in found[0].items() if seeds in found[1]]


def _row_variance(pairs: Sequence[Pair], name: str) -> tuple[float, int] | None:
    """(The variance of the mean difference over the rows of one split, how many there are); None where a run did not
    store its rows, they are not the same, or nothing of the metric is known a row."""
    read = [(_read(a), _read(b)) for a, b in pairs]
    known = [(a, b) for a, b in read if a is not None and b is not None]
    if len(known) < len(pairs):
        return None
    rows = known[0][0].rows
    if len(rows) < 2 or any(not np.array_equal(rows, one.rows) for both in known for one in both):
        return None
    if all(name in one.values for both in known for one in both):
        gaps = np.mean([a.values[name][0] - b.values[name][0] for a, b in known], axis=0)
        return _known(row_variance.of_mean(gaps, known[0][0].values[name][1]), len(rows))
    drawn = [(a.draws[name], b.draws[name]) for a, b in known if name in a.draws.keys() & b.draws.keys()]
    if len(drawn) < len(known) or len({part.shape for both in drawn for part in both}) > 1:
        return None
    return _known(row_variance.of_draws(drawn, len(rows)), len(rows))


def _known(found: float | None, num_rows: int) -> tuple[float, int] | None:
    return (found, num_rows) if found is not None and math.isfinite(found) else None


def _read(row: Row) -> ValRows | None:
    try:
        return val_rows.read(layout.opened(Path(row.name)))
    except Damaged:
        return None
