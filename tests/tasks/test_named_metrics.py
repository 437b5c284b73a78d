"""Metrics by name against scikit-learn's on the same predictions: uneven batches, missing classes, ranks, some of them
without rows; and what is refused before anything is spent."""

import json
import sys
from typing import Any

import numpy as np
import pytest
import together
import torch
from conftest import Cli, config
from torch import Tensor

from trainer.build.asked import choose
from trainer.build.build import build
from trainer.compare import ranking
from trainer.compare.protocol import Protocol
from trainer.compare.rows import Row
from trainer.config import asked_metrics
from trainer.data.facts import Facts, Spec
from trainer.data.meaning import Meaning
from trainer.data.scaling import Standardize
from trainer.errors import ConfigError
from trainer.processes.ranks import Ranks
from trainer.tasks import kinds as tasks
from trainer.tasks import metric_choice

pytestmark = pytest.mark.optional
torchmetrics = pytest.importorskip("torchmetrics")
theirs = pytest.importorskip("sklearn.metrics")
stats = pytest.importorskip("scipy.stats")

IRIS = ["dataset=iris", "threads=1", "device=cpu"]


def values(task: str, entries: list[Any], prediction: Tensor, y: Tensor, size: int, **how: Any) -> list[float]:
    """The metrics that entries ask for, of batches of 13 rows that `size` ranks take in turn."""
    axis, scale = how.get("axis", 1), how.get("scale")
    num_outputs = prediction.shape[axis]
    names = [f"c{n}" for n in range(num_outputs)] if task not in ("numbers", "input") else None
    facts = Facts(Spec((1,)), Meaning(task, "", names, num_outputs, how.get("ignored", -100)))

    def make() -> tasks.Task:
        made = tasks.make(facts, scale, axis)
        own, made.named = metric_choice.chosen(asked_metrics.read(entries), made)
        assert not own
        return made

    batches = list(zip(prediction.split(13), y.split(13), strict=True))
    found = together.measured(make, [], batches, size)
    assert all(str(one) == str(found[0]) for one in found)
    return [value for name, value in found[0].items() if name != "val/loss"]


def classes(num_rows: int = 101) -> tuple[Tensor, Tensor]:
    """Logits for six classes and targets: in order, so that most batches have few classes; class 3 is never true but
    predicted, class 5 neither."""
    chance = torch.Generator().manual_seed(7)
    y = (torch.rand(num_rows, generator=chance) ** 2 * 5).long().sort().values
    y[y == 3] = 4
    logits = torch.randn(num_rows, 6, generator=chance) + 1.5 * torch.nn.functional.one_hot(y, 6)
    logits[:, 5] = -30.0
    return logits, y


@pytest.mark.parametrize("size", [1, 2, 10])  # of 8 batches: of 10 ranks, two have none
def test_twelve_metrics_of_classes(size: int) -> None:
    logits, y = classes()
    p = logits.double().softmax(1).numpy()
    truth, guess = y.numpy(), logits.argmax(1).numpy()
    there = sorted(set(truth))
    macro = {"average": "macro", "zero_division": 0.0}
    one, one_guess = truth == 1, guess == 1
    expected = {
        "auroc": np.mean([theirs.roc_auc_score(truth == c, p[:, c]) for c in there]),
        "average_precision": np.mean([theirs.average_precision_score(truth == c, p[:, c]) for c in there]),
        "precision": theirs.precision_score(truth, guess, **macro),
        "recall": theirs.recall_score(truth, guess, **macro),
        "cohen_kappa": theirs.cohen_kappa_score(truth, guess),
        "matthews_corrcoef": theirs.matthews_corrcoef(truth, guess),
        "hamming_distance,micro": theirs.hamming_loss(truth, guess),
        "f1,weighted": theirs.f1_score(truth, guess, average="weighted"),
        "iou,weighted": theirs.jaccard_score(truth, guess, average="weighted"),
        "fbeta_score": theirs.fbeta_score(truth, guess, beta=2, **macro),
        "f1,binary": theirs.f1_score(one, one_guess),
        "auroc,binary": theirs.roc_auc_score(one, p[:, 1]),
        "average_precision,binary": theirs.average_precision_score(one, p[:, 1]),
        "cohen_kappa,binary": theirs.cohen_kappa_score(one, one_guess),
        "accuracy,macro": theirs.recall_score(truth, guess, **macro),
        "specificity": np.mean([theirs.recall_score(truth != c, guess != c) for c in [*there, 3]]),
    }
    entries = []
    for name in expected:
        node: dict[str, Any] = dict(zip(("name", "average"), name.split(","), strict=False))
        node |= {"positive": "c1"} if node.get("average") == "binary" else {}
        node |= {"beta": 2} if name == "fbeta_score" else {"as": "recall2"} if name == "accuracy,macro" else {}
        entries.append(node)
    found = values("classes", entries, logits, y, size)
    assert dict(zip(expected, found, strict=True)) == pytest.approx(expected, abs=1e-6)


@pytest.mark.parametrize("size", [1, 2])
@pytest.mark.parametrize(("task", "axis", "ignored"), [("tokens", 2, -100), ("pixels", 1, 255), ("tokens", 1, 0)])
def test_positions_that_are_ignored(task: str, axis: int, ignored: int, size: int) -> None:
    chance = torch.Generator().manual_seed(1)
    shape = (30, 6) if task == "tokens" else (30, 3, 4)
    y = torch.randint(1, 4, shape, generator=chance)
    y[torch.rand(shape, generator=chance) < 0.4] = ignored
    logits = torch.randn(*shape, 4, generator=chance)
    truth, p = y[y != ignored].numpy(), logits[y != ignored].double().softmax(1).numpy()
    guess = p.argmax(1)
    expected = [
        theirs.precision_score(truth, guess, average="macro", zero_division=0.0),
        np.mean([theirs.roc_auc_score(truth == c, p[:, c]) for c in (1, 2, 3)]),
        theirs.f1_score(truth == 2, guess == 2),
    ]
    entries = ["precision", "auroc", {"name": "f1", "positive": "c2"}]
    found = values(task, entries, logits.movedim(-1, axis), y, size, axis=axis, ignored=ignored)
    assert found == pytest.approx(expected, abs=1e-6)


@pytest.mark.parametrize("size", [1, 2])
def test_labels(size: int) -> None:
    chance = torch.Generator().manual_seed(2)
    y = (torch.rand(90, 4, generator=chance) < torch.tensor([0.5, 0.1, 0.8, 0.0])).float()
    logits = torch.randn(90, 4, generator=chance) + y
    logits[:, 3] = -1.0  # a label that is never true and never answered
    truth, p = y.numpy(), logits.double().sigmoid().numpy()
    guess, there = p > 0.5, slice(0, 3)
    expected = [
        theirs.roc_auc_score(truth[:, there], p[:, there], average="macro"),
        theirs.average_precision_score(truth[:, there], p[:, there], average="macro"),
        theirs.precision_score(truth[:, there], guess[:, there], average="macro"),
        theirs.hamming_loss(truth, guess),
        theirs.label_ranking_average_precision_score(truth, p),
        theirs.jaccard_score(truth[:, 1], guess[:, 1]),
    ]
    entries = [
        "auroc",
        "average_precision",
        "precision",
        {"name": "hamming_distance", "average": "micro"},
        "multilabel_ranking_average_precision",
        {"name": "iou", "average": "binary", "positive": "c1"},
    ]
    assert values("labels", entries, logits, y, size) == pytest.approx(expected, abs=1e-6)


@pytest.mark.parametrize("size", [1, 2, 10])
@pytest.mark.parametrize("num_outputs", [1, 3])
def test_numbers_in_the_units_of_the_data(num_outputs: int, size: int) -> None:
    chance = torch.Generator().manual_seed(3)
    y = torch.randn(101, num_outputs, generator=chance)
    prediction = y + 0.3 * torch.randn(101, num_outputs, generator=chance)
    mean, std = (torch.full((num_outputs,), value, dtype=torch.float64) for value in (100.0, 3.0))
    scale = Standardize(mean, std, torch.float32)
    truth, guess = (part.double().numpy() * 3.0 + 100.0 for part in (y, prediction))
    columns = list(zip(truth.T, guess.T, strict=True))
    expected = [
        theirs.mean_absolute_percentage_error(truth, guess),
        theirs.explained_variance_score(truth, guess),
        np.mean([stats.spearmanr(*column)[0] for column in columns]),
        np.mean([stats.pearsonr(*column)[0] for column in columns]),
        theirs.mean_squared_error(truth, guess),
    ]
    entries = [
        "mean_absolute_percentage_error",
        "explained_variance",
        "spearman_corrcoef",
        "pearson_corrcoef",
        "mean_squared_error",
    ]
    found = values("numbers", entries, prediction, y, size, scale=scale)
    assert found == pytest.approx(expected, rel=1e-6)


def test_a_class_of_your_own_and_one_that_has_no_rows() -> None:
    logits, y = classes()
    entry = {"_target_": "torchmetrics.classification.MulticlassAccuracy", "average": "micro"}
    undefined = {"name": "auroc", "positive": "c5"}
    found = values("classes", [entry, undefined], logits, y, 2)
    assert found[0] == pytest.approx(float((logits.argmax(1) == y).double().mean()), abs=1e-6)
    assert np.isnan(found[1])
    assert [one.column for one in asked_metrics.read([entry, undefined])] == ["multiclass_accuracy", "auroc_c5"]


def test_a_run_measures_them_and_knows_their_direction() -> None:
    asked = "metrics=[f1,iou,auroc,{name: f1, average: binary, positive: setosa}]"
    run, _ = build(config(*IRIS, asked, "monitor=val/auroc"))
    assert run.metrics == ["loss", "acc", "f1", "iou"]
    assert [named.column for named in run.task.named] == ["auroc", "f1_setosa"]
    assert run.stopping.mode == "max"
    assert {"val/auroc", "val/f1_setosa", "val/iou", "val/loss"} <= run.stopping.modes.keys()


@pytest.mark.parametrize(
    ("asked", "text", "hint"),
    [
        ("[aurok]", "torchmetrics has no aurok. Did you mean auroc?", "'metrics=[auroc]'"),
        ("[mean_squared_error]", "mean_squared_error does not fit targets that are classes", "'metrics=[auroc]'"),
        ("[confusion_matrix]", "confusion_matrix does not fit outputs (16, 3)", "leave it out of metrics=[…]"),
        ("[roc]", "roc does not fit outputs (16, 3)", "leave it out of metrics=[…]"),
        ("[{name: f1, average: binary}]", "needs 'positive'", None),
        ("[{name: f1, positive: setos}]", "has positive: setos, but the classes are setosa", None),
        ("[{name: f1, averag: micro}]", "has no setting 'averag'. Did you mean average?", None),
        ("[{name: f1, average: mikro}]", "Expected argument `average`", None),
        ("[fbeta_score]", "needs the setting beta", "'metrics=[{name: fbeta_score, beta: VALUE}]'"),
        ("[{name: f1, top_k: 2}]", "f1 is what the classes task calls a metric of its own", "add 'as: NAME' to it"),
        ("[auroc,auroc]", "two of them would be reported as auroc", "add 'as: NAME' to one of them"),
        ("auroc", "metrics must be a list", "'metrics=[auroc]'"),
        ("[3]", "metrics.0=3 is not a metric", None),
        ("[{_target_: torch.nn.Identity}]", "makes a Identity, which is not a torchmetrics.Metric", None),
    ],
)
def test_what_is_refused_before_anything_is_spent(asked: str, text: str, hint: str | None) -> None:
    with pytest.raises(ConfigError) as caught:
        build(config(*IRIS, f"metrics={asked}"))
    assert text in caught.value.message
    assert hint in (None, caught.value.hint)


def test_without_the_library_only_the_task_s_own_are_measured(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in [name for name in sys.modules if name.split(".")[0] == "torchmetrics"]:
        monkeypatch.setitem(sys.modules, name, None)
    wanted = config(*IRIS, "metrics=[f1,balanced_acc]")
    run, setup = build(wanted)
    assert run.metrics == ["loss", "acc", "f1", "balanced_acc"]
    probed: Any = run  # its terms
    assert choose(wanted, run.task, probed, setup.splits, Ranks(size=2)) == ["f1", "balanced_acc"]
    with pytest.raises(ConfigError, match="torchmetrics, which is not installed") as caught:
        build(config(*IRIS, "metrics=[auroc]"))
    assert caught.value.hint == "pip install 'fiveline[metrics]'"


def row(name: str, auroc: float, modes: dict[str, str]) -> Row:
    metrics = {"val/auroc": auroc}
    return Row(name, {"lr": name}, "ok", "val/auroc", metrics, 1.0, 1, [], None, Protocol("iris"), modes=modes)


def test_runs_are_ranked_by_the_direction_that_they_recorded() -> None:
    modes = {"val/auroc": "max"}
    best = ranking.rank([row("a", 0.6, modes), row("b", 0.9, modes), row("c", 0.7, modes)], "val/auroc")
    assert (best.mode, best.best and best.best.name) == ("max", "b")
    assert [group.rows[0].name for group in best.groups] == ["b", "c", "a"]
    old = ranking.rank([row("a", 0.6, {}), row("b", 0.9, {})], "val/auroc")  # of version 0.1.0: nothing is known
    assert old.mode == "min"


@pytest.mark.slow
def test_a_sweep_by_a_metric_that_no_task_has_ranks_the_right_way_up(cli: Cli) -> None:
    words = ["dataset=iris", "epochs=3", "report=false", "threads=1", "metrics=[auroc]", "monitor=val/auroc"]
    done = cli("train", "-m", *words, "optimizer.lr=1e-6,0.05")
    assert (done.returncode, done.stderr) == (0, "")
    assert "by val/auroc (max)" in done.stdout
    found = json.loads(cli("compare", "latest", "--json").stdout)
    first, last = (group["mean"] for group in found["groups"])
    assert found["mode"] == "max"
    assert first > last
    assert found["groups"][0]["settings"] == {"optimizer.lr": "0.05"}
    measured = cli("eval", "latest", "split=val")
    (line,) = (line.split() for line in measured.stdout.splitlines() if line.startswith("val/auroc"))
    assert line[1] == f"{first:.4f}"
