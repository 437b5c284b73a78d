"""Several processes that train one model: the same samples, the same numbers, one folder, and nobody left behind."""

import hashlib
import json
import math
import os
import random
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest
import torch
from conftest import Cli
from test_signals import start, wait_for, wait_for_lines
from torch import nn
from trials import FORKS, HERE, attempt, begin, call, config

from trainer.build import build
from trainer.distributed import Ranks, averaging, joined, synchronised
from trainer.errors import ConfigError
from trainer.evidence import evidence
from trainer.events import Stepped
from trainer.loop import train
from trainer.schema.check import check
from trainer.verbs.verify import _Killer

SGD = ["optimizer=sgd", "optimizer.lr=0.5", "dtype=float64", "epochs=1", "model.hidden=[8]"]
WEIGHTED = ["loss=cross_entropy", "loss.weight=[1,5,1,1,2,1,0,1,1,9]"]
UNEVEN = {
    "batches of 64, the last of 30": SGD,
    "the last batch has one row": [*SGD, "loader.batch_size=479"],
    "weighted classes, accumulated": [*SGD, *WEIGHTED, "loader.batch_size=31", "accumulate=3", "clip_grad_norm=0.1"],
    "a loss that sums": [*SGD, "loss=cross_entropy", "loss.reduction=sum", "optimizer.lr=0.001"],
    "torch's DataLoader, weighted": [*SGD, *WEIGHTED, "loader.in_memory=false", "loader.batch_size=479"],
    "numbers": [*SGD, "dataset=diabetes", "optimizer.lr=0.05", "accumulate=2", "loader.batch_size=50"],
}


def trained(data: dict) -> tuple[list[str], list[float], dict[str, float]]:
    """In a rank: hashes of each step's samples over all ranks, its loss, and the last evaluation."""
    with joined() as ranks:
        run, _ = build(check(data), ranks=ranks)
        seen: list[str] = []
        shared_out, shares = run.train_batches.shared_out, run.train_batches.shares

        def rows(parts) -> None:
            loader = run.train_batches.loader
            found = [[loader.load(part)[0].flatten(1).tolist()] for part in parts]
            whole = ranks.add_sums({str(ranks.rank): torch.zeros(1)}) and gathered(ranks, found)
            seen.append(hashlib.sha256(json.dumps(whole).encode()).hexdigest())

        def watched(parts):
            parts, weights = shared_out(parts)
            rows(parts)
            return parts, weights

        def watched_alone(parts):
            rows(parts)
            return shares(parts)

        run.train_batches.shared_out, run.train_batches.shares = watched, watched_alone
        losses, metrics = [], {}
        for event in train(run):
            if isinstance(event, Stepped):
                losses.append(event.loss.item())
            metrics = dict(getattr(event, "metrics", metrics))
    return seen, losses, metrics


def gathered(ranks: Ranks, found: list) -> list:
    """The rows of each batch of a window, in the order of the ranks."""
    parts = [found]
    if ranks.size > 1:
        parts = [None] * ranks.size
        torch.distributed.all_gather_object(parts, found)
    return [[row for part in parts for rows in part[batch] for row in rows] for batch in range(len(found))]


def on_ranks(size: int, function, *args) -> list:
    """What a function returns on each of `size` ranks, started by torch's launcher."""
    return call(_launch, size, function, *args)


def _launch(size: int, function, *args) -> list:
    from torch.distributed.launcher.api import LaunchConfig, elastic_launch

    how = LaunchConfig(1, 1, size, rdzv_backend="c10d", rdzv_endpoint="localhost:0", local_addr="localhost",
                       start_method="forkserver", max_restarts=0, run_id="test")  # fmt: skip
    results = elastic_launch(how, function)(*args)
    return [results[rank] for rank in range(size)]


@pytest.mark.parametrize(
    ("name", "sizes"),
    [("weighted classes, accumulated", [2]), *(pytest.param(n, [2, 3, 4], marks=pytest.mark.slow) for n in UNEVEN)],
)
def test_the_same_samples_and_the_same_numbers_whatever_the_number_of_ranks(name: str, sizes: list[int]) -> None:
    data = config(*UNEVEN[name])
    seen, losses, metrics = call(trained, data)
    assert len(set(seen)) == len(losses) == math.ceil(len(seen))
    for size in sizes:
        results = on_ranks(size, trained, data)
        assert all(result == results[0] for result in results), "ranks differ"
        again, numbers, measured = results[0]
        assert again == seen
        assert numbers == pytest.approx(losses, rel=1e-10)
        assert measured == pytest.approx(metrics, rel=1e-10)


DROPOUT = ["model.hidden=[32]", "model.dropout=0.2", "model.norm=batch", "eval_every=7steps", "epochs=2",
           "checkpoint.every_seconds=0"]  # fmt: skip


@pytest.mark.parametrize(
    ("size", "points"),
    [(3, [20]), *(pytest.param(size, [9, 23, 40], marks=pytest.mark.slow) for size in (2, 3, 4))],
)
def test_a_killed_run_of_several_ranks_resumes_to_the_same_bits(tmp_path: Path, size: int, points: list[int]) -> None:
    data = config(*DROPOUT, f"nproc={size}", "loader.batch_size=50")
    assert attempt(tmp_path / "whole", data) == 0, (tmp_path / "whole.out").read_text()
    whole = call(evidence, tmp_path / "whole")
    for point in points:
        folder = tmp_path / str(point)
        killed = attempt(folder, data, watchers=[_Killer(point - 3, point)])
        assert killed == 1, (tmp_path / f"{point}.out").read_text()
        assert "error: rank 0 " in (tmp_path / f"{point}.out").read_text()
        assert max(path.name for path in (folder / "checkpoints").iterdir()) >= f"step-{point - 3:08d}"
        assert attempt(folder, data) == 0, (tmp_path / f"{point}.out").read_text()
        assert call(evidence, folder) == whole


def test_without_the_throw_away_backward_a_resume_would_drift() -> None:
    """The comparison notices: three ranks, stopped in the middle and built again, with and without it."""
    data = config("model.hidden=[32]", "epochs=2", "loader.batch_size=50")
    kept, lost = on_ranks(3, interrupted, data, True)[0], on_ranks(3, interrupted, data, False)[0]
    assert kept[0] == kept[1]
    assert lost[0] != lost[1]


def interrupted(data: dict, prepared: bool) -> tuple[str, str]:
    """In a rank: the weights of 20 steps, and of 10 and, from their checkpoint, 10."""
    if not prepared:
        import trainer.build

        def plain(model, device, loss_of):
            return nn.parallel.DistributedDataParallel(model)

        trainer.build.averaging = plain
    from trainer import checkpoint
    from trainer.reading import parse_json

    with joined() as ranks:
        runs = [build(check(data), ranks=ranks)[0] for _ in range(2)]
        saved = {}
        for run in runs:
            if saved:
                parse_json(saved[checkpoint.STATE], Path("saved"))
                checkpoint.load(run, saved, Path("saved"))
            for event in train(run):
                if isinstance(event, Stepped) and event.step == 10:
                    saved = saved or checkpoint.contents(run, {})
                if isinstance(event, Stepped) and event.step == 20:
                    run.progress.stop_reason = "enough"
        return tuple(  # type: ignore[return-value]
            hashlib.sha256(b"".join(w.numpy().tobytes() for w in run.model.state_dict().values())).hexdigest()
            for run in runs
        )


@pytest.mark.slow
def test_a_run_goes_on_with_fewer_and_with_more_ranks(tmp_path: Path) -> None:
    base = ["dtype=float64", "model.hidden=[32]", "epochs=3", "loader.batch_size=50", "optimizer=sgd"]
    folder, weights = tmp_path / "run", []
    for size in (1, 3):
        assert attempt(tmp_path / f"whole-{size}", config(*base, f"nproc={size}")) == 0
    assert attempt(folder, config(*base, "nproc=3"), watchers=[_Killer(20, 25)]) == 1
    assert attempt(folder, config(*base, "nproc=2"), kill_after=2) in (0, -9)
    assert attempt(folder, config(*base, "nproc=1")) == 0, (tmp_path / "run.out").read_text()
    for name in ("whole-1", "whole-3", "run"):
        weights.append(call(last_loss, tmp_path / name))
    assert weights == pytest.approx([weights[0]] * 3, rel=1e-10)


def last_loss(folder: Path) -> float:
    lines = [json.loads(line) for line in (folder / "metrics.jsonl").read_text().splitlines()]
    return [line["train/loss"] for line in lines if line.get("eval")][-1]


def alive(process: int) -> bool:
    """Whether a process runs (one that ended but was not waited for does not)."""
    try:
        return Path(f"/proc/{process}/stat").read_text().rpartition(")")[2].split()[0] != "Z"
    except FileNotFoundError:
        return False


def processes(folder: Path) -> list[int]:
    return [int(path.read_text()) for path in sorted(folder.glob("rank-*"))]


def wait_for_ranks(folder: Path, size: int) -> list[int]:
    end = time.monotonic() + 60
    while len(found := processes(folder)) < size or not all(p.read_text() for p in folder.glob("rank-*")):
        assert time.monotonic() < end, "the ranks never came"
        time.sleep(0.02)
    return found


REGISTERED = ["model=own", "model._target_=own.Registered", "epochs=4", "checkpoint.every_seconds=0.2"]


@pytest.mark.parametrize("trials", [1, pytest.param(20, marks=pytest.mark.slow)])
def test_a_killed_rank_takes_the_others_down_and_is_named(tmp_path: Path, trials: int) -> None:
    chance, longest, good = random.Random(trials), 0.0, 0
    for trial in range(trials):
        here, size = tmp_path / str(trial), chance.choice([2, 3])
        here.mkdir()
        data = config(*REGISTERED, f"+model.folder={here}", f"nproc={size}")
        parent = begin(here / "run", data)
        found = wait_for_ranks(here, size)
        rank = chance.randrange(size)
        time.sleep(chance.uniform(0, 1))
        os.kill(found[rank], signal.SIGKILL)
        killed = time.monotonic()
        parent.join(60)
        longest = max(longest, time.monotonic() - killed)
        said = (here / "run.out").read_text()
        assert parent.exitcode == 1, said
        (line,) = (line for line in said.splitlines() if line.startswith("error: "))
        assert line.startswith(f"error: rank {rank} (process {found[rank]}): its process was killed by SIGKILL")
        assert "Traceback" not in said
        assert not any(map(alive, found))
        if (here / "run/config.yaml").exists():
            assert json.loads((here / "run/summary.json").read_text())["error"] == line.removeprefix("error: ")
        assert attempt(here / "run", data) == 0, (here / "run.out").read_text()
        good += 1
    print(f"killed ranks: {good} of {trials} named and resumed; the longest end took {longest:.1f} s")
    assert longest < 30


def test_no_rank_outlives_its_parent(tmp_path: Path) -> None:
    parent = begin(tmp_path / "run", config(*REGISTERED, f"+model.folder={tmp_path}", "nproc=2", "epochs=1000"))
    found = wait_for_ranks(tmp_path, 2)
    os.kill(parent.pid, signal.SIGKILL)
    end = time.monotonic() + 20
    while any(map(alive, found)):
        assert time.monotonic() < end, "a rank lives on"
        time.sleep(0.05)
