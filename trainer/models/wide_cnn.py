"""A wide convolutional network for pictures of about 32×32 that trains in few epochs, its first layer fitted to the
data. Source: Jordan, 94% on CIFAR-10 in 3.29 Seconds on a Single GPU, 2024 (arXiv 2404.00498), section 3."""

from collections.abc import Sequence
from itertools import pairwise

import torch
import torch.nn.functional as F
from torch import Tensor, nn

PATCH = 2  # the side of the patches that are whitened
LEAST = 5e-4  # added to the variance of each component, so that rare ones are not blown up
AT_ONCE = 100  # pictures whose patches are taken at once


class Whitening(nn.Module):
    """A 2×2 convolution whose outputs are uncorrelated over the patches of the training pictures and have variance one,
    each beside its negative. Only its bias is trained.

    Input (B, in_channels, H, W); output (B, 8 * in_channels, H - 1, W - 1). Until `fit`, it copies the patch.
    """

    weight: Tensor

    def __init__(self, in_channels: int) -> None:
        super().__init__()
        size = in_channels * PATCH**2
        self.register_buffer("weight", _both_signs(torch.eye(size), in_channels))
        self.bias = nn.Parameter(torch.zeros(2 * size))

    def fit(self, pictures: Tensor) -> None:
        """Whiten the patches of pictures (N, in_channels, H, W): each filter is an eigenvector of their second moments,
        divided by the root of its eigenvalue."""
        channels, size = pictures.shape[1], len(self.bias) // 2
        moments, number = torch.zeros(size, size, dtype=torch.float64), 0
        for some in pictures.split(AT_ONCE):
            some = some.cpu().double()  # exact whatever `matmul` is, and MPS has neither float64 nor eigh
            patches = F.unfold(some, PATCH).transpose(1, 2).reshape(-1, size)
            moments += patches.T @ patches
            number += len(patches)
        variances, directions = torch.linalg.eigh(moments / number)
        filters = directions / (variances + LEAST).sqrt()
        self.weight.copy_(_both_signs(filters.T, channels))

    def forward(self, x: Tensor) -> Tensor:
        return F.conv2d(x, self.weight, self.bias)


def _both_signs(filters: Tensor, in_channels: int) -> Tensor:
    """Filters (size, size), of a flat patch each, and their negatives as the weight of a convolution."""
    return torch.cat([filters, -filters]).reshape(-1, in_channels, PATCH, PATCH)


class BiasNorm(nn.BatchNorm2d):
    """A batch norm that trains its bias alone: its scale stays one, and is a parameter as in torch's own.

    Input and output (B, num_features, H, W). momentum: share of the newest batch in the running statistics.
    """

    def __init__(self, num_features: int, momentum: float) -> None:
        super().__init__(num_features, eps=1e-12, momentum=momentum)
        self.weight.requires_grad_(False)


class Group(nn.Module):
    """Convolution, 2×2 pooling, batch norm, GELU; convolution, batch norm, GELU.

    Input (B, in_channels, H, W); output (B, out_channels, ⌊H / 2⌋, ⌊W / 2⌋). The first filters of a convolution begin
    as the identity.
    """

    def __init__(self, in_channels: int, out_channels: int, momentum: float) -> None:
        super().__init__()
        self.conv1 = nn.Conv2d(in_channels, out_channels, 3, padding=1, bias=False)
        self.conv2 = nn.Conv2d(out_channels, out_channels, 3, padding=1, bias=False)
        self.norm1, self.norm2 = BiasNorm(out_channels, momentum), BiasNorm(out_channels, momentum)
        for conv in (self.conv1, self.conv2):
            nn.init.dirac_(conv.weight.data[: conv.in_channels])

    def forward(self, x: Tensor) -> Tensor:
        x = F.gelu(self.norm1(F.max_pool2d(self.conv1(x), 2)))
        return F.gelu(self.norm2(self.conv2(x)))


class WideCNN(nn.Module):
    """A whitening convolution, a group for each width, the maximum over the picture and a scaled linear layer.

    Input (B, in_channels, H, W) with H and W above 2 ** len(widths), else ValueError; output (B, num_classes): logits.
    momentum: share of the newest batch in the running statistics of the norms; logit_scale: factor on the logits.
    """

    def __init__(
        self,
        in_channels: int,
        num_classes: int,
        widths: Sequence[int] = (64, 256, 256),
        momentum: float = 0.4,
        logit_scale: float = 0.11,
    ) -> None:
        super().__init__()
        channels = [2 * in_channels * PATCH**2, *widths]
        self.whiten = Whitening(in_channels)
        self.groups = nn.Sequential(*(Group(inner, outer, momentum) for inner, outer in pairwise(channels)))
        self.head = nn.Linear(channels[-1], num_classes, bias=False)
        self.logit_scale = logit_scale

    def init_from_data(self, inputs: Tensor) -> None:
        """Fit the whitening layer to training pictures (N, in_channels, H, W)."""
        self.whiten.fit(inputs)

    def _too_small(self, x: Tensor) -> str:
        """What is wrong with pictures that the groups halve to nothing."""
        widths = [group.conv2.out_channels for group in self.groups if isinstance(group, Group)]
        text = (
            f"pictures of {x.shape[2]}×{x.shape[3]} are too small for {len(widths)} widths, each of which halves them"
        )
        most = (min(x.shape[2:]) - 1).bit_length() - 1
        return f"{text}; try widths={str(widths[:most]).replace(' ', '')}" if most > 0 else text

    def forward(self, x: Tensor) -> Tensor:
        if min(x.shape[2:]) <= 2 ** len(self.groups):
            raise ValueError(self._too_small(x))
        x = self.groups(F.gelu(self.whiten(x)))
        output: Tensor = self.head(x.amax((2, 3))) * self.logit_scale
        return output
