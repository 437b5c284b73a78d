"""Several trained models that answer as one: the mean of their probabilities, or of numbers in the data's units."""

import copy
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

import torch
from torch import Tensor

from trainer.data.tree import Tree
from trainer.errors import ConfigError
from trainer.inference import means
from trainer.inference.model import Trained
from trainer.inference.rows import Unlabelled, open_rows
from trainer.tasks.calls import picked
from trainer.tasks.fit import Fit
from trainer.text import listed

IN_UNITS = ("numbers", "input")  # tasks whose members answer in the units of the data, each by its own scale


@dataclass
class Ensemble(Trained):
    """The members in the place of one model. Raw rows are a tuple with those of each member, since each has fitted its
    own preprocessing. Its outputs are in the data's units for numbers, else logits whose probabilities are the mean."""

    members: Sequence[Trained] = field(default_factory=list)

    @torch.no_grad()
    def outputs(self, raw: Tree, batch: int = 0) -> Tree:
        """See Trained.outputs. raw: a tuple of rows, for each member."""
        found = [output_of(member, member.outputs(rows, batch)) for member, rows in zip(self.members, raw, strict=True)]
        return self.mean(found)

    def mean(self, outputs: Sequence[Tensor]) -> Tensor:
        """The mean of what output_of gives for each member."""
        return means.mean(self.task.name, list(outputs), self.fit.class_axis)

    def open(self, path: str, node: Mapping[str, Any], size: int, *, typed: bool) -> Unlabelled:
        """The rows at a path, as each member reads them, see open_rows."""
        opened = [open_rows(path, member.preprocessing, node, size, typed=typed) for member in self.members]
        return replace(opened[0], batches=_together(opened))


def output_of(member: Trained, output: Tree) -> Tensor:
    """What a member gives, in the form in which members are averaged."""
    mine: Tensor = picked(output, member.fit.path)
    return member.task.answer(mine) if member.task.name in IN_UNITS else member.task.calibrated(mine)


def _together(opened: Sequence[Unlabelled]) -> Iterator[tuple[Mapping[str, Any], Tree]]:
    for batches in zip(*(rows.batches for rows in opened), strict=True):
        yield batches[0][0], tuple(raw for _, raw in batches)


@dataclass
class Alike(Ensemble):
    """An ensemble whose members take the same raw rows, as an exported file does."""

    def outputs(self, raw: Tree, batch: int = 0) -> Tree:
        return super().outputs((raw,) * len(self.members), batch)


def alike(made: Ensemble, names: Sequence[str]) -> Alike:
    """The ensemble as one model of raw rows. names: of the members' runs. Raises ConfigError where members encode the
    columns of a table differently, as folds do that have met other categories."""
    first = _encoding(made)
    for member, name in zip(made.members, names, strict=True):
        if _encoding(member) != first:
            text = f"{names[0]} and {name} encode the columns of their table differently, so one file cannot hold both"
            raise ConfigError(text, "trainer predict SWEEP INPUT --top K")
    return Alike(**vars(made))


def _encoding(member: Trained) -> object:
    """How a model's table becomes inputs, without what only warnings say of the training rows."""
    table = member.preprocessing.table
    if table is None:
        return None
    return replace(table, columns=[replace(column, low=None, high=None, rare=frozenset()) for column in table.columns])


def ensemble(members: Sequence[Trained], names: Sequence[str]) -> Ensemble:
    """The ensemble of trained models. names: of their runs, for messages. Raises ConfigError for models that do not
    predict the same, or whose predictions have no mean."""
    first = members[0]
    if first.task.name not in means.MEANS:
        text = f"an ensemble averages probabilities or numbers, but {names[0]} predicts neither"
        raise ConfigError(text, f"trainer predict {names[0]} INPUT")
    for member, name in zip(members, names, strict=True):
        if (other := _predicts(member)) != (mine := _predicts(first)):
            text = f"{names[0]} and {name} predict different things: {mine} and {other}"
            raise ConfigError(text, "runs of one data and target; or one of them")
    made = Ensemble(**vars(first), members=members)
    made.fit, made.task = Fit((), first.fit.class_axis, first.fit.shift), copy.copy(first.task)
    made.task.temperature = None
    if first.task.name in IN_UNITS:
        made.task.scale = None
    return made


def _predicts(member: Trained) -> str:
    """What a model predicts, in words."""
    facts, table = member.facts, member.preprocessing.table
    targets = f" of {', '.join(table.targets)}" if table is not None else ""
    classes = f" {listed(facts.classes)}" if facts.classes else f" ({facts.num_outputs})"
    return f"{facts.task}{targets}{classes}"
