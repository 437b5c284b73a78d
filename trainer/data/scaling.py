"""Scaling of inputs and numeric targets before the model sees them, fitted on the training split only.

float32 holds numbers near 1.7e9 to the nearest 128. So the offset is taken off in float64, on the CPU, before the cast
to the model's dtype; MPS never sees float64. Only NARROW numbers, which every such dtype holds exactly, go to the
device as they are and are scaled there.
"""

from typing import Literal

import torch
from torch import Tensor, nn

from trainer.data import tree
from trainer.data.facts import Spec, specs_of
from trainer.data.tensors import Scaling
from trainer.data.tree import Tree
from trainer.device import dtype_name, widest_dtype
from trainer.errors import ConfigError

NARROW = frozenset({torch.bool, torch.uint8, torch.int8, torch.int16, torch.float16, torch.bfloat16})
INTEGERS = frozenset({torch.int32, torch.int64, torch.uint16, torch.uint32, torch.uint64})
AT_ONCE = 2**20  # values scaled at once, so that the float64 copy stays small
ROUNDING = 8 * torch.finfo(torch.float64).eps

Link = Literal["exp", "sigmoid"]
LINKS = {"exp": torch.exp, "sigmoid": torch.sigmoid}


class Scale(nn.Module):
    """From numbers of the data (B, *) to what the model or the loss sees, in `dtype`.

    row_shape: of one row of the result; None keeps that of the data. link: from a model's output to what it predicts,
    if the loss does not compare them directly. growth: values of the result for each one of the data.
    """

    growth = 1.0

    def __init__(self, dtype: torch.dtype, row_shape: tuple[int, ...] | None = None) -> None:
        super().__init__()
        self.dtype, self.row_shape = dtype, row_shape
        self.link: Link | None = None

    @property
    def mean_and_std(self) -> tuple[Tensor, Tensor] | None:
        """What numbers are standardised by, as fitted; None where they are not."""
        return None

    def waits(self, x: Tensor) -> bool:
        """Whether raw numbers go to the device as they are and are scaled there."""
        return x.dtype in NARROW

    def shaped(self, x: Tensor) -> Tensor:
        """The rows x (B, *) in `row_shape`."""
        return x if self.row_shape is None else x.reshape(len(x), *self.row_shape)

    def inverse(self, x: Tensor) -> Tensor:
        """Convert back to the units of the data."""
        return x

    def units(self, x: Tensor) -> Tensor:
        """Convert back to the units of the data, but for the offset."""
        return x

    def linked(self, output: Tensor) -> Tensor:
        """What a model's output predicts, still scaled."""
        return output if self.link is None else LINKS[self.link](output)

    def predicted(self, output: Tensor) -> Tensor:
        """What a model's output predicts, in the units of the data."""
        return self.inverse(self.linked(output))

    def reshape(self, row_shape: tuple[int, ...]) -> None:
        """Give the rows another shape of as many numbers."""
        self.row_shape = row_shape

    def on(self, device: torch.device, dtype: torch.dtype) -> "Scale":
        """The same, computed on a device and in a dtype that it has."""
        return self


class Cast(Scale):
    """Casts to `dtype` and does nothing else. Raises ConfigError for a whole number that it does not hold exactly."""

    def forward(self, x: Tensor) -> Tensor:
        result = self.shaped(x).to(self.dtype)
        if x.dtype in INTEGERS and x.device.type != "meta":
            _check_exact(x, result, "inputs" if self.row_shape is None else "targets")  # only these have a row_shape
        return result


class AsIs(Scale):
    """Casts floats to `dtype`; whole numbers and bools stay, as embeddings take them. Takes a tree."""

    def waits(self, x: Tree) -> bool:
        return False

    def forward(self, x: Tree) -> Tree:
        return tree.cast(x, self.dtype)


class Standardize(Scale):
    """(x - mean) / std, computed in the dtype of its buffers mean and std (float64 as fitted), then cast to `dtype`."""

    mean: Tensor
    std: Tensor

    def __init__(self, mean: Tensor, std: Tensor, dtype: torch.dtype, row_shape: tuple[int, ...] | None = None) -> None:
        super().__init__(dtype, row_shape)
        self.register_buffer("mean", mean)
        self.register_buffer("std", std)

    @property
    def mean_and_std(self) -> tuple[Tensor, Tensor]:
        return self.mean, self.std

    def forward(self, x: Tensor) -> Tensor:
        return ((self.shaped(x).to(self.mean.dtype) - self.mean) / self.std).to(self.dtype)

    def inverse(self, x: Tensor) -> Tensor:
        """Convert back to the units of the data, where mean and std are and in their dtype."""
        return x.to(self.mean) * self.std + self.mean

    def units(self, x: Tensor) -> Tensor:
        return x.to(self.std) * self.std

    def reshape(self, row_shape: tuple[int, ...]) -> None:
        super().reshape(row_shape)
        if self.mean.ndim:
            self.mean, self.std = self.mean.reshape(row_shape), self.std.reshape(row_shape)

    def on(self, device: torch.device, dtype: torch.dtype) -> "Standardize":
        return Standardize(self.mean.to(device, dtype), self.std.to(device, dtype), self.dtype, self.row_shape)


def inverse_on(scale: Scale | None, device: torch.device) -> Scale | None:
    """The scale with its inverse in float64 on a device, or on the CPU where the device has no float64."""
    has_it = scale is not None and widest_dtype(device) is torch.float64
    return scale.on(device, torch.float64) if scale is not None and has_it else scale


def scaled(x: Tensor, scale: nn.Module) -> Tensor:
    """All rows x (N, *) of a data set, on the CPU, some at a time."""
    rows = max(1, AT_ONCE * len(x) // max(1, x.numel()))
    return torch.cat([scale(part) for part in x.split(rows)])


def fit(x: Tensor, scaling: Scaling, dtype: torch.dtype) -> Scale:
    """Fit the scaling (see TensorData) of a training split x (N, *). A constant column is only centred."""
    if scaling == "none":
        return for_inputs(specs_of(x, batch=True), dtype)
    if isinstance(scaling, str):
        mean, std = moments(x if scaling == "standardize" else x.flatten())
    else:
        mean, std = (torch.tensor(value, dtype=torch.float64) for value in scaling)
    return Standardize(mean, torch.where(std > 0, std, torch.ones_like(std)), dtype)


def for_inputs(specs: Tree, dtype: torch.dtype) -> Scale:
    """The scale of inputs that are not standardised: bytes and bools become floats where the input is one tensor."""
    return Cast(dtype) if isinstance(specs, Spec) and not specs.is_whole else AsIs(dtype)


def moments(x: Tensor) -> tuple[Tensor, Tensor]:
    """(mean, standard deviation) of x (N, *) over its rows, float64; the latter is 0 where all values are equal but for
    the rounding of float64."""
    rows = x.to(torch.float64)
    std, low, high = rows.std(0, correction=0), rows.amin(0), rows.amax(0)
    varies = high - low > ROUNDING * torch.maximum(low.abs(), high.abs())
    return rows.mean(0), torch.where(varies, std, torch.zeros_like(std))


def _check_exact(x: Tensor, result: Tensor, what: str) -> None:
    lost = (result.to(torch.int64) != x.to(torch.int64)).flatten().nonzero()
    if len(lost):
        dtype, value = dtype_name(result.dtype), int(x.flatten()[lost[0]])
        hint = "return floats that are already standardised" + ", or dtype=float64" * (dtype == "float32")
        hint = "dataset.scale_targets=true" if what == "targets" else hint
        raise ConfigError(f"the {what} hold the whole number {value}, which {dtype} cannot hold exactly", hint)
