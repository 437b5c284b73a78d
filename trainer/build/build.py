"""From a config to a TrainState, step by step: data, model, loss, batches, optimizer, precision, ranks."""

import dataclasses
import time
from collections.abc import Sequence
from dataclasses import dataclass
from functools import partial
from typing import Any

import torch
from torch import Tensor
from torch.optim import Optimizer

from trainer import device as devices
from trainer import kernels
from trainer.build import (
    asked,
    augmentation,
    batch_mean,
    batch_sizes,
    connecting,
    gradient,
    guarded,
    init_from,
    phases,
    probe,
    stepping,
)
from trainer.build.compiling import compile_model
from trainer.build.first_rows import init_from_data
from trainer.build.model import build_model, choose_dtype
from trainer.build.row_weights import counts_evenly
from trainer.config.durations import in_steps
from trainer.config.schema import Config
from trainer.data.ahead import one_ahead
from trainer.data.balanced import training_labels
from trainer.data.batches import EvalBatches, TrainBatches
from trainer.data.earlier import Earlier
from trainer.data.labels import Denominator
from trainer.data.loading import make_splits, own_task
from trainer.data.room import Room
from trainer.data.splits import Splits
from trainer.guards.finding import Finding
from trainer.listeners.trackers import check_ready
from trainer.loop import train_step
from trainer.optim.freezing import freeze
from trainer.optim.groups import Row
from trainer.optim.optimizers import group_rows, make_optimizer
from trainer.optim.scheduler import make_scheduler
from trainer.processes import threads
from trainer.processes.machine import num_cores
from trainer.processes.ranks import Ranks
from trainer.progress import Progress
from trainer.state import TrainState
from trainer.stopping import Stopping, make_stopping
from trainer.tasks import calls, kinds, loss_modules, losses, metrics
from trainer.tasks.model_loss import OfModel
from trainer.tasks.task import Task


@dataclass
class Setup:
    """Facts about a built run for its header, and the resolved config, from which alone it can be built again."""

    config: Config
    splits: Splits
    device_why: str
    threads: int
    threads_why: str
    loss_counts: str
    loss_mean: batch_mean.Verdict | None
    findings: list[Finding]
    groups: list[Row]  # of the optimizer, where the config asks for some
    data_seconds: float
    reaches_out: bool  # whether the run may write outside its folder: see `download` of build
    first_weights: init_from.FirstWeights


def build(
    config: Config,
    *,
    cores: int | None = None,
    num_jobs: int = 1,
    download: bool = True,
    ranks: Ranks | None = None,
    earlier: Earlier | None = None,
    may_measure: bool = False,
) -> tuple[TrainState, Setup]:
    """Build everything that a run needs, on its device. Raises ConfigError for parts that do not fit together.

    cores: how many threads=auto may use; None means all that this process may use. num_jobs: of a sweep, that share the
    memory. download: whether the run may reach outside its folder, to fetch missing data, read weights to start from or
    log to a tracker: not for what nobody has signed or trusts. ranks: this process among those that train together;
    None where it trains alone. earlier: what the run stored about its data, if it resumes: it starts from no weights
    then, since a checkpoint has its own. may_measure: see processes/threads.py.
    """
    ranks = ranks or Ranks()
    room = Room(max(1, (cores or num_cores()) // ranks.local_size), num_jobs * ranks.local_size)
    make = partial(_build, room=room, download=download, ranks=ranks, earlier=earlier, may_measure=may_measure)
    try:
        return make(config)
    except probe.OtherTask as other:
        return make(dataclasses.replace(config, dataset={**config.dataset, "task": other.args[0]}))


def _build(
    config: Config, *, room: Room, download: bool, ranks: Ranks, earlier: Earlier | None, may_measure: bool
) -> tuple[TrainState, Setup]:
    check_ready(config, reaches_out=download)
    probe.check_options(config)
    stepping.check(config)
    phases.check(config)
    config, published = init_from.without_published(config)
    device, device_why = _place(config, ranks)
    dtype = choose_dtype(config.dtype, device)

    begun, targets = time.perf_counter(), losses.target_scaling(config)
    splits = make_splits(config, device, dtype, download=download, earlier=earlier, targets=targets, room=room)
    data_seconds = time.perf_counter() - begun

    model_node, model, findings = build_model(config, splits, device, dtype, ranks)
    init_from_data(model, splits.train, config)
    began = init_from.begin(model, config, published, splits, is_trusted=download, resumes=earlier is not None)
    probed = probe.probe(config, model, splits, device, dtype)
    loss_fn = probed.loss_fn
    denominator, loss_counts = losses.denominator(loss_fn)
    trained = loss_modules.with_model(model, loss_fn)
    frozen = freeze(model, config.freeze, trained)
    began = began.with_frozen(model, frozen.parameters)
    task = kinds.make(splits.facts, splits.scale_y, probed.fit.class_axis, own_task(config.dataset))

    one = torch.ones((), device=device, dtype=dtype)
    verdict = batch_mean.verdict(config, model, probed, splits, ranks)
    if isinstance(loss_fn, OfModel):
        probed.fit = dataclasses.replace(probed.fit, shift=loss_fn.shift)
        splits.preprocessing.shift = loss_fn.shift
    even = counts_evenly(loss_fn, loss_counts, splits)
    train_batches = _train_batches(config, splits, denominator, loss_counts == "sum", one, ranks, even=even)
    augmentation.augment(train_batches, config, splits, loss_fn, dtype)
    train_batches.loader = one_ahead(train_batches.loader, device)
    batch_sizes.check(train_batches, model, splits.sample[0])
    progress = _progress(config, train_batches)

    stopping, measured = _measured(config, task, probed, splits, ranks)
    modules, thaws = {"": model, loss_modules.PREFIX: loss_fn}, config.unfreeze_at is not None
    make_optim = partial(make_optimizer, config.optimizer, modules, device)
    optimizer = make_optim()
    groups = group_rows(optimizer, config.optimizer, modules, frozen.parameters, thaws=thaws)
    rates = [float(group["lr"]) for group in optimizer.param_groups]
    gradient.check(model, probed, splits.sample)
    findings = guarded.findings(config, model, optimizer, probed, splits, findings)
    scaler = devices.make_scaler(device, config.autocast)
    lengths = {"num_steps": progress.num_steps, "steps_per_epoch": progress.steps_per_epoch}
    lengths["samples_per_step"] = config.loader.batch_size * config.accumulate

    def make_schedule(optimizer: Optimizer) -> Any:
        return make_scheduler(config.scheduler, optimizer, scaler, mode=stopping.mode, **lengths)

    num_rows = -(-min(config.loader.batch_size, train_batches.num_rows) // ranks.size)  # of a batch, on one rank
    flop = 3 * probed.flops * num_rows  # of a batch
    work = (device, flop, room.cores, ranks)
    num_threads, threads_why = threads.take(config.threads, *work, may_measure=may_measure)
    if config.compile != "none":
        probe.check_compiler(device, config.compile)
    autocast = devices.make_autocast(device, config.autocast)
    if config.compile == "model":
        few = connecting.loss_of(probed, autocast, splits.sample, 2)
        compile_model(model, loss_fn, few, device, config.compiler)
    of_rows = connecting.loss_of(probed, autocast, splits.sample, num_rows)
    connect = partial(connecting.connected, model, probed, of_rows, splits.sample[0], device, ranks)
    forward, train_batches.no_sync = connect()

    loss_modules.restore(loss_fn, probed.buffers)
    run = TrainState(
        model=model,
        trained=trained,
        forward=forward,
        call=probed.call,
        loss_fn=loss_fn,
        loss=probed.loss,
        terms=probed.terms,
        minimised=calls.first_gradient(probed.terms, one),
        fit=probed.fit,
        task=task,
        optimizer=optimizer,
        scheduler=make_schedule(optimizer),
        scaler=scaler,
        autocast=autocast,
        step=train_step,
        train_batches=train_batches,
        val_batches=EvalBatches.of(splits.val, config.loader.eval_batch_size),
        test_batches=EvalBatches.of(splits.test, config.loader.eval_batch_size),
        progress=progress,
        stopping=stopping,
        metrics=measured,
        device=device,
        seed=config.seed,
        max_norm=config.clip_grad_norm,
        log_every=config.log_every,
        dtype=dtype,
        zero=torch.zeros((1 + len(probed.terms),) if probed.terms else (), device=device, dtype=dtype),
        ranks=ranks,
    )
    choose_step = partial(stepping.choose, config, flop * config.accumulate)
    run.step = choose_step(run, 0)
    again = phases.Parts(frozen, make_optim, make_schedule, connect, choose_step, rates)
    phases.attach(run, config, again, splits.train)
    loader = dataclasses.replace(config.loader, num_workers=splits.num_workers)
    resolved = dataclasses.replace(config, model=model_node, loss=probed.loss_node, loader=loader, nproc=ranks.size)
    resolved = dataclasses.replace(resolved, threads=num_threads, init_from=began.path, init_sha256=began.sha256)
    facts = (device_why, num_threads, threads_why, loss_counts, verdict, findings, groups, data_seconds, download)
    return run, Setup(resolved, splits, *facts, began)


def _measured(
    config: Config, task: Task, probed: probe.Probed, splits: Splits, ranks: Ranks
) -> tuple[Stopping, Sequence[str]]:
    """(What stops a run and chooses its best weights, the names of the metrics that an evaluation measures)."""
    num_val, own = splits.num_rows("val"), asked.choose(config, task, probed, splits, ranks)
    modes = metrics.directions(task, own, num_val, probed.terms, config.monitor_mode or "min", summed=probed.summed)
    stopping = make_stopping(config.monitor, config.early_stop, modes, task.monitor, config.monitor_mode)
    num_rows, counts = num_val or splits.num_rows("test"), splits.facts.class_counts
    return stopping, metrics.measured(task.name, task.modes, num_rows, counts, stopping.monitor, own)


def _place(config: Config, ranks: Ranks) -> tuple[torch.device, str]:
    """(This rank's device, why it is that one), prepared for training."""
    devices.prepare_cpu()
    device, why = devices.choose_device(config.device)
    device, is_compiled = ranks.device(device, config.device), config.compile != "none"
    kernels.choose(device, is_deterministic=config.deterministic, is_compiled=is_compiled, matmul=config.matmul)
    return device, why


def _train_batches(
    config: Config, splits: Splits, denominator: Denominator, sums: bool, one: Tensor, ranks: Ranks, *, even: bool
) -> TrainBatches:
    loader, train = config.loader, splits.train
    order = (loader.batch_size, config.accumulate, loader.shuffle, loader.drop_last, config.seed)
    labels = training_labels(splits, loader)
    return TrainBatches(train.loader, train.num_rows, *order, denominator, sums, one, ranks, labels, even)


def _progress(config: Config, batches: TrainBatches) -> Progress:
    """The progress of a new run: how many steps it will take, and how often it is evaluated."""
    steps_per_epoch, num_steps = batches.steps_per_epoch, config.epochs * batches.steps_per_epoch
    eval_every = in_steps(config.eval_every, steps_per_epoch, batches.batch_size * config.accumulate)
    return Progress(min(num_steps, config.max_steps or num_steps), steps_per_epoch, eval_every)
