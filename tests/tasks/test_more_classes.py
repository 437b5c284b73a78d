"""A model with more classes than the labels of the tokens or pixels need: its own number counts, everywhere."""

import csv
import re
from pathlib import Path

import numpy as np
import pytest
import torch
from conftest import config
from safetensors.torch import save_file
from torch import Tensor, nn
from torch.utils.data import Dataset

from trainer.build.build import build
from trainer.cli import main
from trainer.config.run_config import read_config
from trainer.config.settings import Settings
from trainer.errors import ConfigError
from trainer.inference import model
from trainer.loop import evaluate

QUICK = ["threads=1", "device=cpu", "max_steps=2", "loader.eval_batch_size=7", "guards=none"]


class Text(Dataset):
    """30 tokens in lines of 8, each with the next one. first: the smallest; later: that of the rows that validate."""

    def __init__(self, first: int = 0, later: int | None = None) -> None:
        self.first, self.val = first, None if later is None else Text(later)

    def __len__(self) -> int:
        return 40

    def __getitem__(self, row: int) -> tuple[Tensor, Tensor]:
        ids = (torch.arange(9) + row) % 30 + self.first
        return ids[:-1], ids[1:]


class Masks(Dataset):
    """Pictures of one channel for each of 5 classes; the first line does not count."""

    def __len__(self) -> int:
        return 20

    def __getitem__(self, row: int) -> tuple[Tensor, Tensor]:
        y = torch.randint(0, 5, (6, 7), generator=torch.Generator().manual_seed(row))
        x = nn.functional.one_hot(y, 5).movedim(-1, 0).float()
        y[0] = -100
        return x, y


class Lines(Dataset):
    """A class a row."""

    def __len__(self) -> int:
        return 20

    def __getitem__(self, row: int) -> tuple[Tensor, int]:
        return torch.ones(4) * row, row % 3


class Next(nn.Module):
    """(N, T) ids to (N, T, size). named: the names of its outputs, of which the first is as wide, and no class."""

    def __init__(self, size: int = 500, named: tuple[str, ...] = ()) -> None:
        super().__init__()
        self.words, self.out, self.named = nn.Embedding(size, 64), nn.Linear(64, size), tuple(named)

    def forward(self, x: Tensor) -> Tensor | dict[str, Tensor]:
        words = self.words(x)
        return dict(zip(self.named, (words, self.out(words)), strict=True)) if self.named else self.out(words)


class Four(nn.Linear):
    def __init__(self) -> None:
        super().__init__(4, 4)


class Segmenter(nn.Conv2d):
    def __init__(self) -> None:
        super().__init__(5, 21, 1)


def words(data: str, net: str, *more: str) -> list[str]:
    here = Path(__file__).stem
    chosen = [f"dataset._target_={here}.{data}", f"model._target_={here}.{net}"]
    return ["dataset=own", "model=own", *chosen, *QUICK, *more]


@pytest.mark.optional
@pytest.mark.parametrize(
    ("data", "net", "needed", "number"), [("Text", "Next", 30, 500), ("Masks", "Segmenter", 5, 21)]
)
def test_the_number_of_classes_is_the_models(data: str, net: str, needed: int, number: int) -> None:
    theirs = pytest.importorskip("sklearn.metrics")
    run, setup = build(config(*words(data, net, "metrics=[f1,iou]")))
    assert run.facts.classes == [str(label) for label in range(number)]
    assert f"the model has {number} classes, of which the labels need {needed}" in setup.splits.notes
    found = evaluate(run, run.val_batches or (), "val")
    pairs = [(run.model(x).argmax(run.fit.class_axis)[y != -100], y[y != -100]) for x, y, _ in run.val_batches or ()]
    guesses, truths = (torch.cat(parts).numpy() for parts in zip(*pairs, strict=True))
    occurring = np.union1d(guesses, truths)
    for name, score in (("f1", theirs.f1_score), ("iou", theirs.jaccard_score)):
        expected = score(truths, guesses, labels=occurring, average="macro", zero_division=0)
        assert found[f"val/{name}"] == pytest.approx(expected, abs=1e-6)


def test_what_fits_no_class_is_found_before_training() -> None:
    with pytest.raises(ConfigError, match=r"gives outputs of shape \(2, 8, 29\), the targets need \(batch, 30, 8\)"):
        build(config(*words("Text", "Next", "+model.size=29")))
    with pytest.raises(ConfigError, match=r"label 33 in row 0 of .*Text.val is outside the 33 classes"):
        build(config(*words("Text", "Next", "+model.size=33", "+dataset.later=27")))
    build(config(*words("Text", "Next", "+model.size=57", "+dataset.later=27")))
    with pytest.raises(ConfigError, match=r"gives outputs of shape \(2, 4\)"):  # one class a row needs as many
        build(config(*words("Lines", "Four")))


def test_of_whole_numbers_the_mistake_is_told_whether_the_model_wants_them_as_floats_or_not() -> None:
    with pytest.raises(ConfigError, match=r"inputs of shape \(2, 8\): index out of range"):
        build(config(*words("Text", "Next", "+model.size=7")))
    linear = ["model._target_=torch.nn.Linear", "+model.in_features=5", "+model.out_features=30"]
    with pytest.raises(ConfigError, match=r"inputs of shape \(2, 8\): mat1 and mat2 shapes cannot be multiplied"):
        build(config(*words("Text", "Next", *linear)))


def test_of_several_outputs_that_may_be_the_classes_a_name_tells() -> None:
    with pytest.raises(ConfigError, match="several outputs of model Next may be the classes of the tokens: a, b"):
        build(config(*words("Text", "Next", "+model.named=[a,b]")))
    run, _ = build(config(*words("Text", "Next", "+model.named=[a,logits]")))
    assert run.fit.path == ("logits",)
    assert run.facts.num_outputs == 500


@pytest.mark.slow
def test_a_stored_run_keeps_them(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["train", *words("Text", "Next", "metrics=[f1]", "report=false")]) == 0
    folder = Path("outputs/latest").resolve()
    *_, known = re.findall(r'"val/f1": ([\d.e-]+)', (folder / "metrics.jsonl").read_text())
    capsys.readouterr()
    assert main(["eval", "latest"]) == 0
    (f1,) = re.findall(r"^val/f1 +([\d.]+)$", capsys.readouterr().out, re.MULTILINE)
    assert float(f1) == pytest.approx(float(known), abs=1e-4)
    assert model.load(folder, Settings(read_config(folder)).check()).facts.num_outputs == 500
    save_file({"x": torch.full((2, 8), 499)}, "rows.safetensors")
    assert main(["predict", "latest", "rows.safetensors", "-o", "out.csv"]) == 0
    rows = list(csv.DictReader(Path("out.csv").read_text().splitlines()))
    assert len(rows) == 16
    assert main(["resume", "latest", "max_steps=3"]) == 0
    assert main(["report", "latest"]) == 0
    assert main(["export", "latest"]) == 0
    card = (folder / "export" / "README.md").read_text()
    assert "of the classes 0 to 499" in card.replace("\n", " ")
    assert max(map(len, next((folder / "export").glob("*.py")).read_text().splitlines())) < 200
