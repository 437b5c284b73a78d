"""The test split: measured once, with the kept weights, and it selects nothing."""

import csv
import json
from pathlib import Path

import numpy as np
import pytest
import torch
from conftest import config

from trainer.cli import main
from trainer.compare import ranking, rows
from trainer.disk import layout, summary
from trainer.inference.model import load
from trainer.verbs.open_run import open_run


def arrays(path: Path, test_labels: np.ndarray) -> None:
    """Two clouds to tell apart, and 40 test rows with these labels."""
    generator = np.random.default_rng(0)
    y = np.arange(200) % 2
    x = generator.normal(size=(200, 3)) + y[:, None]
    np.savez(path, x=x, y=y, x_test=generator.normal(size=(40, 3)), y_test=test_labels)


def lines(path: Path) -> list[dict]:
    """metrics.jsonl without the seconds."""
    return [{k: v for k, v in json.loads(line).items() if k != "seconds"} for line in path.read_text().splitlines()]


def test_the_numbers_are_those_of_eval_and_of_the_weights_that_are_kept(tmp_path: Path) -> None:
    words = ["dataset=wine", "dataset.test_fraction=0.2", "epochs=6", "optimizer.lr=0.3", "report=false"]
    assert main(["train", *words]) == 0
    folder = layout.find("latest")
    found, table = summary.read(folder), list(csv.DictReader((folder / "results.csv").read_text().splitlines()))
    assert found.test.keys() == {"test/loss", "test/acc"}
    assert [row["test/acc"] for row in table] == [""] * 6 + [str(found.test["test/acc"])]
    assert int(table[-1]["step"]) == found.best["step"]
    stored = open_run("latest", trust_it=False)
    trained = load(stored.folder, stored.config, to_measure=True)
    from trainer.data import fingerprint
    from trainer.inference import labelled
    from trainer.loop import evaluate

    own = labelled.open_own(stored.config, trained, fingerprint.read(folder), "test", download=True)
    assert evaluate(trained, own, "test") == found.test
    assert main(["resume", "latest", "epochs=8"]) == 0
    table = list(csv.DictReader((folder / "results.csv").read_text().splitlines()))
    assert [bool(row["test/acc"]) for row in table] == [False] * 8 + [True], "a resume measures again, and only once"


def test_a_far_better_test_score_changes_nothing(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """Of three rates the worst gets a test split that is labelled with its own answers: it scores 1 there. Ranking,
    early stop and weights stay what they are without any test split."""
    words = ["epochs=8", "early_stop.patience=2", "monitor=val/acc", "report=false", "sweep.jobs=1"]
    sweep = [*words, "-m", "optimizer.lr=1e-5,0.003,0.03"]
    arrays(tmp_path / "honest.npz", np.arange(40) % 2)
    assert main(["train", "dataset=npz", "dataset.path=honest.npz", *sweep]) == 0
    first = layout.find_sweep("latest")
    assert first is not None
    stored = open_run(str(first / "000"), trust_it=False)
    worst = load(stored.folder, stored.config)
    with np.load(tmp_path / "honest.npz") as file:
        x = torch.from_numpy(file["x_test"]).to(worst.dtype)
    with torch.no_grad():
        answers = worst.call(worst.preprocessing.x(x)).argmax(1).numpy()
    arrays(tmp_path / "flattering.npz", answers)
    assert main(["train", "dataset=npz", "dataset.path=flattering.npz", *sweep]) == 0
    second = layout.find_sweep("latest")
    assert second is not None
    tests = [[summary.read(one / name).test["test/acc"] for name in ("000", "001", "002")] for one in (first, second)]
    assert tests[1][0] == 1.0 > max(tests[1][1:]), "the worst one shines on its own test"
    assert tests[0][0] < 1.0
    for name in ("000", "001", "002"):
        assert lines(first / name / "metrics.jsonl") == lines(second / name / "metrics.jsonl")
        weights = [load(one / name, open_run(str(one / name), trust_it=False).config).model for one in (first, second)]
        for a, b in zip(*(model.state_dict().values() for model in weights), strict=True):
            assert torch.equal(a, b)
    ranked = [ranking.rankings(rows.of_sweep(one))[0] for one in (first, second)]
    assert len({tuple(group.settings["optimizer.lr"] for group in one.groups) for one in ranked}) == 1
    assert ranked[1].best is not None
    assert not ranked[1].best.name.endswith("000")
    capsys.readouterr()
    assert main(["compare", str(second), "--sort", "test/acc"]) == 2
    assert "test numbers select nothing" in capsys.readouterr().err


def test_a_monitor_on_the_test_split_is_refused(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["train", "dataset=wine", "dataset.test_fraction=0.2", "monitor=test/acc"]) == 2
    assert "test/acc" in capsys.readouterr().err
    assert config("dataset.test_fraction=0.2").dataset["test_fraction"] == 0.2
