"""NaN or infinity anywhere: the run stops within a step, and no checkpoint on disk has any of it."""

import math
import random
from pathlib import Path

import pytest
import safetensors.torch
import torch
from conftest import config

from trainer import checkpoint, watch
from trainer.build.build import build
from trainer.errors import Diverged
from trainer.run.runner import carry_out
from trainer.run.session import Session
from trainer.state import TrainState
from trainer.terminal.screen import Screen


def poison(run: TrainState, where: str, at: int, value: float, chance: random.Random) -> None:
    """Let step `at` (from 0) meet the value in its loss, in a gradient, or in a weight."""
    step = run.step
    parameters = list(run.model.parameters())
    parameter = chance.choice(parameters)
    index = chance.randrange(parameter.numel())

    def poisoned(state: TrainState, window: object) -> object:
        if state.progress.step != at:
            return step(state, window)
        if where == "weight":
            with torch.no_grad():
                parameter.view(-1)[index] = value
            return step(state, window)
        if where == "loss":
            loss, state.loss = state.loss, lambda p, y, x: loss(p, y, x) * value
            result = step(state, window)
            state.loss = loss
            return result
        hook = parameter.register_hook(
            lambda gradient: gradient.clone().view(-1).index_fill(0, torch.tensor([index]), value).view_as(gradient)
        )
        result = step(state, window)
        hook.remove()
        return result

    run.step = poisoned


def stops(folder: Path, where: str, at: int, value: float) -> bool:
    """Whether the run ends with Diverged, at most one step late, and what is on disk is finite."""
    words = ["dataset=wine", "model.hidden=[8]", "epochs=10", "loader.batch_size=32", "threads=1", "report=false"]
    run, setup = build(config(*words, "checkpoint.every_seconds=0"))
    poison(run, where, at, value, random.Random(at))
    folder.mkdir()
    with Screen() as screen, pytest.raises(Diverged) as caught:
        carry_out(run, setup, folder, Session(screen, 0.0))
    assert "learning rate" in caught.value.message
    files = [safetensors.torch.load_file(path) for path in folder.rglob("*.safetensors")]
    finite = all(bool(t.isfinite().all()) for tensors in files for t in tensors.values())
    return at + 1 <= run.progress.step <= at + 2 and finite and checkpoint.checkpoints(folder) != []


@pytest.mark.parametrize("count", [2, pytest.param(20, marks=pytest.mark.slow)])
@pytest.mark.parametrize("where", ["loss", "gradient", "weight"])
def test_what_is_not_finite_stops_the_run_within_a_step(tmp_path: Path, where: str, count: int) -> None:
    values = [math.nan, math.inf, -math.inf]
    good = [stops(tmp_path / str(n), where, 2 + n, values[n % 3]) for n in range(count)]
    print(f"{where}: {sum(good)} of {count}")
    assert good == [True] * count


def test_without_the_watch_a_dead_unit_goes_unseen(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(watch, "are_finite", lambda weights: True)
    run, setup = build(config("dataset=wine", "model.hidden=[8]", "epochs=2", "threads=1", "report=false"))
    with torch.no_grad():
        list(run.model.parameters())[1][0] = -math.inf
    with Screen() as screen, pytest.raises(Diverged, match="is not finite after step 6"):
        carry_out(run, setup, tmp_path, Session(screen, 0.0))
