"""From a config to a TrainState, step by step: data, model, loss, batches, optimizer, precision, ranks."""

import dataclasses
import time
from dataclasses import dataclass

import torch

from trainer import device as devices
from trainer.build import probe
from trainer.build.loss import build_loss
from trainer.build.model import build_model, choose_dtype
from trainer.compiled_step import CompiledStep
from trainer.config.durations import in_steps
from trainer.config.schema import Config
from trainer.data.batches import EvalBatches, TrainBatches
from trainer.data.earlier import Earlier
from trainer.data.loading import make_splits
from trainer.data.scaling import Cast
from trainer.data.splits import Splits
from trainer.guards.before import before_training
from trainer.guards.finding import Finding
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
    devices.prepare_cpu()
    ranks = ranks or Ranks()
    device, device_why = devices.choose_device(config.device)
    device = ranks.device(device, config.device)
    if config.deterministic:
        devices.prefer_deterministic(device, compiled=config.compile != "none")
    dtype = choose_dtype(config.dtype, device)

    begun = time.perf_counter()
    splits = make_splits(
        config, device, dtype, download=download, earlier=earlier, targets=losses.target_scaling(config)
    )
    data_seconds = time.perf_counter() - begun

    model_node, model, findings = build_model(config, splits, device, dtype, ranks)
    loss_node, loss_fn = build_loss(config, splits.preprocessing, device, dtype)
    denominator, loss_counts = losses.denominator(loss_fn)
    flops = probe.probe(model, loss_fn, splits)

    loader, one = config.loader, torch.ones((), device=device, dtype=dtype)
    order = (loader.batch_size, config.accumulate, loader.shuffle, loader.drop_last, config.seed)
    sums = loss_counts == "sum"
    train_batches = TrainBatches(splits.train.loader, splits.train.num_rows, *order, denominator, sums, one, ranks)
    probe.check_batches(train_batches, model, splits.sample[0])
    steps_per_epoch, samples_per_step = train_batches.steps_per_epoch, loader.batch_size * config.accumulate
    num_steps = config.epochs * steps_per_epoch
    num_steps = min(num_steps, config.max_steps or num_steps)
    eval_every = in_steps(config.eval_every, steps_per_epoch, samples_per_step)

    task, num_val = splits.facts.task, splits.num_rows("val")
    stopping = make_stopping(config.monitor, config.early_stop, metrics.known(task, num_val), metrics.MONITOR[task])
    optimizer = make_optimizer(config.optimizer, model, device)
    if config.guards != "none":
        is_standardised = not isinstance(splits.preprocessing.x, Cast)
        findings += before_training(model, loss_fn, optimizer, splits.sample, is_standardised=is_standardised)
        probe.refuse(findings, config.guards)
    scaler = devices.make_scaler(device, config.autocast)
    lengths = {"num_steps": num_steps, "steps_per_epoch": steps_per_epoch, "samples_per_step": samples_per_step}
    scheduler = make_scheduler(config.scheduler, optimizer, scaler, mode=stopping.mode, **lengths)

    num_rows = -(-loader.batch_size // ranks.size)  # of a batch, on one rank
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
        val_batches=EvalBatches.of(splits.val, loader.eval_batch_size),
        test_batches=EvalBatches.of(splits.test, loader.eval_batch_size),
        progress=Progress(num_steps, steps_per_epoch, eval_every),
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
