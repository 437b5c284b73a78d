"""The keys of the shipped loss options, by `_target_`: their types, ranges and help."""

from dataclasses import dataclass
from typing import Literal

from trainer.config.schema_key import NoKeys, key


@dataclass
class AutoLoss:
    weight: Literal["balanced"] | list[float] | None = key("weight of each class; balanced: more if rarer", at_least=0)


@dataclass
class CrossEntropy:
    weight: Literal["balanced"] | list[float] | None = key("weight of each class; balanced: more if rarer", at_least=0)
    ignore_index: int = key("targets with this value do not count")
    label_smoothing: float = key("share of the target spread over all classes", at_least=0, at_most=1)


SCHEMAS: dict[str, type] = {
    "auto": AutoLoss,
    "torch.nn.CrossEntropyLoss": CrossEntropy,
    "torch.nn.MSELoss": NoKeys,
    "torch.nn.L1Loss": NoKeys,
}
