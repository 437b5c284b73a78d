"""A small convolutional network for pictures."""

from collections.abc import Sequence

from torch import Tensor, nn

from trainer.models.activation import ACTIVATIONS


class CNN(nn.Module):
    """Blocks of convolution, batch norm, activation and 2×2 pooling; then the mean over the picture and a linear layer.

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
        blocks: list[nn.Module] = []
        width = in_channels
        for next_width in channels:
            blocks += [
                nn.Conv2d(width, next_width, kernel_size, padding=kernel_size // 2, bias=False),
                nn.BatchNorm2d(next_width),
                ACTIVATIONS[activation](),
                nn.MaxPool2d(2),
            ]
            width = next_width
        self.features = nn.Sequential(*blocks)
        self.classifier = nn.Sequential(
            nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Dropout(dropout), nn.Linear(width, num_classes)
        )

    def forward(self, x: Tensor) -> Tensor:
        output: Tensor = self.classifier(self.features(x))
        return output
