"""Schedulers by `_target_`: durations in lists and in nested nodes, and lengths from the run."""

from itertools import pairwise
from pathlib import Path
from typing import Any

import pytest
import torch
from conftest import config
from torch.optim import lr_scheduler

from trainer import checkpoint
from trainer.build.build import build
from trainer.errors import ConfigError
from trainer.loop import train
from trainer.schedules import Triangle

RUN = ("dataset=iris", "loader.batch_size=10", "optimizer.lr=0.01", "epochs=6")  # 12 steps an epoch
LINEAR = "{_target_:torch.optim.lr_scheduler.LinearLR,total_iters:2epochs,start_factor:0.1}"
COSINE = "{_target_:torch.optim.lr_scheduler.CosineAnnealingLR}"
STEPS = "{_target_:torch.optim.lr_scheduler.MultiStepLR,milestones:[24samples,4epochs]}"


def by_torch(make: Any, num_steps: int = 72) -> list[float]:
    """The learning rates of torch's own loop, before each step."""
    optimizer = torch.optim.AdamW([torch.nn.Parameter(torch.zeros(1))], lr=0.01)
    scheduler, rates = make(optimizer), []
    for _ in range(num_steps):
        rates.append(optimizer.param_groups[0]["lr"])
        optimizer.step()
        scheduler.step()
    return rates


def sequence(optimizer: Any) -> Any:
    parts = [lr_scheduler.LinearLR(optimizer, 0.1, total_iters=24), lr_scheduler.CosineAnnealingLR(optimizer, 48)]
    return lr_scheduler.SequentialLR(optimizer, parts, [24])


def chain(optimizer: Any) -> Any:
    parts = [lr_scheduler.LinearLR(optimizer, 0.1, total_iters=24), lr_scheduler.MultiStepLR(optimizer, [3, 48])]
    return lr_scheduler.ChainedScheduler(parts)


CASES = {
    "a list": (
        ["MultiStepLR", "+scheduler.milestones=[2epochs,50steps]"], lambda o: lr_scheduler.MultiStepLR(o, [24, 50]),
    ),
    "nodes in a list": (
        ["SequentialLR", f"+scheduler.schedulers=[{LINEAR},{COSINE}]", "+scheduler.milestones=[2epochs]"], sequence,
    ),
    "a chain": (["ChainedScheduler", f"+scheduler.schedulers=[{LINEAR},{STEPS}]"], chain),
}  # fmt: skip


@pytest.mark.parametrize("name", CASES)
def test_durations_inside_a_scheduler_are_steps(name: str) -> None:
    (kind, *keys), make = CASES[name]
    run, _ = build(config(*RUN, f"scheduler._target_=torch.optim.lr_scheduler.{kind}", *keys))
    assert [event.lr for event in train(run) if hasattr(event, "lr")] == by_torch(make)


def test_the_triangle_goes_through_its_corners_and_keeps_the_ratio_of_groups() -> None:
    weights = [torch.nn.Parameter(torch.zeros(1)) for _ in range(2)]
    optimizer = torch.optim.SGD([{"params": weights[:1], "lr": 0.1}, {"params": weights[1:], "lr": 0.001}])
    schedule, rates = Triangle(optimizer, 20, peak=0.25, start=0.2, end=0.1), []
    for _ in range(21):
        first, second = (group["lr"] for group in optimizer.param_groups)
        assert second == pytest.approx(first / 100)
        rates.append(first)
        optimizer.step()
        schedule.step()
    assert rates[:7] == pytest.approx([0.02, 0.036, 0.052, 0.068, 0.084, 0.1, 0.094])
    assert rates[-2:] == pytest.approx([0.016, 0.01])
    slopes = [after - before for before, after in pairwise(rates)]
    assert slopes == pytest.approx([0.016] * 5 + [-0.006] * 15)


def test_a_longer_run_moves_a_nested_schedule(tmp_path: Path) -> None:
    """Half a cosine over the run, in a chain: the longer run follows the longer cosine from its start."""
    chained = f"+scheduler.schedulers=[{COSINE},{STEPS}]"
    words = ["scheduler._target_=torch.optim.lr_scheduler.ChainedScheduler", chained]
    short, longer = build(config(*RUN, *words))[0], build(config(*RUN, "epochs=8", *words))[0]
    assert len(list(train(short)))
    checkpoint.load(longer, checkpoint.contents(short, {}), tmp_path)

    def cosine(optimizer: Any) -> Any:
        parts = [lr_scheduler.CosineAnnealingLR(optimizer, 96), lr_scheduler.MultiStepLR(optimizer, [3, 48])]
        return lr_scheduler.ChainedScheduler(parts)

    assert [event.lr for event in train(longer) if hasattr(event, "lr")] == by_torch(cosine, 96)[72:]


@pytest.mark.parametrize("text", ["10ep", "10 minutes", "1.5"])
def test_text_that_is_almost_a_duration_is_refused(text: str) -> None:
    words = ["scheduler._target_=torch.optim.lr_scheduler.MultiStepLR", f"+scheduler.milestones=[2epochs,'{text}']"]
    with pytest.raises(ConfigError, match=rf"scheduler.milestones.1={text} is not a duration"):
        build(config(*RUN, *words))


def test_a_plateau_by_target_follows_the_monitored_metric() -> None:
    run, _ = build(config(*RUN, "scheduler._target_=torch.optim.lr_scheduler.ReduceLROnPlateau"))
    assert (run.stopping.monitor, run.scheduler.scheduler.mode) == ("val/acc", "max")
