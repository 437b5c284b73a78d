"""max_time on a clock that the test turns: where a run ends, what it counts, and what it says."""

import json
import math
import re
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
from conftest import Cli, config

import trainer
from trainer import checkpoint
from trainer.build.build import build
from trainer.cli import main
from trainer.config.durations import in_seconds, is_time
from trainer.diagnosis import budget
from trainer.diagnosis.plan import Timing
from trainer.disk import layout
from trainer.errors import ConfigError
from trainer.events import Ended, Evaluated, Event, Started, Stepped
from trainer.listeners.max_time import PASSES, MaxTime, seconds_of_report
from trainer.loop import train
from trainer.progress import Timer
from trainer.state import TrainState
from trainer.stopping import StopReason

QUICK = ["dataset=iris", "threads=1", "device=cpu", "report=false"]
STEP, EVALUATION, SAVE, START_UP = 1.0, 2.5, 0.5, 7.0  # seconds on the clock


def timed_run(
    limit: float, *words: str, before: float = 0.0, report: float = 0.0
) -> tuple[TrainState, list[Event], float]:
    """Train with MaxTime while a clock moves on by what each event is said to take. Returns the run, its events, and
    when it was stopped."""
    run, _ = build(config(*QUICK, "epochs=100", *words))
    now, seconds = [START_UP], {"train": 0.0, "eval": 0.0}
    run.timer = Timer(0.0, before, lambda: now[0])
    saver: Any = SimpleNamespace(took=SAVE)
    listener = MaxTime(run, limit, seconds, saver, report)
    events: list[Event] = []
    stopped_at = math.inf
    for event in train(run):
        name, spent = {Stepped: ("train", STEP), Evaluated: ("eval", EVALUATION)}.get(type(event), ("train", 0.0))
        seconds[name] += spent
        now[0] += spent
        listener(event)
        events.append(event)
        stopped_at = min(stopped_at, now[0]) if run.progress.stop_reason else stopped_at
    return run, events, stopped_at


@pytest.mark.parametrize("report", [0.0, 1.5])
def test_it_ends_in_time_with_an_evaluation(report: float) -> None:
    """By hand: an epoch is 2 steps, 4.5 s; what ends the run takes 4 evaluations and 2 saves, 11 s, and the report."""
    run, events, stopped_at = timed_run(59.0, "loader.batch_size=64", report=report)
    end = PASSES * EVALUATION + 2 * SAVE + report
    assert run.progress.stop_reason == StopReason.MAX_TIME
    assert isinstance(events[-1], Ended)
    assert isinstance(events[-2], Evaluated)
    assert run.progress.evaluated_at == run.progress.step == events[-2].step
    assert 0 <= stopped_at + end - 59 < EVALUATION  # with the event that crosses the line
    assert run.progress.step == (18 if report else 19)  # nine epochs end at 47.5, and a step at 48.5


def test_a_report_takes_half_as_long_as_the_start() -> None:
    assert [seconds_of_report(start_up) for start_up in (0.0, 3.0, 600.0)] == [0.0, 1.5, 5.0]


def test_before_the_first_evaluation_a_row_takes_as_long_as_in_training() -> None:
    run, events, stopped_at = timed_run(60.0, "eval_every=1000steps", "loader.batch_size=30")
    row = STEP / 30
    assert [type(event) for event in events[-2:]] == [Evaluated, Ended]
    assert 0 <= stopped_at + row * PASSES * 30 + 2 * SAVE - 60 < STEP
    assert run.progress.evaluated_at == run.progress.step


def test_a_time_that_is_over_leaves_one_step() -> None:
    run, events, _ = timed_run(1.0)
    assert [type(event) for event in events] == [Started, Stepped, Evaluated, Ended]
    assert run.progress.best_step == 1


def test_a_run_that_takes_all_its_steps_in_time_is_not_stopped() -> None:
    run, *_ = timed_run(13.0 + 11.5, "epochs=1", "loader.batch_size=20")  # 6 steps from 7 s on: over with the last
    assert (run.progress.step, run.progress.stop_reason) == (6, None)


def test_the_total_goes_through_a_checkpoint() -> None:
    run, *_ = timed_run(60.0, before=20.0)
    files = checkpoint.contents(run, {})
    total = run.timer.seconds
    assert json.loads(files[checkpoint.STATE])["seconds"] == total > 40
    again, _ = build(config(*QUICK, "epochs=100"))
    checkpoint.load(again, files, Path("saved"))
    assert again.timer.seconds == total
    again.timer.started, again.timer.clock = 100.0, lambda: 103.0
    assert again.timer.seconds == total + 3
    state = json.loads(files[checkpoint.STATE])
    for damaged in (None, "long", -3.0, math.inf):
        files[checkpoint.STATE] = json.dumps({**state, "seconds": damaged}).encode()
        checkpoint.load(again, files, Path("saved"))  # one of an earlier version, or changed by hand
        assert again.timer.before == 0.0


def test_times() -> None:
    assert [in_seconds(text) for text in ("90s", "10m", "1h30m", "1.5h")] == [90, 600, 5400, 5400]
    assert not any(map(is_time, ("", "10", "0s", "m", "1m30", "-3s", "1..5s", 10, None)))
    for word in ("10", "0s", "true"):
        with pytest.raises(ConfigError, match="must be a time like 90s, 10m or 1h30m") as caught:
            config(f"max_time={word}")
        assert caught.value.hint == "max_time=10m"


def test_the_command_says_how_far_it_was_and_what_to_type(capsys: pytest.CaptureFixture[str]) -> None:
    words = [*QUICK, "epochs=50", "scheduler=cosine", "loader.batch_size=12"]
    assert main(["train", *words, "max_time=0.001s"]) == 0
    out = " ".join(capsys.readouterr().out.split())
    assert "or as many as max_time=0.001s allows" in out
    assert "stopped max_time=0.001s: at step 1 of 500 (0%); the learning rate, of CosineAnnealingLR, was 0.002" in out
    assert "try: max_steps=1, with which the schedule ends" in out
    summary = layout.read_summary(Path("outputs/latest"))
    assert (summary["status"], summary["stop_reason"], summary["steps"]) == ("ok", "max time", 1)
    assert summary["best"]["step"] == 1
    assert (Path("outputs/latest") / "model.safetensors").exists()
    assert main(["resume"]) == 0
    assert "is finished: 1 step. Nothing to do. to train for longer: trainer resume" in (
        out := " ".join(capsys.readouterr().out.split())
    )
    assert float(re.search(r"max_time=(\d+)s$", out)[1]) >= 2  # more than what the run has used
    assert main(["resume", "latest", "max_time=0.002s"]) == 0  # the total: nothing is left of it
    assert layout.read_summary(Path("outputs/latest"))["steps"] == 1
    assert main(["resume", "latest", "max_time=1h", "max_steps=20"]) == 0
    assert layout.read_summary(Path("outputs/latest"))["steps"] == 20


def test_it_resumes_exactly(tmp_path: Path) -> None:
    words = [*QUICK, "model.dropout=0.3", "eval_every=5steps", "max_steps=10", "loader.batch_size=12"]
    whole = trainer.train(words)
    cut = trainer.train([*words, "max_time=0.001s", "eval_every=5steps"])
    assert main(["resume", str(cut.run_dir), "max_time=null"]) == 0
    one, other = (layout.read_summary(result.run_dir) for result in (whole, cut))
    assert one["last"]["val/loss"] == other["last"]["val/loss"]


@pytest.mark.slow
def test_all_ranks_end_together(cli: Cli, tmp_path: Path) -> None:
    done = cli("train", *QUICK, "epochs=50", "max_time=0.1s", "nproc=2")
    assert (done.returncode, done.stderr) == (0, "")
    summary = layout.read_summary(tmp_path / "outputs/latest")
    assert (summary["status"], summary["stop_reason"], summary["steps"]) == ("ok", "max time", 1)
    assert summary["last"]["val/loss"] > 0
    assert len(list((tmp_path / "outputs/latest/checkpoints").glob("step-*"))) == 1


@pytest.mark.slow
def test_a_job_of_a_sweep_counts_from_its_own_start(cli: Cli, tmp_path: Path) -> None:
    done = cli("train", "-m", *QUICK, "epochs=5", "max_time=1h", "seed=0,1", "sweep.jobs=1")
    assert done.returncode == 0, done.stderr
    states = sorted((tmp_path / "outputs").glob("sweeps/*/*/*/checkpoints/*/state.json"))
    seconds = [json.loads(path.read_text())["seconds"] for path in states]
    assert all(0 < each < 60 for each in seconds)
    assert len(seconds) >= 2


def test_the_steps_that_fit_by_hand() -> None:
    run, setup = build(config(*QUICK, "eval_every=10steps", "dataset.test_fraction=0.2"))
    rows, test = setup.splits.num_rows("val"), setup.splits.num_rows("test")
    timed = Timing(0.9, 0.5, 30, 3, 0.0, mean=1.0, first=4.0)
    end = 0.5 / rows * (PASSES * rows + test) + 2 * 0.25
    each = 1.0 + 0.5 / 10
    each += 0.25 * each / 30  # a save every 30 s
    fit = budget.steps_that_fit(run, 100.0, [(math.inf, timed)], 0.25, 30.0)
    assert fit == math.floor((100 - end - 4) / each)
    slower = Timing(1.8, 0.5, 30, 3, 0.0, mean=2.0, first=4.0)
    later = 2.0 + 0.5 / 10
    later += 0.25 * later / 30
    fit = budget.steps_that_fit(run, 100.0, [(20, timed), (math.inf, slower)], 0.25, 30.0)
    assert fit == math.floor(20 + (100 - end - 8 - 20 * each) / later)
    assert budget.steps_that_fit(run, 3.0, [(math.inf, timed)], 0.25, 30.0) <= 0


@pytest.mark.slow
def test_plan_prints_what_fits(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    words = ["dataset=iris", "threads=1", "device=cpu"]
    assert main(["plan", *words, "max_time=1h"]) == 0
    out = " ".join(capsys.readouterr().out.split())
    assert "fits max_steps=" in out
    assert " epochs=" in out
    assert main(["plan", *words, "epochs=10_000_000", "max_time=1h"]) == 0
    assert " epochs=" not in " ".join(capsys.readouterr().out.split()).partition("fits max_steps=")[2]
    assert main(["plan", *words, "max_time=0.1s"]) == 0
    assert "not one step fits into max_time=0.1s" in capsys.readouterr().out
    assert [path for path in tmp_path.iterdir() if path.name != ".config"] == []
