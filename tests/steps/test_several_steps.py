"""Several steps a call of the compiled step: the same run as with one, told step by step."""

import signal
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
import torch
from conftest import Cli, config
from test_compiled import SMALL, traced  # noqa: F401

from trainer.build import stepping
from trainer.build.build import build
from trainer.events import Evaluated, Stepped
from trainer.listeners.checkpoints import Checkpoints
from trainer.listeners.max_time import MaxTime
from trainer.loop import train
from trainer.processes import signals
from trainer.progress import Timer
from trainer.run.runner import until_wish
from trainer.state import TrainState
from trainer.steps.compiled import CompiledStep
from trainer.stopping import StopReason

COMPILED = [*SMALL, "compile=step"]  # 7 steps an epoch, and a shorter one


def state(run: TrainState) -> list[torch.Tensor]:
    moments = [value for entry in run.optimizer.state.values() for value in entry.values() if value is not None]
    return [*run.model.state_dict().values(), *moments]


def same(one: TrainState, other: TrainState) -> bool:
    return all(torch.equal(a.nan_to_num(7), b.nan_to_num(7)) for a, b in zip(state(one), state(other), strict=True))


def told(run: TrainState) -> tuple[list[Any], int]:
    """(What the events say, how many of them come in the middle of a call)."""
    found: list[Any] = []
    inside = 0
    for event in train(run):
        inside += not run.is_whole
        if isinstance(event, Stepped):
            norm = None if event.norm is None or event.step % run.log_every else event.norm.item()
            found.append((event.step, event.loss.item(), norm, event.lr, run.optimizer.param_groups[-1]["lr"]))
        elif isinstance(event, Evaluated):
            assert run.is_whole
            found.append((event.step, dict(event.metrics)))
    return found, inside


@pytest.mark.usefixtures("traced")
@pytest.mark.parametrize(
    "words",
    [
        ["scheduler=cosine", "model.dropout=0.2", "eval_every=5steps", "max_steps=19"],
        ["optimizer=sgd", "optimizer.momentum=0.9", "scheduler=warmup", "accumulate=2", "model.norm=batch"],
    ],
    ids=" ".join,
)
def test_no_bit_depends_on_the_steps_of_a_call(words: list[str]) -> None:
    one, _ = build(config(*COMPILED, *words, "compiler.steps=1"))
    expected, inside = told(one)
    assert inside == 0
    for steps in (3, 100):
        several, _ = build(config(*COMPILED, *words, f"compiler.steps={steps}"))
        found, inside = told(several)
        assert inside > 3
        assert found == expected
        assert same(several, one)
        assert several.scheduler.state_dict() == one.scheduler.state_dict()


def poison_a_loss(run: TrainState) -> None:
    loader: Any = run.train_batches.loader
    loader.x[run.train_batches.order(0)[4 * 16]] = torch.nan  # a row of step 5, in the call of steps 3 to 6


def poison_a_weight(run: TrainState) -> None:
    taken, scheduler = iter(range(1, 99)), run.scheduler
    group = run.optimizer.param_groups[0]
    rate = lambda step: torch.inf if step == 10 else 0.1  # noqa: E731  # of step 11, in that of 9 to 14
    run.scheduler = SimpleNamespace(step=lambda: group.update(lr=rate(next(taken))), state_dict=scheduler.state_dict)


@pytest.mark.usefixtures("traced")
@pytest.mark.parametrize(("poison", "step"), [(poison_a_loss, 5), (poison_a_weight, 12)])  # the loss that tells of it
def test_after_a_step_that_is_not_finite_the_rest_of_a_call_changes_nothing(poison: Any, step: int) -> None:
    runs = []
    for steps in (1, 6):
        run, _ = build(config(*COMPILED, f"compiler.steps={steps}"))
        poison(run)
        list(train(run))
        runs.append(run)
    one, several = runs
    assert several.progress.step == one.progress.step == step
    assert several.progress.stop_reason == StopReason.DIVERGED
    assert several.is_whole
    assert same(several, one)


@pytest.mark.usefixtures("traced")
def test_no_checkpoint_holds_a_weight_that_is_not_finite(tmp_path: Path) -> None:
    run, _ = build(config(*COMPILED, "compiler.steps=1"))
    poison_a_weight(run)
    saver = Checkpoints(run, tmp_path, 0.0, 99, dict)  # at every event
    for event in until_wish(run):
        saver(event)
    assert run.diverged_at == 11
    assert saver.last is not None
    assert saver.last.name == "step-00000010"


@pytest.mark.usefixtures("traced")
def test_a_signal_and_a_checkpoint_wait_for_the_end_of_a_call(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(signals, "_stop_signal", None)  # and again after this test
    run, _ = build(config(*COMPILED, "compiler.steps=5"))
    saver = Checkpoints(run, tmp_path, 0.0, 99, dict)  # at every event where it may
    saved, steps = [], []
    with signals.listening():
        for event in until_wish(run):
            steps.append(event.step)
            saver(event)
            if saver.last and saver.last.name not in saved:
                saved.append(saver.last.name)
            if isinstance(event, Stepped) and event.step == 10:  # in the middle of steps 9 to 13
                signals.request_stop(signal.SIGTERM)
    assert run.progress.stop_reason == StopReason.SIGTERM
    assert steps[-2:] == [13, 13]
    assert run.is_whole
    assert [int("".join(filter(str.isdigit, name))) for name in saved] == [1, 2, 5, 7, 8, 13]


@pytest.mark.parametrize(("flop", "steps"), [(1e6, stepping.AUTO), (1e9, 1)])
def test_auto_takes_several_steps_where_they_are_small(flop: float, steps: int) -> None:
    settings = config(*COMPILED)
    run, _ = build(settings)
    run.steps_per_call = 1
    stepping.choose(settings, flop, run, 0)
    assert run.steps_per_call == steps


@pytest.mark.usefixtures("traced")
def test_a_time_that_is_over_waits_for_the_end_of_a_call() -> None:
    run, _ = build(config(*COMPILED, "compiler.steps=5"))
    run.timer = Timer(0.0, clock=lambda: float(run.progress.step))
    saver: Any = SimpleNamespace(took=0.0)
    listener = MaxTime(run, 10.0, {"train": 0.0, "eval": 0.0}, saver)  # in the middle of steps 9 to 13
    steps = []
    for event in train(run):
        steps.append((type(event).__name__, event.step))
        listener(event)
    assert run.progress.stop_reason == StopReason.MAX_TIME
    assert steps[-3:] == [("Stepped", 13), ("Evaluated", 13), ("Ended", 13)]


REASONS = [
    (["guards=strict"], "guards=strict"),
    (["ema=0.9"], "ema"),
    (["swa=0.5"], "swa"),
    (["scheduler._target_=test_compiled.Decay"], "a schedule of your own"),
    (["model=own", "model._target_=test_compiled.Partly"], "class of your own"),
]


@pytest.mark.parametrize(("words", "why"), REASONS, ids=[why for _, why in REASONS])
def test_what_looks_between_steps_sets_them_to_one_and_the_header_says_so(words: list[str], why: str) -> None:
    run, _ = build(config("dataset=iris", "compile=step", "compiler.steps=4", *words))
    step = getattr(run.step, "step", run.step)
    assert isinstance(step, CompiledStep)
    assert run.steps_per_call == 1
    assert step.calls.startswith("one step a call: ")
    assert why in step.calls


@pytest.mark.slow
def test_the_command_line_says_the_steps_of_a_call_and_verifies_them(cli: Cli) -> None:
    words = ["dataset=iris", "compile=step", "report=false"]
    done = cli("train", *words, "compiler.steps=1000", "max_steps=3")
    assert (done.returncode, done.stderr) == (0, "")
    assert "2 steps a call: an epoch has no more" in done.stdout
    verified = cli("verify", *words, "compiler.steps=4", "model.dropout=0.1")
    assert verified.returncode == 0, verified.stdout


@pytest.mark.parametrize(
    ("words", "message", "hint"),
    [
        (["compile=step", "compiler.steps=0"], "must be at least 1", "compiler.steps=auto"),
        (["compile=step", "compiler.steps=few"], "must be auto or a whole number", "compiler.steps=auto"),
    ],
)
def test_steps_that_cannot_be(cli: Cli, words: list[str], message: str, hint: str) -> None:
    done = cli("train", "dataset=iris", *words)
    assert done.returncode == 2
    assert message in done.stderr
    assert hint in done.stderr


def test_steps_of_a_call_without_a_compiled_step_are_no_error(cli: Cli) -> None:
    """A sweep over compile may have them, and a run that diverged is replayed without compiling."""
    done = cli("train", "dataset=iris", "max_steps=2", "report=false", "compiler.steps=4")
    assert done.returncode == 0
    assert "none: compiler.steps=4 needs compile=step" in done.stdout
