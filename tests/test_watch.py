"""A device is waited for only where losses are read: every `log_every`th step, and before what must know them.

Where the test needs a device, it takes torch's meta device: it computes shapes only, so that whoever reads a number
from it meets an error, as he would wait for a GPU.
"""

import math
from collections.abc import Iterator
from pathlib import Path

import pytest
import torch
from conftest import config
from torch import Tensor

from trainer import checkpoint
from trainer.build.build import build
from trainer.data import tree
from trainer.data.batches import Window
from trainer.errors import Diverged
from trainer.events import Evaluated, Event
from trainer.listeners.checkpoints import Checkpoints
from trainer.listeners.console import Console
from trainer.listeners.guards import Guards
from trainer.listeners.metrics_files import MetricsFiles
from trainer.loop import train
from trainer.run.runner import carry_out
from trainer.run.session import Session
from trainer.state import TrainState
from trainer.terminal.screen import Screen
from trainer.watch import Watch

WORDS = ["dataset=digits", "threads=1", "loader.batch_size=32", "log_every=10", "max_steps=30", "report=false"]


def moved_to_meta(run: TrainState) -> None:
    """Put everything that a step computes with on the meta device."""
    meta = torch.device("meta")
    run.model.to(meta)
    run.optimizer = type(run.optimizer)(run.model.parameters(), lr=0.1, foreach=True)
    loader = run.train_batches.loader
    loader.x, loader.y = (tree.mapped(lambda leaf: leaf.to(meta), some) for some in (loader.x, loader.y))
    loader.device = run.device = meta
    run.zero, run.train_batches.one = run.zero.to(meta), run.train_batches.one.to(meta)
    run.average.tensors, run.average.averaged = {}, []  # it begins again
    run.watch = Watch(run.trained, meta)


def events(run: TrainState, folder: Path, screen: Screen) -> Iterator[Event]:
    """Those of a run, after its listeners have seen them."""
    metrics = MetricsFiles(run, folder)
    saver, console = Checkpoints(run, folder, 1e9, 1, metrics.sync), Console(run, screen, {"train": [], "val": []})
    guards = Guards(run, print)
    for event in train(run):
        for listener in (metrics, saver, console, guards):
            listener(event)
        yield event


@pytest.mark.parametrize(
    "words", [(), ("clip_grad_norm=1",), ("ema=0.9",), ("optimizer=sgd", "scheduler=cosine"), ("accumulate=2",)]
)
def test_no_step_waits_for_the_device_between_two_that_are_logged(tmp_path: Path, words: tuple[str, ...]) -> None:
    run, _ = build(config(*WORDS, *words))
    with Screen() as screen:
        seen = events(run, tmp_path, screen)
        while run.progress.step < 11:  # the first looks at its targets, the tenth at its loss
            next(seen)
        moved_to_meta(run)
        while run.progress.step < 19:
            next(seen)
        with pytest.raises((NotImplementedError, RuntimeError), match="meta"):
            next(seen)
        assert run.progress.step == 20


def test_an_item_put_back_is_found(tmp_path: Path) -> None:
    run, _ = build(config(*WORDS))
    step = run.step

    def reading(run: TrainState, window: Window) -> tuple[Tensor, Tensor | None]:
        loss, norm = step(run, window)
        return loss * float(loss.item() > 0), norm

    run.step = reading
    with Screen() as screen:
        seen = events(run, tmp_path, screen)
        while run.progress.step < 11:
            next(seen)
        moved_to_meta(run)
        with pytest.raises(RuntimeError, match="item"):
            next(seen)


@pytest.mark.parametrize("words", [(), ("loss.ignore_index=3", "accumulate=2")])
def test_what_is_read_late_adds_up_to_the_same(words: tuple[str, ...]) -> None:
    found = []
    for is_free in (True, False):
        run, _ = build(config(*WORDS, "eval_every=7steps", *words))
        run.watch.is_free = is_free
        found.append([event.metrics for event in train(run) if isinstance(event, Evaluated)])
    assert found[0] == found[1]


def test_the_message_names_the_first_step_that_was_not_finite(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Step 3 of 10 becomes NaN, a checkpoint is due at step 5: none is written, and the run ends there."""
    run, setup = build(config(*WORDS, "guards=none"))
    run.watch.is_free = False
    step = run.step

    def third_is_nan(run: TrainState, window: Window) -> tuple[Tensor, Tensor | None]:
        loss, norm = step(run, window)
        return (loss * math.nan if run.progress.step == 2 else loss), norm

    run.step = third_is_nan
    monkeypatch.setattr(Checkpoints, "due", lambda saver: saver.run.progress.step == 5)
    with Screen() as screen, pytest.raises(Diverged, match="the loss is NaN or infinite at step 3 "):
        carry_out(run, setup, tmp_path, Session(screen, 0.0))
    assert run.progress.step == 5
    assert not checkpoint.checkpoints(tmp_path)


def test_a_weight_that_is_not_finite_is_seen_where_losses_are_read(tmp_path: Path) -> None:
    run, setup = build(config(*WORDS, "guards=none"))
    run.watch.is_free = False
    with torch.no_grad():
        list(run.model.parameters())[1][0] = -math.inf  # a dead unit, which no loss shows
    with Screen() as screen, pytest.raises(Diverged, match="a weight is NaN or infinite at step 10 "):
        carry_out(run, setup, tmp_path, Session(screen, 0.0))
