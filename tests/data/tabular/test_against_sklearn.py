"""Real tables as plain CSV files, by the command line's own path: as good as scikit-learn's MLP with its defaults.

python -m pytest -m slow -s tests/data/tabular/test_against_sklearn.py        prints mean ± std of five seeds
"""

import csv
import statistics
import warnings
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from conftest import config

from trainer.build.build import build
from trainer.loop import evaluate, train

SEEDS = range(5)
pytestmark = [pytest.mark.slow, pytest.mark.optional]


def write(path: Path, x: Any, y: Any, names: list[str]) -> None:
    with path.open("w", newline="") as file:
        writer = csv.writer(file)
        writer.writerow([*names, "target"])
        writer.writerows([*map(repr, map(float, row)), label] for row, label in zip(x, y, strict=True))


def ours(folder: Path, x: Any, y: Any, names: list[str], split: tuple, seed: int) -> float:
    """Test accuracy or R² of `trainer train dataset=table …`; all training rows train, as theirs do."""
    for name, rows in zip(("train.csv", "test.csv"), split, strict=True):
        write(folder / name, x[rows], y[rows], names)
    words = ["dataset=table", "dataset.path=train.csv", "dataset.test_path=test.csv", "dataset.target=target"]
    run, _ = build(config(*words, f"seed={seed}", "threads=1", "epochs=100", "dataset.val_fraction=0"))
    for _ in train(run):
        pass
    metrics = evaluate(run, run.test_batches, "test")
    return metrics["test/acc"] if run.facts.classes is not None else metrics["test/r2"]


def theirs(x: Any, y: Any, split: tuple, seed: int, make: Callable, *, scaled: bool) -> float:
    preprocessing, pipeline = pytest.importorskip("sklearn.preprocessing"), pytest.importorskip("sklearn.pipeline")
    model = make(random_state=seed)
    if scaled:
        model = pipeline.make_pipeline(preprocessing.StandardScaler(), model)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # it says that 200 iterations are too few
        model.fit(x[split[0]], y[split[0]])
    return model.score(x[split[1]], y[split[1]])


@pytest.mark.parametrize("name", ["breast_cancer", "wine", "diabetes"])
def test_as_good_as_scikit_learns_mlp(tmp_path: Path, name: str) -> None:
    datasets, network = pytest.importorskip("sklearn.datasets"), pytest.importorskip("sklearn.neural_network")
    data = getattr(datasets, f"load_{name}")()
    classes = hasattr(data, "target_names")
    y = np.array([data.target_names[label] for label in data.target]) if classes else data.target
    make = network.MLPClassifier if classes else network.MLPRegressor
    scores: dict[str, list[float]] = {"ours": [], "scikit-learn": [], "scikit-learn, scaled": []}
    for seed in SEEDS:
        order = np.random.default_rng(seed).permutation(len(y))
        split = (order[len(y) // 4 :], order[: len(y) // 4])
        scores["ours"].append(ours(tmp_path, data.data, y, list(data.feature_names), split, seed))
        for which, scaled in (("scikit-learn", False), ("scikit-learn, scaled", True)):
            scores[which].append(theirs(data.data, y, split, seed, make, scaled=scaled))
    for which, values in scores.items():
        print(f"{name:<14}{which:<22}{statistics.mean(values):.3f} ± {statistics.stdev(values):.3f}")
    assert statistics.mean(scores["ours"]) >= statistics.mean(scores["scikit-learn"])
