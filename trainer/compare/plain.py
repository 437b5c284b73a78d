"""Rankings as plain data, for JSON."""

import json
from collections.abc import Sequence
from typing import Any

from trainer.compare.paired import Difference
from trainer.compare.ranking import Ranking
from trainer.compare.rows import Row
from trainer.disk.json_text import finite
from trainer.disk.summary import UNREADABLE


def as_data(rankings: Sequence[Ranking]) -> dict[str, Any]:
    """The rankings as plain JSON data; missing numbers are null. `groups` holds those of all rankings, each with its
    place in `rankings`; the metric, mode and shares beside it are those of the first."""
    first = rankings[0]
    groups = [
        {
            "rank": index + 1 if index < ranking.num_ranked else None,
            "ranking": number,
            "data": ranking.data,
            "settings": group.settings,
            "mean": finite(group.mean),
            "std": finite(group.std),
            "interval": list(group.interval) if group.interval is not None else None,
            "n": len(group.values),
            "num_val": group.num_rows,
            "fraction": group.fraction,
            "num_train": group.num_train,
            "values": group.values,
            "test": group.test,
            "within_noise_of_best": ranking.within_noise(group),
            "difference_from_best": _difference(ranking.gaps.get(index)),
            "runs": [_row(row) for row in group.rows],
        }
        for number, ranking in enumerate(rankings)
        for index, group in enumerate(ranking.groups)
    ]
    head = {"metric": first.metric, "mode": first.mode, "share_of_variance": first.shares}
    return head | {"rankings": [_head(ranking) for ranking in rankings], "groups": groups}


def json_text(rankings: Sequence[Ranking], rows: Sequence[Row] = ()) -> str:
    """The rankings as JSON text, see `as_data`; with those of the runs that are unreadable."""
    damaged = [_row(row) for row in rows if row.unreadable]
    return json.dumps(as_data(rankings) | {UNREADABLE: damaged}, indent=2, allow_nan=False)


def _head(ranking: Ranking) -> dict[str, Any]:
    best = ranking.best.name if ranking.best is not None else None
    return {
        "data": ranking.data,
        "metric": ranking.metric,
        "mode": ranking.mode,
        "share_of_variance": ranking.shares,
        "best": best,
        "is_learning_curve": bool(ranking.curves),
    }


def _difference(gap: Difference | None) -> dict[str, Any] | None:
    if gap is None:
        return None
    return {"mean": gap.mean, "half_of_95": gap.half, "seeds": gap.seeds, "splits": gap.splits, "rows": gap.rows}


def _row(row: Row) -> dict[str, Any]:
    return {
        "run": row.name,
        "settings": row.settings,
        "status": row.status,
        "metrics": {name: finite(value) for name, value in row.metrics.items()},
        "test": {name: finite(value) for name, value in row.test.items()},
        "steps": row.steps,
        "seconds": round(row.seconds, 3),
        "error": row.error,
    }
