"""Pictures as a data set: splits by folder, augmentation, classes matched by name, and what stays of version 0.1.0."""

import csv
import math
import re
import shutil
import struct
import zlib
from pathlib import Path

import pytest
import torch
from conftest import config
from drawn import draw
from PIL import Image

from trainer.build.build import build
from trainer.cli import main
from trainer.data.augmentation import augment
from trainer.data.facts import Facts, Spec
from trainer.data.images import Images, upgraded
from trainer.data.meaning import Meaning
from trainer.data.preprocessing import Preprocessing
from trainer.data.scaling import Cast
from trainer.errors import ConfigError, TrainerError
from trainer.loop import train

PICTURES = ("dataset=images", "dataset.path=pics", "dataset.size=8", "model=cnn", "model.channels=[8]", "threads=1")


def bomb(path: Path) -> None:
    """A PNG of 60,000 × 60,000 pixels in a hundred bytes."""

    def chunk(kind: bytes, data: bytes) -> bytes:
        return struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))

    head = struct.pack(">IIBBBBB", 60_000, 60_000, 8, 2, 0, 0, 0)
    path.write_bytes(b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", head) + chunk(b"IDAT", b"") + chunk(b"IEND", b""))


BROKEN = {
    "cut short": lambda path: path.write_bytes(path.read_bytes()[:300]),
    "no picture": lambda path: path.write_text("hello"),
    "empty": lambda path: path.write_bytes(b""),
    "a bomb": bomb,
}


@pytest.mark.parametrize("name", ["cut short", "a bomb"])
@pytest.mark.parametrize("workers", [0, pytest.param(1, marks=pytest.mark.slow)])
def test_a_broken_picture_is_named(name: str, workers: int) -> None:
    draw(Path("pics"))
    for number in range(12):
        BROKEN[name](Path(f"pics/red/{number:02d}.png"))
    message = r"^pics/red/\d\d.png (cannot be read|has 60000)"
    with pytest.raises(TrainerError, match=message) as caught:
        for _ in train(build(config(*PICTURES, f"loader.num_workers={workers}"))[0]):
            pass
    assert "\n" not in caught.value.message
    assert caught.value.exit_code == 1  # training had begun
    with pytest.raises(ConfigError, match=message):
        build(config(*PICTURES, "loader.in_memory=true"))


@pytest.mark.parametrize("name", ["no picture", "empty"])
def test_files_that_are_no_pictures_are_counted_and_named_before_training(name: str) -> None:
    draw(Path("pics"))
    Path("pics/red/00.png").rename("pics/red/00.jpg")  # a picture all the same
    for number in (3, 4):
        BROKEN[name](Path(f"pics/red/{number:02d}.png"))
    message = r"^2 of 24 files in pics cannot be read as pictures: pics/red/03.png, pics/red/04.png$"
    with pytest.raises(ConfigError, match=message) as caught:
        build(config(*PICTURES))
    assert "mogrify -format jpg" in caught.value.hint


def test_photos_in_a_format_that_cannot_be_read_are_named(capsys: pytest.CaptureFixture[str]) -> None:
    draw(Path("pics"))
    Path("pics/red/IMG_1.HEIC").write_bytes(b"\0\0\0\x18ftypheic")
    assert main(["train", *PICTURES, "epochs=1", "report=false"]) == 0
    said = capsys.readouterr().out
    assert "1 photo cannot be read, left out: pics/red/IMG_1.HEIC" in said
    assert "try: save as JPEG or PNG" in said
    assert main(["predict", "latest", "pics/red/IMG_1.HEIC"]) == 2
    said = capsys.readouterr()
    assert "pics/red/IMG_1.HEIC is not a picture that can be read" in said.err
    assert "try: save as JPEG or PNG" in said.err
    for path in Path("pics/red").glob("*.png"):
        path.unlink()
    assert main(["train", *PICTURES]) == 2
    assert "pics/red holds no pictures that can be read, only 1 such as IMG_1.HEIC" in capsys.readouterr().err


def test_pictures_that_are_in_two_splits_are_counted(capsys: pytest.CaptureFixture[str]) -> None:
    draw(Path("pics/train"))
    for name in ("red", "blue"):
        Path(f"pics/test/{name}").mkdir(parents=True)
        for number in range(4):
            shutil.copy(f"pics/train/{name}/{number:02d}.png", f"pics/test/{name}/copy{number}.png")
    assert main(["train", *PICTURES, "epochs=1", "report=false", "dataset.val_fraction=0"]) == 0
    assert "8 of 8 test pictures (100.0%) are among the training pictures too" in " ".join(
        capsys.readouterr().out.split()
    )
    assert main(["eval", "latest"]) == 0
    assert "warning: 8 of these 8 rows are equal to rows that were trained on" in capsys.readouterr().err


def rows(batches: object) -> torch.Tensor:
    return torch.cat([x for x, *_ in batches])


@pytest.mark.parametrize("augmented", [False, True])
def test_both_loaders_give_the_same_pictures_and_validation_is_never_augmented(augmented: bool) -> None:
    draw(Path("pics"))
    words = [*PICTURES, f"dataset.augment={str(augmented).lower()}"]
    memory, other = (build(config(*words, f"loader.in_memory={where}"))[0] for where in ("true", "false"))
    epochs = []
    for epoch in (0, 1, 0):
        one, two = (
            torch.cat([x for window in run.train_batches.windows(epoch) for x, *_ in window]) for run in (memory, other)
        )
        assert torch.equal(one, two)
        epochs.append(one.flatten(1).sum(1).sort().values)  # in an order that does not depend on the epoch
    assert torch.equal(epochs[0], epochs[2])
    assert torch.equal(epochs[0], epochs[1]) is not augmented
    plain = build(config(*PICTURES))[0]
    for run in (memory, other):
        assert torch.equal(rows(run.val_batches), rows(plain.val_batches))
        assert torch.equal(rows(run.val_batches), rows(run.val_batches))


@pytest.mark.parametrize("in_memory", ["true", "false"])
def test_folders_are_splits_with_the_classes_of_train(in_memory: str, capsys: pytest.CaptureFixture[str]) -> None:
    draw(Path("pics/train"), 6, ("blue", "green", "red"))
    draw(Path("pics/valid"), 3, ("green", "red"))
    draw(Path("pics/test"), 2, ("red",))
    Path("pics/train/red/notes.txt").write_text("x")
    words = [*PICTURES, f"loader.in_memory={in_memory}", "max_steps=1", "report=false"]
    run, setup = build(config(*words))
    splits = setup.splits
    assert (splits.num_rows("train"), splits.num_rows("val"), splits.num_rows("test")) == (18, 6, 2)
    assert splits.facts.classes == ["blue", "green", "red"]
    assert [y.tolist() for _, y, _ in run.val_batches] == [[1, 1, 1, 2, 2, 2]]
    assert [y.tolist() for _, y, _ in run.test_batches] == [[2, 2]]
    assert main(["train", *words]) == 0
    header = capsys.readouterr().out
    for line in ("valid has no pictures of blue", "test has no pictures of blue, green", "left out: 1 file (1 .txt)"):
        assert f"         {line}\n" in header


def test_classes_are_matched_by_name(capsys: pytest.CaptureFixture[str]) -> None:
    draw(Path("pics"), 12, ("blue", "green", "red"))
    assert main(["train", *PICTURES, "epochs=2", "loader.in_memory=true", "report=false"]) == 0
    draw(Path("new"), 5, ("red", "green"))
    Path("new/red/x.txt").write_text("x")
    capsys.readouterr()
    assert main(["eval", "latest", "dataset.path=new"]) == 0
    out, told = capsys.readouterr()
    assert "new: 10 rows" in out
    assert "left out: 1 file (1 .txt)" in told
    assert main(["predict", "latest", "new", "-o", "out.csv"]) == 0
    with open("out.csv") as file:
        predicted = [(Path(row["file"]).parent.name, row) for row in csv.DictReader(file)]
    loss = -sum(math.log(float(row[f"probability_{name}"])) for name, row in predicted) / 10
    measured = dict(line.split() for line in out.splitlines()[2:])
    assert float(measured["loss"]) == pytest.approx(loss, abs=1e-4)
    assert float(measured["acc"]) == sum(name == row["prediction"] for name, row in predicted) / 10

    capsys.readouterr()
    assert main(["eval", "latest"]) == 0
    plain = capsys.readouterr().out
    assert main(["eval", "latest", "dataset.augment=true"]) == 0
    assert capsys.readouterr().out == plain
    for key in ("size=9", "grey=true", "background=black"):
        assert main(["eval", "latest", f"dataset.{key}"]) == 2
        assert f"dataset.{key.partition('=')[0]} cannot change" in capsys.readouterr().err
    shutil.move("pics/blue", "pics/turquoise")
    for words in (["eval", "latest"], ["eval", "latest", "dataset.path=pics"]):
        assert main(words) == 2
        assert "pics has the class turquoise, which the run does not know" in capsys.readouterr().err


@pytest.mark.parametrize("grey", [False, True])
def test_a_run_of_0_1_0_reads_pictures_as_it_did(grey: bool) -> None:
    from torchvision.transforms import v2

    draw(Path("pics"), 2, ending="jpg")
    dataset = Images("pics", size=16, grey=grey)
    shape, node = dataset.how.shape, {"_target_": "trainer.data.images.Images", "path": "pics"}
    stored = Preprocessing(
        Facts(Spec(shape), Meaning("classes", "", dataset.classes, 2)), shape, Cast(torch.float32), None
    )
    prepared = dataset.match(upgraded(stored, node, torch.float32))
    mean, std = ((0.45,), (0.225,)) if grey else ((0.485, 0.456, 0.406), (0.229, 0.224, 0.225))
    steps = [v2.PILToTensor(), v2.Resize(16, antialias=True), v2.CenterCrop(16), v2.ToDtype(torch.float32, scale=True)]
    decode = v2.Compose([*steps, v2.Normalize(mean, std)])
    for row, path in enumerate(dataset.picture_files):
        with Image.open(path) as picture:
            expected = decode(picture.convert("L" if grey else "RGB"))
        torch.testing.assert_close(prepared.x(dataset[row][0][None])[0], expected, rtol=0, atol=1e-6)


@pytest.mark.parametrize("words", [["loader.in_memory=true"], [], ["dataset.val_fraction=0"]], ids=str)
def test_how_an_earlier_version_augmented_is_said(words: list[str], capsys: pytest.CaptureFixture[str]) -> None:
    """In resume, and in eval where it measures what was augmented; not of a run of this version, or without augment."""
    validates, in_memory = "dataset.val_fraction=0" not in words, "loader.in_memory=true" in words
    ways = {"validation pictures too": validates, "each only once": in_memory}
    line = ", ".join(["augmented pictures in another way: other crops", *(way for way, holds in ways.items() if holds)])

    def said(*command: str) -> str:
        capsys.readouterr()
        assert main(list(command)) == 0
        return capsys.readouterr().err

    def of_version(version: str) -> None:
        path = Path("outputs/latest/summary.json")
        path.write_text(re.sub('"trainer": "[^"]*"', f'"trainer": "{version}"', path.read_text()))

    draw(Path("pics"), 6)
    assert main(["train", *PICTURES, "dataset.augment=true", "report=false", "epochs=1", *words]) == 0
    assert "augmented" not in said("resume", "latest", "epochs=2")
    of_version("0.2.0")
    if validates:
        assert f"warning: version 0.2.0 {line}\n" in said("eval", "latest")
    assert "augmented" not in said("eval", "latest", "split=train")
    assert f"warning: version 0.2.0 {line}\n" in said("resume", "latest", "epochs=3")
    of_version("0.3.0")
    assert "augmented" not in said("resume", "latest", "epochs=4")
    assert main(["train", *PICTURES, "report=false", "epochs=1", *words]) == 0
    of_version("0.1.0")
    assert "augmented" not in said("resume", "latest", "epochs=2")


def test_augmentation_keeps_most_of_a_picture_and_mirrors_half_of_them() -> None:
    across = torch.arange(64, dtype=torch.uint8).expand(64, 64)
    picture = torch.stack([across, across.T, across])  # each pixel says where it was
    torch.manual_seed(0)
    areas, mirrored = [], 0
    for _ in range(200):
        x, y, _ = augment(picture).long()
        mirrored += int(x[0, 0] > x[0, -1])
        width, height = (64 / 63 * int(part.max() - part.min()) for part in (x, y))
        assert 0.7 < width / height < 1.4
        areas.append(width * height / 64**2)
    assert 0.55 < min(areas) < 0.65
    assert max(areas) > 0.95
    assert 70 < mirrored < 130
