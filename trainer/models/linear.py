"""One linear layer: y = x @ W.T + b."""

from torch import Tensor, nn


class Linear(nn.Module):
    """Linear or logistic regression. Input (B, *) flattened to (B, in_features); output (B, out_features).

    init: the initial weights: torch's `uniform`, or `zero`, which is as good for a model without a hidden layer.
    """

    def __init__(self, in_features: int, out_features: int, bias: bool = True, init: str = "uniform") -> None:
        super().__init__()
        self.linear = nn.Linear(in_features, out_features, bias=bias)
        if init == "zero":
            for parameter in self.linear.parameters():
                nn.init.zeros_(parameter)

    def forward(self, x: Tensor) -> Tensor:
        output: Tensor = self.linear(x.flatten(1))
        return output
