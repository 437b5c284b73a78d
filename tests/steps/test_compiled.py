"""The compiled step against the eager one. Most tests trace the complete graph and run it without generated code."""

import json
import logging
from collections.abc import Iterator
from pathlib import Path

import pytest
import torch
import torch._inductor
from conftest import Cli, config
from safetensors.torch import load_file
from torch import Tensor, nn
from torch._dynamo.utils import counters
from torch.optim.lr_scheduler import LRScheduler

from trainer.build.build import build
from trainer.config import files
from trainer.config.compose import compose
from trainer.config.source import Source
from trainer.diagnosis import step_times
from trainer.events import Stepped
from trainer.loop import train
from trainer.optim.updates import scalars
from trainer.state import TrainState
from trainer.steps import compiled, generated
from trainer.steps.compiled import CompiledStep

SMALL = ["dataset=iris", "loader.batch_size=16", "model.hidden=[8]", "epochs=3", "dtype=float64"]
# The same formulas in float64: what is left is the order of sums, and Adam divides a gradient by its own size where it
# is nothing but rounding, as that of a bias before batch norm.
TOLERANCE = {"rtol": 1e-9, "atol": 1e-9}


@pytest.fixture
def traced(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """torch.compile without a C++ compiler: the graph's operations one after another."""
    torch._dynamo.reset()
    counters.clear()
    logging.disable()  # pytest would keep dynamo's every word
    plainly = torch._dynamo.lookup_backend("aot_eager")
    monkeypatch.setattr(torch._inductor, "compile", lambda graph, examples, options: plainly(graph, examples))
    yield
    logging.disable(logging.NOTSET)


def trained(*overrides: str) -> tuple[TrainState, list[Stepped]]:
    run, _ = build(config(*SMALL, *overrides))
    return run, [event for event in train(run) if isinstance(event, Stepped)]


CASES = [
    ["optimizer=sgd", "optimizer.momentum=0.9", "optimizer.nesterov=true", "clip_grad_norm=0.1", "scheduler=cosine"],
    ["optimizer=adam", "+optimizer.amsgrad=true", "optimizer.weight_decay=0.1", "model.norm=batch"],
    ["optimizer=adamw", "optimizer.weight_decay=0.3", "clip_grad_norm=0.5", "scheduler=warmup"],
    ["optimizer=sgd", "accumulate=2", "loss=cross_entropy", "loss.weight=[1,5,2]"],
    ["optimizer=adam", "dataset=diabetes", "accumulate=3", "scheduler=onecycle", "scheduler.cycle_momentum=false"],
    ["optimizer=sgd", "dataset=digits", "loader.batch_size=256", "augment=crop_flip", "augment.shift=2",
     "augment.cutout=2", "augment.brightness=0.1", "augment.contrast=0.1", "augment.mixup=0.3", "augment.cutmix=1"],
]  # fmt: skip


@pytest.mark.usefixtures("traced")
@pytest.mark.parametrize(
    "words", [CASES[0], *(pytest.param(words, marks=pytest.mark.slow) for words in CASES[1:])], ids=" ".join
)
def test_it_takes_the_steps_of_train_step(words: list[str]) -> None:
    eager, plain = trained(*words)
    compiled, steps = trained(*words, "compile=step")
    assert isinstance(compiled.step, CompiledStep)
    assert compiled.step.obstacle is None
    assert counters["stats"]["unique_graphs"] == 1  # in spite of schedules and of a shorter batch in each epoch
    assert compiled.compile_seconds > 0
    for a, b in zip(steps, plain, strict=True):
        torch.testing.assert_close(a.loss, b.loss, **TOLERANCE)
        assert (a.step, a.lr) == (b.step, b.lr)
        if a.norm is not None and b.norm is not None:
            torch.testing.assert_close(a.norm, b.norm, **TOLERANCE)
    assert steps[9].norm is not None
    torch.testing.assert_close(dict(compiled.model.state_dict()), dict(eager.model.state_dict()), **TOLERANCE)
    ours, theirs = (run.optimizer.state_dict() for run in (compiled, eager))
    assert ours["param_groups"] == theirs["param_groups"]
    torch.testing.assert_close(ours["state"], theirs["state"], **TOLERANCE)


@pytest.mark.usefixtures("traced")
def test_dynamo_leaves_after_the_first_graph() -> None:
    run, _ = build(config(*SMALL, "compile=step"))
    events = train(run)
    while run.progress.step < 3:
        next(events)
    assert isinstance(run.step, CompiledStep)
    run.step.graph.traced = None
    assert len([event for event in events if isinstance(event, Stepped)]) == run.progress.num_steps - 3


@pytest.mark.usefixtures("traced")
@pytest.mark.parametrize("words", [["loader.batch_size=2048"], ["accumulate=5", "loader.drop_last=true"]], ids=" ".join)
def test_steps_of_all_rows_are_compiled(words: list[str]) -> None:
    run, _ = trained(*words, "compile=step")
    assert isinstance(run.step, CompiledStep)
    assert run.step.graph is not None


@pytest.mark.usefixtures("traced")
def test_bench_compiles_where_an_epoch_has_no_shorter_batch() -> None:
    words = [*SMALL, "loader.drop_last=true", "compile=step"]
    assert step_times.measure(compose(Source(words, files.roots())).data, 0.01).note == ""


class Partly(nn.Module):
    """A model that has a part that it does not use, and batch norm."""

    def __init__(self, in_features: int, num_classes: int) -> None:
        super().__init__()
        self.norm, self.linear = nn.BatchNorm1d(in_features), nn.Linear(in_features, num_classes)
        self.unused = nn.Linear(3, 3)

    def forward(self, x: Tensor) -> Tensor:
        return self.linear(self.norm(x))


@pytest.mark.usefixtures("traced")
@pytest.mark.slow
@pytest.mark.parametrize("words", [["optimizer=adamw"], ["optimizer=sgd", "optimizer.momentum=0.9"]], ids=" ".join)
def test_a_torch_that_cannot_trace_autograd_takes_the_same_steps(
    words: list[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    own = [*(word for word in SMALL if "hidden" not in word), "model=own", "model._target_=test_compiled.Partly"]
    own += [*words, "optimizer.weight_decay=0.1", "accumulate=2"]
    eager, _ = build(config(*own))
    for module in (generated, compiled):
        monkeypatch.setattr(module, "can_trace_autograd", lambda: False)
    whole, _ = build(config(*own, "compile=step"))
    for run in (eager, whole):
        list(train(run))
    assert isinstance(whole.step, CompiledStep)
    assert whole.step.obstacle is None
    torch.testing.assert_close(dict(whole.model.state_dict()), dict(eager.model.state_dict()), **TOLERANCE)


@pytest.mark.usefixtures("traced")
def test_a_wrong_update_would_be_noticed(monkeypatch: pytest.MonkeyPatch) -> None:
    # Adam's step counted from 0 in the graph: the first steps show that most clearly
    monkeypatch.setattr(compiled, "scalars", lambda group, step: scalars(group, max(1, step - 1)))
    runs = [trained("optimizer=adam", f"compile={mode}")[0] for mode in ("none", "step")]
    eager, wrong = (run.model.state_dict()["layers.0.weight"] for run in runs)
    assert float((eager - wrong).abs().max()) > 1e-4


class Branching(nn.Module):
    """Reads a number, which no graph can do."""

    def __init__(self, in_features: int, num_classes: int) -> None:
        super().__init__()
        self.linear = nn.Linear(in_features, num_classes)

    def forward(self, x: Tensor) -> Tensor:
        y: Tensor = self.linear(x)
        return y * 2 if self.training and y.max().item() > 0 else y


@pytest.mark.usefixtures("traced")
@pytest.mark.parametrize(
    ("name", "why"),
    [("test_compiled.Branching", "cannot be captured"), ("own.Forgetful", "changes from step to step")],
)
def test_a_model_that_is_not_a_graph_trains_eagerly_and_says_why(name: str, why: str) -> None:
    words = [*(word for word in SMALL if "hidden" not in word), "model=own", f"model._target_={name}"]
    runs = [build(config(*words, compiled))[0] for compiled in ("compile=none", "compile=step")]
    losses = [[event.loss for event in train(run) if isinstance(event, Stepped)] for run in runs]
    assert isinstance(runs[1].step, CompiledStep)
    assert why in (runs[1].step.obstacle or "")
    torch.testing.assert_close(torch.stack(losses[1]), torch.stack(losses[0]), **TOLERANCE)


class Decay(LRScheduler):
    """A schedule that changes what a graph fixes, from step 5 on."""

    def get_lr(self) -> list[float]:
        for group in self.optimizer.param_groups:
            group["weight_decay"] = 0.5 * (self.last_epoch > 4)
        return [float(group["lr"]) for group in self.optimizer.param_groups]


@pytest.mark.usefixtures("traced")
def test_a_schedule_that_changes_more_than_the_rate_ends_the_graph() -> None:
    runs = [trained("scheduler._target_=test_compiled.Decay", f"compile={mode}") for mode in ("none", "step")]
    eager, whole = (run for run, _ in runs)
    assert isinstance(whole.step, CompiledStep)
    assert whole.step.obstacle == "the schedule changes more than the learning rate"
    torch.testing.assert_close(dict(whole.model.state_dict()), dict(eager.model.state_dict()), **TOLERANCE)


OBSTACLES = [
    (["optimizer=rmsprop"], "RMSprop"),
    (["loader.in_memory=false"], "not from memory"),
    (["autocast=fp16"], "fp16"),
    (["scheduler=onecycle"], "cycle_momentum"),
    (["dataset=digits", "augment=trivial", "augment.per=batch"], "draws its numbers outside of a graph"),
]


@pytest.mark.parametrize(("words", "why"), OBSTACLES, ids=[why for _, why in OBSTACLES])
def test_what_cannot_be_captured_is_in_the_header(words: list[str], why: str) -> None:
    run, _ = build(config(*words, "compile=step"))
    assert isinstance(run.step, CompiledStep)
    assert why in run.step.describe()
    assert "eager" in run.step.describe()


@pytest.mark.slow
def test_generated_code_trains_alike_resumes_exactly_and_says_its_time(cli: Cli, tmp_path: Path) -> None:
    words = ["compile=step", "epochs=2", "clip_grad_norm=5", "report=false"]
    done = cli("train", *words)
    assert (done.returncode, done.stderr) == (0, "")
    assert "compile  the whole step" in done.stdout
    assert cli("train", *words[1:]).returncode == 0
    ours, theirs = sorted((tmp_path / "outputs").glob("20*/*"), key=lambda path: path.stat().st_mtime)
    compiled, eager = (json.loads((folder / "summary.json").read_text()) for folder in (ours, theirs))
    assert compiled["seconds"]["compile"] > 0
    assert "compile" not in eager["seconds"]
    for name in ("train/loss", "val/loss"):  # in float32, whose roundings grow over 46 steps
        assert compiled["last"][name] == pytest.approx(eager["last"][name], rel=1e-4)
    one, other = (load_file(folder / "model.safetensors") for folder in (ours, theirs))
    torch.testing.assert_close(one, other, rtol=1e-3, atol=1e-3)  # a step of Adam is 2e-3
    verified = cli("verify", *words, "model.dropout=0.3", "model.norm=batch")
    assert verified.returncode == 0, verified.stderr  # which names what inductor's workers lost in the kill
