"""A config becomes a TrainState, from top to bottom: data, model, loss, optimizer, scheduler, precision."""

import dataclasses
import math
import time
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor, nn

from trainer.build.probe import check_batches, check_compiler, probe, refuse
from trainer.compiled_step import CompiledStep
from trainer.config import target
from trainer.config.durations import in_steps
from trainer.config.schema import Config
from trainer.data import seeds
from trainer.data.loading import make_splits
from trainer.data.splits import Splits
from trainer.data.windows import EvalBatches, TrainBatches
from trainer.device import (
    choose_device,
    compile_in_place,
    make_autocast,
    make_scaler,
    prefer_deterministic,
    prepare_cpu,
    seed_all,
    set_threads,
)
from trainer.errors import ConfigError
from trainer.guards import structure
from trainer.guards.before import before_training
from trainer.guards.finding import Finding
from trainer.listeners.trackers import check_installed
from trainer.loop import train_step
from trainer.optim import optimizers
from trainer.optim.scheduler import make_scheduler
from trainer.processes.machine import num_cores
from trainer.processes.ranks import Ranks, averaging, synchronised
from trainer.state import Progress, TrainState
from trainer.stopping import Stopping
from trainer.tasks import losses

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
    if config.deterministic:
        prefer_deterministic(device, compiled=config.compile != "none")
    dtype = getattr(torch, config.dtype)
    if device.type == "mps" and dtype is torch.float64:
        raise ConfigError("dtype=float64: Apple's GPU has no float64", "device=cpu")

    begun = time.perf_counter()
    seed_all(seeds.derive(config.dataset.get("split_seed", 0), "dataset"))  # the same rows whatever the seed
    splits = make_splits(config.dataset, config.loader, device, dtype, config.seed, download=download)
    data_seconds = time.perf_counter() - begun
    facts = splits.facts

    seed_all(seeds.derive(config.seed, "weights"))
    model_node = target.complete(config.model, "model", **facts.for_model())
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
    scheduler = make_scheduler(
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
        dtype=dtype,
        zero=torch.zeros((), device=device, dtype=dtype),
        ranks=ranks,
    )
    if config.compile == "step":
        run.step = CompiledStep(run, config.compiler.mode, config.compiler.dynamic)
    resolved = dataclasses.replace(config, model=model_node, loss=loss_node, threads=threads, nproc=ranks.size)
    return run, Setup(resolved, splits, device_why, threads, threads_why, loss_counts, findings, data_seconds)


def make_model(node: dict[str, Any]) -> nn.Module:
    """The model that a completed node names. Raises ConfigError."""
    model = target.construct(node, "model")
    if not isinstance(model, nn.Module):
        raise ConfigError(f"model._target_={node['_target_']} makes a {type(model).__name__}, which is no nn.Module")
    return model


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
