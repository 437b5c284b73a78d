"""A folder of pictures with one subfolder per class, as torchvision's ImageFolder reads it."""

from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any

import torch
from torch import Tensor
from torch.utils.data import Dataset

from trainer.errors import ConfigError
from trainer.text import first_line

MEAN = (0.485, 0.456, 0.406)  # of ImageNet's pixels from 0 to 1, as torchvision's models expect
STD = (0.229, 0.224, 0.225)
MOST_PIXELS = 100 * 10**6  # in one picture; more could be a decompression bomb


class Images(Dataset[tuple[Tensor, int]]):
    """x (channels, size, size) float32, y the class: folders in alphabetical order.

    Each picture is decoded when its row is read: in workers with loader.num_workers, or only once with
    loader.in_memory=true. size: in pixels. augment: crop a random part (at least 60%) and mirror at random, each time
    again. grey: one channel instead of three.
    """

    def __init__(self, path: str, size: int = 64, augment: bool = False, grey: bool = False) -> None:
        from torchvision.datasets import ImageFolder

        root = Path(path).expanduser()
        if not root.is_dir():
            raise ConfigError(f"there is no folder {path}", key="dataset.path")
        try:
            folder = ImageFolder(str(root))
        except FileNotFoundError as error:
            raise ConfigError(
                f"{path}: {first_line(error)}", "put the pictures of each class into a subfolder"
            ) from error
        self.classes, self.targets = folder.classes, list(folder.targets)
        self.paths = [name for name, _ in folder.samples]
        self.decode = self.decoder(size, grey=grey, augment=augment)
        self.source = f"{len(self.targets):,} files"

    @staticmethod
    def decoder(size: int, *, grey: bool, augment: bool = False) -> Callable[[str], Tensor]:
        """A function from a file's name to its picture, (channels, size, size) float32."""
        from torchvision.transforms import v2

        cut: list[Any] = [v2.Resize(size, antialias=True), v2.CenterCrop(size)]
        if augment:
            cut = [v2.RandomResizedCrop(size, scale=(0.6, 1.0), antialias=True), v2.RandomHorizontalFlip()]
        mean, std = ((0.45,), (0.225,)) if grey else (MEAN, STD)
        scale = [v2.ToDtype(torch.float32, scale=True), v2.Normalize(mean, std)]
        return v2.Compose([partial(_open, mode="L" if grey else "RGB"), v2.PILToTensor(), *cut, *scale])  # type: ignore[no-any-return]

    def __len__(self) -> int:
        return len(self.targets)

    def __getitem__(self, index: int) -> tuple[Tensor, int]:
        return self.decode(self.paths[index]), self.targets[index]


def _open(path: str, mode: str) -> Any:
    """Open a picture in a mode. Raises ConfigError with the file's name if it is not a picture or broken."""
    from PIL import Image, UnidentifiedImageError

    try:
        with open(path, "rb") as file, Image.open(file) as picture:
            if picture.width * picture.height > MOST_PIXELS:
                raise ConfigError(f"{path} has {picture.width}×{picture.height} pixels, more than {MOST_PIXELS:,}")
            return picture.convert(mode)
    except UnidentifiedImageError as error:
        raise ConfigError(f"{path} is not a picture") from error
    except (OSError, SyntaxError, ValueError, Image.DecompressionBombError) as error:
        raise ConfigError(f"{path} cannot be read: {first_line(error)}") from error
