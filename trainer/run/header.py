"""The lines that describe a run, before it starts."""

import math
from collections.abc import Sequence
from pathlib import Path

import torch

from trainer import __version__
from trainer.build import sizes
from trainer.build.build import Setup
from trainer.compiled_step import CompiledStep
from trainer.data import tree
from trainer.data.facts import Facts, Spec
from trainer.data.splits import Splits
from trainer.data.tree import Tree
from trainer.disk import layout
from trainer.guards.finding import Finding
from trainer.state import TrainState
from trainer.tasks import baseline, loss_modules
from trainer.tasks.model_loss import OfModel
from trainer.terminal.screen import Screen
from trainer.text import WIDTH, counted, cut

FEW = 3  # classes whose shares are named one by one


def show(screen: Screen, run: TrainState, setup: Setup, folder: Path | None = None) -> None:
    """Print the header. folder: of the run; None where nothing is kept."""
    config, splits, progress, facts = setup.config, setup.splits, run.progress, setup.splits.facts
    test = f" / {splits.num_rows('test'):,} test" if splits.test else ""
    rows = f"{splits.num_rows('train'):,} train / {splits.num_rows('val'):,} val{test}"
    target = target_text(facts)
    source = f" ({splits.source})" if splits.source else ""
    screen.say(f"trainer {__version__} · torch {torch.__version__} · seed {config.seed}", style="bold")
    screen.entry("data", [f"{splits.name}: {rows}, {inputs(facts.inputs)}, {target}{source}"])
    if facts.meaning.why and facts.task not in ("classes", "numbers"):
        screen.entry("", [f"task {facts.task}: {facts.meaning.why}"])
    for note in [*splits.notes, *baseline_lines(splits, run.metrics)]:
        screen.entry("", [note])
    for texts in splits.warnings:
        screen.warn(texts)
    precision = config.dtype + (f", autocast {config.autocast}" if config.autocast != "none" else "")
    precision += ", compiled" if config.compile == "model" else ""
    size = f"{sizes.num_parameters(run.model):,} parameters"
    screen.say(f"model    {sizes.describe(run.model)}, {size}, {precision}")
    loss, *more = loss_lines(run, setup)
    screen.entry("loss", [f"{loss}; monitored: {run.stopping.monitor}", *more])
    schedule = type(getattr(run.scheduler, "scheduler", run.scheduler)).__name__
    schedule = "" if schedule == "Constant" else f", {schedule}"
    screen.say(f"optim    {type(run.optimizer).__name__} lr={run.optimizer.defaults['lr']:g}{schedule}")
    batch = f"batch {config.loader.batch_size}" + f" × {config.accumulate}" * (config.accumulate > 1)
    steps, epochs = progress.steps_per_epoch, counted(progress.num_steps / progress.steps_per_epoch, "epoch")
    screen.say(f"steps    {batch}: {counted(steps, 'step')} × {epochs} = {counted(progress.num_steps, 'step')}")
    if isinstance(run.step, CompiledStep):
        screen.say(f"compile  {run.step.describe()}")
    screen.say(f"device   {run.device} ({setup.device_why})")
    screen.say(f"         {counted(setup.threads, 'thread')} ({setup.threads_why}); data {splits.loader_name}")
    if run.ranks.size > 1:
        screen.say(f"         {run.ranks.size} processes, which share each batch")
    if folder is not None:
        screen.say(f"run      {layout.relative(folder)}")


def loss_lines(run: TrainState, setup: Setup) -> list[str]:
    """The loss in words: its name, its terms, what it trains, and what else there is to say of a model's own."""
    loss_fn = run.loss_fn
    if isinstance(loss_fn, OfModel):
        return loss_fn.words(setup.loss_mean)
    text = type(loss_fn).__name__
    text += f" ({', '.join(run.terms)})" if run.terms else ""
    text += ", a mean over samples as far as is known" if setup.loss_counts == "samples" else ""
    trained = loss_modules.num_trained(loss_fn)
    frozen = sum(p.numel() for _, module in loss_modules.frozen(loss_fn) for p in module.parameters())
    text += f", {counted(trained, 'parameter')} trained with the model" if trained else ""
    return [text + (f", {frozen:,} frozen" if frozen else "")]


def inputs(specs: Tree) -> str:
    """The shape of a sample: 4 inputs, or 1×28×28; of several tensors, each after its name."""
    if isinstance(specs, Spec):
        shape = specs.shape
        return "×".join(map(str, shape)) if len(shape) > 1 else counted(math.prod(shape), "input")
    parts = [f"{path} ({'×'.join(map(str, spec.shape)) or 1})" for path, spec in tree.named(specs)]
    return f"input{'s' * (len(parts) > 1)} {', '.join(parts)}"


def target_text(facts: Facts) -> str:
    """What a model predicts, in words."""
    if facts.classes is not None:
        of = {"labels": "label", "tokens": "class", "pixels": "class"}.get(facts.task, "class")
        each = {"tokens": " a position", "pixels": " a pixel"}.get(facts.task, "")
        return counted(len(facts.classes), of) + each
    if facts.task == "input":
        return "the input as the target"
    if facts.task == "free":
        return "any target"
    return f"{facts.num_outputs:,} number{'s' * (facts.num_outputs != 1)} to predict"


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
