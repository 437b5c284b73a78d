"""The loss is called flat where nothing is learned, and nowhere else: curves of known shape, a step a number."""

import math
import random
from collections.abc import Callable

import pytest
import torch
from conftest import config
from torch import nn

from trainer.build.build import build
from trainer.events import Evaluated, Started, Stepped
from trainer.guards.finding import Finding
from trainer.listeners.guards import Guards
from trainer.watch import Logged

STEPS = 400
Curve = Callable[[int], float]


def found_on(
    curve: Curve, *words: str, loss_fn: nn.Module | None = None, noise: float = 0.05, evaluate: bool = False, **how
) -> list[Finding]:
    """What guards say of losses curve(step) with relative noise, on a run that is built but never trained."""
    run, _ = build(config("epochs=1000", "threads=1", "device=cpu", "guards=warn", *words))
    run.loss_fn = loss_fn or run.loss_fn
    found: list[Finding] = []
    guards, chance = Guards(run, found.append, **how), random.Random(0)
    run.window = next(iter(run.windows()))
    guards(Started(1, STEPS, STEPS))  # a resumed run is not watched in its first steps
    for step in range(1, STEPS + 1):
        if evaluate and step % 100 == 0:
            guards(Evaluated(step, {"train/loss": 1.0, "val/loss": curve(step)}, False))
        loss = torch.tensor(curve(step) * (1 + noise * chance.gauss(0, 1)))
        logged = None if step % run.log_every else Logged(loss.item(), [], None)
        guards(Stepped(step, loss, None, run.optimizer.defaults["lr"], 1, None, logged))
    return found


def flat(curve: Curve, *words: str, **how) -> bool:
    found = found_on(curve, *words, **how)
    assert {finding.check for finding in found} <= {"flat"}
    return bool(found)


class OwnLoss(nn.Module):
    """Nobody knows what guessing costs here."""


NUMBERS, CLASSES = "dataset=diabetes", "dataset=iris"  # guessing costs about 1, and ln 3
LEARNED = {
    "fault 16: fast, then small": (lambda step: max(3e-5, math.exp(-step / 5)), NUMBERS),
    "before the first logged step": (lambda step: 1.0 if step < 3 else 3e-5, NUMBERS),
    "half of it, before the first logged step": (lambda step: 1.0 if step < 3 else 0.5, NUMBERS),
    "trained before": (lambda step: 0.02, NUMBERS),
    "slowly": (lambda step: 1.0 - 0.2 * step / STEPS, NUMBERS),
    "classes, fast": (lambda step: max(1e-4, 1.1 * math.exp(-step / 3)), CLASSES),
    "classes, half of it at once": (lambda step: 1.1 if step < 3 else 0.5, CLASSES),
}
FLAT = {
    "noise": (lambda step: 1.0, NUMBERS),
    "above guessing": (lambda step: 3.0, NUMBERS),
    "classes": (lambda step: math.log(3), CLASSES),
    "classes, from far above down to guessing": (lambda step: math.log(3) + 5 * math.exp(-step / 20), CLASSES),
    "rising": (lambda step: 1.0 + step / STEPS, NUMBERS),
}


@pytest.mark.parametrize("noise", [0.0, 0.05])
@pytest.mark.parametrize("name", LEARNED)
def test_a_run_that_has_learned_is_never_called_flat(name: str, noise: float) -> None:
    curve, data = LEARNED[name]
    assert not flat(curve, data, noise=noise)


@pytest.mark.parametrize("noise", [0.0, 0.1])
@pytest.mark.parametrize("name", FLAT)
def test_a_run_that_learns_nothing_is_called_flat(name: str, noise: float) -> None:
    curve, data = FLAT[name]
    assert flat(curve, data, noise=noise)


def test_the_validation_loss_shows_what_noise_hides() -> None:
    """Batches of a few rows: each loss is half noise, but the validation rows are always the same."""
    for data, guess in ((NUMBERS, 1.0), (CLASSES, math.log(3))):
        assert not flat(lambda step, guess=guess: guess * (1 - 0.1 * step / STEPS), data, noise=0.5, evaluate=True)
        assert flat(lambda step, guess=guess: guess, data, noise=0.5, evaluate=True)


def test_a_loss_that_nobody_knows_is_compared_with_its_own_beginning() -> None:
    assert not flat(lambda step: 7.0 if step == 1 else 3.0, loss_fn=OwnLoss())
    assert not flat(lambda step: -1.0 - 9.0 * (step > 3), loss_fn=OwnLoss())
    assert flat(lambda step: 3.0, loss_fn=OwnLoss())
    assert flat(lambda step: -1.0, loss_fn=OwnLoss())
    resumed = [7.0, 3.0, 3.0, 3.0, 3.0, 3.0, 3.0]  # what it had logged before
    assert not flat(lambda step: 3.0, loss_fn=OwnLoss(), past=resumed)


@pytest.mark.parametrize("loss", ["MSELoss", "L1Loss", "HuberLoss", "SmoothL1Loss"])
def test_the_loss_of_guessing_numbers_is_that_of_their_mean(loss: str) -> None:
    from trainer.guards.start import guesses

    y = torch.randn(200, 2, generator=torch.Generator().manual_seed(0)) * 3 + 5
    loss_fn = getattr(nn, loss)()
    expected = loss_fn(y.mean(0).expand(200, 2), y).item()
    assert sum(guesses(loss_fn, None, y)) / 200 == pytest.approx(expected, rel=1e-6)
    assert guesses(nn.PoissonNLLLoss(), None, y) == []
    assert guesses(nn.CrossEntropyLoss(), 1.1, y) == [1.1]


def rates(*words: str) -> list[Finding]:
    """What guards say while a schedule runs alone, for 600 steps."""
    run, _ = build(config("dataset=iris", "epochs=300", "threads=1", "device=cpu", *words))
    found: list[Finding] = []
    guards = Guards(run, found.append, strict=True)
    run.window = next(iter(run.windows()))
    guards(Started(1, STEPS, STEPS))
    for step in range(1, run.progress.num_steps + 1):
        run.optimizer.step()
        guards(Stepped(step, torch.tensor(1 / step), None, run.optimizer.param_groups[0]["lr"], 1))
        run.scheduler.step()
        if hasattr(run.scheduler, "look") and step % 10 == 0:
            run.scheduler.look(0.0)
    assert run.progress.stop_reason is None
    return found


EXPONENTIAL = ["scheduler=step", "scheduler.step_size=1steps"]


@pytest.mark.parametrize("words", [
    ["scheduler=none"], ["scheduler=cosine"], ["scheduler=onecycle"], ["scheduler=warmup", "scheduler.warmup=50steps"],
    ["scheduler=step", "scheduler.step_size=100epochs"],  # three cuts to a tenth
    ["scheduler=cosine", "scheduler.T_max=60steps"],  # five cycles, each of which touches 0
    [*EXPONENTIAL, "scheduler.gamma=0.987"],  # below a thousandth at step 528
], ids=" ".join)  # fmt: skip
def test_a_schedule_that_ends_low_is_as_it_should_be(words: list[str]) -> None:
    assert rates(*words) == []


@pytest.mark.parametrize("words", [
    ["scheduler=plateau", "scheduler.patience=2"], [*EXPONENTIAL, "scheduler.gamma=0.97"],
], ids=" ".join)  # fmt: skip
def test_a_rate_of_nearly_nothing_long_before_the_end_is_a_note(words: list[str]) -> None:
    (finding,) = rates(*words)
    assert (finding.check, finding.note) == ("low rate", True)
    assert "still to go" in finding.what
