"""Preprocessing, model and postprocessing as one module, from raw values to predictions."""

import copy
import inspect
from collections.abc import Callable, Mapping
from typing import Any

import torch
from torch import Tensor, nn

from trainer.data import tree
from trainer.data.facts import Spec
from trainer.data.preprocessing import Preprocessing
from trainer.data.tree import Tree
from trainer.inference import outputs
from trainer.inference.ensemble import Ensemble
from trainer.inference.model import Trained
from trainer.tasks import calls


class Whole(nn.Module):
    """Takes raw rows as likely_rows gives them, with categories as their index and NaN for missing values. Returns
    what the task says, probabilities, or numbers in the units of the data; if there are several outputs, a dict.

    names: of the outputs in the file, by those that outputs.named gives; None is the answer alone.
    """

    def __init__(self, trained: Trained, names: Mapping[str, str] | None = None) -> None:
        super().__init__()
        prepared = trained.preprocessing
        self.inputs, self.model, self.outputs = prepared.x, trained.model, copy.deepcopy(prepared.of_answers)
        self.task, self.fit, self.dtype = copy.copy(trained.task), trained.fit, trained.dtype
        self.task.scale = self.outputs
        self.names = names or {self.task.result: self.task.result}

    def forward(self, x: Tensor) -> Tensor | dict[str, Tensor]:
        return self.answers(x)

    def answers(self, x: Tree) -> Tensor | dict[str, Tensor]:
        """The outputs for a tree of inputs."""
        x = self.inputs(x)
        output = calls.of_outputs(calls.of_model(self.model, x))(x)
        if any(leaf.dtype != self.dtype for leaf in tree.leaves(output)):
            output = tree.cast(output, self.dtype)
        found = outputs.named(self.task, self.fit, output)
        chosen = {name: found[key] for key, name in self.names.items()}
        return chosen if len(chosen) > 1 else next(iter(chosen.values()))


class Together(Whole):
    """The mean of what the members of an ensemble answer: probabilities, or numbers in the units of the data."""

    def __init__(self, trained: Ensemble, names: Mapping[str, str] | None = None) -> None:
        super().__init__(trained.members[0], names)
        self.members = nn.ModuleList(Whole(member) for member in trained.members)

    def answers(self, x: Tree) -> Tensor | dict[str, Tensor]:
        found = [member.answers(x) for member in self.members]  # type: ignore[operator]
        return torch.stack(found).mean(0)


def make_whole(trained: Trained, names: Mapping[str, str]) -> Whole:
    """A Whole that is called as the model is: with a tensor, with several, or with tensors by name."""
    specs = trained.facts.inputs
    kind: type[Whole] = Together if isinstance(trained, Ensemble) else Whole
    if not isinstance(specs, Spec):
        kind = type("Whole", (kind,), {"forward": _forward(parameters(specs))})
    return kind(trained, names).eval()


def _forward(names: list[str]) -> Callable[..., Any]:
    """A forward with named parameters, as torch.export and its users need it."""

    def forward(self: Whole, *args: Tree, **kwargs: Tree) -> Any:
        return self.answers(kwargs or args)

    kind = inspect.Parameter.POSITIONAL_OR_KEYWORD
    signature = inspect.Signature([inspect.Parameter(name, kind) for name in ("self", *names)])
    forward.__signature__ = signature  # type: ignore[attr-defined]
    return forward


def parameters(specs: Tree) -> list[str]:
    """The names of a Whole's parameters."""
    if isinstance(specs, Spec):
        return ["x"]
    return list(specs) if isinstance(specs, dict) else [f"x{place}" for place in range(len(specs))]


def arguments(x: Tree) -> tuple[tuple[Any, ...], dict[str, Any]]:
    """(Positional arguments, arguments by name) of a call with an input."""
    if isinstance(x, dict):
        return (), x
    return x if isinstance(x, tuple) else (x,), {}


def input_dtype(prepared: Preprocessing) -> torch.dtype:
    """The dtype of raw rows that go into an exported model: float64 where they are standardised, so that no digit is
    lost before their offset is taken off; the model's where they are not; uint8 for pictures."""
    if prepared.pictures is not None:
        return torch.uint8
    return prepared.x.dtype if prepared.x.mean_and_std is None else torch.float64
