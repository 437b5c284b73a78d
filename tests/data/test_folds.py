"""Folds, test rows and shares of the training rows: what each cut promises, on many random data sets."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from trainer.data.folds import label_folds
from trainer.data.roles import LEFT_OUT, TEST, TRAIN, VAL
from trainer.data.splitting import Rule, Splitting
from trainer.errors import ConfigError

RULES = ("random", "stratified", "group", "time", "labels")


def made(name: str, num_rows: int, seed: int) -> Rule:
    """Rows whose classes, groups, labels and times are drawn."""
    generator = np.random.default_rng(seed)
    values = {
        "random": np.zeros(num_rows),
        "stratified": np.array([0, 0, 0, 0, 0, 0, 1, 1, 1, 2])[generator.permutation(num_rows) % 10],
        "group": np.unique(generator.integers(0, num_rows // 3, num_rows), return_inverse=True)[1],
        "time": generator.random(num_rows),
        "labels": generator.random((num_rows, 4)) < (0.5, 0.3, 0.1, 0.05),
    }
    return Rule(name, values[name])


def cut(rule: Rule, **keys: object) -> list[np.ndarray]:
    """The roles of every row, of each fold of each repeat."""
    how = Splitting(split=rule.name, **keys)  # type: ignore[arg-type]
    return [Splitting(**{**vars(how), "fold": fold}).draw(rule) for fold in range(how.folds * how.repeats)]


@given(st.sampled_from(RULES), st.integers(60, 300), st.integers(2, 5), st.integers(0, 2**31))
def test_every_row_validates_once_and_the_test_is_the_same_for_all(name: str, rows: int, folds: int, seed: int) -> None:
    rule, repeats = made(name, rows, seed), 1 if name == "time" else 2
    drawn = cut(rule, folds=folds, repeats=repeats, test_fraction=0.2, split_seed=seed, test_seed=7)
    test = drawn[0] == TEST
    assert abs(test.sum() - 0.2 * rows) <= (0.1 * rows if name == "group" else 3), (
        "of groups as near as whole ones come"
    )
    assert all(((roles == TEST) == test).all() for roles in drawn)
    other = cut(rule, folds=folds, test_fraction=0.2, split_seed=seed + 1, test_seed=7)
    assert ((other[0] == TEST) == test).all(), "split_seed does not move the test"
    times = np.sum([roles == VAL for roles in drawn], axis=0)
    if name == "time":
        order = np.argsort(rule.values[~test])
        size = (~test).sum() // (folds + 1)
        assert times[~test][order].tolist() == [0] * ((~test).sum() - folds * size) + [1] * folds * size
        assert rule.values[test].min() > rule.values[~test].max(), "the test is the latest rows"
    else:
        assert (times[~test] == repeats).all()
        assert not times[test].any()
        assert any((first != second).any() for first, second in zip(drawn, drawn[folds:], strict=False))
    for roles in drawn:
        val, train = rule.values[roles == VAL], rule.values[roles == TRAIN]
        if name == "time":
            assert train.max() < val.min(), "only earlier rows train"
            assert (rule.values[roles == LEFT_OUT] > val.max()).all()
        else:
            assert not (roles == LEFT_OUT).any()
        if name == "group":
            assert not {*val} & {*train}
            assert not {*rule.values[test]} & {*val, *train}
        if name == "stratified":
            for code in range(3):
                assert abs((val == code).sum() - (rule.values[~test] == code).sum() / folds) < 1


@given(st.sampled_from(RULES), st.integers(60, 300), st.integers(0, 2**31))
def test_shares_of_the_training_rows_are_nested_and_leave_the_others_alone(name: str, rows: int, seed: int) -> None:
    rule, before = made(name, rows, seed), None
    for fraction in (1.0, 0.5, 0.3, 0.1):
        how = Splitting(split=name, val_fraction=0.2, test_fraction=0.1, split_seed=seed, fraction=fraction)
        roles = how.draw(rule)
        whole = Splitting(**{**vars(how), "fraction": 1.0}).draw(rule)
        assert all(((roles == role) == (whole == role)).all() for role in (VAL, TEST))
        train = {*np.flatnonzero(roles == TRAIN)}
        assert abs(len(train) - fraction * (whole == TRAIN).sum()) <= 2
        assert train
        assert before is None or train < before
        before = train


def test_the_folds_have_the_properties_of_scikit_learns() -> None:
    """Sizes of each fold, and of each class in it, as its KFold, StratifiedKFold and TimeSeriesSplit cut them."""
    selection = pytest.importorskip("sklearn.model_selection")
    for seed in range(20):
        for ours, theirs in (
            ("random", selection.KFold(5)),
            ("stratified", selection.StratifiedKFold(5)),
            ("time", selection.TimeSeriesSplit(5)),
        ):
            rule = made(ours, 203, seed)
            values = np.sort(rule.values) if ours == "time" else rule.values
            drawn = cut(Rule(ours, values), folds=5)
            split = list(theirs.split(values[:, None], values if ours == "stratified" else None))
            mine = [(roles == VAL).sum() for roles in drawn]
            assert sorted(mine) == sorted(len(val) for _, val in split)
            if ours == "time":
                for roles, (train, val) in zip(drawn, split, strict=True):
                    assert np.flatnonzero(roles == TRAIN).tolist() == train.tolist()
                    assert np.flatnonzero(roles == VAL).tolist() == val.tolist()
            if ours == "stratified":
                for code in range(3):
                    counts = sorted(int(((values == code) & (roles == VAL)).sum()) for roles in drawn)
                    assert counts == sorted(int((values[val] == code).sum()) for _, val in split)


def label_distribution(labels: np.ndarray, folds: np.ndarray, count: int) -> float:
    """How far the odds of each label in a fold are from those in all rows, on average: LD of Sechidis et al. 2011."""

    def odds(rows: np.ndarray) -> np.ndarray:
        return rows.sum(0) / np.maximum(1, (~rows).sum(0))

    return float(np.mean([np.abs(odds(labels[folds == fold]) - odds(labels)) for fold in range(count)]))


def test_labels_are_stratified_as_by_the_reference_implementation() -> None:
    """20 random label sets, beside the package iterative-stratification: no worse over all, and no fold is far off."""
    iterstrat = pytest.importorskip("iterstrat.ml_stratifiers")
    mine, theirs = [], []
    for seed in range(20):
        labels = made("labels", 200, seed).values
        folds = label_folds(labels, np.full(5, 0.2), seed)
        reference = np.empty(200, dtype=int)
        splitter = iterstrat.MultilabelStratifiedKFold(5, shuffle=True, random_state=seed)
        for fold, (_, rows) in enumerate(splitter.split(labels, labels)):
            reference[rows] = fold
        mine.append(label_distribution(labels, folds, 5))
        theirs.append(label_distribution(labels, reference, 5))
        for label in range(4):
            counts = np.bincount(folds[labels[:, label]], minlength=5)
            assert counts.max() - counts.min() <= 2, (seed, label, counts)
        assert np.ptp(np.bincount(folds)) <= 2
    assert np.mean(mine) <= 1.05 * np.mean(theirs)


@pytest.mark.parametrize(
    ("name", "keys", "message"),
    [
        ("random", {"folds": 70}, "dataset.folds=70, but there are only 60 rows"),
        ("group", {"folds": 30}, "but there are only .* groups"),
        ("stratified", {"folds": 40}, "but there (is|are) only .* rows? of the class 2"),
        ("time", {"folds": 60}, "but there are only 60 rows"),
        ("time", {"folds": 3, "repeats": 2}, "cuts the same folds each time"),
        ("random", {"fold": 2}, "without dataset.folds"),
        ("random", {"folds": 5, "fold": 5}, "the folds of dataset.folds=5 are 0 to 4"),
    ],
)
def test_folds_that_cannot_be_cut_are_refused(name: str, keys: dict[str, int], message: str) -> None:
    with pytest.raises(ConfigError, match=message):
        Splitting(split=name, **keys).draw(made(name, 60, 0))  # type: ignore[arg-type]
