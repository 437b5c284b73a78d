"""A run's loss, on its device, in the units that it sees its targets in."""

import warnings
from typing import Any

import torch
from torch import Tensor, nn

from trainer.config.schema import Config
from trainer.data import seeds, tree
from trainer.data.loading import own_task
from trainer.data.meaning import INDEXED
from trainer.data.preprocessing import Preprocessing
from trainer.data.splits import Splits
from trainer.data.tree import Tree
from trainer.device import seed_all
from trainer.errors import ConfigError, place
from trainer.tasks import calls, losses
from trainer.tasks.calls import Loss
from trainer.tasks.model_loss import OfModel
from trainer.text import first_line


def build_loss(
    config: Config, prepared: Preprocessing, device: torch.device, dtype: torch.dtype, class_axis: int = 1
) -> tuple[dict[str, Any], nn.Module]:
    """(The resolved node of a run's loss, the loss). class_axis: of predictions. Raises ConfigError."""
    node = losses.resolve(config.loss, prepared.facts, own_task(config.dataset))
    if node.get("class_axis", 1) is None:
        del node["class_axis"]
    unit = losses.unit(config.dataset, prepared.y)
    seed_all(seeds.derive(config.seed, "loss"))  # for modules that a loss makes itself
    loss_fn = losses.make_loss(node, prepared.facts, unit, class_axis).to(device, dtype)
    losses.link(loss_fn, config.dataset, prepared.y)
    if isinstance(loss_fn, OfModel):
        loss_fn.know(prepared.facts, prepared.shift)
    return node, loss_fn


def try_loss(loss: Loss, loss_fn: nn.Module, prediction: Tree, splits: Splits, class_axis: int) -> Any:
    """What the loss returns for the sample. Raises ConfigError for one that fails."""
    (x, y), name = splits.sample, type(loss_fn).__name__
    try:
        with warnings.catch_warnings(), torch.no_grad():
            warnings.simplefilter("ignore")  # a guard explains more than torch's warning
            return loss(prediction, y, x)
    except Exception as error:
        text = f"loss {name} on output {tree.described(prediction)} and target {tree.described(y)}"
        if isinstance(loss_fn, losses.NUMERIC) and isinstance(y, Tensor) and not y.is_floating_point():
            text = f"loss {name} needs numbers, but the targets are {splits.facts.task}, as loss=auto takes them"
            raise ConfigError(text, losses.AS_NUMBERS) from error
        hint = calls.unknown_argument(loss_fn)
        if hint is None and splits.facts.task in INDEXED and class_axis != 1:
            hint = f"prediction.movedim({class_axis}, 1) in the loss: torch reads the classes along axis 1"
        raise ConfigError(f"{text}: {first_line(error)}{place(error)}", hint) from error
