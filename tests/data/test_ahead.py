"""Batches one ahead of the step. Off a GPU, stand-ins for its streams note what they are asked."""

from contextlib import nullcontext
from types import SimpleNamespace

import pytest
import torch
from conftest import config
from torch import Tensor

from trainer.build.build import build
from trainer.data.ahead import one_ahead
from trainer.events import Stepped
from trainer.loop import train
from trainer.state import TrainState

WORDS = ["dataset=digits", "loader.in_memory=false", "threads=1", "epochs=2", "report=false", "accumulate=2"]


@pytest.fixture
def asked(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """What the streams are asked, in order."""
    said: list[str] = []
    events = iter(range(1000))
    copying = SimpleNamespace(record_event=lambda: said.append(f"copied {(n := next(events))}") or n)
    computing = SimpleNamespace(wait_event=lambda event: said.append(f"computes {event}"))
    monkeypatch.setattr(torch.cuda, "Stream", lambda device: copying)
    monkeypatch.setattr(torch.cuda, "stream", lambda stream: nullcontext())
    monkeypatch.setattr(torch.cuda, "current_stream", lambda device: computing)
    monkeypatch.setattr(Tensor, "record_stream", lambda tensor, stream: None)
    monkeypatch.setattr(Tensor, "pin_memory", lambda tensor: tensor)
    return said


def losses(run: TrainState) -> list[float]:
    return [event.loss.item() for event in train(run) if isinstance(event, Stepped)]


def test_a_batch_is_copied_before_the_one_before_it_is_used(asked: list[str]) -> None:
    plain, _ = build(config(*WORDS))
    run, _ = build(config(*WORDS))
    run.train_batches.loader = one_ahead(run.train_batches.loader, torch.device("cuda"))
    assert losses(run) == losses(plain)
    assert asked[:6] == ["copied 0", "copied 1", "copied 2", "computes 0", "computes 1", "copied 3"]
    assert len(asked) == 2 * run.progress.epoch * run.train_batches.num_batches


def test_data_in_memory_are_there_already() -> None:
    run, _ = build(config("dataset=digits", "threads=1"))
    loader = run.train_batches.loader
    assert one_ahead(loader, torch.device("cuda")) is loader
    assert one_ahead(loader, torch.device("cpu")) is loader
