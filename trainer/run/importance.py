"""What the model uses: how much a run's metric gets worse when the values of one column are shuffled.

This is permutation importance (Breiman 2001, "Random Forests", section 10), on validation rows, with the kept weights.
Columns that say the same share it: without the one, the model still has the other.
"""

import copy
import math
from collections.abc import Callable, Mapping, Sequence
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
from trainer.errors import ConfigError
from trainer.loop import evaluate
from trainer.processes import signals
from trainer.processes.ranks import Ranks
from trainer.run import val_rows
from trainer.state import Measurable, TrainState
from trainer.stopping import MODES
from trainer.text import counted

NUM_SHUFFLES = 10  # of each column
MOST_QUICK = 500_000  # forward rows (rows × columns × shuffles) that a run spends on it at its end

Permutation = Callable[[int, int], Tensor]  # of rows, by the number of a column and of a shuffle


def keep(run: TrainState, splits: Splits, folder: Path) -> None:
    """At the end of a run on a table: write importance.json, if few enough forward rows tell."""
    val, table = run.val_batches, splits.preprocessing.table
    if val is None or table is None or val.num_rows * len(table.columns) * NUM_SHUFFLES > MOST_QUICK:
        return
    alone = copy.copy(run)
    alone.ranks = Ranks()  # the other processes are done
    with suppress(ConfigError, signals.Stop):  # a single row, a metric that is undefined; the run is finished
        found = measure(alone, splits, run.stopping.monitor, run.stopping.modes, run.seed, val.batch_size)
        importance.write(folder, found)


def measure(
    run: Measurable, splits: Splits, monitor: str, modes: Mapping[str, str], seed: int, size: int
) -> Importance:
    """The importance of each column on the validation rows, or on those that val_rows keeps of them.

    monitor: the metric that the run monitored; modes: the better direction of each; size: rows at once. Raises
    ConfigError for a run without a table or validation rows, and for a metric that is undefined on these rows.
    """
    val, columns = splits.val, columns_of(splits.preprocessing)
    if val is None or val.num_rows < 2:
        held_back = counted(splits.num_rows("val"), "row")
        text = f"columns are shuffled among validation rows, and this run has {held_back} of them"
        raise ConfigError(text, "trainer train dataset.val_fraction=0.2 with what you typed")
    metric = metric_of(run, monitor)
    mode = modes.get(metric) or MODES.get(metric.removeprefix("val/"), "min")
    places = val_rows.chosen(val.num_rows, splits.fingerprint)
    batches = [(x, y) for x, y, _ in val_rows.batches(val, places, size)]
    x, y = (torch.cat(parts) for parts in zip(*batches, strict=True))

    def permutation(column: int, number: int) -> Tensor:
        return seeds.permutation(len(x), seeds.derive(seed, "importance", column, number))

    score, found = drops(run, x, y, size, [inputs for _, inputs in columns], metric, mode, permutation)
    if not math.isfinite(score):
        raise ConfigError(f"{metric} is undefined on these {len(x):,} rows", "monitor another metric")
    each = [ColumnImportance(name, *_mean(values)) for (name, _), values in zip(columns, found, strict=True)]
    ordered = sorted(each, key=lambda column: (math.isnan(column.mean), -column.mean))
    return Importance(metric, mode, score, len(x), NUM_SHUFFLES, ordered)


def drops(
    run: Measurable,
    x: Tensor,
    y: Tensor,
    size: int,
    columns: Sequence[Sequence[int]],
    metric: str,
    mode: str,
    permutation: Permutation,
) -> tuple[float, list[list[float]]]:
    """(The metric on the rows as they are; for each column, by how much each shuffle makes it worse.)

    x: (N, inputs), ready for the model; y: its targets; size: rows at once; columns: the inputs that each is made into,
    which move together; permutation: int64 (N,).
    """

    def score(x: Tensor) -> float:
        batches = ((x, y, len(x)) for x, y in zip(x.split(size), y.split(size), strict=True))
        return evaluate(run, batches, "val")[metric]

    whole, sign, found = score(x), 1 if mode == "max" else -1, []
    for column, inputs in enumerate(columns):
        shuffled, values = x.clone(), []
        for number in range(NUM_SHUFFLES):
            shuffled[:, inputs] = x[:, inputs][permutation(column, number).to(x.device)]
            values.append(sign * (whole - score(shuffled)))
        found.append(values)
    return whole, found


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


def _mean(values: Sequence[float]) -> tuple[float, float]:
    """The mean, and the reach of its 95% interval by Student's t."""
    return fmean(values), student(len(values) - 1) * stdev(values) / math.sqrt(len(values))
