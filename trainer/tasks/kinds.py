"""The tasks by name, and the one that the data sets."""

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


def make(facts: Facts, scale: Scale | None, class_axis: int = 1) -> Task:
    """The task that the data sets."""
    return TASKS[facts.task](facts, scale, class_axis)
