"""The numbers that plan prints, against those counted by hand and those of real runs."""

import json
from pathlib import Path

import pytest
import torch
from conftest import config

import trainer
from trainer.build.build import build
from trainer.cli import main
from trainer.diagnosis import plan
from trainer.loop import train
from trainer.verbs.plan import repeated

QUICK = ["threads=1", "device=cpu", "report=false"]


def test_it_says_what_there_is_and_writes_nothing(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["plan", "model.dropout=0.2", "scheduler=warmup", *QUICK]) == 0
    out, err = capsys.readouterr()
    assert err == ""
    assert [path for path in tmp_path.iterdir() if path.name != ".config"] == []
    lines = out.splitlines()
    assert max(map(len, lines)) <= 78
    assert "steps    batch 64: 23 steps × 20 epochs = 460 steps" in lines
    assert [line.split() for line in lines if line.startswith("layers.")] == [
        ["layers.0", "Linear", "64×128", "8,320"],
        ["layers.1", "ReLU", "64×128", "-"],
        ["layers.2", "Dropout", "64×128", "-"],
        ["layers.3", "Linear", "64×10", "1,290"],
    ]
    for start in ("learning rate", "memory   about ", "time     about "):
        assert any(line.startswith(start) for line in lines), start


@pytest.mark.parametrize("words", [["scheduler=onecycle"], ["scheduler=step", "scheduler.step_size=3steps"]])
def test_the_schedule_is_the_one_that_a_run_follows(words: list[str]) -> None:
    typed = [*words, "dataset=iris", "epochs=6", "log_every=1", *QUICK]
    run, _ = build(config(*typed))
    expected = plan.schedule(run)
    rows = map(json.loads, (trainer.train(typed).run_dir / "metrics.jsonl").read_text().splitlines())
    assert [(row["step"], row["lr"]) for row in rows if "eval" not in row] == expected
    assert len({lr for _, lr in expected}) > 2
    assert plan.timing(run).num_timed >= 1  # with the schedule behind it


def test_what_does_not_follow_from_the_step_has_no_curve() -> None:
    long = ["scheduler=cosine", "epochs=600_000"]
    for words, kind in ((["scheduler=plateau"], "metric"), ([], "constant"), (long, "too long")):
        run, _ = build(config("dataset=iris", *words, *QUICK))
        assert plan.schedule(run) == []
        assert kind in plan.how_it_changes(run)


def test_memory_by_hand() -> None:
    run, setup = build(config("dataset=iris", "model.hidden=[8]", "loader.batch_size=10", *QUICK))
    plan.timing(run)
    x, y = (repeated(part, 10) for part in setup.splits.sample)
    assert (x.shape, y.shape) == ((10, 4), (10,))
    held = plan.memory(run, x, y, 10, eval_rows=5)
    num_parameters, num_tensors = 4 * 8 + 8 + 8 * 3 + 3, 4
    assert held.weights == 2 * 4 * num_parameters
    assert held.gradients == 4 * num_parameters
    assert held.optimizer == 2 * 4 * num_parameters + 4 * num_tensors  # two moments, and the step of each
    assert held.data == 150 * (4 * 4 + 8)
    kept = 10 * 4 * 4 + 10 * 8 + 10 * 8 * 4 + 10 * 3 * 4  # x, y, relu's output, log-probabilities
    assert kept <= held.activations <= kept + 64  # and the loss's own scalars


@pytest.mark.slow
def test_memory_is_near_what_the_allocator_counts(tmp_path: Path) -> None:
    """The peak of the bytes that torch counts on the CPU, over a build and an epoch: a real run of 6 MB."""
    words = config("model=cnn", "epochs=1", *QUICK)
    run, setup = build(words)
    x, y = (repeated(part, 64) for part in setup.splits.sample)
    plan.timing(run)
    expected = plan.memory(run, x, y, 64, setup.splits.num_rows("val")).total
    del x, y, run, setup
    with torch.profiler.profile(activities=[torch.profiler.ProfilerActivity.CPU], profile_memory=True) as profile:
        run, _ = build(words)
        list(train(run))
    profile.export_chrome_trace(str(tmp_path / "trace.json"))
    events = json.loads((tmp_path / "trace.json").read_text())["traceEvents"]
    counts = [event["args"] for event in events if event.get("name") == "[memory]"]
    peak = max(c["Total Allocated"] for c in counts) - (counts[0]["Total Allocated"] - counts[0]["Bytes"])
    assert 0.7 * peak < expected < 1.4 * peak


def test_what_plan_cannot_do(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["plan", "experiment=sweep/lr_by_seed"]) == 2
    assert main(["plan", "model=mpl"]) == 2
    assert "Did you mean mlp" in capsys.readouterr().err
