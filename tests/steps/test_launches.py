"""Calls on a GPU: several steps of generated code are one launch. A recorder of what torch dispatches stands in for the
GPU, and operations one after another for the generated code."""

from typing import Any

import pytest
import torch
from conftest import config
from recorder import record
from test_compiled import traced  # noqa: F401
from test_several_steps import COMPILED, same, told

from trainer.build.build import build
from trainer.events import Stepped
from trainer.loop import train
from trainer.state import TrainState
from trainer.steps import calls
from trainer.steps.calls import Launches
from trainer.stopping import StopReason

pytestmark = pytest.mark.usefixtures("traced", "as_on_cuda")


@pytest.fixture
def as_on_cuda(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(calls, "record", record)


def built(*words: str) -> TrainState:
    run, _ = build(config(*COMPILED, *words))
    run.watch.is_free = False  # from now on, reading would wait
    return run


def launches(run: TrainState) -> Launches:
    found: Launches = run.step.launches  # type: ignore[attr-defined]
    return found


@pytest.mark.parametrize(
    ("words", "sizes"),
    [
        pytest.param(["scheduler=cosine", "eval_every=5steps", "max_steps=19"], {1, 3}, marks=pytest.mark.slow),
        pytest.param(["scheduler=cosine", "model.dropout=0.2"], {1}, marks=pytest.mark.slow),  # a seed for each step
        (
            ["optimizer=sgd", "optimizer.momentum=0.9", "accumulate=2", "loader.batch_size=8", "model.norm=batch"],
            {1, 3},
        ),
    ],
)
def test_a_call_has_the_bits_of_single_steps_on_a_cpu(words: list[str], sizes: set[int]) -> None:
    on_cpu, _ = build(config(*COMPILED, *words, "compiler.steps=1"))
    expected, _ = told(on_cpu)
    for steps in (1, 3):
        run = built(*words, f"compiler.steps={steps}")
        found, inside = told(run)
        assert (inside > 3) == (steps > 1)
        assert found == expected
        assert same(run, on_cpu)
        assert set(launches(run).recorded) == (sizes if steps > 1 else {1})
        assert sum(recorded.graph.num_replays for recorded in launches(run).recorded.values()) > 3


def poison(run: TrainState) -> None:
    loader: Any = run.train_batches.loader
    loader.x[run.train_batches.order(0)[4 * 16]] = torch.nan  # a row of step 5


def test_after_a_step_that_is_not_finite_the_rest_of_a_call_changes_nothing() -> None:
    """The first whole call takes steps 4 to 6: step 5 is the last one that changes something."""
    run, on_cpu = (
        built("compiler.steps=3", "log_every=6", "model.norm=batch"),
        built("compiler.steps=1", "model.norm=batch"),
    )
    on_cpu.watch.is_free = True
    for one in (run, on_cpu):
        poison(one)
        list(train(one))
    assert on_cpu.progress.step == 5
    assert (run.progress.step, run.diverged_at) == (6, 5)
    assert run.progress.stop_reason == StopReason.DIVERGED
    assert same(run, on_cpu)
    assert 3 in launches(run).recorded


def test_it_stops_in_the_middle_of_a_call_where_a_step_is_logged() -> None:
    run = built("compiler.steps=7", "log_every=5")
    poison(run)
    steps = [event.step for event in train(run) if isinstance(event, Stepped)]
    assert (steps, run.diverged_at, run.is_whole) == ([1, 2, 3, 4, 5], 5, True)


def test_a_loss_is_kept_from_the_next_call() -> None:
    run = built("compiler.steps=3", "max_steps=14")
    steps = (event for event in train(run) if isinstance(event, Stepped))
    kept = [(event.loss, event.loss.item(), event.norm, event.norm.item()) for event in steps if event.norm is not None]
    assert len(kept) > 10
    for loss, its_number, norm, number in kept:
        assert (loss.item(), norm.item()) == (its_number, number)


@pytest.mark.slow
def test_what_cannot_be_recorded_goes_on_at_the_same_step(monkeypatch: pytest.MonkeyPatch) -> None:
    def fail(steps: Any, pool: Any) -> Any:
        torch.rand(5)  # of the generator that a step draws from
        raise RuntimeError("operation not permitted when stream is capturing")

    said: list[Any] = []
    on_cpu, _ = build(config(*COMPILED, "compiler.steps=1", "model.dropout=0.2"))
    expected, _ = told(on_cpu)
    run = built("compiler.steps=3", "model.dropout=0.2")
    monkeypatch.setattr(calls, "record", fail)
    monkeypatch.setattr(calls.log, "info", lambda *words: said.append(words))
    found, _ = told(run)
    assert launches(run).obstacle == "operation not permitted when stream is capturing"
    assert len(said) == 1
    assert found == expected
