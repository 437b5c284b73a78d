"""The task that the guide writes, in some twenty lines: trained, measured, predicted, resumed, reported."""

import csv
import json
import math
import re
import sys
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
from conftest import config

from trainer.build.build import build
from trainer.cli import main
from trainer.config.trust import strangers
from trainer.errors import ConfigError

PAGE = Path(__file__).resolve().parents[2] / "docs" / "own-task.md"
WORDS = ["dataset=own", "dataset._target_=angles.Compass", "dataset.task={_target_: angles.Angles}", "model=mlp"]
SHORT = ["threads=1", "device=cpu", "epochs=3"]


@pytest.fixture(autouse=True)
def _the_page_s_files(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    for name, text in re.findall(r"^`([\w./-]+)`:\n\n```\w+\n(.*?)^```", PAGE.read_text(encoding="utf-8"), re.M | re.S):
        (tmp_path / name).write_text(text, encoding="utf-8")
    monkeypatch.syspath_prepend(str(tmp_path))
    yield
    sys.modules.pop("angles", None)


def test_every_verb_asks_it(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["train", *WORDS, *SHORT, "report=false"]) == 0
    out = capsys.readouterr().out
    assert "task free: dataset.task is angles.Angles" in out
    assert "Around" in out
    run = tmp_path / "outputs" / "latest"
    summary = json.loads((run / "summary.json").read_text())
    assert summary["monitor"] == "val/degrees"

    splits = build(config(*WORDS, *SHORT))[1].splits
    x = np.stack([splits.val.part.data[int(row)][0].numpy() for row in splits.val.part.rows])
    np.savez("val.npz", x=x)
    assert main(["predict", "latest", "val.npz", "-o", "val.csv"]) == 0
    with open("val.csv", encoding="utf-8") as file:
        angles = np.array([float(row["angle"]) for row in csv.DictReader(file)])
    assert ((angles >= 0) & (angles < 2 * math.pi + 1e-6)).all()
    error = (angles - np.arctan2(x[:, 1], x[:, 0]) + math.pi) % (2 * math.pi) - math.pi
    capsys.readouterr()
    assert main(["eval"]) == 0
    measured = re.search(r"^val/degrees +(\S+)", capsys.readouterr().out, re.M)
    assert measured is not None
    assert float(measured[1]) == pytest.approx(np.degrees(np.abs(error)).mean(), abs=1e-3)
    assert summary["best"]["val/degrees"] == pytest.approx(float(measured[1]), abs=1e-3)

    assert main(["resume", "latest", "epochs=4"]) == 0
    assert main(["report", "latest"]) == 0
    assert "degrees" in (run / "report.html").read_text(encoding="utf-8")


def test_its_own_keys_reach_it_and_others_are_refused(capsys: pytest.CaptureFixture[str]) -> None:
    with open("angles.py", "a", encoding="utf-8") as file:
        file.write(
            "\n\nclass Limited(Angles):\n"
            "    def __init__(self, facts, scale=None, class_axis=1, limit=1):\n"
            "        super().__init__(facts, scale, class_axis)\n"
            "        self.limit = limit\n"
        )
    words = [*WORDS[:2], *WORDS[3:], *SHORT]
    run, _ = build(config(*words, "dataset.task={_target_: angles.Limited, limit: 5}"))
    assert run.task.limit == 5
    assert main(["train", *words, "dataset.task={_target_: angles.Limited, limits: 5}"]) == 2
    assert "no key 'dataset.task.limits'" in capsys.readouterr().err


def test_its_class_alone_is_added(capsys: pytest.CaptureFixture[str]) -> None:
    words = [*WORDS[:2], *WORDS[3:], *SHORT]
    assert main(["train", *words, "dataset.task._target_=angles.Angles"]) == 2
    assert "try: +dataset.task._target_=angles.Angles" in capsys.readouterr().err
    run, _ = build(config(*words, "+dataset.task._target_=angles.Angles"))
    assert type(run.task).__name__ == "Angles"


def test_a_class_of_classes_keeps_what_its_parent_knows() -> None:
    with open("angles.py", "a", encoding="utf-8") as file:
        file.write("\n\nfrom trainer.tasks.classes import Classes\n\n\nclass Iris(Classes):\n    monitor = 'f1'\n")
    run, _ = build(config("dataset=iris", "dataset.task={_target_: angles.Iris}", *SHORT))
    assert type(run.task).__name__ == "Iris"
    assert type(run.loss_fn).__name__ == "CrossEntropyLoss"
    assert run.stopping.monitor == "val/f1"


def test_a_stranger_s_run_imports_no_task_of_theirs() -> None:
    node = {"_target_": "trainer.data.embedded.Iris", "task": {"_target_": "angles.Angles"}}
    assert strangers({"dataset": node}) == ["dataset.task._target_=angles.Angles"]


def test_a_mapping_that_names_no_class_is_refused() -> None:
    with pytest.raises(ConfigError, match="names no class by _target_"):
        build(config("dataset=iris", "dataset.task={x: 1}"))
