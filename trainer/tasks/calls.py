"""How a run calls its model and its loss. Chosen once, from a first batch, so that the loop has one line for each."""

import dataclasses
import inspect
from collections.abc import Callable, Mapping, Sequence
from typing import Any

import torch
from torch import Tensor, nn

from trainer.data.preprocessing import TERM
from trainer.data.tree import Tree
from trainer.errors import ConfigError, TrainerError

Call = Callable[[Tree], Tree]
Loss = Callable[[Tree, Tree, Tree], Tensor]  # prediction, target, input -> 0-dim, or (1 + terms,)
INPUTS = "inputs"  # the parameter of a loss's forward that asks for the batch's input
LOSS = "loss"  # the term that is minimised, if a loss gives it; else their sum is


def of_model(module: Callable[..., Any], x: Tree) -> Call:
    """The model as a function of a batch's input: a tuple is unpacked, a dict gives arguments by name. x: an input like
    those to come."""
    if isinstance(x, Tensor):
        return module
    if isinstance(x, Mapping):
        return lambda x: module(**x)
    return lambda x: module(*x)


def plain(output: Any) -> Tree:
    """An output as a tree: an object with fields, as Hugging Face's models return, becomes a dict of its tensors; what
    is no tensor, such as a cache, is left out. Raises ConfigError for an output without any."""
    found = _tensors_of(output)
    if found is None:
        raise ConfigError(f"the model returns a {type(output).__name__}, not a tensor, or a tuple or dict of tensors")
    return found


def _tensors_of(output: Any) -> Tree:
    """The tensors in an output; None if there are none. Tuples keep their length."""
    if isinstance(output, Tensor):
        return output
    if isinstance(output, (tuple, list)) and not hasattr(output, "_fields"):
        parts = tuple(map(_tensors_of, output))
        return parts if any(part is not None for part in parts) else None
    if isinstance(output, Mapping):
        fields = {str(key): value for key, value in output.items()}
    elif isinstance(output, tuple):
        fields = output._asdict()  # type: ignore[attr-defined]
    elif dataclasses.is_dataclass(output) and not isinstance(output, type):
        fields = {field.name: getattr(output, field.name) for field in dataclasses.fields(output)}
    else:
        return None
    return {name: found for name, value in fields.items() if (found := _tensors_of(value)) is not None} or None


def of_outputs(call: Call) -> Call:
    """The same call, whose outputs are trees whatever the model returns."""

    def tree_of(x: Tree) -> Tree:
        output = call(x)
        return output if isinstance(output, Tensor) else plain(output)

    return tree_of


def is_plain(output: Any) -> bool:
    """Whether an output is a tree as it is, as plain would make it."""
    if type(output) is dict:
        return all(isinstance(name, str) and is_plain(part) for name, part in output.items())
    if type(output) is tuple:
        return all(map(is_plain, output))
    return isinstance(output, Tensor)


def takes_inputs(loss_fn: nn.Module) -> bool:
    """Whether a loss asks for the batch's input: its forward has a parameter `inputs` after the first two. (Many losses
    call the prediction so.)"""
    parameters = list(inspect.signature(loss_fn.forward).parameters.values())
    return any(p.name == INPUTS and (n > 1 or p.kind is p.KEYWORD_ONLY) for n, p in enumerate(parameters))


def unknown_argument(loss_fn: nn.Module) -> str | None:
    """What to do about a further parameter that a loss needs and nobody gives; None where it has none."""
    needed = [p for p in inspect.signature(loss_fn.forward).parameters.values() if p.default is p.empty]
    extra = [p.name for p in needed if p.kind in (p.POSITIONAL_OR_KEYWORD, p.KEYWORD_ONLY)][2:]
    if not (extra := [name for name in extra if name != INPUTS]):
        return None
    name = "" if takes_inputs(loss_fn) else f"call the parameter {extra[0]} {INPUTS}, or "
    return f"a loss gets (prediction, target, {INPUTS}): {name}give {extra[0]} a default"


def of_loss(loss_fn: nn.Module, path: Sequence[Any], terms: Sequence[str] = (), *, is_flat: bool = False) -> Loss:
    """The loss as a function of (prediction, target, input). path: to the output that it takes, () for all of it;
    terms: the names of those that it returns beside what is minimised; is_flat: whether it may return (1,), or a dict
    of nothing else."""
    plain_call: Loss = lambda prediction, y, x: loss_fn(prediction, y)  # noqa: E731
    if takes_inputs(loss_fn):
        plain_call = lambda prediction, y, x: loss_fn(prediction, y, inputs=x)  # noqa: E731
    elif path:
        plain_call = lambda prediction, y, x: loss_fn(picked(prediction, path), y)  # noqa: E731
    if not terms:
        return (lambda prediction, y, x: _number(plain_call(prediction, y, x))) if is_flat else plain_call

    def with_terms(prediction: Tree, y: Tree, x: Tree) -> Tensor:
        found: Any = plain_call(prediction, y, x)
        if missing := [name for name in terms if name not in found]:
            text = f"the loss returned no term '{missing[0]}', which it had before training"
            raise TrainerError(text, "return the same terms each time")
        loss = minimised(found)
        return torch.stack([loss, *(found[name].detach().to(loss.device) for name in terms)])

    return with_terms


def _number(found: Any) -> Tensor:
    """One number of what a loss without terms returns."""
    return (minimised(found) if isinstance(found, Mapping) else found).reshape(())


def minimised(terms: Mapping[str, Tensor]) -> Tensor:
    """What a loss with named terms minimises: the term `loss`, or else their sum."""
    return terms[LOSS] if LOSS in terms else sum(terms.values())  # type: ignore[return-value]


def term_names(found: Any, loss_name: str, hint: str) -> tuple[str, ...]:
    """The names of a loss's terms; () where it returns one number. hint: what makes one number of it. Raises
    ConfigError for what cannot be minimised."""
    if isinstance(found, Mapping):
        for name, value in found.items():
            if not (isinstance(name, str) and TERM.fullmatch(name)):
                text = f"loss {loss_name}: its term {name!r} is named by more than letters, digits, _, . and -"
                raise ConfigError(text, "a word for each term: it is logged as train/WORD")
            if not isinstance(value, Tensor) or value.ndim:
                text = f"loss {loss_name}: its term '{name}' is {_kind(value)}, not one number in a tensor"
                raise ConfigError(text, "return the mean of each term, as a tensor")
        if not found:
            raise ConfigError(f"loss {loss_name} returns an empty dict", "return a dict of terms, or one number")
        return tuple(name for name in found if name != LOSS)
    if not isinstance(found, Tensor) or found.numel() != 1:
        raise ConfigError(f"what loss {loss_name} gives is {_kind(found)}, not one number in a tensor", hint)
    return ()


def check_terms(training: Sequence[str], evaluation: Sequence[str], loss_name: str) -> None:
    """Raise ConfigError for a loss that returns other terms in an evaluation than in training."""
    if set(training) != set(evaluation):
        here, there = (", ".join(names) or "one number" for names in (training, evaluation))
        text = f"loss {loss_name} returns other terms in training ({here}) than in an evaluation ({there})"
        raise ConfigError(text, "return the same terms in both; one that does not count there is torch.tensor(0.0)")


def _kind(value: Any) -> str:
    """What a loss returned, in words."""
    if isinstance(value, Tensor):
        return f"of shape {tuple(value.shape)}"
    return "None" if value is None else f"a {type(value).__name__}"


def picked(prediction: Tree, path: Sequence[Any]) -> Tree:
    """The part of a prediction at a path of keys and positions."""
    for key in path:
        prediction = prediction[key]
    return prediction


def first_gradient(terms: Sequence[str], like: Tensor) -> Tensor | None:
    """What backward starts from where a loss has terms: only what is minimised counts. None for a plain loss."""
    if not terms:
        return None
    start = like.new_zeros(1 + len(terms))
    start[0] = 1.0
    return start
