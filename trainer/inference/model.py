"""A run's model with its best weights and its preprocessing, loaded from the run folder alone."""

import shlex
from collections.abc import Callable, Mapping, Sequence
from contextlib import AbstractContextManager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

from trainer import checkpoint, kernels
from trainer.build.loss import build_loss
from trainer.build.model import choose_dtype, complete, make_model, materialize
from trainer.config import asked_metrics
from trainer.config.schema import Config
from trainer.data import facts as inputs_of
from trainer.data import seeds, tree
from trainer.data.earlier import read_preprocessing
from trainer.data.facts import Facts
from trainer.data.loaders import place
from trainer.data.loading import own_task
from trainer.data.preprocessing import Preprocessing
from trainer.data.scaling import AsIs, inverse_on
from trainer.data.tree import Tree
from trainer.device import choose_device, make_autocast, prepare_cpu, seed_generator
from trainer.disk import calibration, digest, layout, reading
from trainer.disk.tensors import MALFORMED, read_tensors
from trainer.errors import ConfigError, StorageError, complain
from trainer.inference.outputs import named as named_outputs
from trainer.inference.rows import Unlabelled, open_rows
from trainer.processes import threads
from trainer.processes.ranks import Ranks
from trainer.tasks import calls, loss_modules, losses, metric_choice, model_loss
from trainer.tasks.calls import Call, Loss
from trainer.tasks.fit import Fit
from trainer.tasks.kinds import make as make_task
from trainer.tasks.metrics import measured
from trainer.tasks.task import Task
from trainer.text import first_line

ANY = 2  # rows: enough for every metric


@dataclass
class Trained:
    """A trained model on its device, in eval mode, with the preprocessing of its raw inputs and targets."""

    model: nn.Module
    call: Call
    loss_fn: nn.Module
    loss: Loss
    terms: Sequence[str]
    fit: Fit
    task: Task
    preprocessing: Preprocessing
    metrics: Sequence[str]  # the names of those that the run measured
    seed: int
    autocast: Callable[[], AbstractContextManager[Any]]
    device: torch.device
    dtype: torch.dtype  # of the model
    ranks: Ranks = field(default_factory=Ranks)

    @property
    def facts(self) -> Facts:
        """Facts about the training data."""
        return self.preprocessing.facts

    def seed_evaluation(self, batch: int) -> None:
        """Seed what the model draws from, as in the run's own evaluations."""
        seed_generator(self.device, seeds.derive(self.seed, "evaluation", batch))

    @torch.no_grad()
    def outputs(self, raw: Tree, batch: int = 0) -> Tree:
        """What the model gives for raw rows (B, *raw_shape), or a tree of inputs, on the CPU, in the dtype of the data.

        The outputs are on the device, in the model's dtype. batch: its number, of which what a model draws is a
        function, as in `trainer eval`.
        """
        x = tree.mapped(lambda leaf: place(leaf, self.device, self.dtype), self.preprocessing.x(raw))
        self.seed_evaluation(batch)
        with self.autocast():
            output = self.call(x)
        return tree.mapped(Tensor.detach, tree.cast(output, self.dtype))

    def open(self, path: str, node: Mapping[str, Any], size: int, *, typed: bool) -> Unlabelled:
        """The rows at a path, see open_rows."""
        return open_rows(path, self.preprocessing, node, size, typed=typed)

    def named(self, raw: Tree, batch: int = 0) -> dict[str, Tensor]:
        """All outputs for raw rows by name, on the CPU, the answer first, see named_outputs."""
        found = named_outputs(self.task, self.fit, self.outputs(raw, batch))
        return {name: value.cpu() for name, value in found.items()}


def load(folder: Path, config: Config, *, to_measure: bool = False) -> Trained:
    """Rebuild a run's model. config: checked by read_config; to_measure: whether its metrics by name are needed. Raises
    ConfigError where the run has no weights yet, StorageError for damaged files, or weights that do not fit the
    model."""
    prepare_cpu()
    device, _ = choose_device(config.device)
    dtype = choose_dtype(config.dtype, device)
    prepared = read_preprocessing(folder, config.dataset, dtype)
    model = make_model(complete(config.model, prepared.facts), device, dtype)
    materialize(model, _zeros(prepared, device, dtype))
    command = f"trainer resume {shlex.quote(str(folder))}"
    try:
        data = digest.read_tensors(folder / layout.MODEL, checkpoint.most_bytes(model))
        checkpoint.load_weights(model.load_state_dict, read_tensors(data), folder / layout.MODEL)
    except FileNotFoundError:
        raise ConfigError(f"{folder} has no {layout.MODEL} yet", command) from None
    except reading.Damaged as error:
        raise StorageError(str(error), command) from error
    except MALFORMED as error:
        raise StorageError(f"{folder / layout.MODEL} is damaged: {first_line(error)}") from error
    threads.take(config.threads, device, 0, 1)
    torch.set_float32_matmul_precision(config.matmul)
    if config.channels_last:
        kernels.to_channels_last(model)
    _, loss_fn = build_loss(config, prepared, device, dtype, prepared.class_axis)
    _load_loss(folder, loss_fn)
    trained = assembled(config, prepared, model, loss_fn, to_measure=to_measure)
    if trained.fit != Fit():
        _check_fit(folder, trained.fit, trained.call, _zeros(prepared, device, dtype))
    if config.calibrate:
        trained.task.temperature = _temperature(folder, command, warn=not to_measure)
    return trained


def assembled(
    config: Config, prepared: Preprocessing, model: nn.Module, loss_fn: nn.Module, *, to_measure: bool = False
) -> Trained:
    """A model that has its weights, its loss and its preprocessing as one. The rest: see load."""
    device, _ = choose_device(config.device)
    dtype, facts = choose_dtype(config.dtype, device), prepared.facts
    fit = Fit(prepared.path, prepared.class_axis, prepared.shift)
    ours = losses.is_torchs(type(loss_fn))
    of_outputs = model_loss.of_outputs if isinstance(loss_fn, model_loss.OfModel) else calls.of_outputs
    call = of_outputs(calls.of_model(model.eval(), _zeros(prepared, device, dtype)))
    task = make_task(facts, inverse_on(prepared.of_answers, device), fit.class_axis, own_task(config.dataset))
    own = list[str]()
    if to_measure and config.metrics:
        own, task.named = metric_choice.chosen(asked_metrics.read(config.metrics), task)
    return Trained(
        model,
        call,
        loss_fn,
        calls.of_loss(loss_fn, fit.path if ours else (), prepared.terms, is_flat=not ours),
        prepared.terms,
        fit,
        task,
        prepared,
        measured(task.name, task.modes, ANY, facts.class_counts, config.monitor, own),
        config.seed,
        make_autocast(device, config.autocast),
        device,
        dtype,
    )


def _zeros(prepared: Preprocessing, device: torch.device, dtype: torch.dtype) -> Tree:
    """An input of two rows."""
    return inputs_of.zeros(prepared.facts.inputs, 2, device, dtype, as_is=isinstance(prepared.x, AsIs))


@torch.no_grad()
def _check_fit(folder: Path, fit: Fit, call: Call, x: Tree) -> None:
    """Raises StorageError where the model gives no such output: the file may be of any author."""
    outputs = call(x)
    try:
        output = fit(outputs)
        if isinstance(output, Tensor) and not output.ndim > fit.class_axis:
            raise ValueError(f"the output has no axis {fit.class_axis}")
    except (LookupError, TypeError, ValueError, RuntimeError) as error:
        text = f"{folder / layout.PREPROCESSING_FACTS} names an output of the model that it does not have"
        raise StorageError(f"{text}: {first_line(error)}") from error


def _temperature(folder: Path, command: str, *, warn: bool) -> float | None:
    """The temperature of a calibrated run; None, and a warning, where its last end was not reached. Raises StorageError
    for a damaged file."""
    try:
        found = calibration.read(folder)
    except reading.Damaged as error:
        raise StorageError(str(error), command) from error
    if found is None and warn:
        complain(f"warning: {folder} has no {layout.CALIBRATION}, so these probabilities are not calibrated: {command}")
    return found.temperature if found is not None else None


def _load_loss(folder: Path, loss_fn: nn.Module) -> None:
    """Load what a run has stored of its loss. Raises StorageError for a file that is missing or does not fit."""
    path, num_trained = folder / layout.LOSS, loss_modules.num_trained(loss_fn)
    if not loss_modules.state(loss_fn) or not (num_trained or path.exists()):  # earlier versions stored no buffers
        return
    try:
        loss_modules.load(loss_fn, read_tensors(digest.read_tensors(path, checkpoint.most_bytes(loss_fn))))
    except (FileNotFoundError, *MALFORMED) as error:
        raise StorageError(f"{path} is missing or damaged: {first_line(error)}") from error
