"""My model: a plain nn.Module. Sizes left null in its config come from the data."""

from torch import Tensor, nn


class MyNet(nn.Module):
    """One hidden layer with a shortcut around it. Input (B, *), flattened; output (B, out_features)."""

    def __init__(self, in_features: int, out_features: int, width: int = 32) -> None:
        super().__init__()
        self.hidden = nn.Sequential(nn.Linear(in_features, width), nn.ReLU(), nn.Linear(width, out_features))
        self.shortcut = nn.Linear(in_features, out_features)

    def forward(self, x: Tensor) -> Tensor:
        x = x.flatten(1)
        output: Tensor = self.hidden(x) + self.shortcut(x)
        return output
