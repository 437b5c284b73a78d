"""A run's model with its best weights and its preprocessing, loaded from the run folder alone."""

import shlex
from collections.abc import Callable, Sequence
from contextlib import AbstractContextManager
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

from trainer import checkpoint
from trainer.build.loss import build_loss
from trainer.build.model import choose_dtype, complete, make_model, materialize
from trainer.config.schema import Config
from trainer.data.earlier import read_preprocessing
from trainer.data.facts import Facts
from trainer.data.loaders import place
from trainer.data.preprocessing import Preprocessing
from trainer.data.scaling import Scale, inverse_on
from trainer.device import choose_device, make_autocast, prepare_cpu, set_threads
from trainer.disk import digest, layout, reading
from trainer.disk.tensors import MALFORMED, read_tensors
from trainer.errors import ConfigError, StorageError
from trainer.processes.ranks import Ranks
from trainer.tasks.metrics import measured
from trainer.text import first_line

ANY = 2  # rows: enough for every metric


@dataclass
class Trained:
    """A trained model on its device, in eval mode, with the preprocessing of its raw inputs and targets."""

    model: nn.Module
    loss_fn: nn.Module
    preprocessing: Preprocessing
    metrics: Sequence[str]  # the names of those that the run measured
    autocast: Callable[[], AbstractContextManager[Any]]
    device: torch.device
    dtype: torch.dtype  # of the model
    ranks: Ranks = field(default_factory=Ranks)

    @property
    def facts(self) -> Facts:
        """Facts about the training data."""
        return self.preprocessing.facts

    @cached_property
    def scale_y(self) -> Scale | None:
        """The scale of numeric targets, for its inverse on the device."""
        return inverse_on(self.preprocessing.y, self.device)

    @torch.no_grad()
    def predict(self, raw: Tensor) -> Tensor:
        """Predict raw rows (B, *raw_shape), on the CPU, in the dtype of the data. Returns, on the CPU, probabilities
        (B, classes), or numbers (B, outputs) in the data's units, in float64 where the targets were standardised."""
        x = place(self.preprocessing.x(raw), self.device, self.dtype)
        with self.autocast():
            output: Tensor = self.model(x)
        output = output.to(self.dtype)
        if self.facts.classes is not None:
            return output.softmax(1).cpu()
        return (output if self.scale_y is None else self.scale_y.predicted(output)).cpu()


def load(folder: Path, config: Config) -> Trained:
    """Rebuild a run's model. config: checked by read_config. Raises ConfigError where the run has no weights yet,
    StorageError for damaged files, or weights that do not fit the model."""
    prepare_cpu()
    device, _ = choose_device(config.device)
    dtype = choose_dtype(config.dtype, device)
    prepared = read_preprocessing(folder, config.dataset, dtype)
    facts = prepared.facts
    model = make_model(complete(config.model, facts), device, dtype)
    materialize(model, torch.zeros(2, *facts.input_shape, device=device, dtype=dtype))
    command = f"trainer resume {shlex.quote(str(folder))}"
    try:
        data = digest.read_tensors(folder / layout.MODEL, checkpoint.most_bytes(model))
        checkpoint.load_weights(model, read_tensors(data), folder / layout.MODEL)
    except FileNotFoundError:
        raise ConfigError(f"{folder} has no {layout.MODEL} yet", command) from None
    except reading.Damaged as error:
        raise StorageError(str(error), command) from error
    except MALFORMED as error:
        raise StorageError(f"{folder / layout.MODEL} is damaged: {first_line(error)}") from error
    _, loss_fn = build_loss(config, prepared, device, dtype)
    set_threads(config.threads, device, 0, 1)
    return Trained(
        model.eval(),
        loss_fn,
        prepared,
        measured(facts.task, ANY, facts.class_counts, config.monitor),
        make_autocast(device, config.autocast),
        device,
        dtype,
    )
