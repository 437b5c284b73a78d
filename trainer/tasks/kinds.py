"""The tasks by name, and the one that the data sets."""

from collections.abc import Mapping
from typing import Any

from trainer.config import target
from trainer.data import meaning
from trainer.data.facts import Facts
from trainer.data.scaling import Scale
from trainer.tasks.classes import Classes
from trainer.tasks.input import Input
from trainer.tasks.labels import Labels
from trainer.tasks.numbers import Numbers
from trainer.tasks.pixels import Pixels
from trainer.tasks.task import Task
from trainer.tasks.tokens import Tokens

TASKS: dict[str, type[Task]] = {kind.name: kind for kind in (Classes, Numbers, Labels, Tokens, Pixels, Input, Task)}


def kind_of(name: str, own: Mapping[str, Any] | None) -> type[Task]:
    """The class of a task. name: of one of ours; own: the node of your own, see loading.own_task. Raises
    ConfigError."""
    return TASKS[name] if own is None else meaning.class_of(own)


def make(facts: Facts, scale: Scale | None, class_axis: int = 1, own: Mapping[str, Any] | None = None) -> Task:
    """The task that the data sets, or your own. own: see kind_of. Raises ConfigError."""
    kind = kind_of(facts.task, own)
    if own is None:
        return kind(facts, scale, class_axis)
    given = {"facts": facts, "scale": scale, "class_axis": class_axis}
    task: Task = target.construct(own, "dataset.task", given)
    return task
