"""The page of a run whose targets are neither one class nor numbers, from outside."""

import json
from pathlib import Path

import pytest
from test_hostile_report import check

from trainer import cli
from trainer.disk import layout, outcome
from trainer.disk.figures import KINDS
from trainer.disk.history import History
from trainer.report import drawn


@pytest.mark.parametrize(
    ("kind", "monitor", "kinds"),
    [
        ("labels", "val/f1", ["matrices", "curves", "curves", "table", "table"]),
        ("tokens", "val/loss", ["curves", "texts", "texts"]),
        ("pixels", "val/iou", ["pictures", "pictures", "table"]),
        ("free", "val/loss", []),
    ],
)
def test_a_page_for_every_task(kind: str, monitor: str, kinds: list[str], tmp_path: Path) -> None:
    words = [
        "dataset._target_=every_task.Rows",
        f"+dataset.kind={kind}",
        "model._target_=every_task.Net",
        f"+model.kind={kind}",
    ]
    words += ["loss._target_=every_task.Terms"] if kind == "free" else []
    assert cli.main(["train", *words, "threads=1", "epochs=2", "log_every=1"]) == 0
    folder = (tmp_path / "outputs/latest").resolve()
    page = check((folder / layout.REPORT).read_text(encoding="utf-8"))
    found = outcome.read(folder)
    assert found is not None
    shown = [] if found.predictions is None else found.predictions.figures
    names = {kind: name for name, kind in KINDS.items()}
    assert [names[type(figure)] for figure in shown] == kinds
    assert all(figure.title in page.words for figure in shown)
    summary = json.loads((folder / layout.SUMMARY).read_text())
    assert summary["monitor"] == monitor
    assert f"{summary['best'][monitor]:.4f}" in page.words.split("Curves")[0]
    if kind == "free":
        rows = [json.loads(line) for line in (folder / layout.METRICS).read_text().splitlines()]
        assert all({"train/near", "train/far"} <= row.keys() for row in rows)
        curves = [json.loads(data) for kind, data in page.scripts if kind == "application/json"]
        assert sum([line["name"] for line in curve] == ["train", "val"] for curve in curves) == 3  # loss, near, far


def test_an_autoencoder_of_digits(tmp_path: Path) -> None:
    words = ["dataset=digits", "dataset.task=input", "model=mlp", "model.hidden=[8]"]
    assert cli.main(["train", *words, "threads=1", "max_steps=3"]) == 0
    folder = (tmp_path / "outputs/latest").resolve()
    page = check((folder / layout.REPORT).read_text(encoding="utf-8"))
    assert "Reconstructions: worst rows" in page.words
    assert page.words.count("reconstruction") == 16
    assert cli.main(["report"]) == 0
    again = check((folder / layout.REPORT).read_text(encoding="utf-8"))
    assert again.words.count("reconstruction") == 16
    summary = json.loads((folder / layout.SUMMARY).read_text())
    assert summary["baseline"] is None


def test_terms_of_few_steps_come_from_the_evaluations() -> None:
    rows = [{"step": step, "train/kl": 1.0 * step, "val/kl": 2.0, "val/acc": 0.5, "train/loss": 3.0} for step in (1, 2)]
    past = History(evaluations=rows, terms={"kl": [(2.0, 9.0)]})
    train, val = [(1, 1.0), (2, 2.0)], [(1, 2.0), (2, 2.0)]
    assert drawn.metric_curves(past)["kl"] == [("train", "train", train), ("val", "val", val)]
    past = History(evaluations=rows, terms={"kl": [(1.0, 9.0), (2.0, 8.0), (3.0, 7.0)]})
    assert drawn.metric_curves(past)["kl"][0][2] == past.terms["kl"]
    assert drawn.terms(past) == [("train/kl", past.terms["kl"]), ("val/kl", val)]
    assert list(drawn.metric_curves(past)) == ["kl", "acc"]
