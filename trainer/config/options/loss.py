"""The keys of the shipped loss options, by `_target_`: their types, ranges and help."""

from dataclasses import dataclass
from typing import Literal

from trainer.config.schema_key import NoKeys, key


@dataclass
class AutoLoss:
    weight: Literal["balanced"] | list[float] | None = key("weight of each class; balanced: more if rarer", at_least=0)
    label_smoothing: float | None = key("share of the target spread over all classes", at_least=0, at_most=1)
    ignore_index: int | None = key("targets with this value do not count")
    class_axis: int | None = key("axis of the outputs that holds the classes; null: found by their shape", at_least=1)


@dataclass
class CrossEntropy:
    weight: Literal["balanced"] | list[float] | None = key("weight of each class; balanced: more if rarer", at_least=0)
    ignore_index: int = key("targets with this value do not count")
    label_smoothing: float = key("share of the target spread over all classes", at_least=0, at_most=1)
    class_axis: int | None = key("axis of the outputs that holds the classes; null: found by their shape", at_least=1)


@dataclass
class OfModel:
    argument: str | None = key("argument of the model's forward for the target; null: the target's name in the data")


@dataclass
class NLL:
    weight: Literal["balanced"] | list[float] | None = key("weight of each class; balanced: more if rarer", at_least=0)
    ignore_index: int = key("targets with this value do not count")


@dataclass
class Focal:
    gamma: float = key("how much less what is right already counts; 0 is cross-entropy", at_least=0)
    weight: Literal["balanced"] | list[float] | None = key("weight of each class; balanced: more if rarer", at_least=0)
    ignore_index: int = key("targets with this value do not count")
    class_axis: int | None = key("axis of the outputs that holds the classes; null: found by their shape", at_least=1)


@dataclass
class BCE:
    pos_weight: list[float] | None = key("weight of the rows that have a label, one number per label", at_least=0)


@dataclass
class Huber:
    delta: float = key("error at which the square ends, in the data's units", above=0)


@dataclass
class Quantile:
    quantiles: list[float] = key("shares of the targets below each output", above=0, below=1)


SCHEMAS: dict[str, type] = {
    "auto": AutoLoss,
    "torch.nn.CrossEntropyLoss": CrossEntropy,
    "torch.nn.MSELoss": NoKeys,
    "torch.nn.L1Loss": NoKeys,
    "torch.nn.HuberLoss": Huber,
    "torch.nn.BCEWithLogitsLoss": BCE,
    "torch.nn.NLLLoss": NLL,
    "trainer.tasks.focal.FocalLoss": Focal,
    "trainer.tasks.model_loss.OfModel": OfModel,
    "trainer.tasks.quantile.QuantileLoss": Quantile,
}
