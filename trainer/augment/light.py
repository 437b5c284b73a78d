"""Brightness and contrast, as torchvision's adjust_brightness and adjust_contrast define them.

x: pictures (B, C, H, W) of floats from 0, black, to `white`. factor: (B,), 1 changes nothing.
"""

from torch import Tensor

GREY = (0.2989, 0.587, 0.114)  # shares of red, green and blue, see ITU-R BT.601


def brightened(x: Tensor, factor: Tensor, white: float) -> Tensor:
    """Multiply pictures, and cut what is brighter than white."""
    return (x * factor[:, None, None, None]).clamp(0.0, white)


def contrasted(x: Tensor, factor: Tensor, white: float) -> Tensor:
    """Move pixels away from the mean grey of their picture (factor above 1), or towards it."""
    red, green, blue = GREY
    grey = x if x.shape[1] != 3 else red * x[:, :1] + green * x[:, 1:2] + blue * x[:, 2:]
    mean, factor = grey.mean((1, 2, 3), keepdim=True), factor[:, None, None, None]
    return (x * factor + mean * (1 - factor)).clamp(0.0, white)
