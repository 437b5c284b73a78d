"""The keys of the shipped optimizer options, by `_target_`: their types, ranges and help."""

from dataclasses import dataclass

from trainer.config.schema_key import key


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
class Adam(Optimizer):
    betas: list[float] = key("decay of the running mean and square", at_least=0, below=1)
    eps: float = key("keeps the division finite", at_least=0)
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


SCHEMAS: dict[str, type] = {
    "torch.optim.SGD": SGD,
    "torch.optim.Adam": Adam,
    "torch.optim.AdamW": Adam,
    "torch.optim.RMSprop": RMSprop,
    "torch.optim.Adagrad": Adagrad,
}
