"""What a loss holds: a teacher, which stays as it is, and parameters that are trained with the model."""

import json
from pathlib import Path

import pytest
import torch
from conftest import config
from jobs import JOBS, Steadied, own

from trainer import checkpoint
from trainer.build.build import build
from trainer.data import preprocessing
from trainer.disk import digest, layout
from trainer.disk.outcome import Layer
from trainer.errors import ConfigError, StorageError, TrainerError
from trainer.events import Stepped
from trainer.loop import train
from trainer.report.layers import layers
from trainer.run.header import loss_lines
from trainer.state import TrainState
from trainer.tasks import calls

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


def test_what_training_moves_in_a_loss_is_stored_and_starts_as_the_loss_made_it(tmp_path: Path) -> None:
    words = ["dataset=iris", *own(loss="Steadied"), "epochs=1", "threads=1"]
    whole, _ = build(config(*words))
    assert whole.loss_fn.mean == 1.0  # the tries before training leave no trace
    for event in train(whole):
        if isinstance(event, Stepped) and event.step == 2:
            checkpoint.save(whole, tmp_path, 2, dict)
    again, _ = build(config(*words))
    checkpoint.load(again, *checkpoint.newest(again, tmp_path))
    list(train(again))
    assert again.loss_fn.mean == whole.loss_fn.mean != 1.0
    assert checkpoint.contents(again, {}) == checkpoint.contents(whole, {})
    again.load_weights(again.model.state_dict())  # of a version that stored no buffers


def test_a_loss_that_returns_other_terms_in_an_evaluation_is_refused() -> None:
    with pytest.raises(ConfigError, match=r"other terms in training \(size\) than in an evaluation \(one number\)"):
        build(config("dataset=iris", *own(loss="Steadied"), "+loss.odd=true"))


def test_a_checkpoint_may_be_as_large_as_a_large_loss_makes_it(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(checkpoint, "SPARE", 2**13)  # bytes
    run, _ = build(config(*WORDS, "model.hidden=[2]", "+loss.thawed=true"))
    list(zip(range(3), train(run), strict=False))
    checkpoint.save(run, tmp_path, 2, dict)
    assert checkpoint.newest(run, tmp_path) is not None


@pytest.mark.parametrize("wrong", [{"terms": ["../x"]}, {"terms": ["a", "a"]}, {"shift": 5}, {"ignored": 10**30}])
def test_a_stranger_s_facts_that_cannot_be_are_refused_when_they_are_read(wrong: dict, tmp_path: Path) -> None:
    _, setup = build(config("dataset=iris"))
    preprocessing.write(tmp_path, setup.splits.preprocessing)
    path = tmp_path / layout.PREPROCESSING_FACTS
    data = digest.read_facts(path, 2**20) | wrong
    path.write_text(json.dumps(digest.with_checksum(data)))
    with pytest.raises(StorageError, match="cannot be used"):
        preprocessing.read(tmp_path, torch.float32)


def test_a_term_that_a_loss_no_longer_returns_is_named() -> None:
    loss = calls.of_loss(Steadied(), (), ("size",))
    with pytest.raises(TrainerError, match="no term 'size'"):
        loss(torch.zeros(2, 2), torch.tensor([0, 1]), None)
