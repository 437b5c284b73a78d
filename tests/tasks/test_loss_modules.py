"""What a loss holds: a teacher, which stays as it is, and parameters that are trained with the model."""

from pathlib import Path

import torch
from conftest import config
from jobs import JOBS

from trainer import checkpoint
from trainer.build.build import build
from trainer.disk.outcome import Layer
from trainer.report.layers import layers
from trainer.run.header import loss_lines
from trainer.state import TrainState

WORDS = (*JOBS["distilled"], "threads=1", "device=cpu", "dtype=float64")


def test_a_teacher_moves_with_the_run_and_is_neither_trained_nor_counted_nor_stored() -> None:
    run, setup = build(config(*WORDS))
    run.loss_fn.train()
    assert run.loss_fn.training
    assert not any(module.training for module in run.loss_fn.teacher.modules())
    assert {p.dtype for p in run.loss_fn.parameters()} == {torch.float64}
    trained = {p for group in run.optimizer.param_groups for p in group["params"]}
    assert trained == {*run.model.parameters(), run.loss_fn.temperature}
    assert [name for name in run.weights() if name not in run.model.state_dict()] == ["loss:temperature"]
    assert "1 parameter trained with the model, 2,410 parameters frozen" in loss_lines(run, setup)
    assert layers(run.model, run.call, setup.splits.sample[0], run.loss_fn)[-1] == Layer("loss", "Distilled", None, 1)


def test_a_resumed_run_notices_another_teacher(tmp_path: Path) -> None:
    first, _ = build(config(*WORDS))
    checkpoint.save(first, tmp_path, 2, dict)

    def differences(run: TrainState) -> list[str]:
        files, path = checkpoint.newest(run, tmp_path)
        return checkpoint.load(run, files, path).elsewhere

    again, _ = build(config(*WORDS))
    assert differences(again) == []
    with torch.no_grad():
        again.loss_fn.teacher[0].bias[0] += 1
    (line,) = differences(again)
    assert line.startswith("frozen modules of the loss ")
