"""SIGINT, SIGTERM and SIGHUP at any time, on the real command line: saved, said, the right exit code, and resumed
exactly."""

import json
import os
import pty
import random
import signal
import subprocess
import sys
import time
from dataclasses import replace
from pathlib import Path

import pytest
from deaths import Death, drawn
from live_run import start, until, wait_for, wait_for_lines
from terminal import environment
from trials import attempt, config

from trainer.diagnosis.fingerprint import evidence

RUN = ["threads=1", "device=cpu", "report=false", "max_steps=400", "epochs=100", "log_every=1", "eval_every=5steps"]
OWN = ["dataset=own", "dataset._target_=own.Slow", "model=linear", "loader.batch_size=50"]


@pytest.mark.slow
def test_a_signal_stops_a_run_which_resumes(tmp_path: Path) -> None:
    process = start(tmp_path, "train", "dataset=digits", "loader.batch_size=8", *RUN)
    wait_for_lines(tmp_path)
    process.send_signal(signal.SIGUSR1)
    wait_for(tmp_path, "outputs/2*/*/checkpoints/step-*")
    assert process.poll() is None
    process.send_signal(signal.SIGTERM)
    _, said = process.communicate(timeout=60)
    assert process.returncode == 143, said
    assert "stopped by SIGTERM at step" in said
    assert "try: trainer resume outputs/" in said
    summary = json.loads((tmp_path / "outputs/latest/summary.json").read_text())
    assert summary["status"] == "stopped"
    resumed = start(tmp_path, "resume", "latest")
    assert resumed.communicate(timeout=120)[1] == ""
    assert resumed.returncode == 0


LONG = ["dataset=digits", "device=cpu", "threads=1", "epochs=100000", "log_every=1", "checkpoint.every_seconds=60"]


def stopped_by(name: str, folder: Path) -> bool:
    """Whether the run's log and summary say that this signal stopped it, after a checkpoint."""
    (log,) = folder.glob("outputs/2*/*/train.log")
    summary = json.loads(log.with_name("summary.json").read_text())
    said = f"\nstopped by {name} at step {summary['steps']:,}; saved checkpoints/step-{summary['steps']:08d}\n  try: "
    return (summary["status"], summary["stop_reason"]) == ("stopped", name) and said in log.read_text()


@pytest.mark.slow
@pytest.mark.parametrize(
    ("under", "ignored"),
    [
        (["nohup"], signal.SIGHUP),
        pytest.param(["sh", "-c", '"$@" & echo $!; wait $!', "sh"], signal.SIGINT, marks=pytest.mark.slow),
    ],
)
def test_a_signal_that_is_ignored_at_the_start_stays_ignored(under: list[str], ignored: int, tmp_path: Path) -> None:
    """Under nohup, and behind & in a script."""
    process = start(tmp_path, "train", *LONG, under=under, stdout=subprocess.PIPE)
    number = int(process.stdout.readline()) if under[0] == "sh" else process.pid
    wait_for_lines(tmp_path)
    for _ in range(2):
        os.kill(number, ignored)
        wait_for_lines(tmp_path)
    os.kill(number, signal.SIGTERM)
    process.communicate(timeout=60)
    assert process.returncode == 143
    assert stopped_by("SIGTERM", tmp_path)


@pytest.mark.slow
def test_a_run_whose_terminal_is_closed_is_saved(tmp_path: Path) -> None:
    """The system sends SIGHUP when the terminal goes and again when its shell does; each write to it then fails."""
    number, terminal = pty.fork()
    if number == 0:
        os.chdir(tmp_path)
        shell = ["sh", "-c", '"$@"; echo $? > code', "sh", sys.executable, "-m", "trainer", "train", *LONG]
        os.execvpe("sh", shell, environment(TERM="xterm"))
    seen = b""
    try:
        while b"samples/s" not in seen:  # the live region: the run is training
            seen += os.read(terminal, 65536)
    finally:  # ends the run in any case
        os.close(terminal)
    os.waitpid(number, 0)
    until(lambda: stopped_by("SIGHUP", tmp_path))
    (log,) = tmp_path.glob("outputs/2*/*/train.log")
    assert "note     standard output cannot be written: Input/output error; the work continues" in log.read_text()


@pytest.mark.slow
@pytest.mark.parametrize("number", [signal.SIGHUP, signal.SIGTERM])
def test_a_signal_during_the_report_leaves_no_run_without_one(number: int, tmp_path: Path) -> None:
    process = start(tmp_path, "train", "dataset=digits", *RUN, "max_steps=4", "report=true")
    wait_for(tmp_path, "outputs/2*/*/outcome.json")  # written just before the report, which takes longer
    process.send_signal(number)
    _, said = process.communicate(timeout=60)
    assert process.returncode == 128 + number, said
    assert "the run was already finished" in said
    assert json.loads((tmp_path / "outputs/latest/summary.json").read_text())["status"] == "ok"
    assert list(tmp_path.glob("outputs/latest/report.html"))


@pytest.mark.slow
def test_ctrl_c_into_a_pipe_to_tee(tmp_path: Path) -> None:
    """Both get the signal, and tee is gone before the run writes its last lines."""
    process = start(tmp_path, "train", *LONG, stdout=subprocess.PIPE)
    tee = subprocess.Popen(["tee", tmp_path / "log"], stdin=process.stdout, stdout=subprocess.DEVNULL)
    process.stdout.close()
    process.stdout = None
    wait_for_lines(tmp_path)
    tee.send_signal(signal.SIGINT)
    tee.wait()
    process.send_signal(signal.SIGINT)
    _, said = process.communicate(timeout=60)
    assert process.returncode == 130, said
    assert said.startswith("stopped by SIGINT at step")
    assert stopped_by("SIGINT", tmp_path)


def test_before_there_is_a_run_the_program_just_ends(tmp_path: Path) -> None:
    process = start(tmp_path, "train", *RUN)
    time.sleep(0.4)
    process.send_signal(signal.SIGINT)
    _, said = process.communicate(timeout=60)
    assert process.returncode == 130
    assert "Traceback" not in said
    assert not list(tmp_path.glob("outputs/2*/*/checkpoints"))


@pytest.mark.parametrize("where", [pytest.param("data", marks=pytest.mark.slow), "evaluation"])
def test_slow_data_and_slow_evaluations_are_abandoned(tmp_path: Path, where: str) -> None:
    words = [*OWN, f"+dataset.slow={where}", *RUN, "eval_every=4steps"]
    process = start(tmp_path, "train", *words)
    wait_for(tmp_path, "slow")  # a sample that takes minutes is being read
    process.send_signal(signal.SIGTERM)
    _, said = process.communicate(timeout=30)
    assert process.returncode == 143, said
    assert "saved checkpoints/step-" in said


@pytest.mark.slow
def test_a_signal_after_the_last_step_leaves_a_finished_run(tmp_path: Path) -> None:
    process = start(tmp_path, "train", *OWN, "+dataset.slow=outcome", *RUN, "max_steps=4", "eval_every=4steps")
    wait_for(tmp_path, "slow")  # the predictions for the picture take minutes
    process.send_signal(signal.SIGINT)
    _, said = process.communicate(timeout=30)
    assert process.returncode == 130, said
    assert "stopped by SIGINT at step 4; the run was already finished" in said
    assert json.loads((tmp_path / "outputs/latest/summary.json").read_text())["status"] == "ok"


def is_pending(process: int, number: int) -> bool:
    """Whether the system has not handed the signal over yet."""
    lines = dict(line.split(":") for line in Path(f"/proc/{process}/status").read_text().splitlines())
    return any(int(lines[kind], 16) >> (number - 1) & 1 for kind in ("SigPnd", "ShdPnd"))


@pytest.mark.skipif(sys.platform != "linux", reason="reads /proc")
def test_a_second_signal_ends_the_program_at_once(tmp_path: Path) -> None:
    process = start(tmp_path, "train", *OWN, "model=own", "model._target_=own.SlowModel", *RUN)
    wait_for(tmp_path, "slow")  # a step that takes minutes
    for _ in range(2):  # a terminal that closes repeats itself
        process.send_signal(signal.SIGHUP)
        until(lambda: not is_pending(process.pid, signal.SIGHUP))
    process.send_signal(signal.SIGINT)
    _, said = process.communicate(timeout=20)
    assert process.returncode == 130
    assert "at once" in said


@pytest.mark.slow
def test_45_signals_at_random_times(tmp_path: Path) -> None:
    """In processes that have torch imported: building, training, evaluating, saving, and what follows the end.

    Two of three come at a drawn moment, before the end on every machine. The third comes by the clock, anywhere in the
    code; how many of those come too late says only how fast the machine is.
    """
    data = config("model.dropout=0.2", *RUN, "max_steps=200")
    assert attempt(tmp_path / "whole", data) == 0, (tmp_path / "whole.out").read_text()
    length = sum(json.loads((tmp_path / "whole/summary.json").read_text())["seconds"].values())
    expected = evidence(tmp_path / "whole")
    chance, good, stopped, late = random.Random(2), 0, 0, 0
    for trial in range(45):
        number = chance.choice([signal.SIGINT, signal.SIGTERM])
        folder = tmp_path / str(trial)
        if trial % 3:
            (death,) = drawn(chance, 1, 200)
            code = attempt(folder, data, death=replace(death, by=number, torn=False))
            stopped += code == 128 + number
        else:
            code = attempt(folder, data, kill_after=chance.uniform(0, length), kill_by=number)
            late += code == 0
        said = (tmp_path / f"{trial}.out").read_text()
        assert code in (0, 128 + number), said
        assert "Traceback" not in said
        assert attempt(folder, data) == 0, said
        good += evidence(folder) == expected
    print(f"signals to warm processes: {good} of 45; {late} of 15 by the clock came after the end")
    assert (good, stopped) == (45, 30)


def test_the_last_checkpoint_holds_the_last_evaluation_that_a_stop_had_put_off(tmp_path: Path) -> None:
    data = config(*RUN, "max_steps=20")
    assert attempt(tmp_path / "whole", data) == 0
    folder = tmp_path / "stopped"
    assert attempt(folder, data, death=Death(20, 0, by=signal.SIGTERM)) == 143
    assert attempt(folder, data) == 0
    assert evidence(folder) == evidence(tmp_path / "whole")


@pytest.mark.slow
def test_15_kills_while_that_checkpoint_is_replaced(tmp_path: Path) -> None:
    data = config(*RUN, "max_steps=20")
    assert attempt(tmp_path / "whole", data) == 0
    for moments in range(16):
        folder = tmp_path / str(moments)
        assert attempt(folder, data, death=Death(20, 0, by=signal.SIGTERM)) == 143
        before = {path.name for path in (folder / "checkpoints").iterdir()}
        if moments:
            assert attempt(folder, data, death=Death(20, moments)) == -9
            assert before & {path.name for path in (folder / "checkpoints").iterdir()}, "no checkpoint is left"
        assert attempt(folder, data) == 0
        assert evidence(folder) == evidence(tmp_path / "whole")


@pytest.mark.slow
def test_15_signals_to_the_command_line(tmp_path: Path) -> None:
    """From the first moment of the program on, its imports included."""
    words = ["train", "dataset=digits", "model.dropout=0.2", *RUN, "max_steps=1500", "checkpoint.every_seconds=0.5"]
    begun = time.monotonic()
    assert start(tmp_path / "whole", *words).communicate(timeout=300)[1] == ""
    length = time.monotonic() - begun
    expected = evidence((tmp_path / "whole/outputs/latest").resolve())
    chance, good, longest, early, late = random.Random(2), 0, 0.0, 0, 0
    for trial in range(15):
        number = chance.choice([signal.SIGINT, signal.SIGTERM])
        folder = tmp_path / str(trial)
        process = start(folder, *words)
        time.sleep(chance.uniform(0.3, length))
        process.send_signal(number)
        sent = time.monotonic()
        _, said = process.communicate(timeout=120)
        longest = max(longest, time.monotonic() - sent)
        if process.returncode == 0:  # it had ended before
            late += 1
        else:
            shown = 128 - process.returncode if process.returncode < 0 else process.returncode  # as a shell has it
            assert shown == 128 + number, said  # below 0 while Python itself still starts
            assert "Traceback" not in said or process.returncode < 0
        if not list(folder.glob("outputs/2*/*/config.yaml")):
            early += 1
            good += 1
            continue
        resumed = start(folder, "resume", "latest")
        _, said = resumed.communicate(timeout=300)
        assert resumed.returncode == 0, said
        good += evidence((folder / "outputs/latest").resolve()) == expected
    print(f"signals: {good} of 15; longest {longest:.1f} s; {early} before a run folder, {late} after the end")
    assert good == 15
