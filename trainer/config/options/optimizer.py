"""The keys of the shipped optimizer options, by `_target_`: their types, ranges and help."""

from dataclasses import dataclass
from typing import Any, Literal

from trainer.config.schema_key import key


@dataclass
class OptimizerKeys:
    """Keys of every optimizer, beside those of its class."""

    groups: list[Any] = key("parameters with numbers of their own, by pattern: [{params: features, lr: 1e-4}]")
    layer_decay: float | None = key("the rate of a layer over that of the layer behind it", above=0, at_most=1)


@dataclass
class Optimizer:
    lr: float = key("learning rate", above=0)
    weight_decay: float = key("pull towards zero, not on biases and norms", at_least=0)


@dataclass
class SGD(Optimizer):
    momentum: float = key("share of the last step that is carried over", at_least=0)
    dampening: float = key("share of the gradient left out of the momentum", at_least=0, at_most=1)
    nesterov: bool = key("look ahead along the momentum")


@dataclass
class Moments(Optimizer):
    """Keys of an optimizer that divides a running mean by the root of a running square."""

    betas: list[float] = key("decay of the running mean and square", at_least=0, below=1)
    eps: float = key("keeps the division finite", at_least=0)


@dataclass
class Adam(Moments):
    amsgrad: bool = key("divide by the largest running square so far")


@dataclass
class RMSprop(Optimizer):
    alpha: float = key("decay of the running square", at_least=0, below=1)
    eps: float = key("keeps the division finite", at_least=0)
    momentum: float = key("share of the last step that is carried over", at_least=0)
    centered: bool = key("subtract the running mean from the running square")


@dataclass
class Adagrad(Optimizer):
    lr_decay: float = key("decay of the learning rate at each step", at_least=0)
    eps: float = key("keeps the division finite", at_least=0)


@dataclass
class RAdam(Moments):
    decoupled_weight_decay: bool = key("shrink weights directly, as AdamW does, not through the gradient")


@dataclass
class NAdam(RAdam):
    momentum_decay: float = key("how fast the momentum rises to the first beta", at_least=0)


@dataclass
class Adafactor(Optimizer):
    beta2_decay: float = key("exponent of the step in the decay of the running square", below=0)
    d: float = key("largest root mean square of an update", above=0)


@dataclass
class Lion(Optimizer):
    betas: list[float] = key("weight of the mean in the step, and decay of the mean", at_least=0, below=1)


@dataclass
class Muon(Optimizer):
    momentum: float = key("decay of the running mean of gradients", at_least=0, below=1)
    nesterov: bool = key("look ahead along the momentum")
    ns_steps: int = key("steps of Newton and Schulz towards an orthogonal matrix", at_least=1, at_most=99)
    adjust_lr_fn: Literal["match_rms_adamw", "original", "spectral_unclamped"] = key(
        "how the rate depends on a matrix's shape; match_rms_adamw: lr is that of AdamW"
    )
    adamw: Literal["auto"] | list[str] = key("patterns of matrices that AdamW takes; auto: embeddings and the head")


SCHEMAS: dict[str, type] = {
    "torch.optim.SGD": SGD,
    "torch.optim.Adam": Adam,
    "torch.optim.AdamW": Adam,
    "torch.optim.RMSprop": RMSprop,
    "torch.optim.Adagrad": Adagrad,
    "torch.optim.NAdam": NAdam,
    "torch.optim.RAdam": RAdam,
    "torch.optim.Adafactor": Adafactor,
    "trainer.optim.lion.Lion": Lion,
    "trainer.optim.muon.Muon": Muon,
}
