"""The metrics that were asked for, of each class, against scikit-learn's."""

import dataclasses
from collections.abc import Iterator
from typing import Any

import pytest
import torch
from conftest import config
from jobs import JOBS

from trainer.build.build import build
from trainer.loop import predict
from trainer.report import each_class


@pytest.mark.optional
@pytest.mark.parametrize("shift", [0, 1])  # 1: as of a language model that shifts its labels itself
def test_f1_and_iou_of_each_class_of_tokens(shift: int) -> None:
    theirs = pytest.importorskip("sklearn.metrics")
    run, _ = build(config(*JOBS["tagger"], "metrics=[f1,iou]", "threads=1", "device=cpu", "guards=none"))
    run.fit = dataclasses.replace(run.fit, shift=shift)
    assert run.val_batches is not None
    rows = [(prediction, y) for _, prediction, y, _ in predict(run, run.val_batches)]
    guesses = [part[:, : part.shape[1] - shift].argmax(2) for part, _ in rows]
    truths = [y[:, shift:] for _, y in rows]
    guess = torch.cat([part[y >= 0] for part, y in zip(guesses, truths, strict=True)])
    truth = torch.cat([y[y >= 0] for y in truths])
    how = {"average": None, "labels": list(range(run.facts.num_outputs)), "zero_division": 0}
    found = each_class.measure(run, run.val_batches)
    assert found is not None
    assert found.names == run.facts.classes
    assert {name: [value or 0.0 for value in row] for name, row in found.values.items()} == {
        "f1": pytest.approx(theirs.f1_score(truth, guess, **how).tolist()),
        "iou": pytest.approx(theirs.jaccard_score(truth, guess, **how).tolist()),
    }


def test_what_nobody_asked_for_is_not_measured() -> None:
    run, _ = build(config("dataset=digits", "threads=1", "device=cpu", "guards=none"))
    assert each_class.measure(run, never()) is None


def never() -> Iterator[Any]:
    """Batches that nobody may read."""
    yield pytest.fail("a batch was read")
