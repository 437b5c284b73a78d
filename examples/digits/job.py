"""A multilayer perceptron, for the handwritten digits that come with trainer."""

from torch import Tensor, nn


class MLP(nn.Module):
    def __init__(self, in_features: int, num_classes: int, width: int = 64, dropout: float = 0.1) -> None:
        super().__init__()
        self.layers = nn.Sequential(
            nn.Flatten(),
            nn.Linear(in_features, width),
            nn.ReLU(),
            nn.Dropout(dropout),
            nn.Linear(width, num_classes),
        )

    def forward(self, picture: Tensor) -> Tensor:
        """picture: (N, 1, 8, 8). Returns logits (N, classes)."""
        return self.layers(picture)
