"""The report of an augmented run shows sixteen training pictures as the model saw them."""

from pathlib import Path

import pytest
import torch
from conftest import config

from trainer.build.build import build
from trainer.cli import main
from trainer.disk import outcome
from trainer.disk.figures import Pictures

WORDS = ["model=cnn", "model.channels=[4]", "threads=1", "epochs=1"]


@pytest.mark.parametrize("words", [["augment.crop=2"], ["augment.mixup=1.0"], ["augment=trivial"]])
def test_it_shows_what_the_model_saw(words: list[str]) -> None:
    assert main(["train", *WORDS, *words, "dataset.val_fraction=0"]) == 0
    found = outcome.read(Path("outputs/latest").resolve())
    assert found is not None
    (figure,) = found.trained_on
    assert isinstance(figure, Pictures)
    assert len(figure.rows) == 16
    run, setup = build(config(*WORDS, *words, "dataset.val_fraction=0"))
    x, y, *_ = next(iter(next(run.train_batches.windows(0))))
    raw = setup.splits.preprocessing.x.inverse(x)[:16]
    pixels = ((raw - raw.min()) / (raw.max() - raw.min()) * 255).flatten(1)
    drawn = torch.tensor([list(picture.pixels) for _, (picture,) in figure.rows])
    assert (drawn - pixels).abs().max() <= 0.51
    classes = setup.splits.facts.classes or []
    if y.ndim == 1:
        assert [label for label, _ in figure.rows] == [classes[number] for number in y[:16].tolist()]
    else:
        assert any("%" in label and " + " in label for label, _ in figure.rows)
    assert "Training pictures" in Path("outputs/latest/report.html").read_text()


def test_a_run_without_augmentation_shows_none() -> None:
    assert main(["train", *WORDS]) == 0
    found = outcome.read(Path("outputs/latest").resolve())
    assert found is not None
    assert not found.trained_on
