"""loader.sampler=balanced: every class as often as the others, f(seed, epoch), also after a kill and across ranks."""

from pathlib import Path

import numpy as np
import pytest
import torch
from conftest import config
from hypothesis import given
from hypothesis import strategies as st

from trainer.build.build import build
from trainer.data.balanced import balanced_order
from trainer.errors import ConfigError


@given(
    st.lists(st.integers(-1, 4), min_size=1, max_size=200).filter(lambda labels: max(labels) >= 0), st.integers(0, 99)
)
def test_classes_come_equally_often_and_their_rows_in_turn(labels: list[int], seed: int) -> None:
    y = torch.tensor(labels)
    order = balanced_order(y, seed)
    assert len(order) == len(y)
    counts = torch.bincount(y[order])[y[y >= 0].unique()]
    assert counts.max() - counts.min() <= 1
    for label in y[y >= 0].unique():
        times = torch.bincount(order, minlength=len(y))[y == label]
        assert times.max() - times.min() <= 1, "no row comes again before all of its class have come"
    assert not (y[order] < 0).any(), "what does not count does not come"
    assert torch.equal(order, balanced_order(y, seed))


def rare(path: Path) -> list[str]:
    """Words that train on 300 rows of which one in ten is of the second class."""
    y = (np.arange(300) % 10 == 0).astype(int)
    np.savez(path, x=np.random.default_rng(0).normal(size=(300, 4)) + y[:, None], y=y)
    return ["dataset=npz", f"dataset.path={path}", "loader.sampler=balanced", "dataset.val_fraction=0"]


@pytest.mark.parametrize("words", [["loader.in_memory=true"], ["loader.num_workers=2", "loader.in_memory=false"]])
def test_an_epoch_of_a_run_is_balanced_and_differs_from_the_next(tmp_path: Path, words: list[str]) -> None:
    run, _ = build(config(*rare(tmp_path / "rare.npz"), *words))
    labels = [torch.cat([y for window in run.train_batches.windows(epoch) for _, y, *_ in window]) for epoch in (0, 1)]
    assert [torch.bincount(y).tolist() for y in labels] == [[150, 150]] * 2
    assert not torch.equal(*labels)


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (["dataset=diabetes"], "is for classes, but the targets are numbers"),
        (["loader.shuffle=false"], "draws an order, but loader.shuffle=false"),
    ],
)
def test_what_cannot_be_balanced_is_refused(words: list[str], message: str) -> None:
    with pytest.raises(ConfigError, match=message):
        build(config("loader.sampler=balanced", *words))
