"""From a config to a TrainState, step by step: data, model, loss, batches, optimizer, precision, ranks."""

import dataclasses
import time
from dataclasses import dataclass

import torch
from torch import Tensor

from trainer import device as devices
from trainer.build import probe
from trainer.build.loss import build_loss
from trainer.build.model import build_model, choose_dtype
from trainer.compiled_step import CompiledStep
from trainer.config.durations import in_steps
from trainer.config.schema import Config
from trainer.data.batches import EvalBatches, TrainBatches
from trainer.data.earlier import Earlier
from trainer.data.labels import Denominator
from trainer.data.loading import make_splits
from trainer.data.splits import Splits
from trainer.guards.before import before_training
from trainer.guards.finding import Finding
from trainer.guards.shared_rows import equal_rows
from trainer.listeners.trackers import check_installed
from trainer.loop import train_step
from trainer.optim.optimizers import make_optimizer
from trainer.optim.scheduler import make_scheduler
from trainer.processes.machine import num_cores
from trainer.processes.ranks import Ranks, averaging
from trainer.state import Progress, TrainState
from trainer.stopping import make_stopping
from trainer.tasks import losses, metrics


@dataclass
class Setup:
    """Facts about a built run for its header, and the resolved config, from which alone it can be built again."""

    config: Config
    splits: Splits
    device_why: str
    threads: int
    threads_why: str
    loss_counts: str
    findings: list[Finding]
    data_seconds: float
    reaches_out: bool  # whether the run may write outside its folder: see `download` of build


def build(
    config: Config,
    *,
    cores: int | None = None,
    download: bool = True,
    ranks: Ranks | None = None,
    earlier: Earlier | None = None,
) -> tuple[TrainState, Setup]:
    """Build everything that a run needs, on its device. Raises ConfigError for parts that do not fit together.

    cores: how many threads=auto may use; None means all that this process may use. download: whether the run may reach
    outside its folder, to fetch missing data or to log to a tracker: not for what nobody has signed or trusts. ranks:
    this process among those that train together; None where it trains alone. earlier: what the run stored about its
    data, if it resumes.
    """
    check_installed(config, reaches_out=download)
    probe.check_options(config)
    ranks = ranks or Ranks()
    device, device_why = _place(config, ranks)
    dtype = choose_dtype(config.dtype, device)

    begun, targets = time.perf_counter(), losses.target_scaling(config)
    splits = make_splits(config, device, dtype, download=download, earlier=earlier, targets=targets)
    data_seconds = time.perf_counter() - begun

    model_node, model, findings = build_model(config, splits, device, dtype, ranks)
    loss_node, loss_fn = build_loss(config, splits.preprocessing, device, dtype)
    denominator, loss_counts = losses.denominator(loss_fn)
    flops = probe.probe(model, loss_fn, splits)

    one = torch.ones((), device=device, dtype=dtype)
    train_batches = _train_batches(config, splits, denominator, loss_counts == "sum", one, ranks)
    probe.check_batches(train_batches, model, splits.sample[0])
    progress = _progress(config, train_batches)

    task, num_val = splits.facts.task, splits.num_rows("val")
    stopping = make_stopping(config.monitor, config.early_stop, metrics.known(task, num_val), metrics.MONITOR[task])
    optimizer = make_optimizer(config.optimizer, model, device)
    if config.guards != "none":
        is_standardised = splits.preprocessing.x.mean_and_std is not None
        findings += before_training(model, loss_fn, optimizer, splits.sample, is_standardised=is_standardised)
        findings += equal_rows(splits.fingerprint)
        probe.refuse(findings, config.guards)
    scaler = devices.make_scaler(device, config.autocast)
    lengths = {"num_steps": progress.num_steps, "steps_per_epoch": progress.steps_per_epoch}
    lengths["samples_per_step"] = config.loader.batch_size * config.accumulate
    scheduler = make_scheduler(config.scheduler, optimizer, scaler, mode=stopping.mode, **lengths)

    num_rows = -(-config.loader.batch_size // ranks.size)  # of a batch, on one rank
    cores_per_rank = max(1, (cores or num_cores()) // ranks.local_size)
    threads, threads_why = devices.set_threads(config.threads, device, 3 * flops * num_rows, cores_per_rank)
    if config.compile != "none":
        probe.check_compiler(device, config.compile)
    if config.compile == "model":
        devices.compile_in_place(model, config.compiler.mode, config.compiler.dynamic)
    autocast = devices.make_autocast(device, config.autocast)
    forward = model
    if ranks.size > 1:
        forward = ddp = averaging(model, loss_fn, autocast, splits.sample, num_rows)
        train_batches.no_sync = ddp.no_sync

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
        val_batches=EvalBatches.of(splits.val, config.loader.eval_batch_size),
        test_batches=EvalBatches.of(splits.test, config.loader.eval_batch_size),
        progress=progress,
        stopping=stopping,
        facts=splits.facts,
        metrics=metrics.measured(task, num_val or splits.num_rows("test"), splits.facts.class_counts, stopping.monitor),
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
    return run, Setup(resolved, splits, device_why, threads, threads_why, loss_counts, findings, data_seconds, download)


def _place(config: Config, ranks: Ranks) -> tuple[torch.device, str]:
    """(This rank's device, why it is that one), prepared for training."""
    devices.prepare_cpu()
    device, why = devices.choose_device(config.device)
    device = ranks.device(device, config.device)
    if config.deterministic:
        devices.prefer_deterministic(device, compiled=config.compile != "none")
    return device, why


def _train_batches(
    config: Config, splits: Splits, denominator: Denominator, sums: bool, one: Tensor, ranks: Ranks
) -> TrainBatches:
    loader, train = config.loader, splits.train
    order = (loader.batch_size, config.accumulate, loader.shuffle, loader.drop_last, config.seed)
    return TrainBatches(train.loader, train.num_rows, *order, denominator, sums, one, ranks)


def _progress(config: Config, batches: TrainBatches) -> Progress:
    """The progress of a new run: how many steps it will take, and how often it is evaluated."""
    steps_per_epoch = batches.steps_per_epoch
    num_steps = config.epochs * steps_per_epoch
    eval_every = in_steps(config.eval_every, steps_per_epoch, batches.batch_size * config.accumulate)
    return Progress(min(num_steps, config.max_steps or num_steps), steps_per_epoch, eval_every)
