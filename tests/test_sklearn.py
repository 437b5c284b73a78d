"""trainer.sklearn: scikit-learn's own checks, and its pipelines, grids, copies and pickles."""

import copy
import pickle
import warnings
from collections import Counter
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from torch import nn

pytest.importorskip("sklearn", minversion="1.6")

from sklearn.base import clone
from sklearn.datasets import load_iris
from sklearn.exceptions import NotFittedError
from sklearn.model_selection import GridSearchCV, cross_val_score
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler
from sklearn.utils.estimator_checks import check_estimator

import trainer
from trainer.errors import ConfigError
from trainer.sklearn import Classifier, Regressor

pytestmark = pytest.mark.optional

EXPECTED = {  # docs/python.md quotes both
    "check_do_not_raise_errors_in_init_or_set_params": "it sets a key named `settings`, and trainer refuses keys that "
    "it does not have at once, not in the middle of a grid",
    "check_methods_subset_invariance": "in float32 a product of matrices rounds differently for another number of "
    "rows: by 2e-7, and the check allows 1e-7",
}
X, Y = load_iris(return_X_y=True)
QUICK = {"epochs": 5, "device": "cpu", "threads": 1, "optimizer__lr": 0.01}


@pytest.mark.slow
@pytest.mark.parametrize("kind", [Classifier, Regressor])
def test_scikit_learns_own_checks(kind: Any) -> None:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        found = check_estimator(kind(), expected_failed_checks=EXPECTED, on_fail=None, on_skip=None)
    counts = Counter(check["status"] for check in found)
    assert counts["failed"] == 0, [check for check in found if check["status"] == "failed"]
    assert counts["passed"] >= 50
    assert counts["skipped"] <= 1  # the array API, which no environment variable has turned on


def test_it_fits_silently_and_leaves_nothing(capfd: pytest.CaptureFixture[str], tmp_path: Path) -> None:
    torch.manual_seed(0)
    net = nn.Sequential(nn.Linear(4, 8), nn.ReLU(), nn.Linear(8, 3))
    start = copy.deepcopy(net.state_dict())
    model = Classifier(net, **QUICK).fit(X, np.array(["a", "b", "c"])[Y])
    assert capfd.readouterr() == ("", "")
    assert list(tmp_path.rglob("*")) == []
    assert all((start[name] == tensor).all() for name, tensor in net.state_dict().items())  # a copy was trained
    assert set(model.predict(X)) <= {"a", "b", "c"}
    assert model.score(X, np.array(["a", "b", "c"])[Y]) > 0.5
    assert model.predict_proba(X).sum(1) == pytest.approx(1)
    assert not model.result_.run_dir.exists()
    kept = Classifier(**QUICK, output_dir="kept").fit(X, Y)
    assert (kept.result_.run_dir / "config.yaml").is_file()


def test_copies_and_pickles_predict_the_same() -> None:
    model = Regressor(**QUICK).fit(X[:, :3], X[:, 3])
    expected = model.predict(X[:, :3])
    for other in (copy.deepcopy(model), pickle.loads(pickle.dumps(model))):
        assert np.array_equal(other.predict(X[:, :3]), expected)
        assert other.model_ is not model.model_
    with pytest.raises(NotFittedError):
        clone(model).predict(X)
    two = Regressor(**QUICK).fit(X[:, :2], X[:, 2:])
    assert two.predict(X[:, :2]).shape == (150, 2)


def test_settings_are_trainers_keys() -> None:
    model = trainer.sklearn.Classifier(optimizer="sgd", optimizer__lr=0.5)
    assert clone(model).get_params() == model.get_params()
    assert model.set_params(optimizer__lr=0.25, loader__batch_size=50).get_params()["optimizer__lr"] == 0.25
    assert model.fit(X, Y).result_.config.optimizer["lr"] == 0.25
    assert model.result_.config.loader.batch_size == 50
    with pytest.raises(ValueError, match="no such key"):
        model.set_params(learning_rate=1)
    with pytest.raises(ConfigError, match=r"no key 'optimizer\.lrr'"):
        Classifier(optimizer__lrr=1).fit(X, Y)


@pytest.mark.slow
def test_a_pipeline_and_a_grid_in_two_processes() -> None:
    steps = make_pipeline(StandardScaler(), Classifier(**QUICK))
    grid = GridSearchCV(steps, {"classifier__optimizer__lr": [1e-6, 0.02]}, n_jobs=2, cv=3, error_score="raise")
    grid.fit(X, Y)
    assert grid.best_params_ == {"classifier__optimizer__lr": 0.02}
    assert grid.best_score_ > 0.8
    alone = cross_val_score(clone(steps).set_params(classifier__optimizer__lr=0.02), X, Y, cv=3)
    assert alone.mean() == pytest.approx(grid.best_score_)
