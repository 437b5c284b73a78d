"""What the model uses: how much a run's metric gets worse when the values of one column are shuffled.

This is permutation importance (Breiman 2001, "Random Forests", section 10), on validation rows, with the kept weights.
Columns that say the same share it: without the one, the model still has the other.
"""

import copy
import math
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import suppress
from pathlib import Path
from statistics import fmean, stdev

import torch
from torch import Tensor

from trainer.compare.interval import student
from trainer.data import seeds
from trainer.data.preprocessing import Preprocessing
from trainer.data.splits import Splits
from trainer.disk import importance
from trainer.disk.importance import ColumnImportance, Importance
from trainer.errors import ConfigError, TrainerError
from trainer.loop import evaluate
from trainer.processes import signals
from trainer.processes.ranks import Ranks
from trainer.run import val_rows
from trainer.state import TrainState
from trainer.stopping import MODES
from trainer.tasks.measurable import Measurable
from trainer.text import counted, cut

NUM_SHUFFLES = 10  # of each column
MOST_QUICK = 500_000  # forward rows (rows × columns × shuffles) that a run spends on it at its end


def keep(run: TrainState, splits: Splits, folder: Path) -> None:
    """At the end of a run on a table: write importance.json, if few enough forward rows tell."""
    val, table = run.val_batches, splits.preprocessing.table
    if val is None or table is None or val.num_rows * len(table.columns) * NUM_SHUFFLES > MOST_QUICK:
        return
    alone, stopping, found = copy.copy(run), run.stopping, None
    alone.ranks = Ranks()  # the other processes are done
    with suppress(TrainerError, signals.Stop):  # a single row, a metric that is undefined; the run is finished
        found = measure(alone, splits, stopping.monitor, stopping.modes, run.seed, val.batch_size)
    if found is not None:
        importance.write(folder, found)


def measure(
    run: Measurable,
    splits: Splits,
    monitor: str,
    modes: Mapping[str, str],
    seed: int,
    size: int,
    say: Callable[[str], object] = lambda text: None,
) -> Importance:
    """The importance of each column on the validation rows, or on those that val_rows keeps of them.

    monitor: the metric that the run monitored; modes: the better direction of each; size: rows at once; say: shows how
    far it is. Raises ConfigError for a run without a table or validation rows, and for a metric that is undefined on
    these rows.
    """
    val, columns = splits.val, columns_of(splits.preprocessing)
    if val is None or val.num_rows < 2:
        held_back = counted(splits.num_rows("val"), "row")
        text = f"columns are shuffled among validation rows, and this run has {held_back} of them"
        raise ConfigError(text, "train with dataset.val_fraction=0.2")
    metric = metric_of(run, monitor)
    mode = modes.get(metric) or MODES.get(metric.removeprefix("val/"), "min")
    places = val_rows.chosen(val.num_rows, splits.fingerprint)
    batches = [(x, y) for x, y, _ in val_rows.batches(val, places, size)]
    x, y = (torch.cat(parts) for parts in zip(*batches, strict=True))
    score, found = scorer(run, y, size, metric), list[ColumnImportance]()
    whole = score(x)
    if not math.isfinite(whole):
        raise ConfigError(f"{metric} is undefined on these {len(x):,} rows", "monitor another metric")
    for number, (name, inputs) in enumerate(columns):
        say(f"shuffling {cut(name, 40)}, column {number + 1:,} of {len(columns):,}")
        positions = [("importance", number, shuffle) for shuffle in range(NUM_SHUFFLES)]
        orders = (seeds.permutation(len(x), seeds.derive(seed, *position)) for position in positions)
        values = [whole - value if mode == "max" else value - whole for value in scores(score, x, inputs, orders)]
        reach = student(len(values) - 1) * stdev(values) / math.sqrt(len(values))
        found.append(ColumnImportance(name, fmean(values), reach))
    found.sort(key=lambda column: (math.isnan(column.mean), -column.mean))
    return Importance(metric, mode, whole, len(x), NUM_SHUFFLES, found)


def scorer(run: Measurable, y: Tensor, size: int, metric: str) -> Callable[[Tensor], float]:
    """What gives the metric for inputs (N, inputs), ready for the model. y: their targets; size: rows at once."""

    def score(x: Tensor) -> float:
        batches = ((x, y, len(x)) for x, y in zip(x.split(size), y.split(size), strict=True))
        return evaluate(run, batches, "val")[metric]

    return score


def scores(
    score: Callable[[Tensor], float], x: Tensor, inputs: Sequence[int], orders: Iterable[Tensor]
) -> Iterator[float]:
    """The score for each order of a column's values. inputs: those that the column becomes, which move together;
    orders: permutations of the rows, int64 (N,)."""
    shuffled = x.clone()
    for order in orders:
        shuffled[:, inputs] = x[:, inputs][order.to(x.device)]
        yield score(shuffled)


def columns_of(prepared: Preprocessing) -> list[tuple[str, list[int]]]:
    """(Name, the model's inputs that it becomes) of each column. Raises ConfigError for a run without a table."""
    inputs, table = prepared.of_table()
    return list(zip((column.name for column in table.columns), inputs.expand.places(), strict=True))


def metric_of(run: Measurable, monitor: str) -> str:
    """The metric that is told: the monitored one, or the task's own where that is not of validation rows. For numbers
    R² takes the place of the loss, which has no units that anybody knows."""
    known = {"loss", *run.metrics, *run.terms, *(named.column for named in run.task.named)}
    name = monitor.removeprefix("val/")
    name = name if name in known else run.task.monitor
    return "val/r2" if name == "loss" and "r2" in run.metrics else f"val/{name}"
