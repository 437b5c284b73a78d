"""Layouts of folders of pictures: what becomes a class, a split, or neither."""

from pathlib import Path

import pytest

from trainer.data.picture_folder import find
from trainer.errors import ConfigError


def lay_out(root: Path, *names: str) -> None:
    """Make these files; a name that ends in / is an empty folder, one with -> a link."""
    for name in names:
        path = root / name.partition("->")[0]
        path.parent.mkdir(parents=True, exist_ok=True)
        if name.endswith("/"):
            path.mkdir(parents=True, exist_ok=True)
        elif "->" in name:
            path.symlink_to(name.partition("->")[2])
        else:
            path.write_text("x")


TWO = ("a/1.png", "a/2.png", "b/1.png")
# name: (files, classes, files of each split, notes, files left out)
LAYOUTS: dict[str, tuple[tuple[str, ...], list[str], dict[str, list[str]], list[str], dict[str, int]]] = {
    "classes": (TWO, ["a", "b"], {"train": ["a/1.png", "a/2.png", "b/1.png"]}, [], {}),
    "train and val": (
        ("train/a/1.png", "train/b/1.png", "val/a/2.png", "val/b/2.png"), ["a", "b"],
        {"train": ["train/a/1.png", "train/b/1.png"], "val": ["val/a/2.png", "val/b/2.png"]},
        ["splits by folder: train, val; dataset.val_fraction is not used"], {}),
    "Train, valid and test": (
        ("Train/a/1.png", "Train/b/1.png", "valid/b/2.png", "test/a/3.png", "test/b/"), ["a", "b"],
        {"train": ["Train/a/1.png", "Train/b/1.png"], "val": ["valid/b/2.png"], "test": ["test/a/3.png"]},
        ["splits by folder: Train, valid, test; dataset.val_fraction is not used",
         "valid has no pictures of a", "test has no pictures of b"], {}),
    "train alone": (
        ("train/a/1.png", "train/b/1.png"), ["a", "b"], {"train": ["train/a/1.png", "train/b/1.png"]},
        ["splits by folder: train; dataset.val_fraction splits train"], {}),
    "train and test": (
        ("train/a/1.png", "test/a/1.png"), ["a"], {"train": ["train/a/1.png"], "test": ["test/a/1.png"]},
        ["splits by folder: train, test; dataset.val_fraction splits train"], {}),
    "hidden": (
        (*TWO, ".cache/x.png", ".cache/y/z.png", "__MACOSX/a/1.png", "a/.1.png", "b/.git/x"), ["a", "b"],
        {"train": ["a/1.png", "a/2.png", "b/1.png"]}, [],
        {"in .cache": 2, "in __MACOSX": 1, "hidden": 1, "in .git": 1}),
    "other files": (
        (*TWO, "labels.csv", "0.png", "a/list.TXT", "a/x.txt", "a/README", "b/film.mp4", "b/figure.eps"), ["a", "b"],
        {"train": ["a/1.png", "a/2.png", "b/1.png"]}, [],
        {".csv beside the class folders": 1, ".png beside the class folders": 1, ".txt": 2, "without an ending": 1,
         ".mp4": 1, ".eps": 1}),
    "endings": (
        ("a/1.gif", "a/2.jfif", "a/3.JPG", "a/4.webp", "a/5.mpo"), ["a"],
        {"train": ["a/1.gif", "a/2.jfif", "a/3.JPG", "a/4.webp", "a/5.mpo"]}, [], {}),
    "folders in classes": (
        ("a/x/2.png", "a/1.png", "a/x/y/3.png", "b/train/1.png"), ["a", "b"],
        {"train": ["a/1.png", "a/x/2.png", "a/x/y/3.png", "b/train/1.png"]}, [], {}),
    "links": (
        (*TWO, "a/again->../a", "b/all->..", "b/gone.png->nowhere", "c->../elsewhere"), ["a", "b", "c"],
        {"train": ["a/1.png", "a/2.png", "b/1.png", "c/9.png"]}, [],
        {"link to a folder above": 2, "broken link": 1}),
}  # fmt: skip


@pytest.mark.parametrize("name", LAYOUTS)
def test_a_layout(tmp_path: Path, name: str) -> None:
    names, classes, splits, notes, left_out = LAYOUTS[name]
    lay_out(tmp_path / "pics", *names)
    lay_out(tmp_path, "elsewhere/9.png")
    folder = find("pics")
    assert folder.classes == classes
    expected = {split: [f"pics/{file}" for file in files] for split, files in splits.items()}
    assert {split: [path for path, _ in found] for split, found in folder.splits.items()} == expected
    assert folder.notes == notes
    assert {kind: count for kind, count in folder.left_out.items() if count} == left_out
    assert folder.lookalikes == []


@pytest.mark.parametrize(
    "names", [("train/1.png", "val/2.png"), ("train/1.png", "bus/1.png"), ("test/x/1.png", "bus/1.png")]
)
def test_classes_may_be_named_like_splits(tmp_path: Path, names: tuple[str, ...]) -> None:
    lay_out(tmp_path / "pics", *names)
    folder = find("pics")
    assert folder.classes == sorted(name.partition("/")[0] for name in names)
    assert folder.lookalikes == [name for name in folder.classes if name != "bus"]


REFUSED = {
    "no folder": ((), "there is no folder pics"),
    "no folders": (("1.png",), "pics holds no folders"),
    "an empty class": ((*TWO, "c/"), "pics/c holds no pictures"),
    "a class without pictures": ((*TWO, "c/x.txt"), "pics/c holds no pictures"),
    "a class that train lacks": (("train/a/1.png", "val/a/1.png", "val/b/1.png"), "pics/val holds b, which pics/train"),
    "val without classes": (("train/a/1.png", "val/1.png"), "pics/val holds no class folders"),
    "train without classes": (("train/1.png", "val/a/1.png"), "pics/train holds no class folders"),
    "an empty val": (("train/a/1.png", "val/a/"), "pics/val holds no pictures"),
    "no train": (("val/a/1.png", "test/a/1.png"), "pics holds test, val, but no train"),
    "two names for one split": (("train/a/1.png", "val/a/1.png", "validation/a/1.png"), "one validation split"),
    "splits beside another folder": (
        ("train/a/1.png", "val/a/1.png", "raw/1.png"),
        "train, val, which look like splits",
    ),
}


@pytest.mark.parametrize("name", REFUSED)
def test_a_layout_that_is_refused(tmp_path: Path, name: str) -> None:
    names, message = REFUSED[name]
    lay_out(tmp_path / "pics", *names)
    with pytest.raises(ConfigError, match=message) as caught:
        find("pics")
    assert caught.value.hint or names == ()
