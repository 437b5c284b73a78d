"""Paired differences: by hand, and how often the 95% interval holds the truth where validation rows are drawn too."""

import math
import re
from pathlib import Path

import numpy as np
import pytest

from trainer.compare.interval import student
from trainer.compare.paired import Difference, over_seeds, over_splits
from trainer.compare.row_variance import of_mean

TRUE = 0.3  # the difference over all rows that there could be
TRIES = 1000


def test_seeds_of_one_split_by_hand() -> None:
    """s² of 1, 2, 3 is 1, t(2) 4.3027: √(4.3027² · 1/3 + 1.96² · 0.01) = 2.4919."""
    found = over_seeds([1.0, 2.0, 3.0], 0.01, 200)
    assert found == Difference(2.0, pytest.approx(2.4919, abs=2e-4), 3, 1, 200)
    assert not found.is_clear
    assert over_seeds([1.0, 2.0, 3.0]).half == pytest.approx(4.3027 / math.sqrt(3), abs=1e-4)
    assert over_seeds([1.0, 3.0], 0.01, 200).half == pytest.approx(0.196, abs=1e-4), "two pairs: the rows alone"
    assert over_seeds([1.0]).half is None


def test_splits_by_hand() -> None:
    """Means 1, 2, 3 of two seeds each; a quarter as many rows validate as train: 4.3027 · √(1 · (1/3 + 1/4))."""
    found = over_splits([[0.5, 1.5], [2.0, 2.0], [2.0, 4.0]], 0.25)
    assert found == Difference(2.0, pytest.approx(3.2862, abs=2e-4), 2, 3)
    assert over_splits([[1.0], [1.0], [1.0]], 0.25).half is None, "equal differences tell no spread"
    assert over_splits([[1.0], [2.0]], 0.25, 0.01, 80).half == pytest.approx(0.196, abs=1e-4)


def test_the_variance_of_a_mean() -> None:
    values = np.random.default_rng(0).normal(size=50)
    assert of_mean(values) == pytest.approx(values.var(ddof=1) / 50)
    assert of_mean(values, np.full(50, 2.0)) == pytest.approx(values.var(ddof=1) / 50)
    assert math.isnan(of_mean(values[:1]))


class Table:
    """The rows of one try. What a row adds to the difference when it validates, and when it trains, is drawn with it; a
    seed and each single answer add their own chance."""

    def __init__(self, generator: np.random.Generator, num_rows: int = 300) -> None:
        self.generator, self.num_rows = generator, num_rows
        self.validates, self.trains = generator.normal(size=(2, num_rows))

    def run(self, val: np.ndarray, seed: float) -> np.ndarray:
        """The differences of one pair of runs on its validation rows. val: which rows validate."""
        trained = self.trains[np.setdiff1d(np.arange(self.num_rows), val)].mean()
        noise = self.generator.normal(scale=0.3, size=len(val))
        return TRUE + self.validates[val] + 0.5 * trained + 0.06 * seed + noise


def seeds_on_one_split(generator: np.random.Generator, count: int) -> tuple[Difference, list[float]]:
    table = Table(generator)
    val = generator.permutation(300)[:60]
    # The rows to train on are part of the question: this table's, not those of another.
    table.trains[:] = 0
    rows = np.stack([table.run(val, seed) for seed in generator.normal(size=count)])
    means = rows.mean(1).tolist()
    return over_seeds(means, of_mean(rows.mean(0)), 60), means


def several_splits(generator: np.random.Generator, count: int, *, folds: bool) -> tuple[Difference, list[float]]:
    table, order = Table(generator), generator.permutation(300)
    cut = np.array_split(order, count) if folds else [generator.permutation(300)[:60] for _ in range(count)]
    means = [float(table.run(val, generator.normal()).mean()) for val in cut]
    size = len(cut[0])
    return over_splits([[mean] for mean in means], size / (300 - size)), means


CASES = {
    **{f"{n} seeds": (lambda g, n=n: seeds_on_one_split(g, n)) for n in (3, 5, 10, 30)},
    "5 folds": lambda g: several_splits(g, 5, folds=True),
    **{f"{n} split seeds": (lambda g, n=n: several_splits(g, n, folds=False)) for n in (5, 10, 30)},
}


def plain(differences: list[float]) -> float:
    """Half of Student's interval, as if the pairs were independent."""
    n = len(differences)
    return student(n - 1) * float(np.std(differences, ddof=1)) / math.sqrt(n)


@pytest.mark.parametrize("name", CASES)
def test_how_often_the_interval_holds_the_truth(name: str) -> None:
    generator = np.random.default_rng(0)
    found = [CASES[name](generator) for _ in range(TRIES)]
    covered = np.mean([abs(one.mean - TRUE) <= one.half for one, _ in found])
    naive = np.mean([abs(one.mean - TRUE) <= plain(means) for one, means in found])
    width = np.mean([2 * one.half for one, _ in found])
    print(f"{name}: {covered:.1%} covered, {width:.3f} wide; a plain t covers {naive:.1%}")
    assert 0.92 <= covered <= 0.99
    if name in ("10 seeds", "30 seeds", "30 split seeds"):
        assert naive < 0.6, "and that is what the other terms are for"


def test_two_runs_say_what_differs(capsys: pytest.CaptureFixture[str]) -> None:
    """Config, code and data; with another split_seed other rows validate."""
    from trainer.cli import main

    runs = []  # named in order: folders of the same second are listed in any
    for words in ([], ["optimizer.lr=0.01", "dataset.split_seed=3"]):
        assert main(["train", "dataset=wine", "max_steps=2", "report=false", *words]) == 0
        runs.append(str(Path("outputs/latest").resolve().relative_to(Path.cwd())))
    capsys.readouterr()
    assert main(["compare", *runs]) == 0
    said = " ".join(capsys.readouterr().out.split())
    assert "config optimizer.lr: 0.002 and 0.01" in said
    assert re.search(r"data rows that validate: 35 \(\w{8}\) and 35 \(\w{8}\)", said)
    assert "the same code" in said
