"""A config becomes a TrainState, from top to bottom: data, model, loss, optimizer, scheduler, precision."""

import copy
import dataclasses
import math
import shutil
import time
import warnings
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor, nn

from trainer import losses, optimizers, schedules, seeds, sizes, targets
from trainer.compiled import CompiledStep
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
from trainer.distributed import Ranks, averaging, synchronised
from trainer.durations import in_steps
from trainer.errors import ConfigError
from trainer.guards import structure
from trainer.guards.before import before_training
from trainer.guards.finding import Finding
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
    findings: list[Finding]
    data_seconds: float


def build(
    config: Config, *, cores: int | None = None, download: bool = True, ranks: Ranks | None = None
) -> tuple[TrainState, Setup]:
    """Everything a run needs, on its device. Raises ConfigError for what does not fit together.

    cores: how many threads=auto may take; None is all that this process may use. download: whether data that is
    missing may be fetched. ranks: this process among those that train together; None where it trains alone.
    """
    check_installed(config)
    prepare_cpu()
    ranks = ranks or Ranks()
    device, device_why = choose_device(config.device)
    device = ranks.device(device, config.device)
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
    if config.sync_batchnorm:
        model = synchronised(model, device, ranks)
    findings = structure.unregistered(model) if config.guards != "none" else []

    loss_node = losses.resolve(config.loss, facts, splits.class_counts)
    loss_fn = losses.make_loss(loss_node, facts).to(device, dtype)
    denominator, loss_counts = losses.denominator(loss_fn)
    flops = probe(model, loss_fn, splits)

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
        ranks=ranks,
    )
    check_batches(train_batches, model, splits.sample[0])
    steps_per_epoch = train_batches.steps_per_epoch
    num_steps = min(config.epochs * steps_per_epoch, config.max_steps or config.epochs * steps_per_epoch)
    samples_per_step = config.loader.batch_size * config.accumulate

    stopping = make_stopping(config, splits)
    optimizer = optimizers.make_optimizer(config.optimizer, model, device)
    if config.guards != "none":
        findings += before_training(model, loss_fn, optimizer, splits.sample)
        refuse(findings, config.guards)
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

    rows = math.ceil(config.loader.batch_size / ranks.size)  # of a batch, on one rank
    threads, threads_why = set_threads(
        config.threads, device, 3 * flops * rows, max(1, (cores or num_cores()) // ranks.local_size)
    )
    if config.compile != "none":
        check_compiler(device, config.compile)
        if config.explain:
            raise ConfigError(f"explain looks between the layers, which compile={config.compile} fuses", "compile=none")
    if config.compile == "model":
        compile_in_place(model, config.compiler.mode, config.compiler.dynamic)
    autocast = make_autocast(device, config.autocast)
    forward: Callable[[Tensor], Tensor] = model
    if ranks.size > 1:
        x, y = (part[torch.arange(rows) % len(part)] for part in splits.sample)

        def loss_of(forward: Callable[[Tensor], Tensor]) -> Tensor:
            with autocast():
                loss: Tensor = loss_fn(forward(x), y)
                return loss

        forward = ddp = averaging(model, device, loss_of)
        train_batches.hold_back = ddp.no_sync

    def for_evaluation(loader: Any, num_rows: int) -> EvalBatches | None:
        return EvalBatches(loader, num_rows, config.loader.eval_batch_size) if loader is not None else None

    run = TrainState(
        model=model,
        forward=forward,
        loss_fn=loss_fn,
        optimizer=optimizer,
        scheduler=scheduler,
        scaler=scaler,
        autocast=autocast,
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
        ranks=ranks,
    )
    if config.compile == "step":
        run.step = CompiledStep(run, config.compiler.mode, config.compiler.dynamic)
    resolved = dataclasses.replace(config, model=model_node, loss=loss_node, threads=threads, nproc=ranks.size)
    return run, Setup(resolved, splits, device_why, threads, threads_why, loss_counts, findings, data_seconds)


def make_model(node: dict[str, Any]) -> nn.Module:
    """The model that a completed node names. Raises ConfigError."""
    model = targets.construct(node, "model")
    if not isinstance(model, nn.Module):
        raise ConfigError(f"model._target_={node['_target_']} makes a {type(model).__name__}, which is no nn.Module")
    return model


def probe(model: nn.Module, loss_fn: nn.Module, splits: Splits) -> float:
    """One forward and loss on two rows, before anything is spent. Raises ConfigError where model and data do not fit.

    Returns the floating-point operations of forward a sample.
    """
    x, y = splits.sample
    name = type(model).__name__
    try:
        prediction, flops = sizes.forward_flops(model, x)
    except Exception as error:
        for finding in structure.elsewhere(model, loss_fn, x, y):
            raise ConfigError(finding.message, finding.remedy) from error
        reason = str(error).splitlines()[0] if str(error) else type(error).__name__
        raise ConfigError(f"model {name} does not take inputs of shape {tuple(x.shape)}: {reason}") from error
    if not isinstance(prediction, Tensor):
        raise ConfigError(f"model {name} returns a {type(prediction).__name__}, not a tensor")
    check_prediction(prediction, y, splits, name)
    if splits.facts.classes is not None:
        ignored = getattr(loss_fn, "ignore_index", -100)
        losses.check_labels(y, len(splits.facts.classes), "the first rows", ignored)
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
    return flops


def refuse(findings: list[Finding], guards: str) -> None:
    """Raise ConfigError where guards are strict and one has tripped; else keep torch from saying the same its way."""
    for finding in findings:
        if guards == "strict" and not finding.note:
            raise ConfigError(finding.message, f"{finding.remedy}; or guards=warn to go on all the same")
        if finding.check == "broadcast":
            warnings.filterwarnings("ignore", "Using a target size")  # torch's word for it, at every batch size anew


def check_prediction(prediction: Tensor, y: Tensor, splits: Splits, name: str) -> None:
    """Raise ConfigError where prediction and targets cannot meet. (That they broadcast is a guard's finding.)"""
    facts = splits.facts
    if facts.classes is not None:
        if not y.is_floating_point() and (prediction.ndim < 2 or prediction.shape[1] != len(facts.classes)):
            count = len(facts.classes)
            text = f"model {name} gives outputs of shape {tuple(prediction.shape)}, the data has {count} classes"
            raise ConfigError(text, f"an output of shape (batch, {count}): leave its size null in the config")
        return
    try:
        torch.broadcast_shapes(prediction.shape, y.shape)
    except RuntimeError:
        shapes = f"output {tuple(prediction.shape)} against target {tuple(y.shape)}"
        raise ConfigError(f"model {name}: {shapes} do not fit", f"an output of shape {tuple(y.shape)}") from None


def check_batches(batches: TrainBatches, model: nn.Module, x: Tensor) -> None:
    """Raise ConfigError where an epoch has no batch, or a batch of one that batch norm cannot take."""
    if batches.num_batches == 0:
        text = f"loader.drop_last=true leaves no batch: {batches.num_rows} rows, batches of {batches.batch_size}"
        raise ConfigError(text, f"loader.batch_size={batches.num_rows}")
    last = batches.num_rows - (batches.num_batches - 1) * batches.batch_size
    has_norm = any(isinstance(module, nn.modules.batchnorm._BatchNorm) for module in model.modules())
    if batches.ranks.size > 1:
        check_parts(batches, min(last, batches.batch_size), model, x)
    elif min(last, batches.batch_size) == 1 and has_norm:
        try:
            with torch.no_grad():
                copy.deepcopy(model).train()(x[:1])
        except ValueError as error:
            if batches.batch_size == 1:
                raise ConfigError("batch norm cannot train on batches of one sample", "loader.batch_size=64") from error
            text = f"the last batch of an epoch has one sample ({batches.num_rows} = n × {batches.batch_size} + 1)"
            raise ConfigError(f"{text}, which batch norm cannot train on", "loader.drop_last=true") from error


def check_parts(batches: TrainBatches, smallest: int, model: nn.Module, x: Tensor) -> None:
    """Raise ConfigError where a rank gets fewer rows of the smallest batch than the model can train on."""
    for rows in sorted(set(batches.ranks.parts(smallest))):
        if rows >= len(x):
            return
        trial = copy.deepcopy(model).train()
        try:
            trial(x[:rows]).sum().backward()
            if not all(bool(p.grad.isfinite().all()) for p in trial.parameters() if p.grad is not None):
                raise ValueError("its gradients are not finite")
        except (ValueError, RuntimeError) as error:
            text = f"{batches.ranks.size} processes leave one of them with {rows} rows of a batch of {smallest}"
            reason = f"which {type(model).__name__} cannot train on: {str(error).splitlines()[0]}"
            less = "loader.drop_last=true" if smallest < batches.batch_size else "loader.batch_size=64"
            raise ConfigError(f"{text}, {reason}", f"{less}, or nproc=1") from error


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


def check_compiler(device: torch.device, wanted: str = "model") -> None:
    """Raise ConfigError where torch.compile would find no C++ compiler."""
    if device.type == "cpu" and not any(shutil.which(name) for name in ("c++", "g++", "clang++")):
        raise ConfigError(f"compile={wanted} needs a C++ compiler, and there is none", "install g++, or compile=none")
