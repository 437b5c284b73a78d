"""Rows to predict from an .npz or .safetensors file, its arrays named as the inputs of the run: input_ids, views.0."""

from collections.abc import Iterator, Mapping
from pathlib import Path

import torch
from torch import Tensor

from trainer.data import arrays, tree
from trainer.data import facts as inputs_of
from trainer.data.facts import Spec
from trainer.data.preprocessing import Preprocessing
from trainer.data.scaling import AsIs
from trainer.data.tree import Tree
from trainer.errors import ConfigError, complain
from trainer.text import listed


def read(file: Path, prepared: Preprocessing, name: str) -> tuple[Tree, str]:
    """(The rows as the run's inputs are, a tree of (N, …); what to say if the model does not take their length).

    name: of a plain input. Rows may be longer or shorter than in training, as token rows are, unless each place of a
    row is standardised by itself. Raises ConfigError for a file that lacks an input, or holds another shape or kind.
    """
    return rows_of(arrays.READERS[file.suffix](file), str(file), prepared, name)


def rows_of(found: Mapping[str, Tensor], file: str, prepared: Preprocessing, name: str) -> tuple[Tree, str]:
    """The same of arrays by name. file: what messages call them."""
    specs = prepared.facts.inputs
    names = [name] if isinstance(specs, Spec) else list(inputs_of.names(specs))
    if missing := [wanted for wanted in names if wanted not in found]:
        text = f"{file} has no array '{missing[0]}'"
        text += f"; the run's inputs are {listed(names)}" * (len(names) > 1)
        raise ConfigError(text, f"it has: {', '.join(list(found)[:8])}")
    unlike, leaves = "", list[Tensor]()
    for wanted, (_, spec) in zip(names, tree.named(specs), strict=True):
        tensor, shape = found[wanted], prepared.raw_shape if prepared.facts.is_plain else spec.shape
        here = tuple(tensor.shape[1:])
        if here != shape:
            text = f"{file}: {wanted} holds rows of shape {here}; the run was trained on {shape}"
            if not _may_differ(here, shape, prepared):
                raise ConfigError(text)
            unlike = unlike or text
        leaves.append(_of_kind(tensor, spec, f"{file}: {wanted}") if isinstance(prepared.x, AsIs) else tensor)
    counts = {wanted: len(leaf) for wanted, leaf in zip(names, leaves, strict=True)}
    if len(set(counts.values())) > 1:
        raise ConfigError(f"{file}: the inputs have different numbers of rows: {_shown(counts)}")
    parts: Iterator[Tensor] = iter(leaves)
    return tree.mapped_leaves(lambda spec: next(parts), specs), unlike


def _may_differ(here: tuple[int, ...], shape: tuple[int, ...], prepared: Preprocessing) -> bool:
    """Whether rows of one shape may be as those of another, but for their length."""
    known = prepared.x.mean_and_std
    by_place = known is not None and known[0].ndim > 0
    return len(here) == len(shape) > 0 and here[1:] == shape[1:] and here[0] > 0 and not by_place


def _of_kind(tensor: Tensor, spec: Spec, place: str) -> Tensor:
    """The rows in the dtype of training. Raises ConfigError for floats where it was whole numbers."""
    dtype: torch.dtype = getattr(torch, spec.dtype)
    if tensor.is_floating_point() and not (dtype.is_floating_point or dtype.is_complex):
        text = f"{place} holds floats; the run was trained on whole numbers"
        raise ConfigError(text, f"{place.rpartition(' ')[2]}.astype('{spec.dtype}')")
    if spec.num_values is not None and tensor.numel():
        low, high = int(tensor.min()), int(tensor.max())
        if low < 0 or high >= spec.num_values:
            values = f"{low} to {high}; training had 0 to {spec.num_values - 1}"
            complain(f"warning: {place} holds numbers that training did not have: {values}")
    return tensor.to(dtype)


def _shown(counts: dict[str, int]) -> str:
    return ", ".join(f"{name} {count:,}" for name, count in counts.items())
