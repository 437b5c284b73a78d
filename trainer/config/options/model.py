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


SCHEMAS: dict[str, type] = {
    "trainer.models.linear.Linear": Linear,
    "trainer.models.mlp.MLP": MLP,
    "trainer.models.cnn.CNN": CNN,
}
