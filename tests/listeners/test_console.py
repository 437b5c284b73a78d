"""The table of evaluations fits 78 columns, whatever a run measures."""

import pytest

from trainer.listeners.console import _cell, widths
from trainer.stopping import METRICS
from trainer.text import WIDTH


@pytest.mark.parametrize("task", METRICS)
def test_all_metrics_of_a_task_fit(task: str) -> None:
    found = widths(["train/loss", *(f"val/{name}" for name in METRICS[task])])
    assert sum(found.values()) + len(f"{'':>9} {'':>9} *") <= WIDTH
    for name, width in found.items():
        assert len(name) < width
        for value in (0.5, -12.3456, 1e9 / 3, -1e-300, -1.23456e300, float("nan"), float("-inf")):
            assert len(_cell(value, width)) < width
    assert set(widths(["train/loss", "val/loss", "val/acc"]).values()) == {11}
