"""Checkpoints in one process: a run resumes from exactly what was saved, and only finite values are saved."""

import math
from pathlib import Path

import pytest
import torch
from conftest import config
from jobs import JOBS

from trainer import checkpoint
from trainer.build.build import build
from trainer.disk import json_text
from trainer.errors import ConfigError, Diverged
from trainer.events import Evaluated, Stepped
from trainer.loop import train
from trainer.state import TrainState

SIZES = {"metrics.jsonl": 17, "results.csv": 3}
WORDS = ["dataset=iris", "epochs=6", "model.hidden=[8]", "model.dropout=0.3", "loader.batch_size=25"]


def load_newest(run: TrainState, folder: Path) -> checkpoint.Loaded:
    newest = checkpoint.newest(run, folder)
    assert newest is not None
    return checkpoint.load(run, *newest)


@pytest.mark.parametrize("scheduler", ["none", "step", "cosine", "warmup", "onecycle", "plateau"])
@pytest.mark.parametrize("step", [5, 7, 12])
def test_a_run_saved_at_a_step_and_built_again_ends_with_the_same_weights(
    scheduler: str, step: int, tmp_path: Path
) -> None:
    words = [*WORDS, f"scheduler={scheduler}", "autocast=fp16", "model.norm=batch"]
    whole, _ = build(config(*words))
    for event in train(whole):
        if isinstance(event, Stepped) and event.step == step:
            checkpoint.save(whole, tmp_path, 2, lambda: SIZES)
    again, _ = build(config(*words))
    loaded = load_newest(again, tmp_path)
    assert (loaded.offsets, loaded.elsewhere, loaded.schedule, again.progress.step) == (SIZES, [], "", step)
    list(train(again))
    assert again.progress == whole.progress
    assert checkpoint.contents(again, {}) == checkpoint.contents(whole, {})


def test_an_extended_schedule_stands_where_it_would_have_from_the_start(tmp_path: Path) -> None:
    short, _ = build(config(*WORDS, "scheduler=cosine"))
    list(train(short))
    checkpoint.save(short, tmp_path, 2, dict)
    longer = [*WORDS, "epochs=12", "scheduler=cosine"]
    extended, _ = build(config(*longer))
    assert "CosineAnnealingLR now follows 60 steps" in load_newest(extended, tmp_path).schedule
    fresh, _ = build(config(*longer))
    rates = [event.lr for event in train(fresh) if isinstance(event, Stepped)]
    assert [event.lr for event in train(extended) if isinstance(event, Stepped)] == pytest.approx(rates[30:])


def test_the_newest_are_kept_and_the_damaged_set_aside(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    run, _ = build(config(*WORDS))
    for event in train(run):
        if isinstance(event, Stepped) and event.step in (5, 10, 15):
            checkpoint.save(run, tmp_path, 2, dict)
    assert [path.name for path in checkpoint.checkpoints(tmp_path)] == ["step-00000010", "step-00000015"]
    weights = tmp_path / "checkpoints/step-00000015/weights.safetensors"
    damaged = bytearray(weights.read_bytes())
    damaged[-1] ^= 1
    weights.write_bytes(damaged)
    _, path = checkpoint.newest(run, tmp_path) or ({}, Path())
    assert "set aside as step-00000015.corrupt" in capsys.readouterr().err
    assert path.name == "step-00000010"


def test_weights_that_are_not_finite_are_never_saved(tmp_path: Path) -> None:
    run, _ = build(config(*WORDS))
    with torch.no_grad():
        next(run.model.parameters())[0, 0] = math.inf
    with pytest.raises(Diverged, match="is not finite"):
        checkpoint.save(run, tmp_path, 2, dict)
    assert list(tmp_path.glob("checkpoints/*")) == []


def test_the_terms_of_a_loss_are_kept_to_the_last_bit_and_saved_only_where_they_are_finite(tmp_path: Path) -> None:
    """Saved in the middle of an epoch, whose mean is that of a run without a break."""
    words = [*JOBS["distilled"], "epochs=1", "max_steps=6", "threads=1", "device=cpu"]
    whole, _ = build(config(*words))
    for event in train(whole):
        if isinstance(event, Stepped) and event.step == 2:
            checkpoint.save(whole, tmp_path, 2, lambda: SIZES)
        if isinstance(event, Evaluated):
            expected = event.metrics
    again, _ = build(config(*words))
    load_newest(again, tmp_path)
    assert [event.metrics for event in train(again) if isinstance(event, Evaluated)] == [expected]
    for sums in ([0.5], ["x", None]):
        again.progress.term_sums = sums
        with pytest.raises(ValueError, match="its progress has term_sums = "):
            checkpoint.check_progress(vars(again.progress), len(again.terms))
    again.progress.term_sums = [math.nan, 1.0]
    with pytest.raises(Diverged, match=r"^term hard is not finite after step 6"):
        checkpoint.save(again, tmp_path, 2, lambda: SIZES)


def test_another_models_checkpoint_is_refused(tmp_path: Path) -> None:
    run, _ = build(config(*WORDS))
    checkpoint.save(run, tmp_path, 2, dict)
    other, _ = build(config(*WORDS, "model.hidden=[9]"))
    with pytest.raises(ConfigError, match="another model"):
        load_newest(other, tmp_path)


def test_plain_values_come_back_as_they_were() -> None:
    value = {"a": (0.9, 0.999), "inf": [math.inf, -math.inf], 3: {"none": None, "yes": True}, "text": "x"}
    assert json_text.decode(json_text.encode(value)) == value
    assert math.isnan(json_text.decode(json_text.encode(math.nan)))
    with pytest.raises(TypeError, match=r"groups.fn is a function"):
        json_text.encode({"fn": json_text.encode}, "groups")
