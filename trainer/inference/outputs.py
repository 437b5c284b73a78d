"""A model's outputs by name: what the task says first, then each output under its path. And which axis is the rows'."""

from collections.abc import Callable, Mapping, Sequence

import torch
from torch import Tensor

from trainer.data import tree
from trainer.data.tree import Tree
from trainer.errors import ConfigError
from trainer.tasks.fit import Fit
from trainer.tasks.task import Task

FEW, MORE = 2, 3  # rows: the sizes of the two batches that show which axis is the rows'
Outputs = Mapping[str, Tensor]


def named(task: Task, fit: Fit, outputs: Tree) -> dict[str, Tensor]:
    """The task's answer under its name, then the outputs under their paths: logits, state.0. The output that is the
    answer as it stands is not there twice."""
    mine = fit(outputs)
    if not isinstance(mine, Tensor):
        return dict(tree.named(outputs))
    answer = task.answer(task.calibrated(mine))
    others = {path: leaf for path, leaf in tree.named(outputs) if path and leaf is not answer}
    return {task.result: answer} | {path: leaf for path, leaf in others.items() if path != task.result}


def row_axes(give: Callable[[Tree], Outputs], rows: Tree) -> dict[str, int | None]:
    """For each output the axis that is as long as there are rows; None where no axis is, or several are. give: the
    outputs for rows; rows: at least one, which is repeated."""
    few, more = (give(tree.mapped(lambda leaf, n=n: leaf[[0] * n], rows)) for n in (FEW, MORE))  # type: ignore[misc]
    return {name: _axis(tuple(few[name].shape), tuple(more[name].shape)) for name in few if name in more}


def _axis(few: Sequence[int], more: Sequence[int]) -> int | None:
    if len(few) != len(more):
        return None
    differ = [axis for axis, sizes in enumerate(zip(few, more, strict=True)) if sizes[0] != sizes[1]]
    return differ[0] if len(differ) == 1 and (few[differ[0]], more[differ[0]]) == (FEW, MORE) else None


def joined(parts: Sequence[Outputs], axes: Mapping[str, int | None]) -> dict[str, Tensor]:
    """The outputs of all batches, each along its axis; those without one are left out. Raises ConfigError where the
    other axes differ between batches."""
    found = dict[str, Tensor]()
    for name, axis in axes.items():
        if axis is None:
            continue
        try:
            found[name] = torch.cat([part[name] for part in parts], axis)
        except (RuntimeError, KeyError) as error:
            shapes = sorted({tuple(part[name].shape) if name in part else () for part in parts})
            text = f"the output {name} differs between batches of rows: {' and '.join(map(str, shapes[:2]))}"
            raise ConfigError(text, "pad its rows to one shape in the model") from error
    return found
