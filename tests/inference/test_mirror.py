"""predict --mirror: the mean of two answers."""

import csv
from pathlib import Path

import numpy as np
import pytest
from drawn import draw

from trainer.cli import main
from trainer.disk import layout

QUICK = ["threads=1", "report=false", "epochs=1", "device=cpu"]


def predicted(*words: str) -> list[dict[str, str]]:
    assert main(["predict", "latest", *words, "-o", "out.csv"]) == 0
    with open("out.csv", newline="") as file:
        return list(csv.DictReader(file))


@pytest.mark.parametrize("more", [[], ["calibrate=true", "optimizer.lr=1e-4"]])
def test_the_answer_for_a_picture_is_the_mean_of_two(more: list[str]) -> None:
    """By hand: the probabilities of each picture and of its mirror image, which is a file of its own."""
    draw(Path("pics"))
    words = ["dataset=images", "dataset.path=pics", "dataset.size=8", "model=cnn", "model.channels=[8]"]
    assert main(["train", *words, *QUICK, *more]) == 0
    if more:
        assert layout.read_summary(layout.find("latest"))["calibration"]["temperature"] != 1
    x = np.random.default_rng(0).integers(0, 256, (5, 3, 8, 8), dtype=np.uint8)
    answers = []
    for name, rows in (("plain", x), ("other", x[..., ::-1].copy())):
        np.savez(f"{name}.npz", x=rows)
        answers.append(predicted(f"{name}.npz"))
    both = predicted("plain.npz", "--mirror")
    for one, other, mean in zip(*answers, both, strict=True):
        for name in ("probability_blue", "probability_red"):
            assert float(mean[name]) == pytest.approx((float(one[name]) + float(other[name])) / 2, abs=1e-6)
        larger = max(("blue", "red"), key=lambda name: float(mean[f"probability_{name}"]))
        assert mean["prediction"] == larger
    assert any(one["probability_red"] != other["probability_red"] for one, other in zip(*answers, strict=True))
    assert len(predicted("pics/red", "--mirror")) == 12


def test_numbers_are_averaged_in_their_units() -> None:
    chance = np.random.default_rng(0)
    x, y = chance.random((40, 1, 6, 6), dtype=np.float32), chance.normal(50, 20, 40)
    np.savez("data.npz", x=x, y=y)
    assert main(["train", "dataset=npz", "dataset.path=data.npz", "model=cnn", "model.channels=[4]", *QUICK]) == 0
    answers = []
    for name, rows in (("plain", x), ("other", x[..., ::-1].copy())):
        np.savez(f"{name}.npz", x=rows)
        answers.append([float(row["prediction"]) for row in predicted(f"{name}.npz")])
    both = [float(row["prediction"]) for row in predicted("plain.npz", "--mirror")]
    assert both == pytest.approx(np.mean(answers, 0), rel=1e-5)


def test_what_is_not_pictures_is_refused(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["train", "dataset=iris", *QUICK]) == 0
    np.savez("rows.npz", x=np.zeros((2, 4)))
    assert main(["predict", "latest", "rows.npz", "--mirror"]) == 2
    assert "--mirror is for pictures" in capsys.readouterr().err
