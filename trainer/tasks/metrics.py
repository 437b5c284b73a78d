"""The metrics that a run measures, by name."""

from collections.abc import Mapping, Sequence

from trainer.tasks.classes import OF_EACH_CLASS
from trainer.tasks.task import Task

UNEVEN = 2  # times the rows of the smallest class: with more in the largest, accuracy alone says little


def known(modes: Mapping[str, str], num_rows: int) -> list[str]:
    """Those of a task's metrics that a split of `num_rows` rows can give. A single row has no spread, and so no R²."""
    return [name for name in modes if num_rows > 1 or (num_rows == 1 and name != "r2")]


def directions(
    task: Task, own: Sequence[str], num_rows: int, terms: Sequence[str], of_terms: str, *, summed: bool
) -> dict[str, str | None]:
    """The metrics that a split of `num_rows` rows gives, each with its better direction, None where it does not say.

    own: of the task's own metrics those that are asked for; terms: of the loss; of_terms: their direction; summed:
    whether their sum is minimised. Of terms that are only looked at, one named like a metric has its direction.
    """
    if not num_rows:
        return {}
    found: dict[str, str | None] = {name: task.modes[name] for name in known(task.modes, num_rows)}
    found |= {name: task.more[name] for name in own if name not in task.modes}
    named = {one.column: one.mode for one in task.named}
    return found | named | {name: of_terms for name in terms if summed or name not in found}


def measured(
    task: str,
    modes: Mapping[str, str],
    num_rows: int,
    class_counts: Sequence[int] | None,
    monitor: str,
    asked: Sequence[str] = (),
) -> list[str]:
    """Those of `known` that a run measures: of classes, F1 and balanced accuracy only where they are uneven, or it
    monitors one of them; and those that are asked for. class_counts: training rows of each class, if known."""
    found = known(modes, num_rows)
    if task == "classes":
        needs_all = is_uneven(class_counts) or monitor.removeprefix("val/") in OF_EACH_CLASS
        found = [name for name in found if needs_all or name in asked or name not in OF_EACH_CLASS]
    return [*found, *(name for name in asked if name not in modes and num_rows)]


def is_uneven(class_counts: Sequence[int] | None) -> bool:
    """Whether accuracy alone says little. class_counts: training rows of each class, if known."""
    return class_counts is not None and max(class_counts) > UNEVEN * min(class_counts)
