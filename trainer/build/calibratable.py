"""Whether a run with calibrate=true has something to calibrate, asked before training."""

from trainer.build.probe import Probed
from trainer.data.splits import Splits
from trainer.errors import ConfigError
from trainer.tasks.task import Task


def check(task: Task, probed: Probed, splits: Splits) -> None:
    """Raise ConfigError for a task without probabilities that a temperature is for, and for a run without validation
    rows."""
    if task.decisions(probed.fit(probed.prediction), probed.fit.target(splits.sample[1])) is None:
        own = "" if type(task).__module__.startswith("trainer.") else f" with the answer of {type(task).__name__}"
        text = f"calibrate=true is for the probabilities of classes or labels, but the targets are {task.name}{own}"
        raise ConfigError(text, "calibrate=false", "calibrate")
    if splits.val is None:
        text = "calibrate=true fits a temperature to the validation rows, but there are none"
        raise ConfigError(text, "dataset.val_fraction=0.2, or calibrate=false", "calibrate")
