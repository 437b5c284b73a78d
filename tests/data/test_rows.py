"""What is found in the rows of your own Dataset before training, and what it leads to."""

from typing import Any

import numpy as np
import pytest
import torch
from conftest import config
from torch import Tensor, nn
from torch.utils.data import Dataset

from trainer.build.build import build
from trainer.data.batches import EvalBatches
from trainer.data.keys import Keys
from trainer.data.meaning import LABELS_HINT
from trainer.data.rows import Rows
from trainer.errors import ConfigError
from trainer.loop import evaluate, train

OWN = ("dataset=own", "threads=1", "device=cpu", "epochs=1")


class Words(Dataset):
    """Sequences of words up to 17, of which one stands in the last row only; their tags are 0, 1 and, once, 6."""

    def __init__(self) -> None:
        self.reads = 0

    def __len__(self) -> int:
        return 50

    def __getitem__(self, row: int) -> Any:
        self.reads += 1
        last = row == 49
        return {
            "text": "not for a tensor",
            "words": torch.tensor([row % 5, 17 * last, 2]),
            "y": torch.tensor([0, 1, 6 * last]),
        }


class Speaker(nn.Module):
    def __init__(self, vocab_size: int | None = None, num_classes: int | None = None) -> None:
        super().__init__()
        self.words, self.out = nn.Embedding(vocab_size or 99, 4), nn.Linear(4, num_classes or 1)

    def forward(self, words: Tensor) -> Tensor:
        return self.out(self.words(words))


def test_one_scan_finds_the_classes_of_tokens_and_the_vocabulary() -> None:
    data = Words()
    rows = Rows(data, "Words", Keys(target="y", outputs=4, vocabulary=True))
    assert (rows.meaning.task, rows.meaning.num_outputs, list(rows.largest)) == ("tokens", 7, [17])
    assert data.reads < 50 + 20
    run, setup = build(config(*OWN, f"dataset._target_={__name__}.Words", "dataset.target=y", "dataset.task=tokens",
                              "model=own", f"model._target_={__name__}.Speaker"))  # fmt: skip
    assert (run.model.words.num_embeddings, run.model.out.out_features) == (18, 7)
    assert setup.splits.facts.inputs["words"].num_values == 18
    list(train(run))


def test_a_vocabulary_that_is_typed_needs_no_scan() -> None:
    data = Words()
    assert list(Rows(data, "Words", Keys(inputs="words", target=None, outputs=3)).largest) == []
    assert data.reads < 20


class Flags(Dataset):
    """Floats, all of them 0 or 1, but in the row `odd`."""

    def __init__(self, odd: int = -1, size: int = 3) -> None:
        self.odd, self.size = odd, size

    def __len__(self) -> int:
        return 40

    def __getitem__(self, row: int) -> Any:
        y = torch.tensor([row % 2, row % 3 == 0, 1.0])[: self.size]
        return torch.randn(4, generator=torch.Generator().manual_seed(row)), y + 0.5 * (row == self.odd)


def test_floats_of_0_and_1_are_numbers_with_a_hint_to_labels() -> None:
    for data, hint in ((Flags(), True), (Flags(odd=39), False), (Flags(size=1), False)):
        rows = Rows(data, "Flags", Keys())
        assert (rows.meaning.task, LABELS_HINT in rows.notes) == ("numbers", hint)
    run, setup = build(config(*OWN, f"dataset._target_={__name__}.Flags", "dataset.task=labels", "model=linear"))
    assert LABELS_HINT not in setup.splits.notes
    assert type(run.loss_fn).__name__ == "BCEWithLogitsLoss"
    *_, evaluated, _ = train(run)
    assert "val/subset_acc" in evaluated.metrics


def test_rows_that_have_a_label_weigh_as_typed() -> None:
    words = [*OWN, f"dataset._target_={__name__}.Flags", "dataset.task=labels", "model=linear", "dtype=float64"]
    run, _ = build(config(*words, "loss=bce", "loss.pos_weight=[2,1,5]"))
    logits, y = torch.tensor([[0.3, -1, 2], [-2, 0.5, 0]]).double(), torch.tensor([[1.0, 0, 1], [0, 1, 1]]).double()
    likely = logits.sigmoid()
    each = -(torch.tensor([2.0, 1, 5]) * y * likely.log() + (1 - y) * (1 - likely).log())
    assert run.loss_fn(logits, y).item() == pytest.approx(each.mean().item(), abs=1e-12)
    for typed, hint in (
        ("loss.weight=[1,2,3]", "loss=bce 'loss.pos_weight=[1,2,…]'"),
        ("loss.weight=balanced", "loss=bce"),
        ("loss._target_=torch.nn.BCELoss", "loss=bce, and a forward that returns the logits"),
    ):
        with pytest.raises(ConfigError) as caught:
            build(config(*words, typed))
        assert str(caught.value.hint).startswith(hint)
    with pytest.raises(ConfigError, match="has 2 numbers, but the data has 3 labels"):
        build(config(*words, "loss=bce", "loss.pos_weight=[1,2]"))


class Void(Dataset):
    """Pixels of two classes, and 255 where nothing counts."""

    def __len__(self) -> int:
        return 20

    def __getitem__(self, row: int) -> Any:
        return torch.randn(1, 2, 2), torch.tensor([[0, 1], [255, row % 2]])


def test_the_label_255_of_pixels_gets_a_remark() -> None:
    note = "label 255 makes 256 classes: if it marks what does not count, loss.ignore_index=255"
    assert Rows(Void(), "Void", Keys()).notes == [note]
    rows = Rows(Void(), "Void", Keys(ignored=255))
    assert (rows.notes, rows.meaning.num_outputs) == ([], 2)


@pytest.mark.parametrize(
    ("y", "words", "task", "note"),
    [
        (np.tile([[0, 1], [1, 1]], (20, 1)), [], "labels", ""),
        (np.tile([[0, 1], [1, 1]], (20, 1)).astype(bool), [], "labels", ""),
        (np.tile([[0.0, 1], [1, 1]], (20, 1)), [], "numbers", LABELS_HINT),
        (np.tile([[0.0, 1], [1, 1]], (20, 1)), ["dataset.task=labels"], "labels", ""),
        (np.tile([0, 2], 20), ["dataset.task=numbers"], "numbers", ""),
        (np.tile([0, 2], 20)[:, None], [], "classes", ""),
        (np.tile([0, 1], 20)[:, None], ["dataset.task=labels"], "labels", ""),
        (np.arange(40) * 30, [], "classes", "the labels make 1,171 classes, most of which occur once: if they are"),
    ],
)
def test_arrays_follow_the_same_rules(y: Any, words: list[str], task: str, note: str) -> None:
    np.savez("a.npz", x=np.random.default_rng(0).normal(size=(40, 3)), y=y)
    run, setup = build(config("dataset=npz", "dataset.path=a.npz", "model=linear", "device=cpu", *words))
    assert setup.splits.facts.task == task
    assert note in " ".join(setup.splits.notes)
    assert LABELS_HINT not in setup.splits.notes or note
    metrics = evaluate(run, EvalBatches.of(setup.splits.train, 7), "train")
    assert np.isfinite(metrics["train/loss"])


def test_arrays_of_pixels_and_tokens_train(tmp_path: Any) -> None:
    x, y = np.random.default_rng(0).normal(size=(40, 2, 5, 6)), np.arange(40 * 30).reshape(40, 1, 5, 6) % 4
    np.savez("a.npz", x=x, y=y)
    words = ["dataset=npz", "dataset.path=a.npz", "model=own", "model._target_=torch.nn.Conv2d", "device=cpu"]
    run, _ = build(config(*words, "+model.in_channels=2", "+model.out_channels=4", "+model.kernel_size=1", "epochs=1"))
    assert (run.task.name, run.task.facts.num_outputs) == ("pixels", 4)
    list(train(run))


class TimeFirst(Flags):
    """Batches (time, rows, features), and random rows."""

    def __getitem__(self, row: int) -> Any:
        return torch.randn(5, 3), row % 2

    def collate_fn(self, rows: list[Any]) -> Any:
        return {"steps": torch.stack([x for x, _ in rows], 1)}, torch.tensor([y for _, y in rows])


class Recurrent(nn.Module):
    def __init__(self, num_classes: int) -> None:
        super().__init__()
        self.gru = nn.GRU(3, num_classes)

    def forward(self, steps: Tensor) -> Tensor:
        return self.gru(steps)[0][-1]


def test_rows_are_counted_by_the_loader_and_random_ones_are_not_kept() -> None:
    words = [f"dataset._target_={__name__}.TimeFirst", "model=own", f"model._target_={__name__}.Recurrent"]
    run, setup = build(config(*OWN, *words, "loader.batch_size=7", "dataset.val_fraction=0"))
    counted = [num_rows for window in run.train_batches.windows(0) for _, _, num_rows, _, _ in window]
    assert counted == [7] * 5 + [5]
    assert setup.splits.loader_name.startswith("DataLoader")
    batches = [next(iter(run.train_batches.loader.fetch([torch.tensor([3])], epoch))) for epoch in (0, 1)]
    assert not torch.equal(*(batch.x["steps"] for batch in batches))


class Views(Flags):
    def __getitem__(self, row: int) -> Any:
        x = torch.randn(4, generator=torch.Generator().manual_seed(row))
        return {"one": x, "two": -x, "label": row % 2} if self.size == 3 else (x, -x)


class Both(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.out = nn.Linear(4, 2)

    def forward(self, a: Tensor, b: Tensor) -> Any:
        return self.out(a), self.out(b)


class Agree(nn.Module):
    def forward(self, prediction: Any, y: Any) -> Tensor:
        assert y is None
        return (prediction[0] + prediction[1]).square().mean()


@pytest.mark.parametrize(
    "picks",
    [
        ["dataset.inputs={a: one, b: two}", "dataset.target=null"],
        ["+dataset.size=2", "dataset.inputs=[0,1]", "dataset.target=null"],
    ],
)
def test_two_views_have_no_target_and_a_mapping_renames(picks: list[str]) -> None:
    words = [f"dataset._target_={__name__}.Views", "model=own", f"model._target_={__name__}.Both"]
    run, _ = build(config(*OWN, *words, f"loss._target_={__name__}.Agree", *picks))
    assert run.task.name == "free"
    *_, evaluated, _ = train(run)
    assert set(evaluated.metrics) == {"train/loss", "val/loss"}


class Padded(Dataset):
    """Lines of 1 to 3 words below 5, padded with 9."""

    def __len__(self) -> int:
        return 12

    def __getitem__(self, row: int) -> Any:
        return {"words": torch.arange(1 + row % 3) + row % 2, "y": row % 2}

    def collate_fn(self, rows: list[Any]) -> Any:
        words = nn.utils.rnn.pad_sequence([row["words"] for row in rows], batch_first=True, padding_value=9)
        return {"words": words, "y": torch.tensor([row["y"] for row in rows])}


def test_what_pads_is_in_the_vocabulary_too() -> None:
    assert list(Rows(Padded(), "Padded", Keys(target="y", vocabulary=True)).largest) == [9]
