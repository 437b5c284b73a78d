"""Sweeps in a real Slurm of two nodes: what it does to jobs, and what the sweep makes of it."""

import json
import re
import shutil
import signal
import subprocess
import sys
import tempfile
from collections.abc import Callable, Iterator
from functools import cache
from pathlib import Path

import pytest
from conftest import Cli
from live_run import ROOT, start
from slow_jobs import JOB, SLOW, bits, ended, sweep_of, until, until_training
from slurm import NODES, Cluster, free_ports, missing

pytest.importorskip("submitit")
pytestmark = [pytest.mark.slow, pytest.mark.skipif(missing() is not None, reason=f"could not start Slurm: {missing()}")]

IN_SLURM = ["hydra/launcher=slurm", "hydra.launcher.cpus_per_task=1", "hydra.launcher.mem_gb=1"]
Sweep = subprocess.Popen[str]
Slowly = Callable[..., Sweep]


@pytest.fixture(scope="session")
def running_cluster() -> Iterator[Cluster]:
    with tempfile.TemporaryDirectory(prefix="slurm", dir="/tmp") as folder, Cluster(Path(folder)) as cluster:
        yield cluster


@pytest.fixture
def slurm(running_cluster: Cluster, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Cluster]:
    """The cluster, with nothing in its queue. The jobs of a test take long while the file `slow` is there."""
    monkeypatch.setenv("SLURM_CONF", running_cluster.environment["SLURM_CONF"])
    (tmp_path / "net.py").write_text(SLOW)
    yield running_cluster
    running_cluster.empty()


@pytest.fixture
def slowly(slurm: Cluster, tmp_path: Path) -> Iterator[Slowly]:
    """Start a sweep of slow jobs, with more words."""
    begun: list[Sweep] = []

    def begin(*words: str) -> Sweep:
        (tmp_path / "slow").touch()
        begun.append(start(tmp_path, "train", "-m", *JOB, *IN_SLURM, *words, stdout=subprocess.PIPE))
        return begun[-1]

    yield begin
    for sweep in begun:
        if sweep.poll() is None:
            sweep.kill()
            sweep.communicate()


def ids(sweep: Path) -> dict[str, str]:
    """The numbers of the jobs in Slurm."""
    until(lambda: "submitted" in json.loads((sweep / "sweep.json").read_text()))
    found: dict[str, str] = json.loads((sweep / "sweep.json").read_text())["submitted"]
    return found


def log(folder: Path, number: int) -> str:
    path = sweep_of(folder) / f"{number:03d}/train.log"
    return path.read_text() if path.exists() else ""


@pytest.fixture(scope="session")
def undisturbed(tmp_path_factory: pytest.TempPathFactory) -> Callable[[int], bytes]:
    """The weights of a job of so many processes that nothing disturbs, on this machine."""

    @cache
    def trained(size: int) -> bytes:
        folder = tmp_path_factory.mktemp("alone")
        (folder / "net.py").write_text(SLOW)
        assert ended(start(folder, "train", *JOB, "seed=7", f"nproc={size}"))[0] == 0
        return bits(next(folder.glob("outputs/2*/*")))

    return trained


@pytest.fixture
def alone(undisturbed: Callable[[int], bytes]) -> bytes:
    """The weights of such a job of one process."""
    return undisturbed(1)


def test_a_sweep_says_a_line_for_each_job_and_nothing_else(slurm: Cluster, cli: Cli, tmp_path: Path) -> None:
    words = ["optimizer.lr=1e-3,3e-3", "seed=0,1", "max_steps=20", "threads=1", "report=false"]
    done = cli("train", "-m", *IN_SLURM, "hydra.launcher.partition=low", *words)
    assert (done.returncode, done.stderr) == (0, "")
    assert len(re.findall(r"^\[\d/4\] .*seed=\d  val/acc 0", done.stdout, re.M)) == 4
    assert done.stdout.count("best so far") >= 1
    assert len(done.stdout.splitlines()) < 30
    here = cli("train", "-m", *words, "output_dir=here")
    assert here.returncode == 0
    there = sweep_of(tmp_path)
    for path in tmp_path.glob("here/sweeps/*/*/0*"):
        assert bits(path) == bits(there / path.name)


@pytest.mark.parametrize(
    ("words", "said", "hint"),
    [
        (["hydra.launcher.partition=lwo"], "partition=lwo: this cluster has no such partition, but low, high", "=low"),
        (["hydra.launcher.nodes=2"], "a job of a sweep is one task", "hydra.launcher.nodes=1"),
    ],
)
def test_what_cannot_be_submitted_is_refused_before_a_folder_is_made(
    words: list[str], said: str, hint: str, slurm: Cluster, cli: Cli, tmp_path: Path
) -> None:
    done = cli("train", "-m", *IN_SLURM, *words, "seed=0,1")
    error, tried = done.stderr.splitlines()
    assert done.returncode == 2
    assert said in error
    assert hint in tried
    assert not (tmp_path / "outputs").exists()


def test_what_slurm_refuses_is_one_message_and_can_be_resumed(slurm: Cluster, cli: Cli, tmp_path: Path) -> None:
    done = cli("train", "-m", *IN_SLURM, "seed=0,1", "max_steps=1", "report=false", "hydra.launcher.mem_gb=9000")
    error, tried = done.stderr.splitlines()
    assert done.returncode == 2
    assert error.startswith("error: Slurm did not take the jobs: Memory specification can not be satisfied")
    assert tried.endswith(" hydra.launcher.KEY=VALUE")
    again = cli("resume", "latest", "hydra.launcher.mem_gb=1")
    assert (again.returncode, again.stderr) == (0, "")


@pytest.mark.parametrize("size", [1, 2])
def test_a_preempted_job_comes_back_and_ends_with_the_same_bits(
    slurm: Cluster, slowly: Slowly, tmp_path: Path, undisturbed: Callable[[int], bytes], size: int
) -> None:
    """Slurm sends SIGTERM to each of its processes."""
    sweep = slowly("hydra.launcher.partition=low", "seed=7", f"nproc={size}")
    until_training(tmp_path, 0)
    other = slurm.call("sbatch", "-p", "high", "-N", "2", "--exclusive", "--wrap", "sleep 100").split()[-1]
    slurm.until_state(other, "RUNNING")
    assert "stopped by SIGTERM at step" in log(tmp_path, 0)
    (tmp_path / "slow").unlink()
    slurm.call("scancel", other)
    slurm.hurry(ids(sweep_of(tmp_path))["0"])
    code, out, err = ended(sweep)
    assert (code, err) == (0, "")
    assert "1 ok" in out
    assert re.search(r"resume .* step [1-9]", log(tmp_path, 0))
    assert bits(sweep_of(tmp_path) / "000") == undisturbed(size)


def test_before_its_time_limit_a_job_saves_and_comes_back_with_the_same_bits(
    slurm: Cluster, slowly: Slowly, tmp_path: Path, alone: bytes
) -> None:
    """Slurm looks at its limits twice a minute. Here it tells the job an hour before, for slow machines."""
    sweep = slowly("seed=7", "hydra.launcher.timeout_min=180", "hydra.launcher.signal_delay_s=3600")
    until_training(tmp_path, 0)
    number = ids(sweep_of(tmp_path))["0"]
    slurm.call("scontrol", "update", f"JobId={number}", "TimeLimit=60")
    until(lambda: "stopped by SIGTERM at step" in log(tmp_path, 0))
    (tmp_path / "slow").unlink()
    slurm.hurry(number, "TimeLimit=180")
    code, _, err = ended(sweep)
    assert (code, err) == (0, "")
    assert re.search(r"resume .* step [1-9]", log(tmp_path, 0))
    assert bits(sweep_of(tmp_path) / "000") == alone


def test_a_job_that_is_cancelled_is_named_and_a_resume_submits_it_again(
    slurm: Cluster, slowly: Slowly, cli: Cli, tmp_path: Path, alone: bytes
) -> None:
    sweep = slowly("seed=6,7")
    until_training(tmp_path, 0, 1)
    before = ids(sweep_of(tmp_path))
    slurm.call("scancel", before["1"])
    until(lambda: before["1"] not in slurm.jobs())
    (tmp_path / "slow").unlink()
    code, out, _ = ended(sweep)
    assert code == 1
    assert "1 ok, 1 interrupted" in out
    assert re.search(
        rf"^\[\d/2\] seed=7  interrupted\n +it was cancelled in Slurm: .submitit/{before['1']}$", out, re.M
    )
    again = cli("resume", "latest")
    assert (again.returncode, again.stderr) == (0, "")
    assert "slurm    1 job submitted" in again.stdout
    assert bits(sweep_of(tmp_path) / "001") == alone


def test_a_job_whose_node_goes_down_ends_on_another(
    slurm: Cluster, slowly: Slowly, tmp_path: Path, alone: bytes
) -> None:
    sweep = slowly("seed=7", "checkpoint.every_seconds=0.2")
    until(lambda: list(sweep_of(tmp_path).glob("000/checkpoints/step-*")))
    number = ids(sweep_of(tmp_path))["0"]
    node = slurm.until_state(number, "RUNNING")
    slurm.kill(node)
    slurm.call("scontrol", "update", f"NodeName={node}", "State=DOWN", "Reason=gone")  # else it is missed for minutes
    other = next(name for name in NODES if name != node)
    slurm.hurry(number)
    until(lambda: slurm.jobs().get(number) == ("RUNNING", other))
    (tmp_path / "slow").unlink()
    code, _, err = ended(sweep)
    slurm.start(node)
    assert (code, err) == (0, "")
    assert bits(sweep_of(tmp_path) / "000") == alone


def test_a_job_that_cannot_begin_has_failed_and_says_where_it_wrote_why(
    slurm: Cluster, cli: Cli, tmp_path: Path
) -> None:
    broken = 'hydra.launcher.setup=["export PYTHONHOME=/nowhere"]'
    done = cli("train", "-m", *IN_SLURM, broken, "seed=0", "max_steps=1", "report=false")
    (number,) = ids(sweep_of(tmp_path)).values()
    assert (done.returncode, done.stderr) == (1, "")
    assert f"failed\n         its process failed: .submitit/{number}\n" in done.stdout
    assert "No module named" in (sweep_of(tmp_path) / f".submitit/{number}/{number}_0_log.err").read_text()


def test_a_sweep_waits_for_a_controller_that_is_restarted(slurm: Cluster, slowly: Slowly, tmp_path: Path) -> None:
    sweep = slowly("seed=6,7")
    until_training(tmp_path, 0, 1)
    slurm.kill("slurmctld")
    until(lambda: "does not answer" in (sweep_of(tmp_path) / "sweep.log").read_text())
    slurm.start("slurmctld")
    (tmp_path / "slow").unlink()
    code, out, err = ended(sweep)
    assert (code, err) == (0, "")
    assert re.search("^slurm    does not answer; waiting: .*\n(.*\n)?slurm    answers again$", out, re.M)
    assert "2 ok" in out


def test_ctrl_c_cancels_what_waits_and_saves_what_runs(
    slurm: Cluster, slowly: Slowly, cli: Cli, tmp_path: Path, alone: bytes
) -> None:
    sweep = slowly("seed=6,7,8", "hydra.launcher.array_parallelism=2")
    until_training(tmp_path, 0, 1)
    sweep.send_signal(signal.SIGINT)
    code, out, err = ended(sweep)
    assert (code, slurm.jobs()) == (130, {})
    assert err.startswith("the sweep was stopped by SIGINT; the running jobs were saved\n  try: trainer resume ")
    assert "3 jobs: 2 stopped, 1 waiting" in out
    (tmp_path / "slow").unlink()
    again = cli("resume", "latest")
    assert (again.returncode, again.stderr) == (0, "")
    assert "slurm    3 jobs submitted" in again.stdout
    assert bits(sweep_of(tmp_path) / "001") == alone


def test_ctrl_c_may_leave_the_jobs_in_slurm_where_a_resume_finds_them(
    slurm: Cluster, slowly: Slowly, cli: Cli, tmp_path: Path
) -> None:
    sweep = slowly("seed=6,7", "sweep.on_interrupt=keep")
    until_training(tmp_path, 0, 1)
    sweep.send_signal(signal.SIGINT)
    code, _, err = ended(sweep)
    before = ids(sweep_of(tmp_path))
    assert code == 130
    assert err.startswith("the sweep was stopped by SIGINT; 2 jobs stayed in Slurm\n  try: trainer resume ")
    assert {slurm.jobs()[number][0] for number in before.values()} == {"RUNNING"}
    again = start(tmp_path, "resume", "latest", stdout=subprocess.PIPE)
    until(lambda: "2 jobs still in Slurm" in (sweep_of(tmp_path) / "sweep.log").read_text())
    (tmp_path / "slow").unlink()
    code, out, err = ended(again)
    assert (code, err, ids(sweep_of(tmp_path))) == (0, "", before)
    assert "2 ok" in out


def test_a_job_comes_back_only_as_often_as_it_may(slurm: Cluster, slowly: Slowly, tmp_path: Path) -> None:
    sweep = slowly("seed=7", "hydra.launcher.timeout_min=10", "hydra.launcher.max_num_timeout=0")
    until_training(tmp_path, 0)
    slurm.call("scancel", "--signal=USR2", ids(sweep_of(tmp_path))["0"])  # what Slurm itself sends
    code, out, _ = ended(sweep)
    assert code == 1
    assert "it reached its time limit in Slurm. Job not requeued because: timed-" in out


def test_a_search_in_slurm_proposes_and_finds_what_one_here_does(slurm: Cluster, cli: Cli, tmp_path: Path) -> None:
    pytest.importorskip("optuna")
    words = ["hydra/sweeper=optuna", "hydra.sweeper.n_trials=4", "hydra.sweeper.pruner=none", "sweep.jobs=2"]
    words += ["optimizer.lr=tag(log,interval(1e-4,1e-1))", "max_steps=20", "threads=1", "report=false"]
    done = cli("train", "-m", *IN_SLURM, *words)
    assert (done.returncode, done.stderr) == (0, "")
    here = cli("train", "-m", *words, "output_dir=here")
    assert here.returncode == 0
    ranking = [re.findall(r"^\d .*", output.stdout.replace("best", ""), re.M) for output in (done, here)]
    assert len(ranking[0]) == 4
    for path in tmp_path.glob("here/sweeps/*/*/00*"):
        assert bits(path) == bits(sweep_of(tmp_path) / path.name)


def test_the_script_of_the_docs_trains_on_two_nodes(slurm: Cluster, cli: Cli, tmp_path: Path) -> None:
    page = (ROOT / "docs/many-gpus.md").read_text()
    (script,) = re.findall(r"^```sh\n(#!/bin/bash\n.*?)^```", page, re.M | re.S)
    for ours, here in {
        " --gpus-per-node=4 --cpus-per-task=32": "",
        "--nproc-per-node=4": "--nproc-per-node=1",
        "train epochs=50": "train device=cpu max_steps=20 threads=1 report=false",
        "srun torchrun": f"srun {shutil.which('torchrun', path=Path(sys.executable).parent)}",
        '$(scontrol show hostnames "$SLURM_JOB_NODELIST" | head -n 1)': "127.0.0.1",  # no name server knows our nodes
        ":29500": f":{free_ports(1)[0]}",
    }.items():
        assert ours in script
        script = script.replace(ours, here)
    (tmp_path / "job.sh").write_text(script)
    number = slurm.call("sbatch", f"--chdir={tmp_path}", f"--export=ALL,PYTHONPATH={ROOT}", "job.sh").split()[-1]
    until(lambda: number not in slurm.jobs())
    (run,) = tmp_path.glob("outputs/2*/*")
    summary = json.loads((run / "summary.json").read_text())
    assert (summary["status"], summary["steps"]) == ("ok", 20), (tmp_path / f"slurm-{number}.out").read_text()
    assert re.search("^ +2 processes, which share each batch", (run / "train.log").read_text(), re.M)
