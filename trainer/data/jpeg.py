"""A JPEG decoded by torchvision's library and resized by torch: Pillow's pixels to the bit, in about half the time.

libjpeg prints a line on stderr ("Corrupt JPEG data: …") for a file that is damaged inside; Pillow would be silent. Only
decoding shows such damage, and stderr belongs to the whole process, so the line stays. Truncated files go to Pillow.
"""

import functools
from collections.abc import Callable
from importlib.util import find_spec
from pathlib import Path
from typing import TYPE_CHECKING

import torch
from torch import Tensor
from torch.nn.functional import interpolate

if TYPE_CHECKING:
    from PIL import Image

# By these, torch and Pillow certainly round alike. Both weigh with whole numbers, Pillow with 22 bits, torch with
# about 16, and a half could go either way. tests/data/test_jpeg.py proves it from the weights. By 5, 6, 8 and
# numbers that are not whole, single values differ by 1.
FACTORS = (1, 2, 3, 4, 7)
CHANNELS = {("RGB", False): 3, ("L", False): 3, ("L", True): 1}  # Pillow's mode, grey; its grey of colours is its own
ORIENTATION = 0x0112  # EXIF's tag
END = b"\xff\xd9"


def pixels(data: bytes, picture: "Image.Image", size: int, grey: bool) -> Tensor | None:
    """The square of a picture file as (channels, size, size) uint8; None where Pillow has to make it.

    data: the file's bytes; picture: the same, opened by Pillow, and not loaded yet.
    """
    side, channels = picture.width, CHANNELS.get((picture.mode, grey))
    if picture.format != "JPEG" or channels is None or not data.endswith(END) or "adobe" in picture.info:
        return None
    if picture.height != side or side not in [factor * size for factor in FACTORS]:
        return None
    try:
        if picture.getexif().get(ORIENTATION, 1) != 1:
            return None
        if (decode := decoder()) is None:
            return None
        found = decode(torch.frombuffer(bytearray(data), dtype=torch.uint8), channels)
        if found.shape != (channels, side, side):
            return None
        return resized(found, size)
    except Exception:  # a broken file: Pillow reads it, or has the message; or a torchvision without this library
        return None


def resized(found: Tensor, size: int) -> Tensor:
    """Pixels (channels, side, side) uint8 as (channels, size, size)."""
    if found.shape[-1] != size:
        found = interpolate(found[None], size=(size, size), mode="bilinear", antialias=True)[0]
    return found.contiguous()


@functools.cache
def decoder() -> Callable[[Tensor, int], Tensor] | None:
    """torchvision's decode_jpeg(bytes, channels: 1 or 3), without `import torchvision`, which takes two seconds; None
    without its library."""
    spec = find_spec("torchvision")
    try:
        for folder in (spec.submodule_search_locations or []) if spec else []:
            for file in (*Path(folder).glob("image*.so"), *Path(folder).glob("image*.pyd")):
                torch.ops.load_library(file)
        decode: Callable[[Tensor, int], Tensor] = torch.ops.image.decode_jpeg
    except (AttributeError, OSError):
        return None
    return decode
