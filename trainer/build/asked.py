"""What a config asks to measure, tried once before training on what the model says about some rows."""

from collections.abc import Sequence

import torch

from trainer.build import calibratable
from trainer.build.probe import Probed
from trainer.config import asked_metrics
from trainer.config.schema import Config
from trainer.data import tree
from trainer.data.splits import Splits
from trainer.errors import ConfigError, described
from trainer.processes.ranks import Ranks
from trainer.tasks import metric_choice
from trainer.tasks.named_metric import Named, parts
from trainer.tasks.task import Task

ROWS = 16  # of the trial: the sample's, again and again


def choose(config: Config, task: Task, probed: Probed, splits: Splits, ranks: Ranks) -> list[str]:
    """Give the task the metrics by name that it does not measure itself. Returns the names of the others that are asked
    for. Raises ConfigError for one that is unknown, does not fit, or is named like a term of the loss, and for a
    calibration that is asked for without reason."""
    if config.calibrate:
        calibratable.check(task, probed, splits)
    if not config.metrics:
        return []
    asked = asked_metrics.read(config.metrics)
    for one in asked:
        if one.column in probed.terms:
            text = f"metrics: {one.column} is the name of a term of the loss too"
            raise ConfigError(text, "add 'as: NAME' to the metric", "metrics")
    own, task.named = metric_choice.chosen(asked, task)
    if task.named:
        _try(task.named, task, probed, splits)
        if ranks.size > 1:
            _check_ranks(task.named)
    return own


@torch.no_grad()
def _try(named: Sequence[Named], task: Task, probed: Probed, splits: Splits) -> None:
    """Compute each metric once. Raises ConfigError for one that fails, or gives more than one number."""
    output, y = probed.fit(probed.prediction), probed.fit.target(splits.sample[1])
    answer, truth = task.for_metrics(tree.cycled(output, ROWS), tree.cycled(y, ROWS))
    for one in named:
        try:
            one.update(answer, truth)
            one.result()
        except Exception as error:
            shapes = f"outputs {tree.described(answer)} and targets {tree.described(truth)}"
            text = f"metrics: {one.column} does not fit {shapes}: {described(error)}"
            raise ConfigError(text, "leave it out of metrics=[…]", "metrics") from error
        one.metric.reset()


def _check_ranks(named: Sequence[Named]) -> None:
    """Raise ConfigError for a metric whose state is a mean over batches: over uneven ranks it would be another."""
    from torchmetrics.utilities import dim_zero_mean

    for one in named:
        for part in parts(one.metric):
            if state := next((name for name, how in part._reductions.items() if how is dim_zero_mean), None):
                text = f"metrics: {one.column} averages its state '{state}' over processes, whatever rows each has"
                raise ConfigError(text, "nproc=1, or a state that is a sum", "metrics")
