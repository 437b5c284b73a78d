"""Datasets of a user's own: which targets are classes, what is refused before training, and the splits they bring."""

import datetime
from collections.abc import Callable, Iterator
from fractions import Fraction
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import safetensors.torch
import torch
from conftest import Cli, config
from PIL import Image
from torch import Tensor, nn
from torch.utils.data import Dataset, IterableDataset, Subset

from trainer.build.build import build
from trainer.data import form, seeds
from trainer.data.inventory import CHECKED
from trainer.data.splits import Splits
from trainer.errors import ConfigError, TrainerError
from trainer.loop import evaluate, train
from trainer.report.predictions import measure
from trainer.run import header

N = 120
OWN = ("dataset=own", "model=linear", "threads=1")


def inputs(row: int) -> Tensor:
    return torch.randn(4, generator=torch.Generator().manual_seed(row))


class Rows(Dataset):
    """Three classes; `kind` makes the target."""

    MAKE: dict[str, Callable[[int], Any]] = {  # noqa: RUF012
        "int": int,
        "bool": lambda y: y > 0,
        "int32": np.int32,
        "int16": np.int16,
        "uint8": np.uint8,
        "uint16": np.uint16,
        "numpy bool": lambda y: np.bool_(y > 0),
        "tensor int32": lambda y: torch.tensor(y, dtype=torch.int32),
        "tensor uint8": lambda y: torch.tensor(y, dtype=torch.uint8),
        "tensor bool": lambda y: torch.tensor(y > 0),
        "array (1,)": lambda y: np.array([y], dtype=np.int16),
        "tensor (1,)": lambda y: torch.tensor([y]),
        "one based": lambda y: y + 1,
    }

    def __init__(self, kind: str = "int", size: int = N) -> None:
        self.make, self.size = self.MAKE[kind], size

    def __len__(self) -> int:
        return self.size

    def __getitem__(self, row: int) -> tuple[Any, Any]:
        return inputs(row), self.make(row % 3)


def splits_of(name: str, *words: str) -> Splits:
    return build(config(*OWN, f"dataset._target_=test_own_dataset.{name}", *words))[1].splits


def targets(splits: Splits, split: str = "train") -> Tensor:
    loader, num_rows = splits.parts[split].loader, splits.parts[split].num_rows
    batches = loader.fetch(list(torch.arange(num_rows).split(50)), 0)
    return torch.cat([loader.load(batch)[1] for batch in batches])


def rows_of(splits: Splits, split: str) -> list[int]:
    """The numbers of a split's rows, found by their inputs."""
    known = {inputs(row).numpy().tobytes(): row for row in range(2 * N)}
    loader, num_rows = splits.parts[split].loader, splits.parts[split].num_rows
    batches = loader.fetch(list(torch.arange(num_rows).split(50)), 0)
    return [known[x.numpy().tobytes()] for batch in batches for x in loader.load(batch)[0]]


@pytest.mark.parametrize("in_memory", ["true", "false"])
@pytest.mark.parametrize("kind", Rows.MAKE)
def test_whole_numbers_of_every_type_are_classes(kind: str, in_memory: str) -> None:
    splits = splits_of("Rows", f"+dataset.kind={kind!r}", "dataset.val_fraction=0", f"loader.in_memory={in_memory}")
    expected = np.arange(N) % 3
    expected = (expected > 0).astype(int) if "bool" in kind else expected + (kind == "one based")
    found = targets(splits)
    assert found.dtype == torch.int64
    np.testing.assert_array_equal(found.numpy(), expected)
    assert splits.facts.classes == [str(label) for label in range(expected.max() + 1)]
    assert splits.facts.class_counts == tuple(np.bincount(expected))
    gap = "no row has label 0: classes count from 0 to the largest label, so there are 4"
    assert [line for line in splits.notes if "checked" not in line] == [gap] * (kind == "one based")


@pytest.mark.parametrize("dtype", ["int8", "int16", "int32", "uint8", "uint16", "bool"])
@pytest.mark.parametrize("shape", [(-1,), (-1, 1)])
def test_whole_numbers_in_arrays_are_classes(tmp_path: Path, dtype: str, shape: tuple[int, ...]) -> None:
    y = (np.arange(1, 61) % 3).astype(dtype)
    np.savez(tmp_path / "a.npz", x=np.random.default_rng(0).normal(size=(60, 4)), y=y.reshape(shape))
    tensors = {"x": torch.rand(60, 4), "y": torch.from_numpy(y.reshape(shape))}
    safetensors.torch.save_file(tensors, tmp_path / "a.safetensors")
    for kind in ("npz", "safetensors"):
        words = [f"dataset={kind}", f"dataset.path=a.{kind}", "dataset.val_fraction=0", "model=linear"]
        splits = build(config(*words))[1].splits
        np.testing.assert_array_equal(targets(splits).numpy(), y.astype(np.int64))
        assert len(splits.facts.classes or []) == int(y.max()) + 1


class Masks(Dataset):
    """Pictures of which a pixel each is bright or not; one row of pixels is marked with `ignored`."""

    def __init__(self, ignored: int = 255, named: bool = True) -> None:
        self.ignored = ignored
        if named:
            self.classes = ("dark", "bright")

    def __len__(self) -> int:
        return 40

    def __getitem__(self, row: int) -> tuple[Tensor, Tensor]:
        x = torch.rand(1, 6, 6, generator=torch.Generator().manual_seed(row))
        y = (x > 0.5).to(torch.uint8)
        y[:, 0] = self.ignored
        return x, y  # (1, H, W), as a picture of a mask is read


class Pixels(nn.Conv2d):
    def __init__(self, in_channels: int, num_classes: int) -> None:
        super().__init__(in_channels, num_classes, 3, padding=1)


@pytest.mark.parametrize("named", ["true", "false"])
@pytest.mark.parametrize(("ignored", "in_memory"), [(255, "false"), (255, "true"), (1, "false")])
def test_pixels_with_the_ignored_label_count_nowhere(ignored: int, in_memory: str, named: str) -> None:
    words = [f"+dataset.ignored={ignored}", f"+dataset.named={named}", f"loader.in_memory={in_memory}"]
    words += ["model=own", "model._target_=test_own_dataset.Pixels", "epochs=2", "optimizer.lr=0.1"]
    run, setup = build(
        config(
            *OWN,
            "dataset._target_=test_own_dataset.Masks",
            *words,
            "loss=cross_entropy",
            f"loss.ignore_index={ignored}",
        )
    )
    list(train(run))
    assert len(setup.splits.facts.classes or []) == (2 if named == "true" or ignored == 255 else 1)
    metrics = evaluate(run, run.val_batches, "val")
    right = total = 0
    for x, y, _ in run.val_batches:
        wanted, guess = y.numpy(), run.model(x).argmax(1).numpy()
        right, total = right + ((guess == wanted) & (wanted != ignored)).sum(), total + (wanted != ignored).sum()
    assert 0 < total < y.numel()
    assert metrics["val/acc"] == right / total
    shown = measure(run, setup.splits.preprocessing, run.val_batches, setup.splits.val.part, "val")
    assert sum(shown.confusions.values()) == total


def test_an_ignored_class_of_pictures_and_tables_is_not_measured(tmp_path: Path) -> None:
    for row, name in enumerate("abc" * 8):
        (tmp_path / "pics" / name).mkdir(parents=True, exist_ok=True)
        Image.new("RGB", (4, 4), (row * 10, 0, 0)).save(tmp_path / "pics" / name / f"{row}.png")
    (tmp_path / "t.csv").write_text("x,y\n" + "".join(f"{row},{'abc'[row % 3]}\n" for row in range(24)))
    loss = ["loss=cross_entropy", "loss.ignore_index=1", "dataset.val_fraction=0.5", "model=linear"]
    for words in (
        ["dataset=images", "dataset.path=pics", "dataset.size=4"],
        ["dataset=table", "dataset.path=t.csv", "dataset.target=y"],
    ):
        run, setup = build(config(*words, *loss))
        ((x, y, _),) = list(run.val_batches)
        right = (run.model(x).argmax(1) == y)[y != 1]
        assert len(right) < 12
        assert evaluate(run, run.val_batches, "val")["val/acc"] == right.double().mean()
        assert setup.splits.facts.class_counts[1] == 0


def test_ignored_labels_in_an_array_are_no_class(tmp_path: Path) -> None:
    y = np.tile([0, 1, 255], 20)
    np.savez(tmp_path / "a.npz", x=np.ones((60, 2)), y=y)
    words = ["dataset=npz", "dataset.path=a.npz", "loss=cross_entropy", "loss.ignore_index=255", "model=linear"]
    splits = build(config(*words, "dataset.val_fraction=0"))[1].splits
    assert (splits.facts.classes, splits.facts.class_counts) == (["0", "1"], (20, 20))


def test_negative_class_weights_are_refused() -> None:
    with pytest.raises(ConfigError, match=r"loss\.weight must be at least 0"):
        config("dataset=iris", "loss.weight=[1,-1,1]")


# --- what is refused, before training or at its row


class Stream(IterableDataset):
    def __len__(self) -> int:
        return N

    def __iter__(self) -> Iterator[Any]:
        return iter([(inputs(0), 0)])


class NoRows(Dataset):
    """Says its length, and has no __getitem__."""

    def __len__(self) -> int:
        return N


class Pictures(Rows):
    def __getitem__(self, row: int) -> Any:
        return Image.new("RGB", (8, 8)), row % 3


class Words(Rows):
    def __getitem__(self, row: int) -> Any:
        return "a sentence", row % 3


class Ragged(Rows):
    """One of its rows differs."""

    classes = ("0", "1", "2")

    def __init__(self, odd: int = 1) -> None:
        super().__init__()
        self.odd = odd

    def __getitem__(self, row: int) -> Any:
        return torch.ones(4 + (row == self.odd)), row % 3


class Mixed(Rows):
    def __getitem__(self, row: int) -> Any:
        return inputs(row), row % 3 if row % 2 else 0.5


class Broken(Rows):
    def __getitem__(self, row: int) -> Any:
        return {}["here"]


class Negative(Rows):
    def __getitem__(self, row: int) -> Any:
        return inputs(row), -1 if row == 50 else row % 3


class NamedLabels(Rows):
    def __getitem__(self, row: int) -> Any:
        return inputs(row), np.array(["b", "a"])[row % 2]


class Signs(Rows):
    def __getitem__(self, row: int) -> Any:
        return inputs(row), 2 * (row % 2) - 1


class Rare(Rows):
    """One row in five is of class b."""

    classes = ("a", "b")

    def __getitem__(self, row: int) -> Any:
        return inputs(row), int(row % 5 == 0)


def test_the_shares_of_named_classes_are_counted_and_f1_is_measured(monkeypatch: pytest.MonkeyPatch) -> None:
    run, setup = build(config(*OWN, "dataset._target_=test_own_dataset.Rare", "dataset.val_fraction=0"))
    assert setup.splits.facts.class_counts == (N - N // 5, N // 5)
    assert header.baseline_lines(setup.splits, run.metrics) == [
        "a 80.0%, b 20.0%; always answering 'a' gives train/acc 0.8000"
    ]
    run, _ = build(config(*OWN, "dataset._target_=test_own_dataset.Rare"))
    assert {"f1", "balanced_acc"} <= set(run.metrics)
    monkeypatch.setattr("trainer.data.rows.MOST_COUNTED", N - 1)
    _, setup = build(config(*OWN, "dataset._target_=test_own_dataset.Rare"))
    assert setup.splits.facts.class_counts is None
    assert f"shares of the classes are not counted: {N} rows without `targets`" in setup.splits.notes


@pytest.mark.parametrize("kind", ["BCEWithLogitsLoss", "PoissonNLLLoss", "MSELoss"])
def test_a_loss_of_numbers_says_how_whole_numbers_become_numbers(kind: str, tmp_path: Path) -> None:
    loss = f"loss._target_=torch.nn.{kind}"
    with pytest.raises(ConfigError, match=f"{kind} needs numbers, but the targets are classes") as caught:
        build(config(*OWN, "dataset._target_=test_own_dataset.Rare", loss))
    assert caught.value.hint == "dataset.task=numbers"
    build(config(*OWN, "dataset._target_=test_own_dataset.Rare", loss, "dataset.task=numbers"))
    (tmp_path / "t.csv").write_text("x,y\n" + "".join(f"{i / 7},{i % 4}\n" for i in range(60)))
    words = ["dataset=table", f"dataset.path={tmp_path / 't.csv'}", "dataset.target=y", loss]
    with pytest.raises(ConfigError, match="needs numbers, but the targets are classes") as caught:
        build(config(*words))
    assert caught.value.hint == "dataset.task=numbers"
    build(config(*words, "dataset.task=numbers"))


class Missing(Rows):
    """The first rows are 0 or 1 for each of three labels, and one of the others has no target."""

    def __getitem__(self, row: int) -> Any:
        return inputs(row), None if row == 50 else torch.tensor([0, 1, 1])


class Half(Rows):
    def __getitem__(self, row: int) -> Any:
        return (inputs(row), None), row % 3


class Empty(Rows):
    def __getitem__(self, row: int) -> Any:
        return {}, row % 3


class Counted(Rows):
    classes = 10


class Exact(Rows):
    def __getitem__(self, row: int) -> Any:
        return inputs(row), Fraction(row, 3)


class Records(Rows):
    def __getitem__(self, row: int) -> Any:
        return np.zeros(4, dtype=[("a", "f4"), ("b", "f4")]), row % 3


class Foreign(Rare):
    """One label in its `targets` is not a class."""

    def __init__(self, odd: int) -> None:
        super().__init__()
        self.targets = [int(row % 5 == 0) if row != 50 else odd for row in range(N)]


@pytest.mark.parametrize("odd", [-1, 2])
def test_listed_labels_are_checked_against_the_classes(odd: int) -> None:
    with pytest.raises(ConfigError, match=f"label {odd} in row 50 of .*Foreign is outside the 2 classes"):
        splits_of("Foreign", f"+dataset.odd={odd}")


class Huge(Rows):
    def __getitem__(self, row: int) -> Any:
        return inputs(row), 10**6 + row


REFUSED = [
    ("Stream", "not a map-style Dataset, but an IterableDataset", "__getitem__"),
    ("NoRows", "not a map-style Dataset", "__getitem__"),
    ("Pictures", r"Pictures\[0\]: its input is a PIL picture", "pil_to_tensor"),
    ("Words", r"Words\[0\]: its input is a str", "an index for each word"),
    ("NamedLabels", r"NamedLabels\[0\]: its target is the text 'b'", "classes.index(word)"),
    ("Signs", "label -1 in row 0 of .*Signs is negative", "store -1 as 0"),
    ("Ragged", r"Ragged\[1\] has an input of shape \(5,\), row 0 of \(4,\)", "pad, crop"),
    ("Mixed", r"the target of .*Mixed\[1\] is an integer, unlike row 0's", "integers for classes"),
    ("Broken", r"Broken\[0\] raises KeyError", None),
    ("Negative", "label -1 in row 50 of .*Negative", "labels count from 0"),
    ("Missing", r"the target of .*Missing\[50\] is None, that of row 0 is one tensor", "the same parts"),
    ("Half", r"Half\[0\]: a part of its input is None", "leave out"),
    ("Empty", r"Empty\[0\]: its input is empty", "at least one tensor"),
    ("Counted", r"the attribute `classes` of .*Counted is 10, not a list of names", "classes = [word"),
    ("Exact", r"Exact\[0\]: its target is a Fraction", "return a tensor"),
    ("Records", r"Records\[0\]: its input is an array of \[\('a'", None),
    ("Huge", r"label 10001\d\d in row \d+ of .*Huge is too large", "dataset.task=numbers"),
]


@pytest.mark.parametrize(("name", "message", "hint"), REFUSED)
def test_what_cannot_be_used_is_refused_before_training(name: str, message: str, hint: str | None) -> None:
    with pytest.raises(ConfigError, match=message) as caught:
        splits_of(name)
    assert hint is None or hint in (caught.value.hint or "")


def test_parts_with_names_may_come_in_any_order() -> None:
    one, other = {"a": inputs(0), "b": torch.zeros(2)}, {"b": torch.zeros(2), "a": inputs(1)}
    form.check_like("input", {"inner": other}, {"inner": one}, "Rows[1]")
    with pytest.raises(ConfigError, match=r"an input inner.b of shape \(3,\), row 0 of \(2,\)"):
        form.check_like("input", {"inner": other | {"b": torch.zeros(3)}}, {"inner": one}, "Rows[1]")


@pytest.mark.parametrize("workers", [0, pytest.param(2, marks=pytest.mark.slow)])
def test_a_row_that_differs_later_ends_the_run_with_its_number(workers: int, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("trainer.data.rows.MOST_COUNTED", 0)
    odd = int(seeds.permutation(N, seeds.derive(0, "fingerprint"))[CHECKED])  # the first that the build does not read
    words = ["dataset._target_=test_own_dataset.Ragged", f"+dataset.odd={odd}", f"loader.num_workers={workers}"]
    run, _ = build(config(*OWN, *words, "dataset.val_fraction=0"))
    with pytest.raises(TrainerError, match=r"^test_own_dataset.Ragged\[\d+\] has an input of shape") as caught:
        list(train(run))
    assert caught.value.exit_code == 1
    assert int(str(caught.value).partition("[")[2].partition("]")[0]) == odd


def test_rows_that_are_gathered_are_all_seen_before_training() -> None:
    with pytest.raises(ConfigError, match=r"Ragged\[77\] has an input of shape"):
        splits_of("Ragged", "+dataset.odd=77", "loader.in_memory=true")


def test_rows_that_are_drawn_again_are_kept_only_if_that_is_asked_for() -> None:
    kept = build(config(*OWN, "dataset._target_=own.Augmented", "loader.in_memory=true"))[1].splits
    assert any(
        note.endswith("differs each time it is read; loader.in_memory=true reads it once") for note in kept.notes
    )
    loader, row = build(config(*OWN, "dataset._target_=own.Augmented"))[1].splits.train.loader, [torch.tensor([7])]
    once, again, later = (loader.load(next(iter(loader.fetch(row, epoch))))[0] for epoch in (0, 0, 1))
    assert torch.equal(once, again)
    assert not torch.equal(once, later)


# --- splits that a Dataset brings, and those that are drawn


class WithParts(Rows):
    """Validates on rows of their own, 120 to 149, and tests on 150 to 169; `how` says how they are brought."""

    def __init__(self, how: str = "attribute") -> None:
        super().__init__()
        if how == "attribute":
            self.val, self.test = Shifted(N, 30), Shifted(150, 20)

    def __getattr__(self, name: str) -> Any:
        if name in ("val", "test") and "val" not in vars(self):
            return lambda: Shifted(N, 30) if name == "val" else Shifted(150, 20)
        raise AttributeError(name)


class Shifted(Rows):
    def __init__(self, first: int, size: int) -> None:
        super().__init__(size=size)
        self.first = first

    def __getitem__(self, row: int) -> Any:
        return super().__getitem__(row + self.first)


@pytest.mark.parametrize("how", ["attribute", "method"])
@pytest.mark.parametrize("in_memory", ["true", "false"])
def test_a_dataset_brings_its_own_val_and_test(how: str, in_memory: str) -> None:
    splits = splits_of("WithParts", f"+dataset.how={how}", f"loader.in_memory={in_memory}", "dataset.val_fraction=0.5")
    assert rows_of(splits, "train") == list(range(N))
    assert rows_of(splits, "val") == list(range(N, N + 30))
    assert rows_of(splits, "test") == list(range(150, 170))
    assert "dataset.val_fraction is not used" in splits.notes[0]


class Listed(Rows):
    """Lists the rows of its splits."""

    def __init__(self, **parts: Any) -> None:
        super().__init__()
        self.parts = parts

    def split(self) -> Any:
        return self.parts.get("all", self.parts)


class Masked(Rows):
    def split(self, seed: int) -> Any:
        """Every row whose number leaves `seed` when divided by 4 validates."""
        return {"val": np.arange(N) % 4 == seed}


@pytest.mark.parametrize("in_memory", ["true", "false"])
def test_a_dataset_lists_the_rows_of_its_splits(in_memory: str) -> None:
    words = [f"loader.in_memory={in_memory}", "+dataset.val=[5,4]", "+dataset.test=[7]"]
    splits = splits_of("Listed", *words, "+dataset.train=[1,2,3,3]")
    assert [rows_of(splits, split) for split in ("train", "val", "test")] == [[1, 2, 3, 3], [5, 4], [7]]
    splits = splits_of("Listed", *words)  # without `train`, all others train
    assert rows_of(splits, "train") == sorted(set(range(N)) - {4, 5, 7})
    splits = splits_of("Masked", f"loader.in_memory={in_memory}", "dataset.split_seed=3")
    assert rows_of(splits, "val") == list(range(3, N, 4))
    assert rows_of(splits, "train") == [row for row in range(N) if row % 4 != 3]


def test_a_listed_test_split_leaves_val_fraction_its_meaning() -> None:
    splits = splits_of("Listed", "+dataset.test=[0,1,2,3,4,5,6,7,8,9,10,11,12,13,14,15,16,17,18,19]")
    train_rows, val_rows = rows_of(splits, "train"), rows_of(splits, "val")
    assert len(val_rows) == 20
    assert sorted([*train_rows, *val_rows]) == list(range(20, N))


class Own(Rows):
    """Validates on some of its own rows, and trains on them too."""

    def __init__(self) -> None:
        super().__init__()
        self.val = Subset(self, range(20))


class Renamed(Rows):
    classes = ("a", "b", "c")

    def __init__(self) -> None:
        super().__init__()
        self.val = Rows()
        self.val.classes = ("b", "a", "c")


class Loaded(Rows):
    def __init__(self) -> None:
        super().__init__()
        self.val = torch.utils.data.DataLoader(Rows())


class Wider(Rows):
    def __init__(self) -> None:
        super().__init__()
        self.test = [(torch.ones(5), 0)]


WRONG = [
    ("Listed", ["+dataset.train=[1,2]", "+dataset.val=[2]"], r"puts row 2 into train and into val"),
    ("Listed", ["+dataset.val=[1]", "+dataset.test=[1]"], r"puts row 1 into val and into test"),
    ("Listed", ["+dataset.val=[120]"], r"holds row 120, but there are rows 0 to 119"),
    ("Listed", ["+dataset.val=[-1]"], r"holds row -1"),
    ("Listed", ["+dataset.val=[]"], r"\['val'\] is empty"),
    ("Listed", ["+dataset.val=[0.5]"], r"\['val'\] is not a list of row numbers"),
    ("Listed", ["+dataset.valid=[1]"], r"split\(\) returns the keys valid"),
    ("Listed", ["+dataset.all=[1]"], r"split\(\) returns a list"),
    ("Listed", ["+dataset.val=[1]", "+dataset.split=group"], "brings its own val"),
    ("Own", [], r"Own\.val holds rows of .*Own itself"),
    ("Renamed", [], r"Renamed\.val has the classes \['b', 'a', 'c'\]"),
    ("Loaded", [], r"Loaded\.val is not a map-style Dataset"),
    ("Wider", [], r"Wider\.test\[0\] has an input of shape \(5,\), row 0 of \(4,\)"),
    ("Rows", ["+dataset.split=groups"], "is not one of random, stratified, group, time"),
    ("Rows", ["+dataset.split=group"], r"needs .*Rows\.groups: one value for each row"),
    ("Ordered", ["+dataset.short=true", "+dataset.split=time"], "times has 5 values, but there are 120 rows"),
    ("Ordered", ["+dataset.times=hole", "+dataset.split=time"], r"times\[7\] has no value"),
    ("Ordered", ["+dataset.times=words", "+dataset.split=time"], "neither numbers nor dates"),
    ("Ordered", ["+dataset.one=true", "+dataset.split=group"], "leaves no row for one of the two parts"),
]


@pytest.mark.parametrize(("name", "words", "message"), WRONG)
def test_splits_that_do_not_hold_back_what_they_say_are_refused(name: str, words: list[str], message: str) -> None:
    with pytest.raises(ConfigError, match=message):
        splits_of(name, *words)


class Ordered(Rows):
    """Rows of 11 people, each at a time of its own."""

    def __init__(self, times: str = "dates", short: bool = False, one: bool = False) -> None:
        super().__init__()
        draw = np.random.default_rng(0)
        self.groups = np.array([f"person {p}" for p in draw.integers(0, 1 if one else 11, N)])
        day = draw.permutation(N)
        begin = datetime.datetime(2026, 1, 1)
        made = {
            "dates": [begin + datetime.timedelta(days=int(d)) for d in day],
            "numpy": np.datetime64("2026-01-01") + day,
            "numbers": torch.from_numpy(2**60 + day),  # more digits than a float has
            "texts": [str(np.datetime64("2026-01-01") + d) for d in day],
            "hole": [None if row == 7 else float(d) for row, d in enumerate(day)],
            "words": [f"day {d}" for d in day],
        }
        self.times, self.day = made[times][: 5 if short else N], day


def test_complete_groups_are_held_back() -> None:
    splits = splits_of("Ordered", "+dataset.split=group")
    groups = Ordered().groups
    train_groups, val_groups = (set(groups[rows_of(splits, split)]) for split in ("train", "val"))
    assert not train_groups & val_groups
    assert splits.num_rows("train") + splits.num_rows("val") == N
    assert 0.1 * N < splits.num_rows("val") < 0.3 * N
    other = splits_of("Ordered", "+dataset.split=group", "dataset.split_seed=2")
    assert set(groups[rows_of(other, "val")]) != val_groups


@pytest.mark.parametrize("times", ["dates", "numpy", "numbers", "texts"])
def test_the_latest_rows_are_held_back(times: str) -> None:
    splits = splits_of("Ordered", "+dataset.split=time", f"+dataset.times={times}")
    expected = np.flatnonzero(Ordered().day >= N - N // 5)
    np.testing.assert_array_equal(rows_of(splits, "val"), expected)


def test_each_class_has_its_share_in_validation() -> None:
    splits = splits_of("Rows", "+dataset.split=stratified", "dataset.val_fraction=0.25")
    assert np.bincount(targets(splits, "val").numpy()).tolist() == [10, 10, 10]


class Takes(Rows):
    """Has a parameter with the name of our key."""

    def __init__(self, split: str) -> None:
        super().__init__(size={"small": 60}[split])


def test_a_class_with_a_parameter_split_gets_it() -> None:
    splits = splits_of("Takes", "+dataset.split=small")
    assert (splits.num_rows("train"), splits.num_rows("val")) == (48, 12)
    assert any("dataset.split is an argument of" in note for note in splits.notes)


def test_a_whole_float_is_a_seed() -> None:
    rows = [rows_of(splits_of("Rows", f"dataset.split_seed={seed}"), "val") for seed in ("1", "1.0", "2")]
    assert rows[0] == rows[1] != rows[2]


@pytest.mark.slow
def test_the_command_line_names_the_row(tmp_path: Path, cli: Cli) -> None:
    (tmp_path / "mine.py").write_text(
        "import torch\n"
        "class Rows:\n"
        "    classes = 'ab'\n"
        "    def __len__(self): return 6000\n"
        "    def __getitem__(self, i): return torch.ones(3 + (i == 500)), i % 2\n"
    )
    done = cli("train", *OWN, "dataset._target_=mine.Rows", "epochs=1", "report=false", "dataset.val_fraction=0")
    assert done.returncode == 1
    assert "error: mine.Rows[500] has an input of shape (4,), row 0 of (3,)" in done.stderr
