"""A small convolutional network for images."""

from collections.abc import Sequence
from itertools import pairwise

from torch import Tensor, nn

from trainer.models.activation import ACTIVATIONS


class CNN(nn.Module):
    """Blocks of convolution, batch norm, activation and 2×2 pooling; then the mean over the image and a linear layer.

    Input (B, in_channels, H, W) with H and W at least 2 ** len(channels); output (B, num_classes): logits.
    """

    def __init__(
        self,
        in_channels: int,
        num_classes: int,
        channels: Sequence[int] = (32, 64),
        kernel_size: int = 3,
        activation: str = "relu",
        dropout: float = 0.0,
    ) -> None:
        super().__init__()
        widths, blocks = [in_channels, *channels], []
        for width, next_width in pairwise(widths):
            conv = nn.Conv2d(width, next_width, kernel_size, padding=kernel_size // 2, bias=False)
            blocks += [conv, nn.BatchNorm2d(next_width), ACTIVATIONS[activation](), nn.MaxPool2d(2)]
        head = [nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Dropout(dropout), nn.Linear(widths[-1], num_classes)]
        self.features, self.classifier = nn.Sequential(*blocks), nn.Sequential(*head)

    def forward(self, x: Tensor) -> Tensor:
        output: Tensor = self.classifier(self.features(x))
        return output
