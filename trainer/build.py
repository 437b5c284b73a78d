"""A config becomes a TrainState, from top to bottom: data, model, loss, optimizer, scheduler, precision."""

import copy
import dataclasses
import shutil
import time
import warnings
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor, nn

from trainer import losses, optimizers, schedules, seeds, sizes, targets
from trainer.cores import num_cores
from trainer.data.splits import Splits, make_splits
from trainer.data.windows import EvalBatches, TrainBatches
from trainer.device import (
    choose_device,
    compile_in_place,
    make_autocast,
    make_scaler,
    prepare_cpu,
    seed_all,
    set_threads,
)
from trainer.durations import in_steps
from trainer.errors import ConfigError
from trainer.listeners.trackers import check_installed
from trainer.loop import train_step
from trainer.schema.config import Config
from trainer.state import Progress, TrainState
from trainer.stopping import Stopping

METRICS = {"classes": ("loss", "acc"), "numbers": ("loss", "mse", "mae", "r2")}


@dataclass
class Setup:
    """What the header says of a built run, and the config that alone rebuilds it."""

    config: Config
    splits: Splits
    device_why: str
    threads: int
    threads_why: str
    loss_counts: str
    warnings: list[str]
    data_seconds: float


def build(config: Config, *, cores: int | None = None, download: bool = True) -> tuple[TrainState, Setup]:
    """Everything a run needs, on its device. Raises ConfigError for what does not fit together.

    cores: how many threads=auto may take; None is all that this process may use. download: whether data that is
    missing may be fetched.
    """
    check_installed(config)
    prepare_cpu()
    device, device_why = choose_device(config.device)
    dtype = getattr(torch, config.dtype)
    if device.type == "mps" and dtype is torch.float64:
        raise ConfigError("dtype=float64: Apple's GPU has no float64", "device=cpu")

    begun = time.perf_counter()
    seed_all(seeds.derive(config.dataset.get("split_seed", 0), "dataset"))  # the same rows whatever the seed
    splits = make_splits(config.dataset, config.loader, device, dtype, config.seed, download=download)
    data_seconds = time.perf_counter() - begun
    facts = splits.facts

    seed_all(seeds.derive(config.seed, "weights"))
    model_node = targets.complete(config.model, "model", **facts.for_model())
    model = make_model(model_node).to(device, dtype)

    loss_node = losses.resolve(config.loss, facts, splits.class_counts)
    loss_fn = losses.make_loss(loss_node, facts).to(device, dtype)
    denominator, loss_counts = losses.denominator(loss_fn)
    flops, found = probe(model, loss_fn, splits, config.guards)

    one = torch.ones((), device=device, dtype=dtype)
    train_batches = TrainBatches(
        splits.train,
        splits.num_train,
        config.loader.batch_size,
        config.accumulate,
        config.loader.shuffle,
        config.loader.drop_last,
        config.seed,
        denominator,
        sums=loss_counts == "sum",
        one=one,
    )
    check_batches(train_batches, model, splits.sample[0])
    steps_per_epoch = train_batches.steps_per_epoch
    num_steps = min(config.epochs * steps_per_epoch, config.max_steps or config.epochs * steps_per_epoch)
    samples_per_step = config.loader.batch_size * config.accumulate

    stopping = make_stopping(config, splits)
    optimizer = optimizers.make_optimizer(config.optimizer, model, device)
    scaler = make_scaler(device, config.autocast)
    scheduler = schedules.make_scheduler(
        config.scheduler,
        optimizer,
        scaler,
        num_steps=num_steps,
        steps_per_epoch=steps_per_epoch,
        samples_per_step=samples_per_step,
        mode=stopping.mode,
    )

    threads, threads_why = set_threads(
        config.threads, device, 3 * flops * config.loader.batch_size, cores or num_cores()
    )
    if config.compile == "model":
        check_compiler(device)
        if config.explain:
            raise ConfigError("explain looks between the layers, which compile=model fuses", "compile=none")
        compile_in_place(model, config.compiler.mode, config.compiler.dynamic)

    def for_evaluation(loader: Any, num_rows: int) -> EvalBatches | None:
        return EvalBatches(loader, num_rows, config.loader.eval_batch_size) if loader is not None else None

    run = TrainState(
        model=model,
        loss_fn=loss_fn,
        optimizer=optimizer,
        scheduler=scheduler,
        scaler=scaler,
        autocast=make_autocast(device, config.autocast),
        step=train_step,
        train_batches=train_batches,
        val_batches=for_evaluation(splits.val, splits.num_val),
        test_batches=for_evaluation(splits.test, splits.num_test),
        progress=Progress(
            num_steps=num_steps,
            steps_per_epoch=steps_per_epoch,
            eval_every=in_steps(config.eval_every, steps_per_epoch, samples_per_step),
        ),
        stopping=stopping,
        facts=facts,
        scale_y=splits.scale_y,
        device=device,
        seed=config.seed,
        max_norm=config.clip_grad_norm,
        log_every=config.log_every,
        zero=torch.zeros((), device=device, dtype=dtype),
    )
    resolved = dataclasses.replace(config, model=model_node, loss=loss_node, threads=threads)
    return run, Setup(resolved, splits, device_why, threads, threads_why, loss_counts, found, data_seconds)


def make_model(node: dict[str, Any]) -> nn.Module:
    """The model that a completed node names. Raises ConfigError."""
    model = targets.construct(node, "model")
    if not isinstance(model, nn.Module):
        raise ConfigError(f"model._target_={node['_target_']} makes a {type(model).__name__}, which is no nn.Module")
    return model


def probe(model: nn.Module, loss_fn: nn.Module, splits: Splits, guards: str) -> tuple[float, list[str]]:
    """One forward and loss on two rows, before anything is spent. Raises ConfigError where model and data do not fit.

    Returns the floating-point operations of forward a sample, and what the guards found.
    """
    x, y = splits.sample
    name = type(model).__name__
    try:
        prediction, flops = sizes.forward_flops(model, x)
    except Exception as error:
        reason = str(error).splitlines()[0] if str(error) else type(error).__name__
        raise ConfigError(f"model {name} does not take inputs of shape {tuple(x.shape)}: {reason}") from error
    if not isinstance(prediction, Tensor):
        raise ConfigError(f"model {name} returns a {type(prediction).__name__}, not a tensor")
    found = check_prediction(prediction, y, splits, name)
    if found and guards == "strict":
        raise ConfigError(found[0], "guards=warn goes on all the same")
    with warnings.catch_warnings(), torch.no_grad():
        warnings.simplefilter("ignore")  # the guard's message says more than torch's warning
        try:
            loss = loss_fn(prediction, y)
        except Exception as error:
            reason = str(error).splitlines()[0]
            text = f"loss {type(loss_fn).__name__} on output {tuple(prediction.shape)} and target {tuple(y.shape)}"
            raise ConfigError(f"{text}: {reason}") from error
    if loss.numel() != 1:
        raise ConfigError(f"loss {type(loss_fn).__name__} gives {tuple(loss.shape)}, not one number", "reduction=mean")
    if guards == "none":
        return flops, []
    if found:
        warnings.filterwarnings("ignore", "Using a target size")  # torch's word for it, at every batch size anew
    return flops, found


def check_prediction(prediction: Tensor, y: Tensor, splits: Splits, name: str) -> list[str]:
    """Shape of the prediction against the targets: an error where they cannot meet, a finding where they broadcast."""
    facts = splits.facts
    if facts.classes is not None:
        if not y.is_floating_point() and (prediction.ndim < 2 or prediction.shape[1] != len(facts.classes)):
            count = len(facts.classes)
            text = f"model {name} gives outputs of shape {tuple(prediction.shape)}, the data has {count} classes"
            raise ConfigError(text, f"an output of shape (batch, {count}): leave its size null in the config")
        return []
    if prediction.shape == y.shape:
        return []
    shapes = f"output {tuple(prediction.shape)} against target {tuple(y.shape)}"
    try:
        together = tuple(torch.broadcast_shapes(prediction.shape, y.shape))
    except RuntimeError:
        raise ConfigError(f"model {name}: {shapes} do not fit", f"an output of shape {tuple(y.shape)}") from None
    return [f"{shapes} broadcast to {together}: every prediction is compared with every target"]


def check_batches(batches: TrainBatches, model: nn.Module, x: Tensor) -> None:
    """Raise ConfigError where an epoch has no batch, or a batch of one that batch norm cannot take."""
    if batches.num_batches == 0:
        text = f"loader.drop_last=true leaves no batch: {batches.num_rows} rows, batches of {batches.batch_size}"
        raise ConfigError(text, f"loader.batch_size={batches.num_rows}")
    last = batches.num_rows - (batches.num_batches - 1) * batches.batch_size
    has_norm = any(isinstance(module, nn.modules.batchnorm._BatchNorm) for module in model.modules())
    if min(last, batches.batch_size) == 1 and has_norm:
        try:
            with torch.no_grad():
                copy.deepcopy(model).train()(x[:1])
        except ValueError as error:
            if batches.batch_size == 1:
                raise ConfigError("batch norm cannot train on batches of one sample", "loader.batch_size=64") from error
            text = f"the last batch of an epoch has one sample ({batches.num_rows} = n × {batches.batch_size} + 1)"
            raise ConfigError(f"{text}, which batch norm cannot train on", "loader.drop_last=true") from error


def make_stopping(config: Config, splits: Splits) -> Stopping:
    """What is monitored; auto is val/acc for classes and val/loss for numbers. Raises ConfigError."""
    names = ["train/loss"]
    if splits.val is not None:
        names += [f"val/{name}" for name in METRICS[splits.facts.task]]
    monitor = config.monitor
    if monitor == "auto":
        wanted = "val/acc" if splits.facts.task == "classes" else "val/loss"
        monitor = wanted if splits.val is not None else "train/loss"
    if monitor not in names:
        raise ConfigError(f"monitor={monitor}: this run reports no such metric", "monitor=" + "|".join(names))
    return Stopping(monitor, config.early_stop.patience, config.early_stop.min_delta)


def check_compiler(device: torch.device) -> None:
    """Raise ConfigError where torch.compile would find no C++ compiler."""
    if device.type == "cpu" and not any(shutil.which(name) for name in ("c++", "g++", "clang++")):
        raise ConfigError("compile=model needs a C++ compiler, and there is none", "install g++, or compile=none")
