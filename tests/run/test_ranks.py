"""Several processes that train one model: the same samples, the same numbers, one folder, and nobody left behind."""

import hashlib
import importlib.util
import json
import os
import random
import re
import signal
import socket
import subprocess
import sys
import time
from pathlib import Path

import pytest
import torch
from conftest import Cli
from live_run import start, until, wait_for, wait_for_lines
from torch import nn
from trials import HERE, attempt, begin, call, config, on_ranks

from trainer.build.build import build
from trainer.cli import main
from trainer.config.check import check
from trainer.diagnosis.fingerprint import evidence
from trainer.errors import ConfigError
from trainer.events import Stepped
from trainer.loop import train
from trainer.processes.ranks import Ranks, joined, num_ranks, synchronised
from trainer.stopping import StopReason
from trainer.sweep import pool
from trainer.sweep.job import Place
from trainer.verbs.verify import _Killer

SGD = ["optimizer=sgd", "optimizer.lr=0.5", "dtype=float64", "epochs=1", "model.hidden=[8]"]
WEIGHTED = ["loss=cross_entropy", "loss.weight=[1,5,1,1,2,1,0,1,1,9]"]
THAWED = ["freeze=[layers.0]", "unfreeze_at=5steps", "epochs=2", "loader.batch_size=130", "optimizer=adamw"]
UNEVEN = {
    "batches of 130, the last of 8": [*SGD, "loader.batch_size=130"],
    "the last batch has one row": [*SGD, "loader.batch_size=479"],
    "weighted classes, accumulated": [*SGD, *WEIGHTED, "loader.batch_size=31", "accumulate=3", "clip_grad_norm=0.1"],
    "a loss that sums": [*SGD, "loss=cross_entropy", "loss._target_=own.Summed", "optimizer.lr=1e-5"],
    "torch's DataLoader, weighted": [*SGD, *WEIGHTED, "loader.in_memory=false", "loader.batch_size=479"],
    "thawed, then averaged": [*SGD, *THAWED, "swa=8steps", "optimizer.lr=0.01", "accumulate=2", "scheduler=cosine"],
    "thawed, an average of each step": [*SGD, *THAWED, "optimizer.lr=0.01", "ema=0.9"],
    "numbers": [*SGD, "dataset=diabetes", "optimizer.lr=0.05", "accumulate=2", "loader.batch_size=50"],
}
EVERY = ["augment=crop_flip", "augment.shift=1", "augment.cutout=2", "augment.brightness=0.2", "augment.contrast=0.2"]
CHANGED = {
    "augmented, mixed": [
        *SGD,
        *EVERY,
        "augment.mixup=0.3",
        "augment.cutmix=1",
        "accumulate=2",
        "loader.batch_size=130",
    ],
    "transforms in a DataLoader": [*SGD, "augment=trivial", "augment.flip=true", "loader.batch_size=130"],
}
UNEVEN |= CHANGED
if importlib.util.find_spec("torchmetrics") is not None:  # of 6 batches to evaluate, the last has 9 rows
    UNEVEN["metrics by name"] = [*SGD, "metrics=[auroc,precision,cohen_kappa]", "loader.eval_batch_size=70"]
    UNEVEN["a rank without rows"] = [*SGD, "dataset=diabetes", "optimizer.lr=0.05", "metrics=[pearson_corrcoef]"]


def trained(data: dict) -> tuple[list[str], list[float], dict[str, float]]:
    """In a rank: hashes of each step's samples over all ranks, its loss, and the last evaluation."""
    with joined() as ranks:
        run, _ = build(check(data), ranks=ranks)
        seen: list[str] = []
        windows = run.train_batches.windows

        def watched(epoch, first=0):
            for window in windows(epoch, first):
                batches = [run.train_batches.loader.load(batch)[0].flatten(1) for batch in window.batches]
                whole = gathered(ranks, [[hashlib.sha256(row.numpy()).hexdigest() for row in rows] for rows in batches])
                seen.append(hashlib.sha256(json.dumps(whole).encode()).hexdigest())
                yield window

        run.train_batches.windows = watched
        losses, metrics = [], {}
        for event in train(run):
            if isinstance(event, Stepped):
                losses.append(event.loss.item())
            metrics = dict(getattr(event, "metrics", metrics))
    return seen, losses, metrics


def gathered(ranks: Ranks, found: list[list[str]]) -> list[list[str]]:
    """The rows of each batch of a window, in the order of the ranks."""
    parts = [found]
    if ranks.size > 1:
        parts = [found] * ranks.size
        torch.distributed.all_gather_object(parts, found)
    return [[row for part in parts for row in part[batch]] for batch in range(len(found))]


@pytest.mark.parametrize(
    ("name", "sizes"),
    [
        ("weighted classes, accumulated", [2]),
        *(pytest.param(n, [2] if n in CHANGED else [2, 3, 4], marks=pytest.mark.slow) for n in UNEVEN),
    ],
)
def test_the_same_samples_and_the_same_numbers_whatever_the_number_of_ranks(name: str, sizes: list[int]) -> None:
    data = config(*UNEVEN[name])
    seen, losses, metrics = call(trained, data)
    assert len(set(seen)) == len(seen) == len(losses)
    for size in sizes:
        results = on_ranks(size, trained, data)
        assert all(result == results[0] for result in results), "ranks differ"
        again, numbers, measured = results[0]
        assert again == seen
        assert numbers == pytest.approx(losses, rel=1e-10)
        assert measured == pytest.approx(metrics, rel=1e-10)


DROPOUT = ["model.hidden=[32]", "model.dropout=0.2", "model.norm=batch", "eval_every=7steps", "epochs=2",
           "checkpoint.every_seconds=0"]  # fmt: skip


@pytest.mark.slow
@pytest.mark.parametrize("size", [2, 3, 4])
def test_a_killed_run_of_several_ranks_resumes_to_the_same_bits(tmp_path: Path, size: int) -> None:
    data = config(*DROPOUT, f"nproc={size}", "loader.batch_size=50")
    assert attempt(tmp_path / "whole", data) == 0, (tmp_path / "whole.out").read_text()
    whole = evidence(tmp_path / "whole")
    for point in (9, 23, 40):
        folder = tmp_path / str(point)
        killed = attempt(folder, data, listeners=[_Killer(folder, point - 3, point)])
        assert killed == 1, (tmp_path / f"{point}.out").read_text()
        assert "error: rank 0 " in (tmp_path / f"{point}.out").read_text()
        assert max(path.name for path in (folder / "checkpoints").iterdir()) >= f"step-{point - 3:08d}"
        assert attempt(folder, data) == 0, (tmp_path / f"{point}.out").read_text()
        assert evidence(folder) == whole


@pytest.mark.slow
def test_without_the_throw_away_backward_a_resume_would_drift() -> None:
    """The comparison notices: three ranks, stopped in the middle and built again, with and without it."""
    data = config("model.hidden=[32]", "epochs=2", "loader.batch_size=50")
    kept, lost = on_ranks(3, interrupted, data, True)[0], on_ranks(3, interrupted, data, False)[0]
    assert kept[0] == kept[1]
    assert lost[0] != lost[1]


def interrupted(data: dict, prepared: bool) -> tuple[str, str]:
    """In a rank: the weights of 20 steps, and of 10 and, from their checkpoint, 10."""
    if not prepared:
        import trainer.build.connecting

        def plain(model, *_):
            return nn.parallel.DistributedDataParallel(model)

        trainer.build.connecting.averaging = plain
    from trainer import checkpoint
    from trainer.disk.reading import parse_json

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
                    run.progress.stop_reason = StopReason.GUARD
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
    assert attempt(folder, config(*base, "nproc=3"), listeners=[_Killer(folder, 20, 25)]) == 1
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
    """Those of the ranks that have said theirs, in full: a file is there before there is anything in it."""
    written = (path.read_text() for path in sorted(folder.glob("rank-*")))
    return [int(text) for text in written if text.endswith("\n")]


def wait_for_ranks(folder: Path, size: int) -> list[int]:
    end = time.monotonic() + 60
    while len(found := processes(folder)) < size:
        assert time.monotonic() < end, "the ranks never came"
        time.sleep(0.02)
    return found


def num_lines(run: Path) -> int:
    """The lines of a run's metrics, one a step; 0 before there are any."""
    path = run / "metrics.jsonl"
    return path.read_text().count("\n") if path.exists() else 0


# 230 steps of 5 ms at least: whoever is killed in the first 150 has not finished.
REGISTERED = ["model=own", "model._target_=own.Registered", "epochs=10", "checkpoint.every_seconds=0.2"]


@pytest.mark.slow
def test_a_killed_rank_takes_the_others_down_and_is_named(tmp_path: Path) -> None:
    chance, longest, good, trials = random.Random(20), 0.0, 0, 20
    for trial in range(trials):
        here, size = tmp_path / str(trial), chance.choice([2, 3])
        here.mkdir()
        data = config(*REGISTERED, f"+model.folder={here}", f"nproc={size}")
        parent = begin(here / "run", data)
        found = wait_for_ranks(here, size)
        rank, moment = chance.randrange(size), chance.randrange(150)
        until(lambda folder=here / "run", moment=moment: num_lines(folder) >= moment)
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


@pytest.mark.slow
def test_a_signal_before_the_run_begins_is_told_as_one(tmp_path: Path) -> None:
    data = config("model=own", "model._target_=own.Begun", f"+model.folder={tmp_path}", "nproc=2")
    parent = begin(tmp_path / "run", data)
    found = wait_for_ranks(tmp_path, 2)
    os.kill(found[1], signal.SIGTERM)
    parent.join(60)
    said = (tmp_path / "run.out").read_text()
    assert re.search(r"^error: rank \d .*: its process was killed by SIGTERM; it wrote nothing$", said, re.M), said
    assert not any(map(alive, found))


def test_an_error_in_one_rank_is_told_as_its_own(tmp_path: Path) -> None:
    words = ["+dataset.num_points=1100", "loader.in_memory=false", "dataset.val_fraction=0"]  # too many to read first
    data = config("dataset._target_=own.Faulty", "nproc=2", *words)
    assert attempt(tmp_path / "run", data) == 1
    said = (tmp_path / "run.out").read_text()
    assert re.search(r"error: rank 1: own.Faulty\[\d+\] raises ValueError: one row is broken \(", said)
    assert "Traceback" not in said
    log = (tmp_path / "run/train.log").read_text()
    assert 'raise ValueError("one row is broken")' in log
    summary = json.loads((tmp_path / "run/summary.json").read_text())
    assert summary["status"] == "failed"
    assert re.fullmatch(
        r"rank 1: own.Faulty\[\d+\] raises ValueError: one row .* \(\S*own.py line \d+\)", summary["error"]
    )


def test_a_loss_that_is_not_finite_keeps_its_exit_code(tmp_path: Path) -> None:
    assert attempt(tmp_path / "run", config("nproc=2", "optimizer=sgd", "optimizer.lr=1e30", "dtype=float64")) == 3
    assert "error: the loss is NaN or infinite at step" in (tmp_path / "run.out").read_text()
    assert json.loads((tmp_path / "run/summary.json").read_text())["status"] == "diverged"


@pytest.mark.slow
@pytest.mark.parametrize(("number", "code"), [(signal.SIGTERM, 143), (signal.SIGINT, 130), (signal.SIGHUP, 129)])
def test_a_signal_stops_every_rank_in_the_same_step(tmp_path: Path, number: int, code: int) -> None:
    words = ["train", "dataset=digits", "nproc=2", "model.dropout=0.2", "loader.batch_size=32", "epochs=12",
             "threads=1", "device=cpu", "report=false", "log_every=1"]  # fmt: skip
    process = start(tmp_path, *words)
    wait_for_lines(tmp_path)
    process.send_signal(signal.SIGUSR1)
    wait_for(tmp_path, "outputs/2*/*/checkpoints/step-*")
    process.send_signal(number)
    _, said = process.communicate(timeout=60)
    assert process.returncode == code, said
    first, second = said.splitlines()
    assert first.startswith(f"stopped by {signal.Signals(number).name} at step")
    assert second.startswith("  try: trainer resume outputs/")
    assert json.loads((tmp_path / "outputs/latest/summary.json").read_text())["status"] == "stopped"
    resumed = start(tmp_path, "resume", "latest")
    assert resumed.communicate(timeout=120)[1] == ""
    steps = [json.loads(line)["step"] for line in (tmp_path / "outputs/latest/metrics.jsonl").read_text().splitlines()]
    assert sorted(set(steps)) == list(range(1, 12 * 45 + 1))


@pytest.mark.slow
@pytest.mark.parametrize("who", ["one rank", "all"])
def test_a_sigterm_to_ranks_as_slurm_sends_it_saves_and_resumes_to_the_same_bits(tmp_path: Path, who: str) -> None:
    """In Slurm every process of a job gets it, in any order."""
    for name in ("whole", "ended"):
        (tmp_path / name).mkdir()
    whole, data = (config(*REGISTERED, f"+model.folder={tmp_path / name}", "nproc=2") for name in ("whole", "ended"))
    folder = tmp_path / "ended/run"
    parent = begin(folder, data)
    found = wait_for_ranks(tmp_path / "ended", 2)
    until(lambda: num_lines(folder) >= 10)
    for process in [found[1]] if who == "one rank" else [found[0], parent.pid, found[1]]:
        os.kill(process, signal.SIGTERM)
    parent.join(60)
    said = (tmp_path / "ended/run.out").read_text()
    assert parent.exitcode == 143, said
    assert "stopped by SIGTERM at step" in said
    assert json.loads((folder / "summary.json").read_text())["status"] == "stopped"
    assert attempt(folder, data) == 0
    assert attempt(tmp_path / "whole/run", whole) == 0
    assert evidence(folder) == evidence(tmp_path / "whole/run")


@pytest.mark.slow
def test_one_folder_one_log_one_screen(tmp_path: Path, cli: Cli) -> None:
    words = ["train", "epochs=2", "report=false", "explain=1"]
    alone, together = cli(*words), cli(*words, "nproc=3")
    assert (together.returncode, together.stderr) == (0, "")
    assert len(list(tmp_path.glob("outputs/2*/*"))) == 2
    names = {path.name for path in (tmp_path / "outputs/latest").iterdir()}
    assert names == {path.name for path in next(tmp_path.glob("outputs/2*/*")).iterdir()}
    assert together.stdout == (tmp_path / "outputs/latest/train.log").read_text()
    line = "         3 processes, which share each batch\n"
    assert line in together.stdout
    assert len(together.stdout.replace(line, "").splitlines()) == len(alone.stdout.splitlines())
    assert "step 1, as the first of 3 processes sees its part of the batch" in together.stdout
    assert max(map(len, together.stdout.splitlines())) <= 78


def torchrun(folder: Path, port: int, *words: str) -> subprocess.Popen:
    environment = {**os.environ, "PYTHONPATH": str(HERE.parents[1]), "GLOO_SOCKET_IFNAME": "lo",
                   "XDG_CONFIG_HOME": str(folder / ".config")}  # fmt: skip
    how = ["--nnodes=2", "--nproc-per-node=1", "--rdzv-backend=c10d", f"--rdzv-endpoint=localhost:{port}",
           "--rdzv-id=two-hosts", "--local-addr=localhost"]  # fmt: skip
    command = [sys.executable, "-m", "torch.distributed.run", *how, "-m", "trainer", *words]
    return subprocess.Popen(command, cwd=folder, env=environment, stdout=-1, stderr=-1, text=True)


@pytest.mark.slow
def test_two_agents_train_together_and_leave_one_folder(tmp_path: Path) -> None:
    with socket.socket() as free:
        free.bind(("localhost", 0))
        port = free.getsockname()[1]
    words = ["train", "epochs=2", "report=false", "dtype=float64"]
    agents = [torchrun(tmp_path, port, *words) for _ in range(2)]
    said = [agent.communicate(timeout=180) for agent in agents]
    assert [agent.returncode for agent in agents] == [0, 0], said
    (folder,) = tmp_path.glob("outputs/2*/*")
    outputs = [out for out, _ in said if out]
    assert outputs == [(folder / "train.log").read_text()]
    assert "2 processes, which share each batch" in outputs[0]
    resumed = [torchrun(tmp_path, port, "resume", "latest", "epochs=3") for _ in range(2)]
    said = [agent.communicate(timeout=180) for agent in resumed]
    assert [agent.returncode for agent in resumed] == [0, 0], said
    assert json.loads((folder / "summary.json").read_text())["steps"] == 69


UNDER_TORCHRUN = {"TORCHELASTIC_RUN_ID": "x", "WORLD_SIZE": "2"}


def test_a_sweep_under_torchrun_is_refused_in_one_line(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    for name, value in UNDER_TORCHRUN.items():
        monkeypatch.setenv(name, value)
    said = []
    for rank in "01":
        monkeypatch.setenv("RANK", rank)
        assert main(["train", "-m", "seed=0,1"]) == 2
        said.append(capsys.readouterr().err)
    assert said[0].splitlines()[0] == "error: -m under torchrun: a sweep starts the processes of its jobs itself"
    assert said[1] == ""
    monkeypatch.setenv("RANK", "0")
    assert main(["train", "nproc=4"]) == 2
    assert "nproc=4, but torchrun has started 2 processes" in capsys.readouterr().err
    assert not (tmp_path / "outputs").exists()


@pytest.mark.slow
def test_jobs_of_a_sweep_may_use_several_processes_each(tmp_path: Path, cli: Cli) -> None:
    done = cli("train", "-m", "nproc=2", "seed=0,1,2", "sweep.jobs=2", "epochs=2")
    assert (done.returncode, done.stderr) == (0, ""), done.stdout
    alone = cli("train", "nproc=2", "seed=1", "epochs=2", "report=false")
    assert alone.returncode == 0
    job, run = (next(tmp_path.glob(f"outputs/{where}/metrics.jsonl")) for where in ("sweeps/*/*/001", "2*/*"))
    last = [json.loads(path.read_text().splitlines()[-1]) for path in (job, run)]
    assert last[0] | {"seconds": 0} == last[1] | {"seconds": 0}
    assert len(list(tmp_path.glob("outputs/sweeps/*/*/*/model.safetensors"))) == 3


def test_parts_of_a_batch_are_its_rows_in_order() -> None:
    for size in range(1, 6):
        for rows in (0, 1, 3, 64, 65):
            batch = torch.randperm(rows)
            parts = [Ranks(rank, size).part(batch) for rank in range(size)]
            assert torch.equal(torch.cat(parts), batch)
            assert [len(part) for part in parts] == Ranks(size=size).parts(rows)
            assert max(map(len, parts)) - min(map(len, parts)) <= 1


def test_batch_norm_is_refused_where_a_rank_would_see_one_row_or_none() -> None:
    typed = ["model.norm=batch", "dataset=iris", "dataset.val_fraction=0"]  # 150 rows
    for batch_size, size in ((149, 2), (148, 2), (75, 100)):
        with pytest.raises(ConfigError, match=r"rows? of a batch of"):
            build(check(config(*typed, f"loader.batch_size={batch_size}")), ranks=Ranks(0, size))


def test_batch_norms_are_synchronised_on_cuda_alone() -> None:
    model = nn.Sequential(nn.Linear(2, 2), nn.BatchNorm1d(2))
    assert synchronised(model, torch.device("cuda"), Ranks()) is model
    with pytest.raises(ConfigError, match="works only on CUDA"):
        synchronised(model, torch.device("cpu"), Ranks(0, 2))
    together = synchronised(model, torch.device("cuda"), Ranks(0, 2))
    assert isinstance(together[1], nn.SyncBatchNorm)
    assert list(together.state_dict()) == list(model.state_dict())


def test_each_rank_has_a_gpu_of_its_own(monkeypatch: pytest.MonkeyPatch) -> None:
    taken = []
    monkeypatch.setattr(torch.cuda, "device_count", lambda: 2)
    monkeypatch.setattr(torch.cuda, "set_device", taken.append)
    cuda = torch.device("cuda", 0)
    assert Ranks(5, 8, 1, 2).device(cuda, "auto") == torch.device("cuda", 1)
    assert taken == [1]
    assert num_ranks(check(config("nproc=auto", "device=cpu"))) == 1
    assert num_ranks(check(config("nproc=auto", "device=cuda"))) == 2
    for ranks, device, name in ((Ranks(0, 4, 0, 4), cuda, "cuda"), (Ranks(0, 2, 0, 2), cuda, "cuda:0"),
                                (Ranks(0, 2, 0, 2), torch.device("mps"), "auto")):  # fmt: skip
        with pytest.raises(ConfigError):
            ranks.device(device, name)


def test_jobs_of_several_processes_share_cores_and_gpus(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(pool, "num_cores", lambda: 8)
    monkeypatch.delenv("CUDA_VISIBLE_DEVICES", raising=False)
    assert pool.places("auto", "auto", "cpu", "cpu", 0, 99, 2) == [Place(2, num_jobs=4)] * 4
    assert pool.places("auto", 2, "cpu", "cpu", 0, 99, 2) == [Place(4, num_jobs=2)] * 2
    assert pool.places("auto", 1, "auto", "cuda", 4, 99, 2) == [Place(4, "0,1", 2), Place(4, "2,3", 2)]
