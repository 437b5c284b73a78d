"""An exception that nobody foresaw, in every verb: one message, exit code 1, the traceback where it belongs."""

import re
import shutil
import sys
from pathlib import Path

import pytest
from conftest import config

from trainer import verbs
from trainer.cli import main

STORED = Path(__file__).parent / "stored" / "0.1.0"
QUICK = ["dataset=iris", "max_steps=3", "report=false", "threads=1", "device=cpu"]

# For each verb, the words to type and a function that the verb calls deep inside.
INSIDE = {
    "train": (QUICK, "trainer.run.launch.build"),
    "resume": (["run"], "trainer.run.launch.build"),
    "eval": (["run"], "trainer.loop.evaluate"),
    "predict": (["run", "new.csv"], "trainer.inference.predict.write"),
    "report": (["run"], "trainer.report.make.of_run"),
    "compare": (["run"], "trainer.compare.ranking.rank"),
    "bench": (QUICK, "trainer.verbs.bench._measure"),
    "profile": (QUICK, "trainer.diagnosis.profile.take"),
    "verify": (QUICK, "trainer.verbs.verify._compare"),
    "doctor": (QUICK, "trainer.diagnosis.doctor.examine"),
    "lr-find": (QUICK, "trainer.diagnosis.lr_range.sweep"),
    "runs": ([], "trainer.disk.layout.runs"),
    "chapter": (["--list"], "trainer.chapter.example.files"),
    "ls": ([], "trainer.config.files.options"),
    "plan": (QUICK, "trainer.diagnosis.plan.timing"),
    "config": ([], "trainer.config.compose.compose"),
    "export": (["run"], "trainer.inference.model.load"),
    "schema": ([], "trainer.config.files.options"),
    "init": (["project"], "trainer.verbs.init.Path"),
    "completion": (["--line", "trainer tr"], "trainer.verbs.candidates.candidates"),
}


def unforeseen(*args: object, **kwargs: object) -> None:
    raise LookupError("nobody foresaw this\nat all")


def test_every_verb_is_tried() -> None:
    assert INSIDE.keys() == verbs.VERBS.keys()


@pytest.mark.parametrize("verb", INSIDE)
def test_an_unforeseen_error_is_one_message(
    verb: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    for name in ("run", "houses.csv", "new.csv"):
        source = STORED / name
        (shutil.copytree if source.is_dir() else shutil.copy)(source, tmp_path / name)
    words, inside = INSIDE[verb]
    monkeypatch.setattr(inside, unforeseen)
    assert main([verb, *words]) == 1
    said = capsys.readouterr().err
    assert re.search(r"error: LookupError: nobody foresaw this \(\S*test_error_boundary.py line \d+\)\n", said)
    assert "at all" not in said
    assert "Traceback" not in said
    if verb == "resume":
        assert "try: the traceback is in run/train.log" in said
        assert "LookupError: nobody foresaw this\nat all" in (tmp_path / "run/train.log").read_text()
    else:
        assert "try: --debug shows the traceback" in said
    assert main([verb, *words, "--debug"]) == 1
    assert "Traceback" in capsys.readouterr().err


def test_an_error_inside_a_run_leaves_its_traceback_in_the_log(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr("trainer.listeners.metrics_files.MetricsFiles.__call__", unforeseen)
    assert main(["train", *QUICK]) == 1
    said = capsys.readouterr().err
    (log,) = tmp_path.glob("outputs/2*/*/train.log")
    assert f"the traceback is in {log.relative_to(tmp_path)}" in said
    assert "LookupError: nobody foresaw this\nat all" in log.read_text()
    assert "Traceback" not in said


def test_a_bare_assert_in_a_users_loss_is_named(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "picky.py").write_text(
        "import torch\n\n\nclass Picky(torch.nn.Module):\n    def forward(self, prediction, y):\n        assert False\n"
    )
    (tmp_path / "conf/loss").mkdir(parents=True)
    (tmp_path / "conf/loss/picky.yaml").write_text("# mine\n_target_: picky.Picky\n")
    monkeypatch.syspath_prepend(tmp_path)
    assert main(["train", *QUICK, "loss=picky"]) == 2
    assert "AssertionError" in capsys.readouterr().err


def test_sizes_filled_in_from_the_data_are_not_settings(tmp_path: Path) -> None:
    from trainer.compare.rows import differences
    from trainer.config.target import FILLED_IN

    one, other = ({"dataset": {"_target_": name}, "model": dict.fromkeys(FILLED_IN, size)} for name, size in
                  (("a.A", 3), ("b.B", 4)))  # fmt: skip
    assert differences([one, other]) == [{"dataset": "A"}, {"dataset": "B"}]
    assert config("dataset=iris").dataset


MINE = """\
import torch
from torch import nn
from torch.utils.data import Dataset

class Net(nn.Linear):
    def __init__(self, early=False, late=False):
        super().__init__(4, 3)
        self.late, self.calls = late, 0
        if early: raise TypeError("too early")
    def forward(self, x):
        self.calls += 1
        if self.late and self.calls == 9: raise RuntimeError("too late")
        return super().forward(x)

class Rows(Dataset):
    def __len__(self): return 99
    def __getitem__(self, row):
        if row == 70: raise KeyError("no such row")
        return torch.rand(4), row % 3
"""


@pytest.mark.parametrize(
    ("words", "line"),
    [
        (["model=own", "model._target_=mine.Net", "+model.early=true"], 9),
        (["model=own", "model._target_=mine.Net", "+model.late=true"], 12),
        (["dataset=own", "dataset._target_=mine.Rows"], 18),
        (["dataset=own", "dataset._target_=mine.Rows", "loader.num_workers=1"], 18),
    ],
)
def test_an_error_in_the_users_own_code_names_its_line(
    words: list[str], line: int, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "mine.py").write_text(MINE)
    monkeypatch.syspath_prepend(tmp_path)
    monkeypatch.delitem(sys.modules, "mine", raising=False)
    assert main(["train", "dataset=iris", *words, "epochs=20", "report=false", "threads=1"]) in (1, 2)
    assert f"(mine.py line {line})" in capsys.readouterr().err
