"""Explains the five verbs of the first steps, through PyTorch's hooks, which are removed after those steps."""

import inspect
import textwrap
from collections.abc import Iterator
from typing import Any

from torch import Tensor, nn

from trainer.data import tree
from trainer.data.tree import Tree
from trainer.device import dtype_name
from trainer.events import Event, Stepped
from trainer.listeners import Listener
from trainer.optim.several import kinds
from trainer.state import TrainState
from trainer.tasks import calls
from trainer.terminal.screen import Screen
from trainer.text import WIDTH, counted


class Explain(Listener):
    """Shows what zero_grad, forward, loss, backward and step did, for the first `num_steps` steps that it sees.

    Gradients are those that backward computed, before clipping; with a GradScaler they are unscaled.
    """

    def __init__(self, run: TrainState, screen: Screen, num_steps: int) -> None:
        self.run, self.screen, self.left = run, screen, num_steps
        self.held = 0  # gradients at the end of the last step
        self.names = dict[Tensor, str]()  # of what is trained
        leaves = [(name, m) for name, m in run.model.named_modules() if name and not list(m.children())]
        self.handles: list[Any] = [
            run.model.register_forward_pre_hook(self._before_forward, with_kwargs=True),
            *(module.register_forward_hook(self._activation(name)) for name, module in leaves),
            run.model.register_forward_hook(self._after_forward),
            run.loss_fn.register_forward_hook(self._loss, with_kwargs=True),
            run.optimizer.register_step_pre_hook(self._before_step),
            run.optimizer.register_step_post_hook(self._after_step),
        ]
        self._begin()

    def __call__(self, event: Event) -> None:
        if not isinstance(event, Stepped) or not self.left:
            return
        size = self.run.ranks.size
        part = f", as the first of {size} processes sees its part of the batch" if size > 1 else ""
        self.screen.say("", f"step {event.step:,}{part}", style="bold")
        for verb, (first, *rest) in self._story(event):
            for line in (f"  {verb:<10} {first}", *(f"    {line}" for line in rest)):
                self.screen.say(*textwrap.wrap(line, WIDTH, subsequent_indent=" " * 6))
        self.held = sum(p.grad is not None for p in self.names)
        self._begin()
        self.left -= 1
        if not self.left:
            self.close()

    def close(self) -> None:
        """Remove the hooks."""
        for handle in self.handles:
            handle.remove()
        self.handles = []

    def _story(self, event: Stepped) -> list[tuple[str, list[str]]]:
        model = type(self.run.model).__name__
        model += f", on the first of {self.batches} batches" if self.batches > 1 else ""
        whole = [f"over all {self.batches} batches {event.loss.item():.6g}"] if self.batches > 1 else []
        gradients = [f"{name:<{self.width}}  |grad| {norm.item():.4g}" for name, norm in self.gradients.items()]
        untouched = [name for name in self.names.values() if name not in self.gradients]
        if self.run.max_norm is not None:
            gradients.append(f"then clipped to a norm of {self.run.max_norm:g} over all")
        width = max([self.width, *(len(name) for name, _ in self.forward)])
        forward = [f"{name:<{width}}  {text}" for name, text in self.forward]
        missing = f"; none for {', '.join(untouched)}" if untouched else ""
        moved = self.moves or ["nothing moved: the GradScaler met an infinity and skipped the step"]
        return [
            ("zero_grad", [self.zeroed]),
            ("forward", [model, *forward]),
            ("loss", [*self.loss, *whole]),
            ("backward", [f"gradients of {counted(len(self.gradients), 'parameter')}{missing}", *gradients]),
            ("step", moved),
        ]

    def _begin(self) -> None:
        """Prepare for a step. More may be trained in it than in the one before."""
        named = [*self.run.model.named_parameters(), *self.run.loss_fn.named_parameters("loss")]
        names: dict[Tensor, str] = {p: name for name, p in named if p.requires_grad}
        new = [p for p in names if p not in self.names]
        self.handles += [p.register_post_accumulate_grad_hook(self._gradient) for p in new]
        self.names = names
        self.width = max(map(len, [*names.values(), *(name for name, _ in self.run.model.named_modules())]))
        self.batches, self.zeroed = 0, ""
        self.forward = list[tuple[str, str]]()  # names and what they are
        self.loss, self.moves = list[str](), list[str]()
        self.gradients, self.before = dict[str, Tensor](), dict[str, Tensor]()

    def _before_forward(self, module: nn.Module, args: tuple[Any, ...], kwargs: dict[str, Any]) -> None:
        self.batches += self.run.model.training
        if self.run.model.training and self.batches == 1:
            left = sum(p.grad is not None for p in self.names)
            self.zeroed = f"{self.held - left} gradients set to None, {left} left" if self.held else "nothing to clear"
            self.forward = list(self._lines("batch", given(module, args, kwargs)))

    def _activation(self, name: str) -> Any:
        def keep(module: nn.Module, inputs: Any, output: Any) -> None:
            if self.run.model.training and self.batches == 1:
                self.forward += self._lines(name, output)

        return keep

    def _after_forward(self, module: nn.Module, inputs: Any, output: Any) -> None:
        if not list(module.children()) or not isinstance(output, Tensor):
            self._activation("output")(module, inputs, output)

    def _lines(self, name: str, value: Any) -> Iterator[tuple[str, str]]:
        """(Name, what it is) of each tensor of a value: gru[0] and gru[1] of a pair."""
        for path, leaf in tree.named(value):
            yield f"{name}[{path}]" if path else name, describe(leaf)

    def _loss(self, module: nn.Module, args: tuple[Any, ...], kwargs: dict[str, Any], output: Any) -> None:
        if self.batches == 1:
            prediction, target = args
            shapes = tree.described(prediction)
            if target is not None:
                dtype = f" {_dtype(target)}" if isinstance(target, Tensor) else ""
                itself = "the input, " * (self.run.facts.task == "input")
                shapes += f" against {itself}{tree.described(target)}{dtype}{counting(module, target)}"
            shapes += ", with the inputs" if calls.INPUTS in kwargs else ""
            terms = {} if isinstance(output, Tensor) else output
            value = calls.minimised(terms) if terms else output
            lines = [f"{name:<{self.width}}  {term.item():.6g}" for name, term in terms.items() if name != calls.LOSS]
            self.loss = [f"{value.item():.6g}: {type(module).__name__} of {shapes}", *lines]

    def _gradient(self, parameter: Tensor) -> None:
        if parameter.grad is not None:
            scale = self.run.scaler.get_scale() if self.run.scaler.is_enabled() else 1.0
            self.gradients[self.names[parameter]] = parameter.grad.detach().norm() / scale

    def _before_step(self, optimizer: Any, args: Any, kwargs: Any) -> None:
        self.before = {name: p.detach().clone() for p, name in self.names.items()}

    def _after_step(self, optimizer: Any, args: Any, kwargs: Any) -> None:
        rates = dict.fromkeys(float(group["lr"]) for group in optimizer.param_groups if group["params"])
        self.moves = [f"{kinds(optimizer)} lr {', '.join(f'{rate:g}' for rate in rates)}"]
        for parameter, name in self.names.items():
            distance = (parameter.detach() - self.before[name]).norm().item()
            self.moves.append(f"{name:<{self.width}}  moved {distance:.4g}")


def given(module: nn.Module, args: tuple[Any, ...], kwargs: dict[str, Any]) -> Tree:
    """What a model is called with: one tensor, or more by the names of its forward's parameters."""
    if len(args) == 1 and isinstance(args[0], Tensor):
        return args[0]
    return inspect.signature(module.forward).bind(*args, **kwargs).arguments


def counting(loss_fn: nn.Module, target: Tree) -> str:
    """How many targets count, where a loss leaves some out."""
    ignored = getattr(loss_fn, "ignore_index", None)
    if ignored is None or not isinstance(target, Tensor) or not bool((target == ignored).any()):
        return ""
    return f"; {int((target != ignored).sum()):,} of {target.numel():,} targets count, the others are {ignored}"


def describe(value: Any) -> str:
    """The shape, dtype, strides and contiguity of a tensor; the type of any other value."""
    if not isinstance(value, Tensor):
        return type(value).__name__
    order = "contiguous" if value.is_contiguous() else "not contiguous"
    return f"{tuple(value.shape)} {_dtype(value)}, stride {value.stride()}, {order}"


def _dtype(value: Tensor) -> str:
    return dtype_name(value.dtype)
