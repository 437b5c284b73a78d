"""Groups of parameters keep the ratio of their rates under every schedule."""

from pathlib import Path
from typing import Any

import pytest
from conftest import config

from trainer import checkpoint
from trainer.build.build import build
from trainer.events import Evaluated, Stepped
from trainer.loop import train

GROUPS = "optimizer.groups=[{params: layers.0, lr: 0.001},{params: '*.bias', optimizer: sgd, lr: 0.3}]"
RUN = ("dataset=iris", "loader.batch_size=10", "optimizer.lr=0.1", "epochs=4", GROUPS)  # 48 steps
TORCH = "torch.optim.lr_scheduler."
COSINE = f"{{_target_:{TORCH}CosineAnnealingLR,eta_min:0.01}}"
LINEAR = f"{{_target_:{TORCH}LinearLR,total_iters:1epochs,start_factor:0.1}}"
SCHEDULES = {
    "onecycle": ["scheduler=onecycle"],
    "onecycle, a peak": ["scheduler=onecycle", "scheduler.max_lr=0.5"],
    "cosine": ["scheduler=cosine"],
    "cosine, an end": ["scheduler=cosine", "scheduler.eta_min=0.01"],
    "cosine, twice": ["scheduler=cosine", "scheduler.eta_min=0.01", "scheduler.T_max=2epochs"],
    "warmup": ["scheduler=warmup", "scheduler.eta_min=0.01"],
    "step": ["scheduler=step", "scheduler.step_size=1epoch"],
    "plateau": ["scheduler=plateau", "scheduler.patience=0", "scheduler.min_lr=0.02", "scheduler.threshold=10"],
    "restarts": [f"scheduler._target_={TORCH}CosineAnnealingWarmRestarts", "+scheduler.T_0=1epoch",
                 "+scheduler.eta_min=0.01"],
    "cyclic": [f"scheduler._target_={TORCH}CyclicLR", "+scheduler.base_lr=0.01", "++scheduler.max_lr=0.2",
               "+scheduler.step_size_up=5"],
    "a sequence": [f"scheduler._target_={TORCH}SequentialLR", f"+scheduler.schedulers=[{LINEAR},{COSINE}]",
                   "+scheduler.milestones=[1epoch]"],
}  # fmt: skip


def rates(run: Any) -> list[list[float]]:
    """The rate of each group before each step."""
    found, groups = [[g["lr"] for g in run.optimizer.param_groups]], run.optimizer.param_groups
    for event in train(run):
        if isinstance(event, (Stepped, Evaluated)):
            found.append([g["lr"] for g in groups])
    return found


@pytest.mark.parametrize("name", SCHEDULES)
def test_a_schedule_keeps_the_ratios(name: str) -> None:
    run, _ = build(config(*RUN, *SCHEDULES[name]))
    plain, _ = build(config(*RUN[:-1], *SCHEDULES[name]))
    found = rates(run)
    own = [row[0] for row in rates(plain)]
    assert [row[0] for row in found] == pytest.approx(own, rel=1e-12)
    assert len({row[0] for row in found}) > 1
    for first, backbone, *others in found:
        assert backbone == pytest.approx(first / 100, rel=1e-12)
        assert others[-1] == pytest.approx(first * 3, rel=1e-12)


def test_a_plain_run_keeps_torchs_scheduler() -> None:
    for words in SCHEDULES.values():
        run, _ = build(config(*RUN[:-1], *words))
        module = type(getattr(run.scheduler, "scheduler", run.scheduler)).__module__
        assert module in ("torch.optim.lr_scheduler", "trainer.schedules")


@pytest.mark.parametrize("name", ["cosine, an end", "a sequence", "onecycle"])
def test_a_resumed_schedule_over_groups_is_exact(name: str, tmp_path: Path) -> None:
    words = (*RUN, *SCHEDULES[name], "optimizer.layer_decay=0.9")
    whole, _ = build(config(*words))
    kept: dict[str, bytes] = {}
    for event in train(whole):
        if isinstance(event, Stepped) and event.step == 20:
            kept = checkpoint.contents(whole, {})
    resumed, _ = build(config(*words))
    checkpoint.load(resumed, kept, tmp_path)
    assert len(list(train(resumed)))
    assert checkpoint.contents(resumed, {}) == checkpoint.contents(whole, {})
