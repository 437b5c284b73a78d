"""What jobs of a user's own may do: outputs with a graph, a tuple of outputs, several numbers for each target."""

from typing import Any

import pytest
import torch
from conftest import config
from torch import Tensor, nn
from torch.nn.utils.rnn import pad_sequence
from torch.utils.data import Dataset, TensorDataset

from trainer.build.build import build
from trainer.data.keys import Keys
from trainer.data.rows import Rows
from trainer.errors import ConfigError
from trainer.guards.outputs import broadcast
from trainer.loop import evaluate, train
from trainer.run.header import loss_lines

OWN = ("dataset=own", "model=own", "threads=1", "device=cpu", "epochs=1")
GRAPHS: list[bool] = []  # whether the loss of each batch had a graph


class Words(Dataset):
    """Sequences whose labels are the words modulo kinds. Its own attributes truth and source mean nothing to a run."""

    def __init__(self, kinds: int = 3) -> None:
        self.source = torch.randint(0, 9, (60, 7), generator=torch.Generator().manual_seed(0))
        self.truth = self.source % kinds

    def __len__(self) -> int:
        return len(self.source)

    def __getitem__(self, row: int) -> tuple[Tensor, Tensor]:
        return self.source[row], self.truth[row]


class Tagger(nn.Module):
    """Logits (N, T, classes) beside a state: the classes are along the last axis of the first output."""

    def __init__(self, num_classes: int) -> None:
        super().__init__()
        self.embed, self.gru = nn.Embedding(9, 8), nn.GRU(8, num_classes, batch_first=True)

    def forward(self, words: Tensor) -> Any:
        return self.gru(self.embed(words))


class Mixer(nn.Module):
    """Logits (N, T, T) for sequences of T = 7 words alone."""

    def __init__(self) -> None:
        super().__init__()
        self.embed, self.mix = nn.Embedding(9, 7), nn.Linear(7, 7)

    def forward(self, words: Tensor) -> Tensor:
        return self.mix(self.embed(words).mT).mT


class Weighed(nn.Module):
    """A loss that asks for what no run gives."""

    def forward(self, prediction: Tensor, target: Tensor, mask: Tensor) -> Tensor: ...


class Sentences(Dataset):
    """Is a word a name? Padded sentences of 1 to 3 words, the first of which has one."""

    def __len__(self) -> int:
        return 9

    def __getitem__(self, row: int) -> Tensor:
        return torch.arange(1 + row % 3)

    def collate_fn(self, rows: list[Tensor]) -> dict[str, Tensor]:
        words = pad_sequence(rows, batch_first=True, padding_value=-100)
        return {"words": words.clamp_min(0), "labels": torch.where(words < 0, words, words % 2)}


class Slopes(nn.Module):
    """Its outputs have a graph in an evaluation too."""

    def __init__(self) -> None:
        super().__init__()
        self.linear = nn.Linear(1, 1)

    def forward(self, x: Tensor) -> Tensor:
        with torch.enable_grad():
            return self.linear(x.detach().requires_grad_()).sin()


class Scaled(nn.Module):
    """A loss with a parameter."""

    def __init__(self) -> None:
        super().__init__()
        self.scale = nn.Parameter(torch.ones(()))

    def forward(self, prediction: Tensor, target: Tensor) -> Tensor:
        loss = ((prediction - target) * self.scale).square().mean()
        GRAPHS.append(loss.requires_grad)
        return loss


class Between(nn.Module):
    """Of a guess between a lower and a higher one."""

    def forward(self, prediction: Tensor, y: Tensor) -> Tensor:
        return (prediction - y[:, None]).abs().mean()


class Heights(TensorDataset):
    def __init__(self) -> None:
        super().__init__(torch.rand(20, 3), torch.rand(20))


class Accurate(nn.Module):
    """Its term `acc` is the share of wrong answers, to be minimised, or of right ones, to be looked at."""

    def __init__(self, name: str) -> None:
        super().__init__()
        self.name = name

    def forward(self, prediction: Tensor, y: Tensor) -> dict[str, Tensor]:
        right = (prediction.argmax(1) == y).float().mean()
        return {
            self.name: nn.functional.cross_entropy(prediction, y),
            "acc": right if self.name == "loss" else 1 - right,
        }


@pytest.mark.parametrize(("name", "mode"), [("ce", "min"), ("loss", "max")])
def test_less_is_better_of_a_term_that_is_minimised_though_it_is_named_like_a_metric(name: str, mode: str) -> None:
    words = ("dataset=iris", f"loss._target_={__name__}.Accurate", f"+loss.name={name}")
    run, setup = build(config(*words, "threads=1", "device=cpu"))
    assert (run.stopping.monitor, run.stopping.mode) == ("val/acc", mode)
    assert "of the loss, not of the task: acc" in loss_lines(run, setup)


def test_a_tuple_of_outputs_with_the_classes_on_the_last_axis_trains() -> None:
    run, setup = build(config(*OWN, f"dataset._target_={__name__}.Words", f"model._target_={__name__}.Tagger"))
    list(train(run))
    assert run.fit.path == (0,)
    assert run.fit.class_axis == 2
    assert type(run.loss_fn).__name__ == "CrossEntropyLoss"  # as the header says it
    assert (dict(setup.splits.truth), setup.splits.source) == ({}, "")


def test_a_model_of_one_length_with_as_many_classes_is_asked_for_their_axis() -> None:
    words = [*OWN, f"dataset._target_={__name__}.Words", "+dataset.kinds=7", f"model._target_={__name__}.Mixer"]
    with pytest.raises(ConfigError, match="more than one axis may hold the classes") as caught:
        build(config(*words))
    assert build(config(*words, caught.value.hint))[0].fit.class_axis == 2


def test_a_loss_of_tokens_that_needs_more_is_told_so_and_not_to_move_an_axis() -> None:
    words = [f"dataset._target_={__name__}.Words", f"model._target_={__name__}.Tagger"]
    with pytest.raises(ConfigError, match="missing 1 required positional argument: 'mask'") as caught:
        build(config(*OWN, *words, f"loss._target_={__name__}.Weighed"))
    assert caught.value.hint.endswith("or give mask a default")


def test_padded_sentences_are_tokens_although_the_first_is_one_word_and_all_labels_are_0_or_1() -> None:
    for outputs in (None, 2):  # of a model that takes its size from the data, or that types it
        meaning = Rows(Sentences(), "Sentences", Keys(outputs=outputs)).meaning
        assert (meaning.task, meaning.classes) == ("tokens", ["0", "1"])


def test_an_evaluation_keeps_no_graph() -> None:
    run, _ = build(
        config(
            *("dataset=line", "model=own", "threads=1", "device=cpu"),
            *(f"model._target_={__name__}.Slopes", f"loss._target_={__name__}.Scaled"),
        )
    )
    GRAPHS.clear()
    evaluate(run, run.val_batches.for_rank(run.ranks), "val")
    assert GRAPHS
    assert not any(GRAPHS)


def test_a_loss_of_your_own_may_want_several_numbers_for_each_target() -> None:
    three, flat, target = torch.zeros(2, 3), torch.zeros(2), torch.zeros(2, 1)
    assert broadcast(three, target, "Net", own_loss=False)  # of torch's own losses
    assert not broadcast(three, target, "Net", own_loss=True)
    assert broadcast(flat, target, "Net", own_loss=True)  # each with all others: (2, 2)
    names = ("dataset=own", f"dataset._target_={__name__}.Heights", f"loss._target_={__name__}.Between")
    run, setup = build(config(*names, "model.out_features=3", "threads=1", "device=cpu"))
    assert setup.findings == []
    x, y, _ = next(iter(run.val_batches))
    found = evaluate(run, run.val_batches.for_rank(run.ranks), "val")
    assert found["val/mae"] == pytest.approx((run.model(x)[:, 1] - y).abs().mean().item(), rel=1e-5)
