"""Models, data sets and an optimizer with one mistake each, as their authors made it; and some that only look wrong."""

from typing import Any

import torch
from torch import Tensor, nn
from torch.utils.data import TensorDataset

BLOBS = ["dataset=own", "dataset._target_=broken.Blobs"]
SHORT = ["epochs=6", "optimizer=adam", "report=false", "device=cpu", "threads=1"]


def model(name: str) -> list[str]:
    return ["model=own", f"model._target_=broken.{name}"]


def data(name: str) -> list[str]:
    return ["dataset=own", f"dataset._target_=broken.{name}"]


class Plain(nn.Module):
    """No mistake: what the others change one thing in."""

    def __init__(self, in_features: int, out_features: int, width: int = 16) -> None:
        super().__init__()
        self.first = nn.Linear(in_features, width)
        self.last = nn.Linear(width, out_features)

    def forward(self, x: Tensor) -> Tensor:
        return self.last(self.first(x.flatten(1)).relu())


class RawTensor(Plain):
    def __init__(self, in_features: int, out_features: int) -> None:
        super().__init__(in_features, out_features)
        self.scale = torch.ones(out_features, requires_grad=True)

    def forward(self, x: Tensor) -> Tensor:
        return super().forward(x) * self.scale


class RawList(Plain):
    def __init__(self, in_features: int, out_features: int) -> None:
        super().__init__(in_features, out_features)
        self.middle = [nn.Linear(16, 16), nn.ReLU()]

    def forward(self, x: Tensor) -> Tensor:
        x = self.first(x.flatten(1)).relu()
        for layer in self.middle:
            x = layer(x)
        return self.last(x)


class Frozen(Plain):
    def __init__(self, in_features: int, out_features: int) -> None:
        super().__init__(in_features, out_features)
        self.first.requires_grad_(False)


class RemadeParameter(Plain):
    """A new parameter in every forward: the optimizer holds the one of before."""

    def forward(self, x: Tensor) -> Tensor:
        self.bias = nn.Parameter(torch.zeros(self.last.out_features))
        return super().forward(x) + self.bias


class HalfSGD(torch.optim.SGD):
    def __init__(self, params: Any, lr: float = 0.1) -> None:
        super().__init__(list(params)[2:], lr)


class Elsewhere(Plain):
    """A buffer that no .to(device) moves."""

    def __init__(self, in_features: int, out_features: int, used: bool = False) -> None:
        super().__init__(in_features, out_features)
        self.used = used
        self.register_buffer("table", torch.zeros(out_features, device="meta"))

    def _apply(self, fn: Any, recurse: bool = True) -> "Elsewhere":
        return self

    def forward(self, x: Tensor) -> Tensor:
        return super().forward(x) + (self.table if self.used else 0)


class Detached(Plain):
    def forward(self, x: Tensor) -> Tensor:
        return super().forward(x).detach()


class DetachedInside(Plain):
    def forward(self, x: Tensor) -> Tensor:
        return self.last(self.first(x.flatten(1)).relu().data)


class Flat(Plain):
    """(B,) where the targets are (B, 1)."""

    def forward(self, x: Tensor) -> Tensor:
        return super().forward(x).squeeze(1)


class Softmax(Plain):
    def forward(self, x: Tensor) -> Tensor:
        return super().forward(x).softmax(1)


class SoftmaxOfBatch(Plain):
    def forward(self, x: Tensor) -> Tensor:
        return super().forward(x).softmax(0)


class SoftmaxByHand(Plain):
    def forward(self, x: Tensor) -> Tensor:
        powers = super().forward(x).exp()
        return powers / powers.sum(1, keepdim=True)


class Sigmoid(Plain):
    def forward(self, x: Tensor) -> Tensor:
        return super().forward(x).sigmoid()


class LeftInEval(Plain):
    """Switches itself to evaluation when it is first used."""

    def __init__(self, in_features: int, out_features: int) -> None:
        super().__init__(in_features, out_features)
        self.dropout = nn.Dropout(0.2)

    def forward(self, x: Tensor) -> Tensor:
        self.eval()
        return self.last(self.dropout(self.first(x.flatten(1)).relu()))


class PartInEval(LeftInEval):
    def forward(self, x: Tensor) -> Tensor:
        self.dropout.eval()
        return self.last(self.dropout(self.first(x.flatten(1)).relu()))


class LargeLogits(Plain):
    def __init__(self, in_features: int, out_features: int) -> None:
        super().__init__(in_features, out_features)
        with torch.no_grad():
            self.last.weight.mul_(100)


class Unused(Plain):
    def __init__(self, in_features: int, out_features: int) -> None:
        super().__init__(in_features, out_features)
        self.forgotten = nn.Linear(16, 16)


class Scaled(Plain):
    """A layer norm after the first layer: large inputs do not show in the loss."""

    def __init__(self, in_features: int, out_features: int) -> None:
        super().__init__(in_features, out_features)
        self.norm = nn.LayerNorm(16)

    def forward(self, x: Tensor) -> Tensor:
        return self.last(self.norm(self.first(x.flatten(1))).relu())


class Squares(nn.Module):
    """A loss that leaves it to the user how a prediction meets its target."""

    def forward(self, prediction: Tensor, y: Tensor) -> Tensor:
        return (prediction - y).square().mean()


class Logarithm(Plain):
    """Takes a logarithm of what becomes 0: a unit that is dead for a whole batch."""

    def __init__(self, in_features: int, out_features: int, bad_step: int = 3) -> None:
        super().__init__(in_features, out_features)
        self.log = Log(bad_step)

    def forward(self, x: Tensor) -> Tensor:
        return self.last(self.log(self.first(x.flatten(1)).relu() + 1))


class Log(nn.Module):
    """log, of zeros at call number `bad_step` in training."""

    def __init__(self, bad_step: int) -> None:
        super().__init__()
        self.bad_step, self.calls = bad_step, 0

    def forward(self, x: Tensor) -> Tensor:
        self.calls += self.training and torch.is_grad_enabled()
        return (x * 0 if self.training and self.calls >= self.bad_step else x).log()


class RootAtZero(Plain):
    """Finite forward, infinite gradient: the root of 0."""

    def forward(self, x: Tensor) -> Tensor:
        return super().forward(x) + (self.first.weight - self.first.weight).sum().sqrt()


class Huge(Plain):
    """Wants more memory than there is."""

    def forward(self, x: Tensor) -> Tensor:
        return super().forward(x) + (torch.empty(2**50).sum() if self.training else 0)


class ZeroInit(nn.Module):
    """Residual branches and a head that begin at zero: their gradients, or those before them, are 0 at first."""

    def __init__(self, in_features: int, out_features: int, width: int = 16) -> None:
        super().__init__()
        self.first = nn.Linear(in_features, width)
        self.inner, self.outer = nn.Linear(width, width), nn.Linear(width, width)
        self.gate = nn.Parameter(torch.zeros(()))
        self.last = nn.Linear(width, out_features)
        nn.init.zeros_(self.outer.weight)
        nn.init.zeros_(self.last.weight)
        nn.init.zeros_(self.last.bias)

    def forward(self, x: Tensor) -> Tensor:
        x = self.first(x.flatten(1)).relu()
        x = x + self.outer(self.inner(x).relu())
        return self.last(x + self.gate * x.tanh())


class Keeps(Plain):
    """Keeps tensors for itself while it runs, an alias of a layer, and a norm of its own: all in order."""

    def __init__(self, in_features: int, out_features: int) -> None:
        super().__init__(in_features, out_features)
        self.alias = [self.first]
        self.last = nn.utils.weight_norm(self.last) if hasattr(nn.utils, "weight_norm") else self.last
        self.mask: Tensor | None = None

    def forward(self, x: Tensor) -> Tensor:
        if self.mask is None:
            self.mask = torch.ones(16)
        self.activation = self.first(x.flatten(1)).relu()
        return self.last(self.activation * self.mask)


class ScalesItself(Plain):
    """Divides pixels by 255 in forward."""

    def forward(self, x: Tensor) -> Tensor:
        return super().forward(x / 255)


class Blobs(TensorDataset):
    """Points around one centre a class."""

    classes = ("a", "b", "c")

    def __init__(self, num_rows: int = 256, scale: float = 1.0, nan_in: int = -1, twice: bool = False) -> None:
        y = torch.arange(num_rows) % 3
        x = torch.randn(num_rows, 4) + 2 * nn.functional.one_hot(y, 4)
        if twice:
            x[num_rows // 2 :] = x[: num_rows // 2]
            y[num_rows // 2 :] = y[: num_rows // 2]
        if nan_in >= 0:
            x[nan_in, 2] = torch.nan
        super().__init__(x * scale, y)


class Noise(TensorDataset):
    """Labels that have nothing to do with the inputs."""

    def __init__(self, num_rows: int = 3000, num_features: int = 4) -> None:
        super().__init__(torch.randn(num_rows, num_features), torch.arange(num_rows) % 3)


class Pixels(TensorDataset):
    """Bytes, as numbers from 0 to 255."""

    def __init__(self) -> None:
        x, y = torch.randint(0, 256, (256, 1, 4, 4)).float(), torch.arange(256) % 2
        x[:, 0, 0, 0] = 255.0 * y
        super().__init__(x, y)


class FloatLabels(TensorDataset):
    """Classes 0, 1, 2, stored as floats."""

    def __init__(self) -> None:
        y = torch.arange(256) % 3
        super().__init__(torch.randn(256, 4) + 2 * nn.functional.one_hot(y, 4), y.float()[:, None])


class Binary(TensorDataset):
    """Two classes as floats, for a binary cross-entropy: 0 and 1, or whatever else."""

    def __init__(self, low: float = 0.0, high: float = 1.0) -> None:
        y = torch.arange(256) % 2
        x = torch.randn(256, 4) + 3 * y[:, None]
        super().__init__(x, torch.where(y == 1, high, low)[:, None])


class OutOfRange(TensorDataset):
    """Labels from 1, where `classes` names three."""

    classes = ("a", "b", "c")

    def __init__(self) -> None:
        super().__init__(torch.randn(256, 4), torch.arange(256) % 3 + 1)


class Contradictory(TensorDataset):
    """Equal inputs with different labels."""

    def __init__(self) -> None:
        super().__init__(torch.randn(64, 4).repeat(2, 1), torch.arange(128) // 64)


class Pictures(TensorDataset):
    """Noise around a bright corner: which one is the class. Small enough for a few steps of a big network."""

    classes = ("up", "down")

    def __init__(self, num_rows: int, size: int = 64) -> None:
        y = torch.arange(num_rows) % 2
        x = torch.randn(num_rows, 3, size, size)
        x[y == 0, :, : size // 2] += 1
        x[y == 1, :, size // 2 :] += 1
        super().__init__(x, y)
