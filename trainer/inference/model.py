"""A run's model with its best weights and all that it needs around it, from the run folder alone."""

from collections.abc import Callable
from contextlib import AbstractContextManager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import safetensors.torch
import torch
from safetensors import SafetensorError
from torch import Tensor, nn

from trainer import checkpoint
from trainer.build.build import make_model
from trainer.config import target
from trainer.config.schema import Config
from trainer.data import preprocessing
from trainer.data.facts import Facts
from trainer.data.loaders import place
from trainer.data.preprocessing import Preprocessing
from trainer.data.scaling import Scale
from trainer.device import choose_device, make_autocast, prepare_cpu, set_threads
from trainer.disk import layout, reading
from trainer.errors import ConfigError, StorageError
from trainer.processes.ranks import Ranks
from trainer.tasks import losses


@dataclass
class Trained:
    """On its device, in eval mode. preprocessing: raw input to the model's, class names, units of numbers."""

    model: nn.Module
    loss_fn: nn.Module
    preprocessing: Preprocessing
    autocast: Callable[[], AbstractContextManager[Any]]
    device: torch.device
    dtype: torch.dtype  # of the model
    ranks: Ranks = field(default_factory=Ranks)

    @property
    def facts(self) -> Facts:
        """What the training data was."""
        return self.preprocessing.facts

    @property
    def scale_y(self) -> Scale | None:
        """What takes numeric targets to what the model predicts."""
        return self.preprocessing.y

    @torch.no_grad()
    def predict(self, raw: Tensor) -> Tensor:
        """Raw rows (B, *raw_shape) on any device to (B, classes) probabilities or (B, outputs) numbers in the data's
        units, on the CPU."""
        x = place(self.preprocessing.x(raw), self.device, self.dtype)
        with self.autocast():
            output: Tensor = self.model(x)
        output = output.to(self.dtype)
        if self.facts.classes is not None:
            return output.softmax(1).cpu()
        return (output if self.scale_y is None else self.scale_y.inverse(output)).cpu()


def load(folder: Path, config: Config) -> Trained:
    """Rebuild a run's model for a config that read_config has judged. Raises ConfigError where the run has no weights
    yet, StorageError for files that do not fit or are not what they should be."""
    prepare_cpu()
    device, _ = choose_device(config.device)
    dtype = getattr(torch, config.dtype)
    made = preprocessing.read(folder, dtype)
    facts = made.facts
    model = make_model(target.complete(config.model, "model", **facts.for_model())).to(device, dtype)
    try:
        data = reading.read_file(folder / layout.MODEL, checkpoint.most_bytes(model))
        model.load_state_dict(safetensors.torch.load(data))
    except FileNotFoundError:
        raise ConfigError(f"{folder} has no {layout.MODEL} yet", f"trainer resume {folder}") from None
    except (SafetensorError, RuntimeError, reading.Damaged) as error:
        raise StorageError(f"{folder / layout.MODEL} does not fit: {str(error).splitlines()[-1].strip()}") from error
    if made.y is not None:
        made.y.to(device)
    loss_fn = losses.make_loss(losses.resolve(config.loss, facts), facts).to(device, dtype)
    set_threads(config.threads, device, 0, 1)
    autocast = make_autocast(device, config.autocast)
    return Trained(model.eval(), loss_fn, made, autocast, device, dtype)
