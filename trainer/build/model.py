"""A config's model, on its device, its lazy parameters with their shapes."""

import itertools
import warnings
from collections.abc import Iterator, Mapping
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn.parameter import is_lazy

from trainer import kernels
from trainer.build import published, signature
from trainer.config import target
from trainer.config.schema import Config
from trainer.data import seeds, tree
from trainer.data.facts import Facts
from trainer.data.splits import Splits
from trainer.data.tree import Tree
from trainer.device import seed_all
from trainer.disk import tensors
from trainer.errors import ConfigError, advised, place
from trainer.guards import structure
from trainer.guards.finding import Finding
from trainer.processes.ranks import Ranks, synchronised
from trainer.tasks import calls, losses
from trainer.text import first_line, listed


def choose_dtype(name: str, device: torch.device) -> torch.dtype:
    """The dtype of parameters and floating-point inputs. Raises ConfigError where the device does not support it."""
    dtype: torch.dtype = getattr(torch, name)
    if device.type == "mps" and dtype is torch.float64:
        raise ConfigError("dtype=float64: Apple's GPU does not support float64", "device=cpu")
    return dtype


def build_model(
    config: Config, splits: Splits, device: torch.device, dtype: torch.dtype, ranks: Ranks
) -> tuple[dict[str, Any], nn.Module, list[Finding]]:
    """(The completed node of a run's model, the model, what guards find in it). Raises ConfigError."""
    seed_all(seeds.derive(config.seed, "weights"))
    node = complete(config.model, splits.facts, losses.num_predictions(config.loss))
    model = make_model(node, device, dtype)
    findings = structure.unregistered(model) if config.guards != "none" else []
    materialize(model, splits.sample[0])
    check_storable(model)
    if config.channels_last:
        if why := no_pictures(model, splits.sample[0]):
            raise ConfigError(f"channels_last is for pictures: {why}", "channels_last=false", "channels_last")
        kernels.to_channels_last(model)
    return node, synchronised(model, device, ranks) if config.sync_batchnorm else model, findings


def complete(node: Mapping[str, Any], facts: Facts, each: int = 1) -> dict[str, Any]:
    """Fill in the sizes that are null in a model node, from the data. each: outputs for a number to predict. Raises
    ConfigError."""
    node = published.bare(node)  # also of a stored config: its own weights are loaded
    completed = target.complete(node, "model", **facts.for_model(each))
    if len(facts.input_shape) != 3 and completed.get("in_channels", 0) is None:
        text = f"{node['_target_']} takes pictures (channels, height, width), not inputs"
        if facts.is_plain:
            raise ConfigError(f"{text} of shape {facts.input_shape}", "model=mlp", "model.in_channels")
        parts = list(tree.named(facts.inputs))
        pictures = [f"dataset.inputs={path}" for path, spec in parts if len(spec.shape) == 3 and "." not in path]
        hint = pictures[0] if pictures else "model=own model._target_=my_file.MyModel"
        raise ConfigError(f"{text} {listed([path for path, _ in parts])}", hint, "model.in_channels")
    return completed


def make_model(node: dict[str, Any], device: torch.device, dtype: torch.dtype) -> nn.Module:
    """Construct the model of a completed node; lazy parameters still wait for `materialize`. Raises ConfigError."""
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", "Lazy modules are a new feature")
        model = target.construct(node, "model")
    if not isinstance(model, nn.Module):
        kind = type(model).__name__
        raise ConfigError(f"model._target_={node['_target_']} makes a {kind}, which is not an nn.Module")
    try:
        if not any(not is_lazy(tensor) and tensor.is_complex() for _, tensor in _tensors(model)):
            return model.to(device, dtype)
        model.to(device)  # with a real dtype, torch would drop the imaginary parts
        model._apply(lambda tensor: tensor.to(_counterpart(tensor, dtype)))
    except NotImplementedError as error:  # of parameters on the meta device
        text = f"the parameters of {type(model).__name__} have no values: they are on torch's meta device"
        raise ConfigError(text, "leave device='meta' out of the model") from error
    return model


def _counterpart(tensor: Tensor, dtype: torch.dtype) -> torch.dtype:
    """The dtype that a parameter or buffer gets in a model of `dtype`; integers keep theirs."""
    if is_lazy(tensor) or tensor.is_floating_point():
        return dtype
    return dtype.to_complex() if tensor.is_complex() else tensor.dtype


def _tensors(model: nn.Module) -> Iterator[tuple[str, Tensor]]:
    return itertools.chain(model.named_parameters(), model.named_buffers())


def materialize(model: nn.Module, x: Tree) -> None:
    """Give lazy parameters their shapes by one forward of an input of some rows, in eval mode. Raises ConfigError."""
    if not any(is_lazy(tensor) for _, tensor in _tensors(model)):
        return
    try:
        with torch.no_grad():
            calls.of_model(model.eval(), x)(x)
    except Exception as error:
        raise does_not_take(model, x, error) from error
    finally:
        model.train()
    if left := [name for name, tensor in _tensors(model) if is_lazy(tensor)]:
        text = f"{left[0]} of {type(model).__name__} is lazy, and forward does not use it, so it has no shape"
        raise ConfigError(text, "give its sizes, as in nn.Linear(in, out), or leave it out")


def does_not_take(
    model: nn.Module, x: Tree, error: Exception, *, has_target: bool = True, is_grey: bool = False
) -> ConfigError:
    """The error for a model that cannot be called with inputs like x. has_target: whether the rows have a target.
    is_grey: whether the inputs are pictures that dataset.grey has made grey."""
    name = type(model).__name__
    if (unbound := signature.misfit(model.forward, x, has_target=has_target)) is not None:
        problem, hint = unbound
        return ConfigError(f"model {name} does not take its inputs: {problem}", hint)
    text = f"model {name} does not take inputs of shape {tree.described(x)}"
    said, remedy = advised(first_line(error), "model")
    if is_grey and "to have 3 channels" in said:
        remedy = "dataset.grey=false"
    return ConfigError(f"{text}: {said}{place(error)}", remedy)


def no_pictures(model: nn.Module, x: Tree) -> str:
    """Why channels_last has no use for a model and its inputs; empty where it has."""
    if all(leaf.ndim != 4 for leaf in tree.leaves(x)):
        return f"the inputs have the shape {tree.described(x)}, not (batch, channels, height, width)"
    has_none = all(parameter.ndim != 4 for parameter in model.parameters())
    return f"{type(model).__name__} has no 2-D convolution" if has_none else ""


def check_storable(model: nn.Module) -> None:
    """Raise ConfigError for a model whose state no checkpoint can hold."""
    if found := tensors.unstorable(model.state_dict()):
        raise ConfigError(f"the state of {type(model).__name__} cannot be saved: {found[0]}", found[1])
