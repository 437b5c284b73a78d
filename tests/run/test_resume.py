"""A run that is killed at random and resumed ends with the same bits as one that nobody disturbed."""

import contextlib
import json
import os
import random
import subprocess
import sys
import time
from pathlib import Path

import pytest
from trials import QUICK, attempt, config

from trainer.diagnosis.fingerprint import evidence

MLP = ["model=mlp", "model.hidden=[32]"]
VARIANTS = {
    "dropout, batch norm, mid-epoch evaluation": [*MLP, "model.dropout=0.2", "model.norm=batch", "eval_every=7steps"],
    "accumulation, momentum, cosine": [*MLP, "accumulate=3", "optimizer=sgd", "scheduler=cosine",
                                       "loader.batch_size=40"],
    "fp16 with its scaler, warmup": [*MLP, "autocast=fp16", "scheduler=warmup", "scheduler.warmup=5steps"],
    "plateau and early stop": [*MLP, "scheduler=plateau", "scheduler.patience=0", "early_stop.patience=4",
                               "eval_every=3steps", "optimizer.lr=0.05", "checkpoint.every_seconds=0"],
    "one cycle, bf16, clipping": [*MLP, "scheduler=onecycle", "autocast=bf16", "clip_grad_norm=0.5"],
    "steps, float64, numbers": ["dataset=diabetes", *MLP, "scheduler=step", "scheduler.step_size=10steps",
                                "dtype=float64", "optimizer=rmsprop", "optimizer.momentum=0.9", "epochs=12"],
    "pictures, adagrad, dropped rest": ["model=cnn", "model.channels=[4,8]", "model.dropout=0.3", "optimizer=adagrad",
                                        "loader.drop_last=true", "epochs=2"],
    "no validation": ["dataset=iris", *MLP, "dataset.val_fraction=0", "optimizer=adam", "epochs=15",
                      "loader.batch_size=16"],
    "augmentation, no workers": ["dataset._target_=own.Augmented", *MLP, "loader.batch_size=16", "epochs=4"],
    "augmentation, two workers": ["dataset._target_=own.Augmented", *MLP, "loader.num_workers=2",
                                  "model.dropout=0.2", "loader.batch_size=16", "epochs=4"],
}  # fmt: skip


def disturbed(folder: Path, data: dict, seed: int, most_kills: int = 6, longest: float = 0.6, **how) -> int:
    """Start and resume a run, killed within `longest` seconds each time, until it is done. Returns how often."""
    chance, kills = random.Random(seed), 0
    while True:
        kill_after = chance.uniform(0.02, longest) if kills < most_kills else None
        code = attempt(folder, data, kill_after=kill_after, **how)
        if code == 0:
            return kills
        assert code == -9, (folder.parent / f"{folder.name}.out").read_text()
        kills += 1


def compared(tmp_path: Path, overrides: list[str], seeds: range, **how) -> tuple[int, list[dict]]:
    """How many kills there were, and what differed in each trial."""
    tmp_path.mkdir(exist_ok=True)
    data = config(*overrides)
    assert attempt(tmp_path / "whole", data) == 0, (tmp_path / "whole.out").read_text()
    whole = evidence(tmp_path / "whole")
    seconds = json.loads((tmp_path / "whole/summary.json").read_text())["seconds"]
    longest = max(0.1, sum(seconds.values()))  # of this run on this machine: most kills fall into it
    kills, differing = 0, []
    for seed in seeds:
        folder = tmp_path / f"disturbed-{seed}"
        kills += disturbed(folder, data, seed, longest=longest, **how)
        found = evidence(folder)
        differing.append({part for part in whole if whole[part] != found[part]})
    return kills, differing


@pytest.mark.parametrize("name", list(VARIANTS)[:4])
def test_killed_runs_end_with_the_same_bits(tmp_path, name):
    _, differing = compared(tmp_path, VARIANTS[name], range(1))
    assert differing == [set()]


@pytest.mark.slow
@pytest.mark.parametrize("name", VARIANTS)
def test_200_killed_runs_end_with_the_same_bits(tmp_path, name):
    kills, differing = compared(tmp_path, VARIANTS[name], range(100, 120))
    print(f"{name}: {sum(not d for d in differing)} of {len(differing)} the same, {kills} kills")
    assert differing == [set()] * 20
    assert kills >= 20


def forget_dropout(_):
    from trainer.state import TrainState

    TrainState.seed_step = lambda run: None


def test_the_comparison_notices_a_resume_that_is_not_exact(tmp_path):
    overrides = [*VARIANTS["dropout, batch norm, mid-epoch evaluation"], "checkpoint.every_seconds=0"]
    for seed in range(20):  # until a kill falls into the training
        _, differing = compared(tmp_path / str(seed), overrides, range(seed, seed + 1), before=forget_dropout)
        if "weights" in differing[0]:
            return
    raise AssertionError("dropout that forgets its place was never noticed")


@pytest.mark.parametrize("trials", [3, pytest.param(12, marks=pytest.mark.slow)])
def test_what_only_watches_or_carries_changes_nothing(tmp_path: Path, trials: int) -> None:
    """Workers, intervals of logs, saves and evaluations, and resumes decide nothing but how long it takes."""
    base = ["dataset._target_=own.Augmented", *MLP, "model.dropout=0.2", "dataset.val_fraction=0.1", "epochs=3"]
    found = []
    for number in range(trials):
        workers, kills = (0, 2, 1)[number % 3], (0, 1, 5)[number // 2 % 3]
        way = [f"loader.num_workers={workers}", f"log_every={1 + number}", f"eval_every={2 + number}steps"]
        data = config(*base, *way, f"checkpoint.every_seconds={0.01 * number}")
        disturbed(tmp_path / str(number), data, seed=number, most_kills=kills)
        parts = evidence(tmp_path / str(number))
        found.append((parts["weights"], parts["optimizer"]))
    print(f"the same result: {found.count(found[0])} of {trials}")
    assert found == found[:1] * trials


@pytest.mark.slow
def test_10_killed_command_lines_end_with_the_same_bits(tmp_path: Path, cli) -> None:
    words = ["train", *QUICK, "model.dropout=0.2", "max_steps=600", "epochs=100", "checkpoint.every_seconds=0.3"]
    assert cli(*words).returncode == 0
    whole = evidence((tmp_path / "outputs/latest").resolve())
    environment = {**os.environ, "PYTHONPATH": str(Path(__file__).resolve().parents[2])}
    chance, good, kills = random.Random(4), 0, 0
    for trial in range(10):
        home = tmp_path / str(trial)
        home.mkdir()
        command = words
        while True:
            typed = [sys.executable, "-m", "trainer", *command]
            process = subprocess.Popen(typed, cwd=home, stdout=subprocess.DEVNULL, env=environment)
            size = sum(path.stat().st_size for path in home.glob("outputs/2*/*/train.log"))
            while process.poll() is None and size == sum(p.stat().st_size for p in home.glob("outputs/2*/*/train.log")):
                time.sleep(0.05)
            with contextlib.suppress(subprocess.TimeoutExpired):
                process.wait(chance.uniform(0.1, 2.0))
            process.kill()
            kills += process.wait() == -9
            if process.returncode == 0:
                break
            command = ["resume", "latest"]
        good += evidence((home / "outputs/latest").resolve()) == whole
    print(f"command line: {good} of 10 the same, {kills} kills")
    assert good == 10
