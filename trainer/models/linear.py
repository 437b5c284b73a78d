"""One linear layer: y = x @ W.T + b."""

from torch import Tensor, nn


class Linear(nn.Module):
    """Linear or logistic regression. Input (B, *) flattened to (B, in_features); output (B, out_features)."""

    def __init__(self, in_features: int, out_features: int, bias: bool = True) -> None:
        super().__init__()
        self.linear = nn.Linear(in_features, out_features, bias=bias)

    def forward(self, x: Tensor) -> Tensor:
        output: Tensor = self.linear(x.flatten(1))
        return output
