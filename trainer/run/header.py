"""The lines that describe a run, before it starts."""

import math
from collections.abc import Iterator, Sequence, Set
from pathlib import Path
from typing import Any

import torch

from trainer import __version__, kernels
from trainer.build import phases, sizes
from trainer.build.build import Setup
from trainer.config import asked_augmentation, given
from trainer.config.schema import Config
from trainer.data import tree
from trainer.data.facts import Facts, Spec
from trainer.data.parts import Part
from trainer.data.rows import PROBED
from trainer.data.splits import Splits
from trainer.data.tree import Tree
from trainer.data.workers import Seeded
from trainer.disk import layout
from trainer.guards.finding import Finding
from trainer.optim.groups import MUON, count
from trainer.optim.muon import Muon
from trainer.optim.several import kinds
from trainer.state import TrainState
from trainer.steps.compiled import CompiledStep
from trainer.steps.graphed import GraphedStep
from trainer.tasks import baseline, loss_modules, losses
from trainer.tasks.model_loss import OfModel
from trainer.terminal.screen import Screen
from trainer.text import WIDTH, counted, cut, decimal, listed

LATE = ", after the end"  # of a change that a run does not reach
FEW = 3  # classes whose shares are named one by one


def show(screen: Screen, run: TrainState, setup: Setup, folder: Path | None = None) -> None:
    """Print the header. folder: of the run; None where nothing is kept."""
    config, splits, progress = setup.config, setup.splits, run.progress
    screen.say(f"trainer {__version__} · torch {torch.__version__} · seed {config.seed}", style="bold")
    about = [config.name, f"tags: {', '.join(config.tags)}" if config.tags else "", config.notes]
    if said := [text for text in about if text]:
        screen.entry("name", said)
    screen.entry("data", [*data_lines(splits), *splits.notes, *baseline_lines(splits, run.metrics)])
    for texts in splits.warnings:
        screen.warn(texts)
    if augmented := asked_augmentation.words(config.augment):
        screen.entry("augment", [augmented])
    if objects := given.arguments(vars(config)):
        screen.entry("given", [f"{objects} are no part of the run folder: trainer.resume(RUN, {objects})"])
    precision = config.dtype + (f", autocast {config.autocast}" if config.autocast != "none" else "")
    precision += ", compiled" if config.compile == "model" else ""
    size = f"{sizes.num_parameters(run.model):,} parameters"
    screen.entry("model", [f"{sizes.describe(run.model)}, {size}, {precision}"])
    if setup.first_weights.lines:
        screen.entry("weights", setup.first_weights.lines)
    for texts in setup.first_weights.warnings:
        screen.warn(texts)
    if config.freeze:
        screen.entry("frozen", [frozen_text(run)])
    screen.entry("loss", loss_lines(run, setup))
    schedule = type(getattr(run.scheduler, "scheduler", run.scheduler)).__name__
    schedule = "" if schedule == "Constant" else f", {schedule}"
    screen.entry("optim", [f"{optimizer_text(run, setup)}{schedule}"])
    if config.optimizer["_target_"] == MUON and Muon.__name__ not in kinds(run.optimizer):
        until = when(run, "unfreeze")
        what = f"has nothing to train{f' until {until}' * bool(until)}: no hidden matrix is left for it"
        screen.warn([f"Muon {what}", "all that is trained takes AdamW", "try: optimizer=adamw"])
    if config.ema is not None or config.swa is not None:
        screen.entry("average", average_lines(run, config, schedule))
    batch = f"batch {config.loader.batch_size}" + f" × {config.accumulate}" * (config.accumulate > 1)
    batch += ", balanced classes" * (config.loader.sampler == "balanced")
    steps, epochs = progress.steps_per_epoch, counted(progress.num_steps / progress.steps_per_epoch, "epoch")
    limit = [f"or as many as max_time={config.max_time} allows"] if config.max_time is not None else []
    text = f"{batch}: {counted(steps, 'step')} × {epochs} = {counted(progress.num_steps, 'step')}"
    screen.entry("steps", [text, *limit])
    if isinstance(step := getattr(run.step, "step", run.step), CompiledStep):
        screen.entry("compile", [step.describe(), *[step.calls] * bool(step.calls)])
    elif config.compiler.steps != "auto":
        screen.entry("compile", [f"{config.compile}: compiler.steps={config.compiler.steps} needs compile=step"])
    if isinstance(step, GraphedStep):
        screen.entry("graph", [step.describe()])
    where = [f"{run.device} ({setup.device_why})"]
    threads, data = f"{counted(setup.threads, 'thread')} ({setup.threads_why})", f"data {splits.loader_name}"
    where += [f"{threads}; {data}"] if len(threads) < WIDTH // 2 else [threads, data]
    screen.entry("device", where + [f"{run.ranks.size} processes, which share each batch"] * (run.ranks.size > 1))
    if fast := kernels.words(run.device, config.channels_last, config.deterministic, config.matmul):
        screen.entry("kernels", [fast])
    if folder is not None:
        screen.say(f"run      {layout.relative(folder)}")


def optimizer_text(run: TrainState, setup: Setup) -> str:
    """The optimizer and its rate, or the rates of its groups: AdamW in 3 groups, lr=0.0001 to 0.002."""
    if not setup.groups:
        return f"{kinds(run.optimizer)} lr={run.optimizer.defaults['lr']:g}"
    rates = sorted({row.lr for row in setup.groups if row.lr is not None})
    lr = f"{rates[0]:g}" + f" to {rates[-1]:g}" * (len(rates) > 1)
    waiting = sum(row.frozen for row in setup.groups) if "unfreeze" not in run.phases.begun else 0
    number = counted(count(setup.groups), "group") + f", {waiting} of them frozen" * bool(waiting)
    return f"{kinds(run.optimizer)} in {number}, lr={lr}"


def data_lines(splits: Splits) -> Iterator[str]:
    """The rows of the splits, what goes in, what a target is, and what decided that."""
    facts, loose = splits.facts, loose_sizes(splits.train.part)
    test = f" / {splits.num_rows('test'):,} test" if splits.test else ""
    rows = f"{splits.name}: {splits.num_rows('train'):,} train / {splits.num_rows('val'):,} val{test}"
    what = inputs(facts.inputs, loose)
    source = f" ({splits.source})" if splits.source else ""
    yield ", ".join(filter(None, [rows, what if facts.is_plain else "", target_text(facts)])) + source
    if not facts.is_plain:
        yield what
    if facts.meaning.why and facts.task not in ("classes", "numbers"):
        yield f"task {facts.task}: {facts.meaning.why}"


def loss_lines(run: TrainState, setup: Setup) -> list[str]:
    """The loss and its terms, and what else is to be known about it."""
    loss_fn = run.loss_fn
    if isinstance(loss_fn, OfModel):
        name, *lines = loss_fn.words(setup.loss_mean)
    else:
        name = type(loss_fn).__name__ + (f" ({', '.join(run.terms)})" if run.terms else "")
        told = {"samples": "taken as a mean over samples", "sum": "a sum; of a split, its mean over samples is shown"}
        lines = [text for counts, text in told.items() if counts == setup.loss_counts]
        if setup.loss_mean != "fits" and (setup.config.accumulate > 1 or run.ranks.size > 1):
            lines.append("that a batch is the mean over its parts could not be checked")
    if places := [term for term in run.terms if term in run.metrics]:
        lines.append(f"of the loss, not of the task: {listed(places)}")
    if others := [".".join(map(str, path)) for path in run.fit.others]:
        takers = "loss and metrics take" if losses.is_torchs(type(loss_fn)) else "metrics take"
        chosen = ".".join(map(str, run.fit.path))
        lines.append(f"{takers} the output {chosen}; {listed(others)} would fit too")
    trained = loss_modules.num_trained(loss_fn)
    frozen = sum(p.numel() for _, module in loss_modules.frozen(loss_fn) for p in module.parameters())
    parts = [f"{counted(trained, 'parameter')} trained with the model"] * (trained > 0)
    parts += [f"{counted(frozen, 'parameter')} frozen"] * (frozen > 0)
    return [f"{name}; monitored: {run.stopping.monitor}", *lines, *[", ".join(parts)] * bool(parts)]


def frozen_text(run: TrainState) -> str:
    """How many parameters are frozen, and until when."""
    total = sizes.num_parameters(run.model)
    until = when(run, "unfreeze")
    if "unfreeze" in run.phases.begun:
        return f"nothing any more: what freeze names trains since {until}"
    frozen = total - sizes.num_trained(run.model)
    return f"{frozen:,} of {total:,} parameters" + (f" until {until}" if until else "")


def average_lines(run: TrainState, config: Config, schedule: str) -> list[str]:
    """Which average of the weights is evaluated and kept, and the learning rate meanwhile. schedule: as it is shown."""
    if config.ema is not None:
        return [f"evaluated and kept: the weights' exponential average, decay {config.ema:g}, less in the first steps"]
    begins = when(run, "swa")
    if begins.endswith(LATE):
        return [f"none in this run: swa would begin at {begins}"]
    every = min(run.progress.steps_per_epoch, run.progress.eval_every)
    each = "epoch" if every == run.progress.steps_per_epoch else counted(every, "step")
    has_begun = "swa" in run.phases.begun
    lines = [f"evaluated and kept from {begins} on: the mean of the weights after each {each}"]
    least = phases.LEAST_RATE * run.optimizer.defaults["lr"]
    held = f"{config.swa_lr:g}" if config.swa_lr is not None else f"that of this step, at least {least:g}"
    held = f"{run.optimizer.param_groups[0]['lr']:g}" if has_begun else held
    ends = f"{schedule.removeprefix(', ')} ends there; " if schedule else ""
    return [*lines, f"{ends}the learning rate is then held: {held}"]


def when(run: TrainState, name: str) -> str:
    """The time of a change of the run, 'epoch 5' or 'step 7 (epoch 0.30)'; empty where there is no such change."""
    step, progress = run.phases.step_of(name), run.progress
    if step is None:
        return ""
    epoch = f"epoch {decimal(step / progress.steps_per_epoch)}"
    text = epoch if step % progress.steps_per_epoch == 0 else f"step {step:,} ({epoch})"
    return text if step < progress.num_steps else text + LATE


def loose_sizes(train: Part[Any]) -> set[tuple[str, int]]:
    """(path, axis) of the sizes of an input that differ between batches: of rows that a collate_fn pads."""
    if getattr(train.data, "pads", None) is None:
        return set()
    read = Seeded(train.data, 0, before_training=True)
    batches = [train.data.collate([read[0, row]])[0] for row in range(min(PROBED, len(train.data)))]
    shapes = [{path: tuple(leaf.shape[1:]) for path, leaf in tree.named(x)} for x in batches]
    return {
        (path, axis)
        for here in shapes
        for path, shape in here.items()
        for axis, size in enumerate(shape)
        if shapes[0].get(path, ())[axis : axis + 1] != (size,)
    }


def inputs(specs: Tree, loose: Set[tuple[str, int]] = frozenset()) -> str:
    """The shape of a sample: 4 inputs, or 1×28×28; of several tensors, each after its name. loose: see loose_sizes."""

    def shape(path: str, spec: Spec) -> str:
        here = ("length" if (path, axis) in loose else str(size) for axis, size in enumerate(spec.shape))
        return "×".join(here)

    def part(path: str, spec: Spec) -> str:
        size = f"({shape(path, spec) or 1})"
        return size if path.isdigit() else f"{path} {size}" if spec.shape else path

    if isinstance(specs, Spec):
        one_axis = counted(math.prod(specs.shape), "input") if not loose else f"input ({shape('', specs)})"
        return shape("", specs) if len(specs.shape) > 1 else one_axis
    parts = list(tree.named(specs))
    return f"input{'s' * (len(parts) > 1)} {', '.join(part(path, spec) for path, spec in parts)}"


def target_text(facts: Facts) -> str:
    """What a model predicts, in words; empty where the line about the task says all."""
    if facts.classes is not None:
        each = {"tokens": " a position", "pixels": " a pixel"}.get(facts.task, "")
        return counted(len(facts.classes), "label" if facts.task == "labels" else "class") + each
    return f"{counted(facts.num_outputs, 'number')} to predict" if facts.task == "numbers" else ""


def baseline_lines(splits: Splits, metrics: Sequence[str]) -> list[str]:
    """The shares of the classes, and what always giving the same answer measures. metrics: those of the run."""
    classes, counts, scale = splits.facts.classes, splits.facts.class_counts, splits.scale_y
    if splits.facts.task not in ("classes", "numbers"):
        return []
    if classes is None:
        known = scale.mean_and_std if scale is not None else None
        mse = f", train/mse {float(known[1].double().square().mean()):.4g}" if known is not None else ""
        mean = [f"predicting the mean gives r2 0{mse}"] if "r2" in metrics else []
        return mean or ["r2 is undefined for a single row of validation"] * (splits.num_rows("val") == 1)
    if counts is None:
        return []
    names, total = [cut(name, 16) for name in classes], sum(counts)
    shares = ", ".join(f"{name} {count / total:.1%}" for name, count in zip(names, counts, strict=True))
    if len(names) > FEW:
        shares = f"classes of {min(counts) / total:.1%} to {max(counts) / total:.1%}"
    answer = baseline.of_classes(names, counts, counts).answer
    lines = [shares, f"{answer} gives train/acc {max(counts) / total:.4f}"]
    return ["; ".join(lines)] if sum(map(len, lines)) < WIDTH - 10 else lines


def show_finding(screen: Screen, finding: Finding) -> None:
    """Print a guard's finding."""
    if finding.note:
        screen.entry("note", finding.texts)
    else:
        screen.warn(finding.texts)
