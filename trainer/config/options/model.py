"""The keys of the shipped model options, by `_target_`: their types, ranges and help."""

from dataclasses import dataclass
from typing import Literal

from trainer.config.schema_key import key

Activation = Literal["relu", "gelu", "silu", "tanh", "sigmoid", "leaky_relu"]


@dataclass
class Linear:
    in_features: int | None = key("inputs; null: from the data", at_least=1)
    out_features: int | None = key("outputs; null: from the data", at_least=1)
    bias: bool = key("add a bias")
    init: Literal["uniform", "zero"] = key("initial weights")


@dataclass
class MLP:
    in_features: int | None = key("inputs; null: from the data", at_least=1)
    out_features: int | None = key("outputs; null: from the data", at_least=1)
    hidden: list[int] = key("width of each hidden layer", at_least=1)
    activation: Activation = key("activation between the layers")
    dropout: float = key("share of activations dropped in training", at_least=0, below=1)
    norm: Literal["none", "batch", "layer"] = key("normalisation after each hidden linear layer")


@dataclass
class CNN:
    in_channels: int | None = key("channels of the pictures; null: from the data", at_least=1)
    num_classes: int | None = key("outputs; null: from the data", at_least=1)
    channels: list[int] = key("channels of each block, which halves the picture", at_least=1)
    kernel_size: int = key("side of the kernels, odd", at_least=1)
    activation: Activation = key("activation in each block")
    dropout: float = key("share of features dropped before the last layer", at_least=0, below=1)


@dataclass
class ResNet:
    in_channels: int | None = key("channels of the pictures; null: from the data", at_least=1)
    num_classes: int | None = key("outputs; null: from the data", at_least=1)
    depth: int = key("layers with weights: 8, 14, 20 or another 6n + 2", at_least=8)
    width: int = key("channels of the first of three stages, each of which doubles them", at_least=1)


@dataclass
class WideCNN:
    in_channels: int | None = key("channels of the pictures; null: from the data", at_least=1)
    num_classes: int | None = key("outputs; null: from the data", at_least=1)
    widths: list[int] = key("channels of each group, which halves the picture", at_least=1)
    momentum: float = key("share of the newest batch in the statistics of the norms", above=0, at_most=1)
    logit_scale: float = key("factor on the logits", above=0)


SCHEMAS: dict[str, type] = {
    "trainer.models.linear.Linear": Linear,
    "trainer.models.mlp.MLP": MLP,
    "trainer.models.cnn.CNN": CNN,
    "trainer.models.resnet.ResNet": ResNet,
    "trainer.models.wide_cnn.WideCNN": WideCNN,
}
