"""The rows that a fork server loads for the jobs of a sweep: which, for whom, and that no number changes."""

import dataclasses
import os
import subprocess
import sys
from contextlib import suppress
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from conftest import Cli, config
from live_run import ROOT, until

from trainer.build.build import build
from trainer.config.trust import Trust
from trainer.data import held
from trainer.disk.sweep_plan import Job
from trainer.errors import ConfigError
from trainer.loop import train
from trainer.processes import told
from trainer.sweep import pool, preload_data

NPZ = ("dataset=npz", "dataset.path=my.npz")


@pytest.fixture(autouse=True)
def _nothing_held(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(held, "_held", {})
    monkeypatch.setattr(preload_data, "GPUS", ())


def write(path: Path = Path("my.npz"), seed: int = 0) -> None:
    draws = np.random.default_rng(seed)
    np.savez(path, x=draws.integers(0, 255, (300, 1, 8, 8), dtype=np.uint8), y=draws.integers(0, 5, 300))


def hold(*words: str) -> int:
    """Hold the rows of a config. Returns how many splits are held."""
    preload_data.hold(dataclasses.asdict(config("device=cpu", *words)))
    return len(held._held)


def result(*words: str) -> tuple[list[torch.Tensor], list[Any], list[str]]:
    """The weights after five steps, the bytes of the rows, and the lines about them."""
    run, setup = build(config("device=cpu", "threads=1", "max_steps=5", *words))
    for _ in train(run):
        pass
    rows = [[loader.x, loader.y] for loader in setup.splits.loaders if hasattr(loader, "x")]
    lines = [*setup.splits.notes, setup.splits.loader_name, setup.splits.source, repr(setup.splits.fingerprint)]
    return [value.clone() for value in run.weights().values()], rows, lines


def same(one: Any, other: Any) -> bool:
    return (
        bool(torch.equal(one, other))
        if isinstance(one, torch.Tensor)
        else len(one) == len(other) and all(map(same, one, other))
    )


@pytest.mark.parametrize(
    "words",
    [
        ["dataset=digits", "augment=shift"],
        ["dataset=diabetes"],
        [*NPZ, "dataset.test_fraction=0.2"],
        ["dataset=spirals", "model.dropout=0.1"],
    ],
)
@pytest.mark.parametrize(
    "change",
    [
        ["seed=3"],
        pytest.param([], marks=pytest.mark.slow),
        pytest.param(["optimizer=sgd", "model.hidden=[7]", "scheduler=cosine"], marks=pytest.mark.slow),
    ],
)
def test_a_job_that_inherits_its_rows_ends_with_the_same_bits(words: list[str], change: list[str]) -> None:
    write()
    alone = result(*words, *change)
    assert hold(*words) == 1
    inherited = result(*words, *change)
    assert not held._held
    assert same(inherited[0], alone[0])
    assert same(inherited[1], alone[1])
    assert inherited[2] == alone[2]
    assert same(result(*words, *change)[0], alone[0])  # what was taken is not taken again


@pytest.mark.parametrize(
    "change",
    [
        ["dataset.split_seed=1"],
        ["dataset.val_fraction=0.3"],
        ["dataset.path=other.npz"],
        ["loader.in_memory=false"],
        ["augment=shift"],
        ["dtype=float64"],
        ["loss.ignore_index=4"],
        ["model.out_features=6"],
    ],
)
def test_a_job_on_other_rows_loads_its_own(change: list[str]) -> None:
    write()
    write(Path("other.npz"), seed=1)
    assert hold(*NPZ) == 1
    with suppress(ConfigError):  # six outputs are one too many
        build(config("device=cpu", *NPZ, *change))
    assert len(held._held) == 1


def test_nothing_is_held_that_depends_on_more_or_runs_other_code(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    write()
    monkeypatch.syspath_prepend(tmp_path)
    (tmp_path / "their_rows.py").write_text("raise SystemExit('ran')")
    own = dataclasses.asdict(config("device=cpu"))
    for key, node in [("dataset", "their_rows.Rows"), ("model", "their_rows.Net"), ("loss", "their_rows.Loss")]:
        preload_data.hold(own | {key: {"_target_": node}})
    assert "their_rows" not in sys.modules
    (tmp_path / "my.csv").write_text("a,b\n1,2\n3,4\n" * 20)
    for words in (
        ["loader.in_memory=false"],
        ["dataset=table", "dataset.path=my.csv", "dataset.target=b"],
    ):
        assert hold(*words) == 0
    with pytest.raises(ConfigError, match="nothing is downloaded"):
        hold("dataset=mnist")  # it is not there, and nothing is fetched
    preload_data.hold(own | {"device": "cuda"})
    monkeypatch.setattr(preload_data, "GPUS", ("null",))
    preload_data.hold(own | {"device": "auto"})
    assert not held._held
    preload_data.hold(own)
    assert len(held._held) == 1


def test_the_server_is_told_a_config_of_a_trusted_sweep_alone(monkeypatch: pytest.MonkeyPatch) -> None:
    sent: list[Any] = []
    monkeypatch.setattr(pool, "start_method", lambda *preload, is_told: sent.append((preload, is_told)))
    monkeypatch.setattr(told, "send", sent.append)
    job = Job(0, [], {"epochs": 3})
    pool.share_rows(job, Trust(signed=False))
    assert sent == []
    pool.share_rows(job, Trust(signed=False, typed=True))
    assert sent == [(("trainer.sweep.preload_data",), True), {"epochs": 3}]


@pytest.mark.skipif(sys.platform != "linux", reason="there is no fork server elsewhere")
def test_a_message_reaches_who_starts_later_and_one_that_is_too_long_is_none(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(told, "_end", None)
    monkeypatch.setattr(told.util, "get_temp_dir", lambda: str(tmp_path))
    assert told.receive() is None
    for message, received in [({"a": [1]}, {"a": [1]}), ("x" * told.MOST, None)]:
        with told.waiting():
            path = os.environ[told.PIPE]
        assert told.PIPE not in os.environ
        monkeypatch.setenv(told.PIPE, path)
        told.send(message)
        for _ in range(3):  # nobody reads these, and they would fill the pipe
            told.send("y" * (told.MOST - 9))
        assert told.receive() == received


@pytest.mark.slow
@pytest.mark.skipif(sys.platform != "linux", reason="there is no fork server elsewhere")
def test_the_jobs_of_a_sweep_inherit_what_was_read_before_the_first(cli: Cli, tmp_path: Path) -> None:
    """The file is gone before the second job begins. Its weights are those of the same run alone."""
    write()
    words = [*NPZ, "epochs=200", "report=false", "threads=1", "device=cpu"]
    assert cli("train", "seed=1", *words).returncode == 0
    sweep = [sys.executable, "-m", "trainer", "train", "-m", "seed=0,1,2", "sweep.jobs=1", *words]
    environment = {**os.environ, "PYTHONPATH": str(ROOT)}
    process = subprocess.Popen(sweep, env=environment, stdout=subprocess.PIPE, stderr=subprocess.STDOUT)
    until(lambda: list(tmp_path.glob("outputs/sweeps/*/*/000/metrics.jsonl")))
    Path("my.npz").unlink()
    said = process.communicate()[0].decode()
    assert process.returncode == 0, said
    alone, job = (next(tmp_path.glob(f"outputs/{name}/model.safetensors")) for name in ("2*/*", "sweeps/*/*/001"))
    assert alone.read_bytes() == job.read_bytes()


AGAIN = """
from trainer.cli import main
from trainer.processes import forking

if __name__ == "__main__":
    assert main(["train", "-m", "optimizr.lr=1,2"]) == 2
    process = forking.start_method().Process(target=print, args=("forked",))
    process.start()
    process.join()
"""


@pytest.mark.slow
@pytest.mark.skipif(sys.platform != "linux", reason="there is no fork server elsewhere")
def test_a_sweep_that_fails_leaves_no_server_that_waits(tmp_path: Path) -> None:
    (tmp_path / "again.py").write_text(AGAIN)
    environment = {**os.environ, "PYTHONPATH": str(ROOT)}
    done = subprocess.run([sys.executable, "again.py"], env=environment, capture_output=True, text=True, timeout=60)
    assert done.stdout == "forked\n", done.stderr
