"""A convolutional network for a folder of pictures. `python job.py` draws the folder: pictures/disc, square, cross."""

import random
from pathlib import Path

import torch
from PIL import Image, ImageDraw
from torch import Tensor, nn


class CNN(nn.Module):
    def __init__(self, in_channels: int, num_classes: int, width: int = 16, batch_norm: bool = True) -> None:
        super().__init__()

        def block(wide: int, wider: int) -> nn.Module:
            norm = nn.BatchNorm2d(wider) if batch_norm else nn.GroupNorm(4, wider)
            return nn.Sequential(nn.Conv2d(wide, wider, 3, padding=1), norm, nn.ReLU(), nn.MaxPool2d(2))

        self.blocks = nn.Sequential(block(in_channels, width), block(width, 2 * width))
        self.head = nn.Linear(2 * width, num_classes)

    def forward(self, picture: Tensor) -> Tensor:
        """picture: (N, channels, height, width). Returns logits (N, classes)."""
        return self.head(torch.amax(self.blocks(picture), (2, 3)))


def draw(folder: Path, num_each: int = 100) -> None:
    """Draw pictures of 24×24 pixels, in a folder for each class."""
    rng = random.Random(0)
    for kind in ("disc", "square", "cross"):
        (folder / kind).mkdir(parents=True, exist_ok=True)
        for number in range(num_each):
            picture = Image.frombytes("RGB", (24, 24), bytes(rng.choices(range(100, 156), k=24 * 24 * 3)))
            pen, color = ImageDraw.Draw(picture), tuple(rng.choice(((0, 40), (215, 255))[number % 2]) for _ in range(3))
            left, top, size = rng.randrange(2, 10), rng.randrange(2, 10), rng.randrange(8, 12)
            right, bottom = left + size, top + size
            if kind == "disc":
                pen.ellipse((left, top, right, bottom), fill=color)
            elif kind == "square":
                pen.rectangle((left, top, right, bottom), fill=color)
            else:
                pen.line((left, top, right, bottom), fill=color, width=3)
                pen.line((left, bottom, right, top), fill=color, width=3)
            picture.save(folder / kind / f"{number}.png")


if __name__ == "__main__":
    draw(Path("pictures"))
