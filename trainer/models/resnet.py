"""A small residual network for pictures of about 32×32."""

from itertools import pairwise

import torch.nn.functional as F
from torch import Tensor, nn

NUM_STAGES = 3


class Block(nn.Module):
    """Two 3×3 convolutions, each with a batch norm, whose result is added to the input.

    Input (B, in_channels, H, W); output (B, out_channels, ⌈H / stride⌉, ⌈W / stride⌉). Where the shapes differ, the
    input is thinned out, and zeros are its further channels: option A of He et al. 2015, without parameters.
    """

    def __init__(self, in_channels: int, out_channels: int, stride: int) -> None:
        super().__init__()
        self.conv1 = nn.Conv2d(in_channels, out_channels, 3, stride, padding=1, bias=False)
        self.norm1 = nn.BatchNorm2d(out_channels)
        self.conv2 = nn.Conv2d(out_channels, out_channels, 3, padding=1, bias=False)
        self.norm2 = nn.BatchNorm2d(out_channels)
        self.stride, self.more_channels = stride, out_channels - in_channels

    def forward(self, x: Tensor) -> Tensor:
        change = self.norm2(self.conv2(F.relu(self.norm1(self.conv1(x)))))
        if self.stride > 1 or self.more_channels:
            before = self.more_channels // 2
            padding = (0, 0, 0, 0, before, self.more_channels - before)
            x = F.pad(x[:, :, :: self.stride, :: self.stride], padding)
        return F.relu(x + change)


class ResNet(nn.Module):
    """A convolution, three stages of (depth - 2) / 6 blocks each, the mean over the picture and a linear layer. Each
    further stage halves the picture and doubles the channels.

    Input (B, in_channels, H, W); output (B, num_classes): logits. depth: layers with weights, 6n + 2; ValueError for
    others. width: channels of the first stage. Source: He, Zhang, Ren and Sun, Deep Residual Learning for Image
    Recognition, 2015, section 4.2.
    """

    def __init__(self, in_channels: int, num_classes: int, depth: int = 20, width: int = 16) -> None:
        super().__init__()
        if depth < 8 or depth % 6 != 2:
            near = 6 * max(1, round((depth - 2) / 6)) + 2
            raise ValueError(f"depth={depth} is not 8, 14, 20 or another 6n + 2; try depth={near}")
        blocks: list[nn.Module] = []
        widths = [width, *(width * 2**stage for stage in range(NUM_STAGES))]
        for stage, (inner, outer) in enumerate(pairwise(widths)):
            blocks.append(Block(inner, outer, stride=1 if stage == 0 else 2))
            blocks += [Block(outer, outer, stride=1) for _ in range((depth - 2) // 6 - 1)]
        stem = [nn.Conv2d(in_channels, width, 3, padding=1, bias=False), nn.BatchNorm2d(width), nn.ReLU()]
        self.features = nn.Sequential(*stem, *blocks)
        self.classifier = nn.Linear(widths[-1], num_classes)
        for module in self.modules():
            if isinstance(module, nn.Conv2d):
                nn.init.kaiming_normal_(module.weight)  # the paper's own, for layers that rectify

    def forward(self, x: Tensor) -> Tensor:
        output: Tensor = self.classifier(self.features(x).mean((2, 3)))
        return output
