"""The multilayer perceptron."""

from collections.abc import Sequence
from itertools import pairwise

from torch import Tensor, nn

from trainer.models.activation import ACTIVATIONS

NORMS: dict[str, type[nn.Module]] = {"batch": nn.BatchNorm1d, "layer": nn.LayerNorm}


class MLP(nn.Module):
    """Linear layers with norm, activation and dropout between them.

    Input (B, *) flattened to (B, in_features); output (B, out_features): logits or numbers, no activation.
    """

    def __init__(
        self,
        in_features: int,
        out_features: int,
        hidden: Sequence[int] = (128,),
        activation: str = "relu",
        dropout: float = 0.0,
        norm: str = "none",
    ) -> None:
        super().__init__()
        widths = [in_features, *hidden]
        layers: list[nn.Module] = []
        for width, next_width in pairwise(widths):
            layers.append(nn.Linear(width, next_width))
            if norm != "none":
                layers.append(NORMS[norm](next_width))
            layers.append(ACTIVATIONS[activation]())
            if dropout > 0:
                layers.append(nn.Dropout(dropout))
        self.layers = nn.Sequential(*layers, nn.Linear(widths[-1], out_features))

    def forward(self, x: Tensor) -> Tensor:
        output: Tensor = self.layers(x.flatten(1))
        return output
