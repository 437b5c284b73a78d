"""Sweeps as a user runs them: the real command line, real processes, real kills."""

import csv
import json
import math
import os
import random
import re
import shlex
import signal
import statistics
import subprocess
import sys
import time
from multiprocessing import Pipe
from pathlib import Path
from types import SimpleNamespace

import pytest
from conftest import Cli
from live_run import alive, children

from trainer.cli import main
from trainer.config.trust import OWN
from trainer.disk.sweep_plan import Job
from trainer.errors import ConfigError
from trainer.sweep import pool
from trainer.sweep.comparable import check_comparable
from trainer.sweep.job import Place

ROOT = Path(__file__).resolve().parents[2]
ODD = """
import os, signal, sys
from torch import nn

class Net(nn.Module):
    def __init__(self, in_features, out_features, how=0):
        super().__init__()
        if how == 2:
            sys.exit(7)
        self.layer, self.how, self.calls = nn.Linear(in_features, out_features), how, 0

    def forward(self, x):
        print("a job's own words")
        self.calls += self.training
        if self.calls == 5:
            if self.how == 1:
                raise RuntimeError("on purpose")
            if self.how == 3:
                os.kill(os.getpid(), signal.SIGKILL)
            if self.how == 4:
                return self.layer(x.flatten(1)) * float("nan")
        return self.layer(x.flatten(1))
"""


def environment() -> dict[str, str]:
    return {**os.environ, "PYTHONPATH": str(ROOT), "PYTHONIOENCODING": "utf-8"}


def summaries(sweep: Path) -> list[dict]:
    return [json.loads((job / "summary.json").read_text()) for job in sorted(sweep.glob("[0-9]*"))]


def metrics(folder: Path) -> list[dict]:
    """metrics.jsonl without times."""
    lines = [json.loads(line) for line in (folder / "metrics.jsonl").read_text().splitlines()]
    return [{name: value for name, value in line.items() if name != "seconds"} for line in lines]


@pytest.mark.slow
def test_four_ways_to_fail_cost_the_other_six_nothing(cli: Cli, tmp_path: Path) -> None:
    (tmp_path / "odd.py").write_text(ODD)
    done = cli("train", "-m", "model=own", "model._target_=odd.Net", "+model.how=range(10)", "epochs=1")
    sweep = (tmp_path / "outputs/latest").resolve()
    assert done.returncode == 1, done.stderr
    assert [s["status"] for s in summaries(sweep)] == ["ok", "failed", "failed", "interrupted", "diverged", *["ok"] * 5]
    reasons = ["RuntimeError: on purpose", "sys.exit(7)", "SIGKILL", "NaN or infinite at step 5"]
    for number, reason in enumerate(reasons, 1):
        assert done.stdout.count(f"/{number:03d}/train.log") == 2  # at once, and below the ranking
        assert done.stdout.count(reason) == 2
    assert "RuntimeError: on purpose" in (sweep / "001/train.log").read_text()
    assert "a job's own words" in (sweep / "000/train.log").read_text()
    assert "a job's own words" not in done.stdout
    assert max(map(len, done.stdout.splitlines())) <= 78
    assert not list(sweep.glob("*/results.png"))
    assert (tmp_path / "outputs/latest").resolve() == sweep
    table = list(csv.DictReader((sweep / "sweep.csv").read_text().splitlines()))
    assert [row["status"] for row in table] == [s["status"] for s in summaries(sweep)]

    before = {job: (sweep / job / "metrics.jsonl").stat().st_mtime_ns for job in ("000", "005")}
    (tmp_path / "odd.py").write_text(ODD.replace('"nan"', '"1"').replace("sys.exit(7)", "pass"))
    again = cli("resume", "latest")
    assert again.returncode == 1
    assert [s["status"] for s in summaries(sweep)] == ["ok", "failed", "ok", "interrupted", *["ok"] * 6]
    assert sorted(re.findall(r"^\[ *\d+/10\] how=(\d)", again.stdout, flags=re.M)) == ["1", "2", "3", "4"]
    assert {job: (sweep / job / "metrics.jsonl").stat().st_mtime_ns for job in before} == before


def test_a_grid_ends_in_numbers_that_the_metrics_files_hold(
    cli: Cli, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    rates = ["1e-4", "3e-4", "1e-3", "3e-3"]
    done = cli("train", "-m", f"optimizer.lr={','.join(rates)}", "seed=0,1,2,3", "epochs=2")
    assert (done.returncode, done.stderr) == (0, "")
    sweep = (tmp_path / "outputs/latest").resolve()
    best = [max(line["val/acc"] for line in metrics(job) if line.get("eval")) for job in sorted(sweep.glob("0*"))]
    groups = {rate: best[4 * index : 4 * index + 4] for index, rate in enumerate(rates)}
    order = sorted(rates, key=lambda rate: -statistics.mean(groups[rate]))
    ranking = json.loads((sweep / "sweep.json").read_text())["ranking"]
    for group, rate in zip(ranking["groups"], order, strict=True):
        assert float(group["settings"]["optimizer.lr"]) == float(rate)
        assert group["values"] == groups[rate]
        assert group["mean"] == pytest.approx(statistics.mean(groups[rate]), rel=1e-12)
        assert group["std"] == pytest.approx(statistics.stdev(groups[rate]), rel=1e-12)
        assert (group["n"], group["num_val"]) == (4, 359)
        low, high = interval_by_hand(groups[rate], 359)
        assert group["interval"] == pytest.approx([low, min(1.0, high)], abs=1e-5)
    centre = statistics.mean(best)
    total = sum((value - centre) ** 2 for value in best)
    by_rate = sum(4 * (statistics.mean(values) - centre) ** 2 for values in groups.values())
    assert ranking["share_of_variance"]["optimizer.lr"] == pytest.approx(by_rate / total)

    for words in ([], ["--all", "--sort", "val/loss"], ["--md"], ["--csv"], ["--json"]):
        compared = cli("compare", *words)
        assert (compared.returncode, compared.stderr) == (0, "")
        assert len(compared.stdout.splitlines()) > 4
    assert json.loads(compared.stdout)["groups"] == ranking["groups"]
    assert cli("compare", "--sort", "val/f1").returncode == 2

    job = Path(next(run["run"] for run in ranking["groups"][0]["runs"] if run["metrics"]["val/acc"] == max(best)))
    *_, last = re.split(r"^(?=best  )", done.stdout, flags=re.M)
    assert f"run      {job}\n" in last
    for words in ("eval latest", "predict latest new.npz", "export latest", f"resume {job} epochs=4"):
        assert f"trainer {words}" in last
    assert max(map(len, done.stdout.splitlines())) <= 80
    for name in ("latest", sweep.name, str(job)):
        assert main(["eval", name]) == 0
        said = capsys.readouterr().out
        assert f"run      {job}\n" in said
        assert f"val/acc      {max(best):.4f}\n" in said
        assert (f"best     {job}: val/acc {max(best):.4f}" in said) == (name != str(job))
    assert main(["predict", "latest", "none.npz"]) == 2
    assert capsys.readouterr().out == ""

    command = best_command(done.stdout)
    threads = json.loads((sweep / "000/summary.json").read_text())["threads"]
    alone = cli(*command, f"threads={threads}")
    assert alone.returncode == 0
    assert metrics(tmp_path / "outputs/latest") == metrics(tmp_path / job)
    weights = "model.safetensors"
    assert (tmp_path / "outputs/latest" / weights).read_bytes() == (tmp_path / job / weights).read_bytes()


def best_command(out: str) -> list[str]:
    """The words of the command that trains the best run again, which may take several lines."""
    line = next(line for line in re.sub(r" \\\n +", " ", out).splitlines() if line.startswith("best  "))
    return shlex.split(line)[2:]


def interval_by_hand(values: list[float], rows: int) -> tuple[float, float]:
    """The 95% interval of a mean accuracy: Wilson's for the rows and t · s / √n for four seeds, added up as squares."""
    p, z, n = statistics.mean(values), 1.959964, len(values)
    spread = 3.182446 * statistics.stdev(values) / n**0.5
    centre, shrink = p + z**2 / (2 * rows), 1 + z**2 / rows
    reach = z * (p * (1 - p) / rows + z**2 / (4 * rows**2)) ** 0.5
    low, high = (centre - reach) / shrink, (centre + reach) / shrink
    return p - math.hypot(p - low, spread), p + math.hypot(high - p, spread)


@pytest.mark.slow
def test_jobs_of_different_data_are_not_ranked_against_each_other(cli: Cli, tmp_path: Path) -> None:
    quick = ["epochs=1", "max_steps=2", "report=false"]
    grid = ["dataset=iris,wine", "model=linear,mlp", "model.hidden=[4],[8]", "seed=0,1", "dataset.split_seed=${seed}"]
    done = cli("train", "-m", *grid, *quick)
    assert (done.returncode, done.stderr) == (0, "")
    assert (
        "sweep    12 jobs: dataset × model × model.hidden × seed\nnote     model.hidden is set only where model=mlp\n"
        in done.stdout
    )
    sweep = (tmp_path / "outputs/latest").resolve()
    table = list(csv.DictReader((sweep / "sweep.csv").read_text().splitlines()))
    assert {(row["dataset"], row["data"], row["num_val"]) for row in table} == {
        ("iris", "Iris", "30"),
        ("wine", "Wine", "35"),
    }
    ranking = json.loads((sweep / "sweep.json").read_text())["ranking"]
    assert [(part["data"], part["metric"]) for part in ranking["rankings"]] == [
        ("Iris", "val/acc"),
        ("Wine", "val/acc"),
    ]
    for number in (0, 1):
        groups = [group for group in ranking["groups"] if group["ranking"] == number]
        assert [group["rank"] for group in groups] == [1, 2, 3]
        assert [group["n"] for group in groups] == [2, 2, 2]  # the split follows the seed, and both are folded
        assert {run["run"].split("/")[-1] for group in groups for run in group["runs"]} == {
            f"{job:03d}" for job in range(6 * number, 6 * number + 6)
        }
    first = ranking["rankings"][0]["best"]
    for words, named in (
        (["eval"], ["eval", first]),
        (["predict", "latest", "new.npz"], ["predict", first, "new.npz"]),
        (["export", "latest"], ["export", first]),
    ):
        refused = cli(*words)
        assert (refused.returncode, refused.stdout) == (2, "")
        assert all(f"{part['best']} ({part['data']} by val/acc)" in refused.stderr for part in ranking["rankings"])
        assert refused.stderr.endswith(f"  try: trainer {' '.join(named)}\n")
    command = best_command(done.stdout)
    alone = cli(*command, f"threads={summaries(sweep)[0]['threads']}")
    assert alone.returncode == 0
    config = (tmp_path / "outputs/latest/config.yaml").read_text()
    assert config == (tmp_path / ranking["rankings"][0]["best"] / "config.yaml").read_text()


def test_a_search_over_different_data_or_losses_is_refused() -> None:
    def job(dataset: str, loss: str) -> Job:
        return Job(0, [], {"dataset": {"_target_": f"trainer.data.embedded.{dataset}"}, "loss": {"_target_": loss}})

    check_comparable([job("Iris", "a"), job("Iris", "b")], "val/acc")
    for other in (job("Wine", "a"), job("Iris", "b")):
        with pytest.raises(ConfigError, match="the same data and split"):
            check_comparable([job("Iris", "a"), other], "val/loss")


def num_lines(sweep: Path) -> int:
    """The lines of all metrics files."""
    return sum(path.read_text().count("\n") for path in sweep.glob("[0-9]*/metrics.jsonl"))


def wait_for(condition: object, seconds: float = 60) -> bool:
    end = time.monotonic() + seconds
    while not condition():  # type: ignore[operator]
        if time.monotonic() > end:
            return False
        time.sleep(0.02)
    return True


def start(tmp_path: Path, *words: str) -> "subprocess.Popen[str]":
    command = [sys.executable, "-m", "trainer", *words]
    pipe = subprocess.PIPE
    return subprocess.Popen(command, cwd=tmp_path, stdout=pipe, stderr=pipe, text=True, env=environment())


@pytest.mark.skipif(sys.platform != "linux", reason="reads /proc")
@pytest.mark.slow
def test_kill_9_of_the_sweep_leaves_no_orphan_and_loses_nothing(cli: Cli, tmp_path: Path) -> None:
    luck = random.Random(10)
    grid = ["-m", "seed=range(8)", "epochs=60", "checkpoint.every_seconds=0.2"]
    process = start(tmp_path, "train", *grid)
    assert wait_for(lambda: list(tmp_path.glob("outputs/sweeps/*/*/000/metrics.jsonl")))
    (sweep,) = tmp_path.glob("outputs/sweeps/*/*")
    finished: dict[Path, int] = {}
    for _ in range(10):
        moment = num_lines(sweep) + luck.randrange(100)  # of some 1,500
        assert wait_for(lambda moment=moment: num_lines(sweep) >= moment)
        below = children(process.pid)
        process.kill()
        process.communicate()
        assert wait_for(lambda below=below: not alive(below), 10), "an orphan is left"
        for job in sweep.glob("0*"):
            path = job / "summary.json"
            if path.exists() and json.loads(path.read_text())["status"] == "ok":
                finished.setdefault(path, path.stat().st_mtime_ns)
        process = start(tmp_path, "resume", str(sweep))
    out, err = process.communicate(timeout=300)
    assert process.returncode == 0, out + err
    assert [s["status"] for s in summaries(sweep)] == ["ok"] * 8
    assert {path: path.stat().st_mtime_ns for path in finished} == finished  # done once, and left alone
    steps = [line["step"] for line in metrics(sweep / "000") if line.get("eval")]
    assert steps == sorted(set(steps))


@pytest.mark.slow
@pytest.mark.skipif(sys.platform != "linux", reason="reads /proc")
def test_a_job_that_would_run_for_hours_dies_with_its_sweep(tmp_path: Path) -> None:
    process = start(tmp_path, "train", "-m", "epochs=1000000", "seed=0,1", "sweep.jobs=2")
    assert wait_for(lambda: list(tmp_path.glob("outputs/sweeps/*/*/001/metrics.jsonl")))
    below = children(process.pid)
    assert len(below) >= 3  # the fork server and two jobs
    process.kill()
    process.wait()
    gone = wait_for(lambda: not alive(below), 10)
    for pid in alive(below):
        os.kill(pid, signal.SIGKILL)
    process.communicate()
    assert gone


@pytest.mark.parametrize("number", [signal.SIGINT, pytest.param(signal.SIGHUP, marks=pytest.mark.slow)])
def test_ctrl_c_saves_what_runs_ranks_what_is_done_and_resume_finishes(number: int, cli: Cli, tmp_path: Path) -> None:
    process = start(tmp_path, "train", "-m", "epochs=1,2000", "seed=0,1", "sweep.jobs=2")
    assert wait_for(lambda: len(list(tmp_path.glob("outputs/sweeps/*/*/00[23]/metrics.jsonl"))) == 2)
    process.send_signal(number)
    out, err = process.communicate(timeout=60)
    assert process.returncode == 128 + number
    assert "2 ok, 2 stopped" in out
    assert "best     trainer train epochs=1 seed=" in out
    assert "trainer resume outputs/sweeps/" in err
    (sweep,) = tmp_path.glob("outputs/sweeps/*/*")
    steps = [s["steps"] for s in summaries(sweep)]
    assert steps[:2] == [23, 23]
    assert all((sweep / job / "checkpoints").is_dir() for job in ("002", "003"))
    name = signal.Signals(number).name
    assert f"the sweep was stopped by {name}; the running jobs were saved" in (sweep / "sweep.log").read_text()
    assert all(f"\nstopped by {name} at step" in (sweep / job / "train.log").read_text() for job in ("002", "003"))
    refused = cli("resume", str(sweep), "epochs=3")
    assert (refused.returncode, "another sweep" in refused.stderr) == (2, True)
    assert "; these can: sweep.jobs, sweep.on_fail, sweep.on_interrupt, hydra/launcher" in refused.stderr
    assert "\n  try: trainer train -m seed=0,1 " in refused.stderr
    assert refused.stderr.endswith(" epochs=3\n")


class Ended:
    """A job's process that has ended, and that nobody has heard of yet: its number is free again."""

    def __init__(self, target: object = None, args: tuple = ()) -> None:
        self.sentinel, writing = os.pipe()
        os.close(writing)
        self.exitcode = 0

    def start(self) -> None:
        process = subprocess.Popen(["true"])
        self.pid = process.pid
        process.wait()

    def join(self) -> None:
        os.close(self.sentinel)


def test_a_job_that_ends_as_it_is_asked_to_stop_has_ended(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    job, asked = Job(0, [], {}), iter([False, False, True])
    monkeypatch.setattr(pool, "start_method", lambda: SimpleNamespace(Pipe=Pipe, Process=Ended))
    ended = pool.run(tmp_path, [job], [Place(1)], OWN, lambda: next(asked, True), lambda active: None)
    assert list(ended) == [(job, 0)]


@pytest.mark.slow
def test_ctrl_c_into_a_sweep_of_short_jobs(tmp_path: Path) -> None:
    """As a job ends, which a file of its folder tells: 8 tries, at as many jobs."""
    for trial in range(8):
        folder = tmp_path / str(trial)
        folder.mkdir()
        words = ["-m", "seed=range(30)", "max_steps=1", "report=false", "sweep.jobs=2"]
        process = start(folder, "train", *words)
        jobs = f"{trial}/outputs/sweeps/*/*/*/model.safetensors"
        assert wait_for(lambda jobs=jobs, trial=trial: len(list(tmp_path.glob(jobs))) > trial)
        process.send_signal(signal.SIGINT)
        out, err = process.communicate(timeout=60)
        assert process.returncode == 130, out + err
        assert err.startswith("the sweep was stopped by SIGINT; the running jobs were saved\n  try: trainer resume ")


@pytest.mark.slow
def test_submitit_runs_the_jobs_and_the_ranking_reads_their_folders(cli: Cli, tmp_path: Path) -> None:
    pytest.importorskip("submitit")
    words = ["hydra/launcher=submitit_local", "hydra.launcher.timeout_min=5", "epochs=1"]
    done = cli("train", "-m", "optimizer.lr=1e-3,3e-3", *words)
    assert done.returncode == 0, done.stdout + done.stderr
    (sweep,) = tmp_path.glob("outputs/sweeps/*/*")
    assert [s["status"] for s in summaries(sweep)] == ["ok", "ok"]
    assert "sweep    2 jobs: 2 ok" in done.stdout
    assert "best     trainer train optimizer.lr=0.003 epochs=1" in done.stdout.replace("3e-3", "0.003")


@pytest.mark.optional
def test_slurm_where_there_is_none_is_refused_with_what_to_type(cli: Cli, tmp_path: Path) -> None:
    pytest.importorskip("submitit")
    words = ["hydra/launcher=slurm", "hydra.launcher.partition=gpu", "seed=0,1", "epochs=1"]
    done = cli("train", "-m", *words, PATH=str(tmp_path))
    error, tried = done.stderr.splitlines()
    assert done.returncode == 2
    assert error.startswith("error: hydra/launcher=slurm: there is no sbatch and no srun here")
    assert tried == "  try: on this machine: trainer train -m seed=0,1 epochs=1"
    assert list(tmp_path.iterdir()) == []


@pytest.mark.slow
def test_a_sweep_stops_at_its_first_failure_when_asked(cli: Cli, tmp_path: Path) -> None:
    words = ["sweep.on_fail=stop", "sweep.jobs=1", "max_steps=20"]
    done = cli("train", "-m", "optimizer.lr=1e-3,1e30,1e-2", *words)
    assert done.returncode == 1
    assert "1 ok, 1 diverged, 1 waiting" in done.stdout
