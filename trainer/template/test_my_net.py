"""Tests of my model: python -m pytest."""

from pathlib import Path

import pytest
import torch
from my_net import MyNet

import trainer


def test_an_output_for_each_row() -> None:
    assert MyNet(in_features=4, out_features=3)(torch.zeros(5, 2, 2)).shape == (5, 3)


def test_it_learns(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(Path(__file__).parent)
    result = trainer.train(["experiment=first", f"output_dir={tmp_path}", "report=false"])
    assert result.metrics["val/acc"] >= 0.9
