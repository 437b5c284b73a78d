"""Parameters train, buffers move and are saved, raw tensors are ignored."""

import io
from collections.abc import Iterator
from typing import Any

import torch
from torch import Tensor, nn

from trainer.models.mlp import MLP


class Kept(nn.Module):
    """y = learned · x · raw / scale, each of them 1 to begin with."""

    scale: Tensor

    def __init__(self) -> None:
        super().__init__()
        self.learned = nn.Parameter(torch.ones(1))
        self.register_buffer("scale", torch.ones(1))
        self.raw = torch.ones(1)

    def forward(self, x: Tensor) -> Tensor:
        return self.learned * x * self.raw / self.scale


def show(in_features: int, hidden: int, out_features: int) -> Iterator[Any]:
    """An MLP in float64, and a module with one tensor of each kind."""
    torch.manual_seed(0)
    model = MLP(in_features, out_features, hidden=[hidden]).double()
    yield "parameters of the MLP", sum(p.numel() for p in model.parameters())
    layers = [m for m in model.modules() if isinstance(m, nn.Linear)]
    counts = [sum(p.numel() for p in layer.parameters()) for layer in layers]
    yield "its layers", " + ".join(f"{count:,}" for count in counts)

    first, x = layers[0], torch.rand(4, in_features, dtype=torch.float64)
    yield "shape of a weight", str(tuple(first.weight.shape))
    by_hand = x @ first.weight.T + first.bias
    yield "x @ W.T + b - layer(x)", (by_hand - first(x)).abs().max().item()

    kept = Kept()
    names = ", ".join(name for name, _ in kept.named_parameters())
    yield "named in parameters()", names
    yield "named in state_dict()", ", ".join(kept.state_dict())
    optimizer = torch.optim.SGD(kept.parameters(), lr=0.5)
    kept(torch.ones(1)).sum().backward()
    optimizer.step()
    tensors = [kept.learned, kept.scale, kept.raw]
    yield "a step: Parameter, buffer, raw", [t.item() - 1 for t in tensors]
    kept.to("meta")
    tensors = [kept.learned, kept.scale, kept.raw]
    devices = ", ".join(t.device.type for t in tensors)
    yield ".to('meta'): the same three", devices

    saved = io.BytesIO()
    torch.save(model.state_dict(), saved)
    saved.seek(0)
    other = MLP(in_features, out_features, hidden=[hidden]).double()
    before = torch.equal(other(x), model(x))
    other.load_state_dict(torch.load(saved, weights_only=True))
    loaded = torch.equal(other(x), model(x))
    yield "same output: before, loaded", [before, loaded]

    dropout = nn.Dropout(0.5)
    ones, modes = torch.ones(1000), (True, False)
    same = [torch.equal(dropout.train(mode)(ones), ones) for mode in modes]
    yield "dropout is idle: train, eval", same
