"""A step as a CUDA graph has the bits of the eager step. A recorder of what torch dispatches stands in for the GPU."""

from dataclasses import replace

import pytest
import torch
from conftest import config
from recorder import record
from torch import Tensor, nn

from trainer.build.build import build
from trainer.errors import ConfigError
from trainer.events import Evaluated, Stepped
from trainer.loop import train
from trainer.optim import rates
from trainer.state import TrainState
from trainer.steps import graphed
from trainer.steps.graphed import GraphedStep

WORDS = ["dataset=digits", "threads=1", "epochs=2", "report=false"]


@pytest.fixture(autouse=True)
def as_on_cuda(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(graphed, "record", record)
    monkeypatch.setattr(rates, "are_wanted", lambda device: True)


def trained(*words: str, graph: bool) -> tuple[TrainState, GraphedStep, list[object]]:
    """A run, with its rates on the device. Returns the step, and the numbers of all events."""
    run, _ = build(config(*WORDS, *words))
    step = GraphedStep(run, graph)
    if getattr(run.step, "step", None) is not None:
        run.step.step = step
    else:
        run.step = step
    found = []
    for event in train(run):
        if isinstance(event, Stepped):
            norm = None if event.norm is None else event.norm.item()
            found.append((event.step, event.loss.item(), norm, event.lr))
        elif isinstance(event, Evaluated):
            found.append(event.metrics)
    return run, step, found


@pytest.mark.parametrize(
    "words",
    [
        ["scheduler=cosine"],
        ["scheduler=onecycle", "scheduler.cycle_momentum=false", "optimizer=adam"],
        ["optimizer=sgd", "optimizer.momentum=0.9", "scheduler=cosine"],
        ["model.dropout=0.3", "clip_grad_norm=0.5"],
        ["accumulate=3", "loader.batch_size=50"],
        ["loss=cross_entropy", "loss.ignore_index=3", "accumulate=2"],
        ["ema=0.9", "optimizer.lr=0.01"],
        ["dataset=digits", "dataset.val_fraction=0.5", "model=cnn", "model.channels=[4]", "augment=flip_shift"],
        ["loader.in_memory=false", "model.dropout=0.1"],
    ],
    ids=" ".join,
)
def test_a_graph_has_the_bits_of_the_eager_step(words: list[str]) -> None:
    run, step, found = trained(*words, graph=True)
    assert step.obstacle is None
    assert len(step.recorded) == 2, "the last batch of an epoch has a shape of its own"
    eager, plain, wanted = trained(*words, graph=False)
    assert plain.obstacle == "graph=false"
    assert found == wanted
    for name, value in run.weights().items():
        assert torch.equal(value, eager.weights()[name]), name
    for p, q in zip(run.trained.parameters(), eager.trained.parameters(), strict=True):
        assert torch.equal(p.grad, q.grad)


def test_a_rate_of_python_would_be_fixed_in_the_graph(monkeypatch: pytest.MonkeyPatch) -> None:
    """And this test would see it: the rates are written before each replay."""
    monkeypatch.setattr(graphed, "write_rates", lambda run: None)
    assert trained("scheduler=cosine", graph=True)[2] != trained("scheduler=cosine", graph=False)[2]


class Branching(nn.Module):
    """Looks at its numbers, which a recording cannot."""

    def __init__(self) -> None:
        super().__init__()
        self.layer = nn.Linear(64, 10)

    def forward(self, x: Tensor) -> Tensor:
        return self.layer(x.flatten(1) if x.mean() > -100 else -x)


def test_what_cannot_be_recorded_goes_on_eagerly_at_the_same_step(caplog: pytest.LogCaptureFixture) -> None:
    words = ["model=own", "model._target_=test_graphed.Branching", "scheduler=cosine"]
    with caplog.at_level("INFO"):
        _, step, found = trained(*words, graph=True)
    assert step.obstacle == "Branching cannot be recorded: operation not permitted when stream is capturing"
    assert [record.message for record in caplog.records if "graph" in record.message] == [f"graph    {step.describe()}"]
    assert found == trained(*words, graph=False)[2]


def test_a_schedule_that_changes_more_than_the_rate_ends_the_graphs() -> None:
    words = ["scheduler._target_=test_compiled.Decay"]
    _, step, found = trained(*words, graph=True)
    assert step.obstacle == "MLP cannot be recorded: the schedule changes more than the learning rate"
    assert found == trained(*words, graph=False)[2]


def test_more_shapes_than_a_few_are_not_recorded() -> None:
    run, _ = build(config(*WORDS, "loader.shuffle=false"))
    run.step = step = GraphedStep(run, True)
    for size in range(2, graphed.MOST + 4):
        window = next(iter(run.train_batches.windows(0)))
        for _ in range(2):
            step(run, replace(window, batches=[window.batches[0][:size]]))
    assert step.obstacle == f"MLP cannot be recorded: batches have more than {graphed.MOST} shapes"
    assert not step.recorded


@pytest.mark.parametrize(
    ("words", "reason"),
    [
        ([], None),
        (["model=own", "model._target_=test_graphed.Branching"], "Branching may do something else in each step; if it"),
        (["optimizer=rmsprop"], "RMSprop is not supported"),
        (["optimizer=sgd", "optimizer.momentum=0.9", "scheduler=onecycle"], "the schedule changes the momentum"),
    ],
)
def test_auto_records_what_does_the_same_in_every_step(words: list[str], reason: str | None) -> None:
    run, _ = build(config(*WORDS, *words))
    step = GraphedStep(run, "auto")
    assert step.obstacle is None if reason is None else step.obstacle.startswith(reason)
    assert step.describe().startswith("each step is one" if reason is None else "none, steps run eagerly: ")


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (["graph=true"], "graph=true records a CUDA graph, but the device is cpu"),
        (["graph=true", "compile=step"], "with compile=step the step is a graph already"),
    ],
)
def test_a_graph_that_cannot_be_is_an_error(words: list[str], message: str) -> None:
    with pytest.raises(ConfigError, match=message) as caught:
        build(config(*WORDS, *words))
    assert caught.value.hint == "graph=auto"
