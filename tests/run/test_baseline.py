"""A model that is no better than always giving the same answer is not shown as a success, on screen or page."""

import json
import re
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest

from trainer.cli import main
from trainer.run.footer import remedy
from trainer.tasks.baseline import Baseline, of_classes

WORDS = ["dataset=table", "dataset.path=data.csv", "dataset.target=y", "threads=1", "device=cpu"]


def table(target: str) -> None:
    """300 rows in which nothing, or everything, tells the target: 90% no, or numbers around 50."""
    chance = np.random.default_rng(0)
    x, rare = chance.normal(size=300), np.arange(300) % 10 == 0
    y = {
        "unrelated classes": np.where(rare, "yes", "no"),
        "classes": np.where(x > 1.3, "yes", "no"),
        "unrelated numbers": chance.normal(size=300) * 3 + 50,
        "numbers": 3 * x + 50,
    }[target]
    Path("data.csv").write_text("x,y\n" + "".join(f"{a},{b}\n" for a, b in zip(x, y, strict=True)))


def train(capsys: pytest.CaptureFixture[str], *words: str) -> tuple[str, str, dict]:
    """(what the screen shows, in colour; the page; the summary) of a run that ends with 0."""
    assert main(["train", *WORDS, *words]) == 0
    (folder,) = Path("outputs").glob("2*/*")
    summary = json.loads((folder / "summary.json").read_text())
    assert summary["status"] == "ok"
    assert max(map(len, (folder / "train.log").read_text().splitlines())) <= 78
    return capsys.readouterr().out, (folder / "report.html").read_text(), summary


@pytest.fixture(autouse=True)
def _in_colour(monkeypatch: pytest.MonkeyPatch) -> None:
    for name, value in {"FORCE_COLOR": "1", "TERM": "xterm", "CI": "1"}.items():
        monkeypatch.setenv(name, value)
    monkeypatch.delenv("NO_COLOR", raising=False)


BEST_IN_GREEN = re.compile(r"\x1b\[1;32mbest ")
OK_BADGE = re.compile(r'<span class="status ok">ok')


@pytest.mark.parametrize(("target", "words", "answer", "value"), [
    ("unrelated classes", ["epochs=3"], "always answering 'no'", "val/acc 0.8"),
    ("unrelated numbers", ["epochs=3", "optimizer.lr=1e-5"], "predicting the mean", "val/r2 0.0000"),
])  # fmt: skip
def test_a_run_that_learned_nothing(
    target: str, words: list[str], answer: str, value: str, capsys: pytest.CaptureFixture[str]
) -> None:
    table(target)
    out, page, summary = train(capsys, *words)
    said = " ".join(re.sub(r"\x1b\[[\d;]*m", "", out).split())
    assert f"warning the model does no better than {answer}, which gives {value}" in said
    assert not BEST_IN_GREEN.search(out)
    assert not OK_BADGE.search(page)
    assert f"does no better than {answer.replace(chr(39), '&#39;')}" in page
    assert summary["baseline"]["answer"] == answer
    if target == "unrelated classes":
        share = (270 - 60 * summary["baseline"]["val/acc"]) / 240  # of the training rows: the rest of 270 in 300
        assert f"no {share:.1%}, yes {1 - share:.1%}; always answering 'no' gives train/acc {share:.4f}" in said
        assert "try: more epochs, or loss.weight=balanced with monitor=val/f1" in said
        best, base = summary["best"], summary["baseline"]
        assert {name: best[name] for name in ("val/acc", "val/f1", "val/balanced_acc")} == pytest.approx(
            {name: base[name] for name in ("val/acc", "val/f1", "val/balanced_acc")}, rel=1e-15
        )
        assert best["val/balanced_acc"] == 0.5
    else:
        assert re.search(r"predicting the mean gives r2 0, train/mse \d\.\d+", said)
        assert "try: more epochs, or another optimizer.lr" in said


@pytest.mark.parametrize("target", ["classes", "numbers"])
def test_a_run_that_learned_something(target: str, capsys: pytest.CaptureFixture[str]) -> None:
    table(target)
    out, page, _ = train(capsys, "epochs=60", "optimizer.lr=0.02")
    assert "no better than" not in out + page
    assert BEST_IN_GREEN.search(out)
    assert OK_BADGE.search(page)


def test_the_monitored_metric_is_compared_if_the_baseline_has_it() -> None:
    weak = {"val/acc": 0.85, "val/f1": 0.7, "val/balanced_acc": 0.8, "val/loss": 0.3}
    base = of_classes(["no", "yes"], [9, 1], [90, 10])
    assert base.metrics == pytest.approx({"val/acc": 0.9, "val/f1": 2 * 0.9 / 1.9 / 2, "val/balanced_acc": 0.5})
    assert [base.missed(monitor, weak) for monitor in ("val/acc", "val/loss", "val/f1")] == ["val/acc", "val/acc", None]
    assert base.missed("val/acc", weak | {"val/acc": 0.91}) is None
    assert Baseline("", {"val/r2": 0.0}).missed("val/loss", {"val/loss": 1.0, "val/r2": -0.1}) == "val/r2"
    assert Baseline("", {"val/r2": 0.0}).missed("val/loss", {"val/loss": 1.0, "val/r2": float("nan")}) is None
    assert Baseline().missed("val/acc", weak) is of_classes(["a"], [0], [0]).missed("val/acc", weak) is None


def test_the_baseline_answers_what_is_frequent_in_training_and_is_measured_on_validation() -> None:
    """By scikit-learn, which knows no class of the training rows but those it sees."""
    metrics = pytest.importorskip("sklearn.metrics")
    for counts in ([6, 10, 4], [0, 10, 4]):
        found = of_classes(["a", "b", "c"], [50, 30, 20], counts)
        truth = [label for label, count in enumerate(counts) for _ in range(count)]
        answers = [0] * len(truth)
        assert found.answer == "always answering 'a'"
        assert found.metrics["val/acc"] == pytest.approx(metrics.accuracy_score(truth, answers))
        assert found.metrics["val/f1"] == pytest.approx(metrics.f1_score(truth, answers, average="macro"))
        recall = metrics.recall_score(truth, answers, labels=sorted(set(truth)), average="macro", zero_division=0)
        assert found.metrics["val/balanced_acc"] == pytest.approx(recall)


CROSS_ENTROPY = "torch.nn.CrossEntropyLoss"


@pytest.mark.parametrize(
    ("counts", "loss", "expected"),
    [
        ((50, 50), {"_target_": CROSS_ENTROPY}, "another optimizer.lr"),
        ((90, 10), {"_target_": CROSS_ENTROPY}, "loss.weight=balanced with monitor=val/f1"),  # of loss=auto
        ((90, 10), {"_target_": CROSS_ENTROPY, "weight": None}, "loss.weight=balanced with monitor=val/f1"),
        ((90, 10), {"_target_": CROSS_ENTROPY, "weight": [1.0, 9.0]}, "another optimizer.lr"),  # they are typed already
        ((90, 10), {"_target_": "torch.nn.HingeEmbeddingLoss"}, "another optimizer.lr"),
        (None, {"_target_": CROSS_ENTROPY}, "another optimizer.lr"),  # of a Dataset that is read row by row
    ],
)
def test_weights_are_advised_where_they_can_help(counts: tuple[int, ...] | None, loss: dict, expected: str) -> None:
    facts = SimpleNamespace(class_counts=counts)
    setup = SimpleNamespace(config=SimpleNamespace(loss=loss), splits=SimpleNamespace(facts=facts))
    assert remedy(setup) == expected


def test_uneven_classes_may_be_monitored_by_their_own_metrics(capsys: pytest.CaptureFixture[str]) -> None:
    table("classes")
    out, _, summary = train(capsys, "epochs=2", "monitor=val/balanced_acc", "report=true")
    assert "monitored: val/balanced_acc" in out
    assert summary["monitor"] == "val/balanced_acc"
    assert main(["eval"]) == 0
    assert re.findall(r"^val/(\S+)", capsys.readouterr().out, re.M) == ["loss", "acc", "f1", "balanced_acc"]


def test_r2_of_one_validation_row_is_left_out_and_said(capsys: pytest.CaptureFixture[str]) -> None:
    table("numbers")
    out, _, summary = train(capsys, "epochs=1", "dataset.val_fraction=0.0034")
    assert "r2 is undefined for a single row of validation" in out
    assert not {"val/r2", "baseline"} & {*summary["best"], *(["baseline"] if summary["baseline"] else [])} - {
        "baseline"
    }
    assert main(["train", *WORDS, "dataset.val_fraction=0.0034", "monitor=val/r2"]) == 2
    assert "it has train/loss, val/loss, val/mse, val/mae\n  try: monitor=auto\n" in capsys.readouterr().err
    Path("one.csv").write_text("x,y\n1,2\n")
    assert main(["eval", "latest", "dataset.path=one.csv"]) == 0
    assert re.search(r"^r2 +undefined$", capsys.readouterr().out, re.M)


def test_eval_measures_the_split_that_is_typed(capsys: pytest.CaptureFixture[str]) -> None:
    table("numbers")
    train(capsys, "epochs=1")
    for words, split, rows in (([], "val", 60), (["split=val"], "val", 60), (["split=train"], "train", 240)):
        assert main(["eval", "latest", *words]) == 0
        said = capsys.readouterr().out
        assert f"data     data: {rows} rows of the {split} split" in said
        assert f"\n{split}/mse " in said
    for words, hint in (
        (["split=test"], "split=val"),
        (["split=rest"], "split=val"),
        (["--split", "train"], "split=train"),
        (["split=val", "dataset.path=data.csv"], "leave split out"),
    ):
        assert main(["eval", "latest", *words]) == 2
        assert f"try: {hint}\n" in capsys.readouterr().err
