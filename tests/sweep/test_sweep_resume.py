"""Resuming a sweep: beside another process, after kills, with files that are missing or damaged, of a stranger."""

import contextlib
import json
import os
import random
import re
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

import pytest
from conftest import Cli

from trainer.disk import lock, signature

ROOT = Path(__file__).resolve().parents[2]
pytestmark = pytest.mark.skipif(sys.platform != "linux", reason="reads /proc")

QUICK = ["report=false", "checkpoint.every_seconds=0.2", "log_every=1"]


def start(folder: Path, *words: str) -> "subprocess.Popen[str]":
    """The real command line in a process of its own, its output in a file."""
    command = [sys.executable, "-m", "trainer", *words]
    environment = {**os.environ, "PYTHONPATH": str(ROOT), "PYTHONIOENCODING": "utf-8"}
    with (folder / f"{words[0]}.out").open("a") as out:
        return subprocess.Popen(command, cwd=folder, stdout=out, stderr=out, text=True, env=environment)


def wait_for(condition: Callable[[], object], seconds: float = 60) -> None:
    end = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < end, "waited in vain"
        time.sleep(0.01)


def parents() -> dict[int, int]:
    """{process: its parent} of all that run."""
    found = {}
    for path in Path("/proc").glob("[0-9]*/stat"):
        try:
            fields = path.read_text().rpartition(")")[2].split()
        except OSError:
            continue
        if fields[0] != "Z":
            found[int(path.parent.name)] = int(fields[1])
    return found


def below(process: int) -> set[int]:
    """The processes that a process has started, and they."""
    found, tree = {process}, parents()
    while grown := {child for child, parent in tree.items() if parent in found} - found:
        found |= grown
    return found - {process}


def processes_of(sweep: "subprocess.Popen[str]", job: Path) -> set[int]:
    """The process of a running job and its workers: they write to the job's log."""
    found = set()
    for process in below(sweep.pid):
        with contextlib.suppress(OSError):
            if os.readlink(f"/proc/{process}/fd/1") == str(job / "train.log"):
                found.add(process)
    return found


def process_of(sweep: "subprocess.Popen[str]", job: Path) -> int | None:
    """The process of a running job."""
    found, tree = processes_of(sweep, job), parents()
    return next((process for process in found if tree.get(process) not in found), None)


def worker_of(sweep: "subprocess.Popen[str]", job: Path) -> int | None:
    """The DataLoader worker of a running job."""
    found, tree = processes_of(sweep, job), parents()
    return next((process for process in found if tree.get(process) in found), None)


def kill(process: "subprocess.Popen[str]") -> None:
    """kill -9 of a sweep; returns when all that it has started is gone."""
    started = below(process.pid)
    process.kill()
    process.wait()
    wait_for(lambda: not started & parents().keys())


def summary(job: Path) -> dict:
    return json.loads((job / "summary.json").read_text())


def steps(job: Path) -> list[int]:
    """The steps of the evaluations in metrics.jsonl; those in results.csv are the same."""
    lines = [json.loads(line) for line in (job / "metrics.jsonl").read_text().splitlines()]
    found = [line["step"] for line in lines if line.get("eval")]
    assert [line.split(",")[1] for line in (job / "results.csv").read_text().splitlines()[1:]] == list(map(str, found))
    return found


def newest(job: Path) -> int:
    return max((int(path.name.removeprefix("step-")) for path in job.glob("checkpoints/step-*")), default=0)


def resumed_at(job: Path) -> list[int]:
    """The steps at which a job was resumed. A full disk cuts the log anywhere."""
    found = re.findall(r"resume   \S+ at step ([\d,]+)", (job / "train.log").read_text())
    return [int(step.replace(",", "")) for step in found]


def begun(tmp_path: Path, *words: str) -> tuple["subprocess.Popen[str]", Path]:
    """A sweep that runs, and its folder: each running job has saved a checkpoint."""
    process = start(tmp_path, "train", "-m", *words, *QUICK)
    wait_for(lambda: list(tmp_path.glob("outputs/latest/000/checkpoints/step-*")))
    return process, (tmp_path / "outputs/latest").resolve()


def finish(cli: Cli, sweep: Path, kept: int) -> None:
    """Resume a sweep of two jobs: the first continues from its checkpoint `kept`, and both end with the same steps."""
    done = cli("resume", "latest")
    assert done.returncode == 0, done.stdout + done.stderr
    assert resumed_at(sweep / "000") == [kept]
    assert steps(sweep / "000") == steps(sweep / "001")


@pytest.mark.slow
def test_a_resume_beside_the_running_sweep_and_two_at_once_are_refused(cli: Cli, tmp_path: Path) -> None:
    process, sweep = begun(tmp_path, "seed=0,1", "epochs=60", "sweep.jobs=1")
    refused = cli("resume", "latest")
    assert (refused.returncode, refused.stdout) == (2, "")
    assert f"is being written by process {process.pid} on " in refused.stderr
    assert "a sweep has only one writer" in refused.stderr
    kill(process)
    one, other = start(tmp_path, "resume", "latest"), start(tmp_path, "resume", "latest")
    codes = sorted([one.wait(120), other.wait(120)])
    assert codes == [0, 2], (tmp_path / "resume.out").read_text()
    for name in ("000", "001"):
        assert summary(sweep / name)["status"] == "ok"
        found = steps(sweep / name)
        assert found == sorted(set(found))
        assert len(found) == 60


@pytest.mark.slow
def test_a_job_that_another_process_works_on_is_named_and_left_alone(cli: Cli, tmp_path: Path) -> None:
    process, sweep = begun(tmp_path, "seed=0,1", "epochs=1000000", "sweep.jobs=2")
    wait_for(lambda: newest(sweep / "001"))
    kill(process)
    plan = json.loads((sweep / "sweep.json").read_text())
    held = sweep / "000"
    with lock.only_writer(held):
        before = {path: path.stat().st_mtime_ns for path in held.rglob("*")}
        done = start(tmp_path, "resume", "latest", "sweep.jobs=2")
        wait_for(lambda: process_of(done, sweep / "001"))
        step = newest(sweep / "001")
        wait_for(lambda: newest(sweep / "001") > step)
        done.send_signal(signal.SIGINT)
        code, said = done.wait(60), (tmp_path / "resume.out").read_text()
        assert code == 130, said
        assert {path: path.stat().st_mtime_ns for path in held.rglob("*")} == before
    assert re.search(rf"seed=0 +running\n +process {os.getpid()} on .* is writing to it", said)
    assert "1 running, 1 stopped" in said or "1 stopped, 1 running" in said
    table = (sweep / "sweep.csv").read_text().splitlines()
    assert any("running" in line for line in table)
    ranking = json.loads((sweep / "sweep.json").read_text())["ranking"]
    assert [run["run"][-3:] for group in ranking["groups"] for run in group["runs"]] == ["001"]
    assert plan["jobs"] == json.loads((sweep / "sweep.json").read_text())["jobs"]


@pytest.mark.slow
@pytest.mark.parametrize("by", [signal.SIGKILL, signal.SIGTERM, signal.SIGHUP])
def test_a_job_that_is_killed_continues_from_its_newest_checkpoint(by: int, cli: Cli, tmp_path: Path) -> None:
    luck = random.Random(by)
    process, sweep = begun(tmp_path, "seed=0,1", "epochs=100", "sweep.jobs=2")
    drawn = luck.randint(1, 1000)
    wait_for(lambda: newest(sweep / "000") >= drawn)
    job = process_of(process, sweep / "000")
    assert job is not None
    os.kill(job, by)
    assert process.wait(120) == 1
    assert summary(sweep / "000")["status"] in ("interrupted", "stopped")
    assert summary(sweep / "001")["status"] == "ok"
    kept = newest(sweep / "000")
    assert kept >= drawn
    finish(cli, sweep, kept)


@pytest.mark.slow
def test_a_job_whose_worker_is_killed_continues_from_its_newest_checkpoint(cli: Cli, tmp_path: Path) -> None:
    """Python's message for it comes from torch, in the middle of whatever the job does."""
    workers = ["loader.in_memory=false", "loader.num_workers=1"]
    process, sweep = begun(tmp_path, "seed=0,1", "epochs=200", "sweep.jobs=1", *workers)
    wait_for(lambda: worker_of(process, sweep / "000"))
    worker = worker_of(process, sweep / "000")
    assert worker is not None
    os.kill(worker, signal.SIGKILL)
    assert process.wait(120) == 1
    assert summary(sweep / "000")["status"] == "interrupted"
    assert "DataLoader worker" in summary(sweep / "000")["error"]
    kept = newest(sweep / "000")
    finish(cli, sweep, kept)


@pytest.mark.slow
def test_a_job_whose_folder_is_moved_is_not_made_again(cli: Cli, tmp_path: Path) -> None:
    process, sweep = begun(tmp_path, "seed=0,1", "epochs=300", "sweep.jobs=1")
    (sweep / "000").rename(sweep / "moved")
    wait_for(lambda: (sweep / "001").exists())
    process.send_signal(signal.SIGINT)
    process.wait(60)
    assert not (sweep / "000").exists()
    kept = newest(sweep / "moved")
    (sweep / "moved").rename(sweep / "000")
    finish(cli, sweep, kept)


@pytest.mark.slow
def test_a_sweep_whose_folder_is_moved_says_so_once(cli: Cli, tmp_path: Path) -> None:
    process, sweep = begun(tmp_path, "seed=0,1,2", "epochs=300", "sweep.jobs=1")
    sweep.rename(tmp_path / "moved")
    assert process.wait(60) == 4
    said = (tmp_path / "train.out").read_text()
    errors = [line for line in said.splitlines() if line.startswith("error")]
    assert len(errors) == 1, said
    assert errors[0].endswith(f"was moved to {tmp_path / 'moved'} while the run wrote to it")
    assert not sweep.exists()
    done = cli("resume", "moved")
    assert done.returncode == 0, done.stdout + done.stderr
    assert steps(tmp_path / "moved/000") == steps(tmp_path / "moved/002")


@pytest.mark.slow
def test_a_killed_job_counts_as_failed_where_a_failure_stops_the_sweep(tmp_path: Path) -> None:
    process, sweep = begun(tmp_path, "seed=0,1,2", "epochs=1000000", "sweep.jobs=2", "sweep.on_fail=stop")
    wait_for(lambda: newest(sweep / "001"))
    job = process_of(process, sweep / "000")
    assert job is not None
    os.kill(job, signal.SIGKILL)
    assert process.wait(60) == 1
    assert [summary(sweep / name)["status"] for name in ("000", "001")] == ["interrupted", "stopped"]
    assert not (sweep / "002").exists()


@pytest.mark.slow
def test_a_job_that_met_a_full_disk_continues_from_its_newest_checkpoint(cli: Cli, tmp_path: Path) -> None:
    """A real full disk: a small tmpfs, where root may mount one."""
    disk = tmp_path / "disk"
    disk.mkdir()
    if os.geteuid() or subprocess.run(["mount", "-t", "tmpfs", "-o", "size=6m", "none", disk], check=False).returncode:
        pytest.skip("needs root")
    try:
        words = ["seed=0", "epochs=500", "model.hidden=[64]", "sweep.jobs=1", "checkpoint.every_seconds=0.1"]
        process = start(tmp_path, "train", "-m", *words, "report=false", "log_every=1000", f"output_dir={disk}/outputs")
        wait_for(lambda: list(disk.glob("outputs/sweeps/*/*/000/checkpoints/step-*")))
        (job,) = disk.glob("outputs/sweeps/*/*/000")
        wait_for(lambda: newest(job) > 500)
        with (disk / "filler").open("wb", buffering=0) as filler:
            try:
                while filler.write(bytes(4096)):
                    pass
            except OSError:
                pass
        assert process.wait(60) in (1, 4)
        kept = newest(job)
        (disk / "filler").unlink()
        done = cli("resume", str(job.parent))
        assert done.returncode == 0, done.stdout + done.stderr
        assert resumed_at(job) == [kept]
        assert len(steps(job)) == 500
    finally:
        subprocess.run(["umount", "-l", disk], check=True)


FAILING = """
import os, signal
from torch import nn

class Net(nn.Module):
    def __init__(self, in_features, out_features, how=0):
        super().__init__()
        self.layer, self.how, self.calls = nn.Linear(in_features, out_features), how, 0

    def forward(self, x):
        self.calls += self.training
        if self.calls == 60 and self.how == 1:
            raise RuntimeError("on purpose")
        if self.calls == 60 and self.how == 2:
            os.kill(os.getpid(), signal.SIGSEGV)
        return self.layer(x.flatten(1)) * (float("nan") if self.calls == 60 and self.how == 3 else 1.0)
"""


@pytest.mark.slow
def test_what_failed_by_itself_starts_again_and_its_old_checkpoints_go_when_there_is_a_new_one(
    cli: Cli, tmp_path: Path
) -> None:
    (tmp_path / "own_net.py").write_text(FAILING)
    words = ["model=own", "model._target_=own_net.Net", "+model.how=1,2,3", "epochs=4", "guards=none"]
    every = ["report=false", "checkpoint.every_seconds=0.0001", "log_every=1"]
    assert cli("train", "-m", *words, *every).returncode == 1
    sweep = (tmp_path / "outputs/latest").resolve()
    jobs = sorted(sweep.glob("0*"))
    assert [summary(job)["status"] for job in jobs] == ["failed", "failed", "diverged"]
    assert all(newest(job) > 50 for job in jobs)
    (tmp_path / "own_net.py").write_text("raise RuntimeError('not even imported')")
    assert cli("resume", "latest").returncode != 0
    old = {job.name: newest(job) or len(list(job.glob("checkpoints.earlier/step-*"))) for job in jobs}
    assert all(old.values())  # two attempts have failed; those of the first are kept
    (tmp_path / "own_net.py").write_text(FAILING.replace("== 60", "== -1"))
    done = cli("resume", "latest")
    assert done.returncode == 0, done.stdout + done.stderr
    for job in jobs:
        assert resumed_at(job) == []
        assert steps(job) == [23, 46, 69, 92]
        assert not (job / "checkpoints.earlier").exists()


@pytest.mark.slow
@pytest.mark.parametrize("how", ["missing", "damaged"])
@pytest.mark.parametrize(
    ("name", "said"),
    [
        ("summary.json", "001/summary.json is missing or damaged; it is written again from the run"),
        ("model.safetensors", "model.safetensors was missing or damaged; it is written again from the checkpoint"),
    ],
)
def test_a_finished_job_is_mended_and_not_trained_again(
    name: str, said: str, how: str, cli: Cli, tmp_path: Path
) -> None:
    assert cli("train", "-m", "seed=0,1", "epochs=2", *QUICK).returncode == 0
    sweep = (tmp_path / "outputs/latest").resolve()
    path, names = sweep / "001" / name, ("metrics.jsonl", "results.csv", "model.safetensors")
    before = {name: (sweep / "001" / name).read_bytes() for name in names}
    kept = summary(sweep / "001")
    path.unlink() if how == "missing" else path.write_bytes(path.read_bytes()[:-40])
    done = cli("resume", "latest")
    assert done.returncode == 0, done.stdout + done.stderr
    if how == "damaged" or name == "summary.json":
        assert said in done.stderr + (sweep / "001/train.log").read_text()
    again = summary(sweep / "001")
    timed = ("seconds", "samples_per_second", "waiting_for_data", "argv", "ended")
    assert {k: v for k, v in again.items() if k not in timed} == {k: v for k, v in kept.items() if k not in timed}
    assert {name: (sweep / "001" / name).read_bytes() for name in before} == before
    for folder in (sweep, sweep / "001"):
        done = cli("resume", str(folder))
        assert (done.returncode, "Nothing to do." in " ".join(done.stdout.split())) == (0, True)


@pytest.mark.slow
def test_values_that_rot_are_named(cli: Cli, tmp_path: Path) -> None:
    assert cli("train", "epochs=2", "report=false").returncode == 0
    run = (tmp_path / "outputs/latest").resolve()
    best = summary(run)["best"]["val/acc"]
    path, table = run / "metrics.jsonl", run / "results.csv"
    path.write_text(path.read_text().replace(f'"val/acc": {best}', f'"val/acc": {str(best).replace("0.", "1.")}'))
    table.write_text("x" + table.read_text()[1:].replace("step", "stfp"))
    (run / "summary.json").unlink()
    done = cli("resume", "latest")
    assert done.returncode == 0, done.stderr
    said = " ".join(done.stderr.split())
    assert f"of val/acc at step {summary(run)['best']['step']}, but it was {best:.6g}" in said
    assert "results.csv: 2 rows cannot be read" in said
    assert summary(run)["best"]["val/acc"] == best


@pytest.mark.slow
def test_rows_that_are_lost_are_named(cli: Cli, tmp_path: Path) -> None:
    assert cli("train", "epochs=2", *QUICK).returncode == 0
    run = (tmp_path / "outputs/latest").resolve()
    lines = (run / "metrics.jsonl").read_text().splitlines(keepends=True)
    (run / "metrics.jsonl").write_text("".join(lines[:30]) + lines[30][:9])
    last = json.loads(lines[29])["step"]
    done = cli("resume", "latest", "epochs=3")
    assert done.returncode == 0, done.stderr
    assert f"its rows after step {last}, up to step 46, are lost" in re.sub(r"\s+", " ", done.stderr)
    kept = (run / "metrics.jsonl").read_text().splitlines(keepends=True)
    assert kept[:30] == lines[:30]
    assert [json.loads(line)["step"] for line in kept[30:]][:2] == [47, 48]


@pytest.mark.slow
def test_a_new_run_never_appends_to_metrics_that_are_there(cli: Cli, tmp_path: Path) -> None:
    assert cli("train", "-m", "seed=0,1", "epochs=1", *QUICK).returncode == 0
    sweep = (tmp_path / "outputs/latest").resolve()
    job = sweep / "000"
    for name in ("summary.json", "config.yaml"):
        (job / name).unlink()
    shutil.rmtree(job / "checkpoints")
    done = cli("resume", "latest")
    assert done.returncode == 0, done.stdout + done.stderr
    assert steps(job) == steps(sweep / "001") == [23]


def stranger(sweep: Path) -> None:
    """Make a sweep that of somebody else: the signatures are not this user's."""
    for path in sweep.rglob("config.sig"):
        path.unlink()


@pytest.mark.slow
@pytest.mark.parametrize("words", [[], ["--trust"]])
def test_what_was_not_signed_stays_unsigned(words: list[str], cli: Cli, tmp_path: Path) -> None:
    process, sweep = begun(tmp_path, "seed=0,1", "epochs=1000000", "sweep.jobs=1")
    process.send_signal(signal.SIGINT)
    assert process.wait(60) == 130
    assert not signature.is_signed(sweep, b"")
    for path, name in ((sweep, "sweep.json"), (sweep / "000", "config.yaml")):
        assert signature.is_signed(path, (path / name).read_bytes())
    stranger(sweep)
    again = start(tmp_path, "resume", "latest", *words)
    wait_for(lambda: process_of(again, sweep / "000"))
    step = newest(sweep / "000")
    wait_for(lambda: newest(sweep / "000") > step)
    again.send_signal(signal.SIGINT)
    assert again.wait(60) == 130
    run = cli("resume", str(sweep / "000"), "max_steps=1", *words)
    assert run.returncode == 2  # it is further than that
    assert not list(sweep.rglob("config.sig"))


@pytest.mark.slow
@pytest.mark.parametrize("trust", [[], ["--trust"]])
def test_nothing_of_a_strangers_sweep_is_composed(trust: list[str], cli: Cli, tmp_path: Path) -> None:
    """Words, a search space and a launcher that would run a command, each resumed twice."""
    words = ["hydra/sweeper=optuna", "hydra.sweeper.n_trials=2", "optimizer.lr=interval(1e-3,1e-2)", "epochs=1"]
    assert cli("train", "-m", *words, "report=false").returncode == 0
    sweep = (tmp_path / "outputs/latest").resolve()
    plan = json.loads((sweep / "sweep.json").read_text())
    run = {"_target_": "os.system", "command": f"touch {tmp_path}/owned"}
    plan["typed"] = [f"+hydra.callbacks.x={{_target_: os.system, command: 'touch {tmp_path}/owned'}}", *plan["typed"]]
    target = "hydra_plugins.hydra_submitit_launcher.submitit_launcher.LocalLauncher"
    plan["launcher"] = {"_target_": target, "submitit_folder": str(tmp_path / "owned"), "setup": ["touch owned"]}
    plan["search"]["base"]["output_dir"] = "${oc.env:HOME}"
    stranger(sweep)
    for trials in (3, 4):
        (sweep / "sweep.json").write_text(json.dumps(plan))
        done = cli("resume", "latest", f"hydra.sweeper.n_trials={trials}", *trust)
        assert done.returncode == 0, done.stdout + done.stderr
        assert not (tmp_path / "owned").exists()
        assert not list(sweep.rglob("config.sig"))
        plan = json.loads((sweep / "sweep.json").read_text())
        assert len(plan["jobs"]) == trials
        assert plan["jobs"][-1]["changes"].get("output_dir", plan["base"]["output_dir"]) in (
            "${oc.env:HOME}",
            "outputs",
        )
    plan["search"]["variants"][0]["data"]["model"] = run
    (sweep / "sweep.json").write_text(json.dumps(plan))
    if not trust:
        refused = cli("resume", "latest", "hydra.sweeper.n_trials=9")
        assert (refused.returncode, "os.system" in refused.stderr) == (2, True)
        assert "--trust" in refused.stderr
    assert not (tmp_path / "owned").exists()
