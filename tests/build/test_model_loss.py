"""loss=model: what the model's own mean is over, found before training, said in the header and kept with the run."""

import random
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from conftest import config
from jobs import Sentences, own
from torch import Tensor, nn
from torch.nn import functional

from trainer.build import batch_mean
from trainer.build.build import build
from trainer.cli import main
from trainer.config.check import check
from trainer.config.run_config import read_config
from trainer.disk.history import read
from trainer.errors import ConfigError
from trainer.inference import labelled
from trainer.inference.model import load
from trainer.loop import evaluate, train
from trainer.run.header import loss_lines

QUICK = ("threads=1", "device=cpu", "loss=model", *own(dataset="Sentences"))


class Words(nn.Module):
    """Logits of each word, and, given the labels, a loss. shift: whether it shifts them itself; zeros: whether its last
    layer is 0; form: what it returns."""

    def __init__(self, num_classes: int, shift: bool = False, zeros: bool = False, form: str = "dict") -> None:
        super().__init__()
        self.embed, self.head = nn.Embedding(12, 8), nn.Linear(8, num_classes)
        self.shift, self.form = shift, form
        if zeros:
            nn.init.zeros_(self.head.weight), nn.init.zeros_(self.head.bias)

    def loss(self, logits: Tensor, labels: Tensor) -> Tensor:
        return functional.cross_entropy(logits.movedim(-1, 1), labels)

    def forward(self, input_ids: Tensor, labels: Tensor | None = None) -> Any:
        logits = self.head(self.embed(input_ids))
        shifted = (logits[:, :-1], labels[:, 1:]) if self.shift and labels is not None else (logits, labels)
        loss = None if labels is None else self.loss(*shifted)
        if self.form == "last":  # as in nanoGPT
            return logits, loss
        return (
            {"loss": loss, "logits": logits, "cache": object()}
            if self.form == "dict"
            else tuple(part for part in (loss, logits) if part is not None)
        )


class OfSentences(Words):
    """The mean over sentences of the mean over their words: rows count alike, however long they are."""

    def loss(self, logits: Tensor, labels: Tensor) -> Tensor:
        each = functional.cross_entropy(logits.movedim(-1, 1), labels, reduction="none")
        return (each.sum(1) / (labels != -100).sum(1)).mean()


class Noisy(Words):
    """Draws in an evaluation too."""

    def loss(self, logits: Tensor, labels: Tensor) -> Tensor:
        return super().loss(logits + 0.1 * torch.randn_like(logits), labels)


class Masked(Sentences):
    """A causal model's lines, some of whose words its collate_fn hides by chance."""

    def __init__(self, generator: str) -> None:
        super().__init__()
        chances = {"torch": lambda: float(torch.rand(())), "numpy": np.random.rand, "python": random.random}
        self.draw = chances[generator]

    def collate_fn(self, rows: list[dict[str, Tensor]]) -> dict[str, Tensor]:
        batch = super().collate_fn(rows)
        hidden = [[self.draw() < 0.2 for _ in row] for row in batch["input_ids"]]
        return batch | {"input_ids": batch["input_ids"].masked_fill(torch.tensor(hidden), 0)}


def model(name: str, *more: str) -> list[str]:
    return ["model=own", f"model._target_={__name__}.{name}", *more]


@pytest.mark.parametrize("form", ["dict", "first", "last"])
@pytest.mark.parametrize(("shift", "more"), [(0, []), (1, ["+model.zeros=true"]), (1, own(dataset="Lines"))])
def test_build_finds_out_whether_a_model_shifts_its_labels(form: str, shift: int, more: list[str]) -> None:
    """Also where all sequences are as long, or the last layer begins at 0 and all losses are equal."""
    run, setup = build(config(*QUICK, *model("Words", f"+model.form={form}", f"+model.shift={bool(shift)}", *more)))
    assert (run.fit.shift, setup.splits.preprocessing.shift, run.loss_fn.shift) == (shift,) * 3
    first, *others = loss_lines(run, setup)
    assert first == "the model's own, a mean over targets; monitored: val/loss"
    assert [("next position" in line) for line in others] == [True] * shift
    assert setup.config.loss["argument"] == "labels"  # stored with the run


def test_a_mean_over_something_else_cannot_be_taken_in_parts() -> None:
    run, setup = build(config(*QUICK, *model("OfSentences")))
    assert "not a mean over targets" in loss_lines(run, setup)[0]
    with pytest.raises(ConfigError, match=r"accumulate=2, but the loss of OfSentences .* is not a mean over targets"):
        build(config(*QUICK, *model("OfSentences"), "accumulate=2"))


def test_a_loss_with_noise_is_not_checked_and_its_shift_is_found_all_the_same() -> None:
    run, setup = build(config(*QUICK, *model("Noisy", "+model.shift=true"), "accumulate=2"))
    assert "(not checked)" in loss_lines(run, setup)[0]
    assert run.fit.shift == 1


@pytest.mark.parametrize("generator", ["torch", "numpy", "python"])
def test_nor_is_a_loss_on_batches_that_collate_fn_draws(generator: str) -> None:
    masked = ["dataset=own", f"dataset._target_={__name__}.Masked", f"+dataset.generator={generator}", "accumulate=2"]
    run, setup = build(config(*QUICK, *model("Words", "+model.shift=true", *masked)))
    assert "(not checked)" in loss_lines(run, setup)[0]
    assert run.fit.shift == 1


def test_the_check_leaves_no_trace(monkeypatch: pytest.MonkeyPatch) -> None:
    words = config(*QUICK, *model("Noisy"), "max_steps=2")

    def begin() -> Any:
        run, setup = build(words)
        return run, setup, next(event for event in train(run) if hasattr(event, "loss")).loss

    run, setup, loss = begin()
    states = torch.get_rng_state(), random.getstate(), np.random.get_state()[1].tolist()
    before = {name: value.clone() for name, value in run.model.state_dict().items()}
    assert batch_mean.check(run.model, run.loss_fn, (), setup.splits) == "draws"
    assert torch.equal(torch.get_rng_state(), states[0])
    assert (random.getstate(), np.random.get_state()[1].tolist()) == states[1:]
    assert all(torch.equal(value, before[name]) for name, value in run.model.state_dict().items())
    monkeypatch.setattr(batch_mean, "check", lambda *_: "fits")
    assert torch.equal(begin()[2], loss)


def test_eval_of_a_stored_run_weighs_as_its_training_did() -> None:
    """To the bit, in batches of other lengths; the labels of a causal model are the words themselves."""
    words = ["loader.eval_batch_size=7", "epochs=1", "report=false", "+model.shift=true", "output_dir=out"]
    assert main(["train", *QUICK, *model("Words"), *words]) == 0
    (folder,) = [path.parent for path in Path("out").rglob("summary.json")]
    settings = check(read_config(folder))
    run = load(folder, settings, to_measure=True)
    measured = evaluate(run, labelled.open_own(settings, run, None, "val", download=False), "val")
    last = read(folder).evaluations[-1]
    assert measured == {name: last[name] for name in measured}
    assert {"val/loss", "val/acc", "val/perplexity"} <= measured.keys()


def test_a_model_that_does_not_take_the_target_is_refused() -> None:
    with pytest.raises(ConfigError, match=r"loss=model gives the target to Words.forward as 'tags', but it takes"):
        build(config(*QUICK, *model("Words"), "loss.argument=tags"))
