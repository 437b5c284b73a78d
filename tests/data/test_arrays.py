"""Arrays and pictures of one's own: what they become, what is refused and where, and predictions for more of them."""

import csv
import struct
import zlib
from pathlib import Path

import numpy as np
import pytest
import safetensors.torch
import torch
from conftest import config
from PIL import Image

from trainer.build.build import build
from trainer.cli import main
from trainer.data.images import Images
from trainer.errors import ConfigError
from trainer.loop import train


def test_both_formats_hold_the_same_rows_and_a_test_split(tmp_path: Path) -> None:
    chance = np.random.default_rng(0)
    x, y = chance.normal(4, 3, (100, 6)).astype("float32"), chance.integers(0, 3, 100)
    arrays = {"x": x, "y": y, "x_test": x[:20], "y_test": y[:20]}
    np.savez(tmp_path / "a.npz", **arrays)
    tensors = {name: torch.from_numpy(array) for name, array in arrays.items()}
    safetensors.torch.save_file(tensors, tmp_path / "a.safetensors")
    runs = [build(config(f"dataset={kind}", f"dataset.path=a.{kind}")) for kind in ("npz", "safetensors")]
    splits = [setup.splits for _, setup in runs]
    assert [(s.num_train, s.num_val, s.num_test) for s in splits] == [(80, 20, 20)] * 2
    assert splits[0].facts.classes == ["0", "1", "2"]
    assert torch.equal(runs[0][0].train_batches.loader.x, runs[1][0].train_batches.loader.x)
    assert float(runs[0][0].train_batches.loader.x.mean(0).abs().max()) < 1e-5


BAD = {
    "objects": (lambda p: np.savez(p, x=np.array([object()] * 4), y=np.zeros(4)), "file of numbers: Object arrays"),
    "text": (lambda p: np.savez(p, x=np.array(["a", "b"]), y=np.zeros(2)), "x is an array of <U1"),
    "no y": (lambda p: np.savez(p, x=np.zeros((4, 2))), "has no array 'y'"),
    "other lengths": (lambda p: np.savez(p, x=np.zeros((4, 2)), y=np.zeros(3)), "the same number of rows"),
    "no rows": (lambda p: np.savez(p, x=np.zeros((0, 2)), y=np.zeros(0)), "the same number of rows"),
    "NaN": (lambda p: np.savez(p, x=np.array([[1.0], [np.nan]]), y=np.zeros(2)), r"x\[1\] is NaN or infinite"),
    "a negative label": (lambda p: np.savez(p, x=np.zeros((3, 1)), y=np.array([0, 1, -2])), "label -2 in row 2"),
    "a huge label": (lambda p: np.savez(p, x=np.zeros((3, 1)), y=np.array([0, 1, 2**40])), "label 1099511627776"),
    "one-hot labels": (lambda p: np.savez(p, x=np.zeros((3, 1)), y=np.eye(3, dtype=int)), "3 labels per row"),
    "one array": (lambda p: (np.save(f"{p}.npy", np.zeros(3)), Path(f"{p}.npy").rename(p)), "one array without a name"),
    "no archive": (lambda p: p.write_bytes(b"hello"), "not an .npz file of numbers"),
    "cut short": (lambda p: (np.savez(p, x=np.zeros((400, 2)), y=np.zeros(400)), p.write_bytes(p.read_bytes()[:900])),
                  "not an .npz file of numbers"),
}  # fmt: skip


@pytest.mark.parametrize("name", BAD)
def test_bad_arrays_are_refused(tmp_path: Path, name: str) -> None:
    make, message = BAD[name]
    make(tmp_path / "a.npz")
    with pytest.raises(ConfigError, match=message):
        build(config("dataset=npz", "dataset.path=a.npz"))


def pictures(folder: Path, count: int = 12) -> None:
    chance = np.random.default_rng(0)
    for name, colour in (("blue", (10, 10, 200)), ("red", (200, 10, 10))):
        (folder / name).mkdir(parents=True)
        for number in range(count):
            pixels = np.clip(np.array(colour) + chance.integers(-10, 10, (24, 30, 3)), 0, 255)
            Image.fromarray(pixels.astype("uint8")).save(folder / name / f"{number:02d}.png")


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


@pytest.mark.parametrize("name", BROKEN)
@pytest.mark.parametrize("workers", [0, pytest.param(1, marks=pytest.mark.slow)])
def test_a_broken_picture_is_named(tmp_path: Path, name: str, workers: int) -> None:
    pictures(tmp_path / "pics")
    for number in range(12):
        BROKEN[name](tmp_path / f"pics/red/{number:02d}.png")
    with pytest.raises(ConfigError, match=r"^pics/red/\d\d.png (cannot be read|is not a picture|has 60000)") as caught:
        for _ in train(build(config(*PICTURES, f"loader.num_workers={workers}"))[0]):
            pass
    assert "\n" not in caught.value.message


@pytest.mark.parametrize("mode", ["CMYK", "L", "I;16", "P", "RGBA", "1"])
def test_every_mode_becomes_three_channels(tmp_path: Path, mode: str) -> None:
    (tmp_path / "pics/a").mkdir(parents=True)
    Image.new(mode, (9, 7)).save(tmp_path / f"pics/a/x.{'tif' if mode in ('CMYK', 'I;16') else 'png'}")
    x, y = Images(str(tmp_path / "pics"), size=4)[0]
    assert (x.shape, y) == ((3, 4, 4), 0)


def test_augmentation_is_anew_each_epoch_and_the_same_for_the_same_seed(tmp_path: Path) -> None:
    pictures(tmp_path / "pics")
    runs = [build(config(*PICTURES, "dataset.augment=true", "loader.shuffle=false"))[0] for _ in range(2)]
    first, again, other = (
        torch.cat([x for window in run.train_batches.windows(epoch) for x, *_ in window])
        for run, epoch in ((runs[0], 0), (runs[1], 0), (runs[0], 1))
    )
    assert torch.equal(first, again)
    assert not torch.equal(first, other)


@pytest.mark.slow
def test_pictures_and_arrays_are_predicted(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    pictures(tmp_path / "pics")
    assert main(["train", *PICTURES, "epochs=30", "loader.in_memory=true", "optimizer.lr=0.02", "report=false"]) == 0
    assert main(["predict", "latest", "pics", "-o", "out.csv"]) == 0
    rows = list(csv.DictReader((tmp_path / "out.csv").read_text().splitlines()))
    assert len(rows) == 24
    assert all(row["prediction"] == Path(row["file"]).parent.name for row in rows)
    assert main(["train", "max_steps=20", "report=false"]) == 0
    np.savez(tmp_path / "d.npz", x=np.zeros((5, 1, 8, 8), dtype="uint8"))
    np.savez(tmp_path / "e.npz", x=np.zeros((5, 8), dtype="uint8"))
    assert main(["predict", "latest", "d.npz", "-o", "out.csv"]) == 0
    assert len((tmp_path / "out.csv").read_text().splitlines()) == 6
    capsys.readouterr()
    assert main(["predict", "latest", "e.npz"]) == 2
    assert "rows of shape (8,); the run was trained on (1, 8, 8)" in capsys.readouterr().err
