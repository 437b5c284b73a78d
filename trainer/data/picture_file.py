"""A picture file as a row: what a viewer shows of it, as bytes, brought to a square.

`shown` and `square` are copied into the program beside an exported model: they know Pillow and NumPy alone.
"""

import functools
import warnings
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from io import BytesIO
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import torch
from torch import Tensor

from trainer.data import jpeg
from trainer.errors import ConfigError
from trainer.text import first_line

if TYPE_CHECKING:
    from PIL import Image

MOST_PIXELS = 100 * 10**6  # in one picture; more could be a decompression bomb
NOT_READ = ("EPS", "BUFR", "GRIB", "HDF5", "MPEG", "WMF")  # Pillow runs a program for EPS, and cannot show the others
PHOTOS = (".heic", ".heif", ".hif", ".jxl", ".cr2", ".cr3", ".nef", ".arw", ".dng", ".orf", ".rw2", ".raf", ".svg")
CONVERT = "save as JPEG or PNG, such as by ImageMagick's: mogrify -format jpg FILES"
BACKGROUNDS = ("white", "black")


@dataclass(frozen=True)
class PictureFormat:
    """How a picture becomes a row. size: side of the square, in pixels; grey: one channel instead of three;
    background: the colour behind a transparent picture; resize: who does it, torchvision in version 0.1.0."""

    size: int
    grey: bool = False
    background: str = "white"
    resize: str = "pillow"

    @property
    def shape(self) -> tuple[int, int, int]:
        """(channels, size, size)."""
        return (1 if self.grey else 3, self.size, self.size)


def read(path: str, how: PictureFormat) -> Tensor:
    """Read a picture as (channels, size, size) uint8. Raises ConfigError, with the file's name, if it cannot be."""
    return decoded(read_bytes(path), path, how)


def read_bytes(path: str) -> bytes:
    """The bytes of a file. Raises ConfigError if it cannot be read."""
    try:
        return Path(path).read_bytes()
    except OSError as error:
        raise ConfigError(f"{path} cannot be read: {first_line(error)}") from error


def decoded(data: bytes, path: str, how: PictureFormat) -> Tensor:
    """The same from the bytes of a file. path: for messages."""
    from PIL import Image, UnidentifiedImageError

    mode = ""
    try:
        with warnings.catch_warnings(), Image.open(BytesIO(data), formats=formats()) as picture:
            warnings.simplefilter("ignore")  # about metadata, without the file's name
            mode = picture.mode
            if picture.width * picture.height > MOST_PIXELS:
                raise ConfigError(f"{path} has {picture.width}×{picture.height} pixels, more than {MOST_PIXELS:,}")
            pixels = jpeg.pixels(data, picture, how.size, how.grey) if how.resize == "pillow" else None
            if pixels is None:
                pixels = torch.from_numpy(SQUARES[how.resize](shown(picture, how.grey, how.background), how.size))
            return pixels
    except ConfigError:
        raise
    except UnidentifiedImageError as error:
        raise ConfigError(f"{path} is not a picture that can be read", CONVERT) from error
    except ValueError as error:
        text = f"{path} cannot be shown as a picture: mode {mode}: {first_line(error)}"
        raise ConfigError(text, "save it with 8 bits per channel") from error
    except Exception as error:  # Pillow's decoders raise whatever a broken file leads them to
        raise ConfigError(f"{path} cannot be read: {first_line(error)}", CONVERT) from error


def shown(picture: "Image.Image", grey: bool, background: str) -> "Image.Image":
    """A picture as a viewer shows it: upright, without transparency, 8 bits. Raises ValueError where none would."""
    from contextlib import suppress

    from PIL import Image, ImageOps

    picture.load()
    with suppress(Exception):  # a broken EXIF block, which viewers ignore
        ImageOps.exif_transpose(picture, in_place=True)
    if picture.mode[0] in "IF":  # whole numbers of 16 or 32 bits, or floats
        most = 1 if picture.mode == "F" else 65535
        values, hidden = np.asarray(picture), picture.info.get("transparency")
        if not 0 <= values.min() <= values.max() <= most:
            raise ValueError(f"its values are {values.min():g} to {values.max():g}, but 0 is black and {most} is white")
        picture = Image.fromarray(np.rint(values.astype("float64") * 255 / most).astype("uint8"))
        if hidden is not None:
            picture.putalpha(Image.fromarray(values != hidden))
    if picture.has_transparency_data:
        picture = Image.alpha_composite(Image.new("RGBA", picture.size, background), picture.convert("RGBA"))
    picture = picture if picture.mode == "RGB" else picture.convert("RGB")  # which would copy it
    return picture.convert("L") if grey else picture


def square(picture: "Image.Image", size: int) -> "np.ndarray[Any, Any]":
    """The square in the middle of a picture, resized to (channels, size, size) uint8."""
    from PIL import Image

    width, height = picture.size
    side = min(width, height)
    left, top = (width - side) / 2, (height - side) / 2
    picture = picture.resize((size, size), Image.Resampling.BILINEAR, box=(left, top, left + side, top + side))
    return np.asarray(picture).reshape(size, size, -1).transpose(2, 0, 1).copy()


def square_0_1_0(picture: "Image.Image", size: int) -> "np.ndarray[Any, Any]":
    """The same as version 0.1.0 made it; single values differ by 1."""
    from torchvision.transforms import v2

    steps = v2.Compose([v2.PILToTensor(), v2.Resize(size, antialias=True), v2.CenterCrop(size)])
    pixels: np.ndarray[Any, Any] = steps(picture).numpy()
    return pixels


SQUARES = {"pillow": square, "torchvision": square_0_1_0}


def unreadable(paths: Sequence[str]) -> list[str]:
    """Those of some files whose first bytes are those of no picture, and that cannot be read."""
    from PIL import Image

    formats()
    accepts = [accept for _, accept in Image.OPEN.values() if accept is not None]
    found = []
    for path in paths:
        try:
            with open(path, "rb") as file:
                first = file.read(16)
            if not any(_accepts(accept, first) for accept in accepts):
                read(path, PictureFormat(1))
        except (ConfigError, OSError):
            found.append(path)
    return found


def _accepts(accept: Callable[[bytes], Any], first: bytes) -> bool:
    try:
        return bool(accept(first))
    except Exception:  # of Pillow's, which take it for granted that there are 16 bytes
        return False


@functools.cache
def formats() -> tuple[str, ...]:
    """The formats that Pillow reads, by its names."""
    from PIL import Image

    Image.init()
    return tuple(name for name in Image.ID if name not in NOT_READ)


@functools.cache
def endings() -> frozenset[str]:
    """The endings of picture files, such as .jpg."""
    from PIL import Image

    names = (*formats(), "MPO")  # which Pillow finds as JPEG
    return frozenset(ending for ending, name in Image.registered_extensions().items() if name in names)
