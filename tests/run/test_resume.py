"""A run that is killed at random and resumed ends with the same bits as one that nobody disturbed."""

import json
import os
import random
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path

import pytest
from deaths import FROM_THE_START, MOST_MOMENTS, Death, drawn
from trials import HERE, QUICK, attempt, config

from trainer.diagnosis.fingerprint import evidence

MLP = ["model=mlp", "model.hidden=[32]"]
VARIANTS = {
    "dropout, batch norm, mid-epoch evaluation": [*MLP, "model.dropout=0.2", "model.norm=batch", "eval_every=7steps"],
    "accumulation, momentum, cosine": [*MLP, "accumulate=3", "optimizer=sgd", "scheduler=cosine",
                                       "loader.batch_size=40"],
    "fp16 with its scaler, warmup": [*MLP, "autocast=fp16", "scheduler=warmup", "scheduler.warmup=5steps"],
    "channels_last, low precision": ["model=cnn", "model.channels=[4,8]", "channels_last=true", "matmul=medium",
                                     "epochs=1"],
    "plateau and early stop": [*MLP, "scheduler=plateau", "scheduler.patience=0", "early_stop.patience=4",
                               "eval_every=3steps", "optimizer.lr=0.05", "checkpoint.every_seconds=0"],
    "one cycle, bf16, clipping": [*MLP, "scheduler=onecycle", "autocast=bf16", "clip_grad_norm=0.5"],
    "steps, float64, numbers": ["dataset=diabetes", *MLP, "scheduler=step", "scheduler.step_size=10steps",
                                "dtype=float64", "optimizer=rmsprop", "optimizer.momentum=0.9", "epochs=12"],
    "pictures, adagrad, dropped rest": ["model=cnn", "model.channels=[4,8]", "model.dropout=0.3", "optimizer=adagrad",
                                        "loader.drop_last=true", "epochs=2"],
    "no validation": ["dataset=iris", *MLP, "dataset.val_fraction=0", "optimizer=adam", "epochs=15",
                      "loader.batch_size=16"],
    "as it comes": [],
    "a layer fitted to the data, triangle": ["model=wide_cnn", "model.widths=[8,8]", "scheduler=triangle", "epochs=1",
                                             "optimizer=sgd", "optimizer.momentum=0.85", "optimizer.nesterov=true"],
    "augmentation, no workers": ["dataset._target_=own.Augmented", *MLP, "loader.batch_size=16", "epochs=4"],
    "augmentation, two workers": ["dataset._target_=own.Augmented", *MLP, "loader.num_workers=2",
                                  "model.dropout=0.2", "loader.batch_size=16", "epochs=4"],
}  # fmt: skip
CHANGING = [
    "freeze=[layers.0,layers.1]",
    "unfreeze_at=9steps",
    *MLP,
    "model.norm=batch",
    "loader.batch_size=60",
    "max_steps=20",
    "threads=1",
    "checkpoint.every_seconds=0",
]
PLACES = {
    "in memory, ema": ["ema=0.9", "scheduler=onecycle"],
    "no workers, swa": ["loader.in_memory=false", "swa=0.6", "eval_every=5steps", "scheduler=cosine"],
    "one worker, ema": ["loader.num_workers=1", "ema=0.9"],
    "two workers, swa": ["loader.num_workers=2", "swa=0.3", "swa_lr=0.01", "eval_every=5steps"],
    "two processes, swa": ["nproc=2", "swa=0.3", "eval_every=5steps", "scheduler=plateau"],
}
COMPILED = {
    "compile=model": [*MLP, "model.dropout=0.2", "model.norm=batch", "compile=model"],
    "compile=step": [*MLP, "model.dropout=0.2", "eval_every=7steps", "compile=step"],
}


CHANGED = {
    "every operation on a batch": ["augment=crop_flip", "augment.shift=1", "augment.cutout=2", "augment.brightness=0.2",
                                   "augment.contrast=0.2", "augment.mixup=0.3", "augment.cutmix=1.0"],
    "transforms of a row, mixed": ["augment=trivial", "augment.mixup=0.3"],
    "transforms of a batch": ["augment=trivial", "augment.per=batch", "augment.flip=true"],
}  # fmt: skip
WAYS = [["loader.in_memory=true"], ["loader.in_memory=false"], ["loader.num_workers=1"], ["loader.num_workers=2"]]


def disturbed(folder: Path, data: dict, deaths: Sequence[Death], **how) -> None:
    """Start and resume a run that dies each of these deaths, then let it end."""
    for death in deaths:
        code = attempt(folder, data, death=death, **how)
        assert code == -9, (death, code, (folder.parent / f"{folder.name}.out").read_text())
    assert attempt(folder, data, **how) == 0, (folder.parent / f"{folder.name}.out").read_text()


def compared(tmp_path: Path, overrides: list[str], seeds: range, **how) -> tuple[int, list[set[str]]]:
    """How many kills there were, and what differed in each trial. The seeds alone decide how many and where.

    how: for all attempts, also those of the run that nobody disturbs.
    """
    tmp_path.mkdir(exist_ok=True)
    data = config(*overrides)
    assert attempt(tmp_path / "whole", data, **how) == 0, (tmp_path / "whole.out").read_text()
    whole = evidence(tmp_path / "whole")
    num_steps = json.loads((tmp_path / "whole/summary.json").read_text())["steps"]
    kills, differing = 0, []
    for seed in seeds:
        folder, chance = tmp_path / f"disturbed-{seed}", random.Random(seed)
        deaths = drawn(chance, chance.randint(1, 4), num_steps)
        disturbed(folder, data, deaths, **how)
        kills += len(deaths)
        found = evidence(folder)
        differing.append({part for part in whole if whole[part] != found[part]})
    return kills, differing


@pytest.mark.parametrize("name", list(VARIANTS)[:5])
def test_killed_runs_end_with_the_same_bits(tmp_path, name):
    _, differing = compared(tmp_path, VARIANTS[name], range(1))
    assert differing == [set()]


@pytest.mark.slow
@pytest.mark.parametrize("name", PLACES)
def test_verify_finds_the_same_bits_where_parameters_thaw_and_weights_are_averaged(name: str, cli) -> None:
    """A death before or after either change, wherever it falls."""
    done = cli("verify", *CHANGING, *PLACES[name])
    assert done.returncode == 0, done.stdout + done.stderr
    assert "same     averaged weights" in done.stdout


@pytest.mark.slow
@pytest.mark.parametrize("name", VARIANTS)
def test_200_killed_runs_end_with_the_same_bits(tmp_path, name):
    kills, differing = compared(tmp_path, VARIANTS[name], range(100, 120))
    print(f"{name}: {sum(not d for d in differing)} of {len(differing)} the same, {kills} kills")
    assert differing == [set()] * 20
    assert kills == 51


@pytest.mark.slow
@pytest.mark.parametrize("name", CHANGED)
@pytest.mark.parametrize("way", WAYS, ids=" ".join)
def test_killed_runs_with_augmentation_end_with_the_same_bits(tmp_path: Path, name: str, way: list[str]) -> None:
    words = [*MLP, "model.dropout=0.2", "loader.batch_size=128", "epochs=2", *CHANGED[name], *way]
    assert compared(tmp_path, words, range(2, 3))[1] == [set()]


@pytest.mark.slow
@pytest.mark.parametrize("name", COMPILED)
def test_killed_compiled_runs_end_with_the_same_bits(tmp_path, name):
    """Fewer: each attempt compiles again."""
    kills, differing = compared(tmp_path, COMPILED[name], range(100, 103))
    print(f"{name}: {kills} kills")
    assert differing == [set()] * 3
    assert kills == 6


def test_a_run_at_its_end_can_still_be_killed(tmp_path):
    """Where nothing is left to train, a resume has moments enough for every death that `drawn` may give."""
    data = config("dataset=iris", *MLP)
    assert attempt(tmp_path / "run", data) == 0
    for death in (Death(FROM_THE_START, MOST_MOMENTS), Death(1, MOST_MOMENTS)):
        assert attempt(tmp_path / "run", data, death=death) == -9


def forget_dropout(_):
    from trainer.state import TrainState

    TrainState.seed_step = lambda run, ahead=0: None


def test_the_comparison_notices_a_resume_that_is_not_exact(tmp_path):
    _, differing = compared(
        tmp_path, VARIANTS["dropout, batch norm, mid-epoch evaluation"], range(1), before=forget_dropout
    )
    assert "weights" in differing[0]


@pytest.mark.parametrize("trials", [3, pytest.param(12, marks=pytest.mark.slow)])
def test_what_only_watches_or_carries_changes_nothing(tmp_path: Path, trials: int) -> None:
    """Workers, intervals of logs, saves and evaluations, and resumes decide nothing but how long it takes."""
    base = ["dataset._target_=own.Augmented", *MLP, "model.dropout=0.2", "dataset.val_fraction=0.1", "epochs=3"]
    found = []
    for number in range(trials):
        workers, kills = (0, 2, 1)[number % 3], (0, 1, 5)[number // 2 % 3]
        way = [f"loader.num_workers={workers}", f"log_every={1 + number}", f"eval_every={2 + number}steps"]
        data = config(*base, *way, f"checkpoint.every_seconds={0.01 * number}")
        disturbed(tmp_path / str(number), data, drawn(random.Random(number), kills, num_steps=9))
        parts = evidence(tmp_path / str(number))
        found.append((parts["weights"], parts["optimizer"]))
    print(f"the same result: {found.count(found[0])} of {trials}")
    assert found == found[:1] * trials


DOOMED = """
import sys
from deaths import Death, arm
arm(Death(*map(int, sys.argv.pop(1).split(","))), every_seconds=0.3)
from trainer.cli import entry
entry()
"""


@pytest.mark.slow
def test_10_killed_command_lines_end_with_the_same_bits(tmp_path: Path, cli) -> None:
    """The program as a whole, with its own start; only the moment of its death is arranged."""
    words = ["train", *QUICK, "model.dropout=0.2", "max_steps=600", "epochs=100", "checkpoint.every_seconds=0.3"]
    assert cli(*words).returncode == 0
    whole = evidence((tmp_path / "outputs/latest").resolve())
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join([str(HERE), str(HERE.parents[1])])}
    chance, good, kills = random.Random(4), 0, 0
    for trial in range(10):
        home = tmp_path / str(trial)
        home.mkdir()
        command = words
        for death in sorted(
            (chance.randrange(600), chance.randrange(MOST_MOMENTS), chance.randrange(2)) for _ in range(2)
        ):
            step, moments, torn = death
            arranged = f"{step},{moments},{torn},{chance.choice([5, 50, 200])}"
            typed = [sys.executable, "-c", DOOMED, arranged, *command]
            done = subprocess.run(typed, cwd=home, capture_output=True, text=True, env=environment, timeout=180)
            assert done.returncode == -9, (arranged, done.stderr)
            kills += 1
            command = ["resume", "latest"]
        assert cli(*command, cwd=home).returncode == 0
        good += evidence((home / "outputs/latest").resolve()) == whole
    print(f"command line: {good} of 10 the same, {kills} kills")
    assert (good, kills) == (10, 20)
