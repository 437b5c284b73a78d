"""`trainer predict` with broken pictures, columns of unusual types, and outputs that do not fit into a table."""

import csv
import io
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet
import pytest
import torch
from PIL import Image
from safetensors.numpy import load_file
from torch import Tensor, nn
from torch.utils.data import TensorDataset

from trainer.cli import main

QUICK = ["epochs=1", "report=false", "threads=1"]


class Masks(TensorDataset):
    def __init__(self) -> None:
        x = torch.rand(20, 1, 6, 6, generator=torch.Generator().manual_seed(0))
        super().__init__(x, (x[:, 0] > 0.5).long())


class Pixels(nn.Conv2d):
    def __init__(self, in_channels: int, num_classes: int) -> None:
        super().__init__(in_channels, num_classes, 3, padding=1)

    def forward(self, x: Tensor) -> Tensor:
        return super().forward(x)


def test_a_broken_picture_costs_only_itself(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    generator = np.random.default_rng(0)
    for name in ("red", "blue"):
        (tmp_path / "pictures" / name).mkdir(parents=True)
        for number in range(10):
            pixels = generator.integers(0, 255, (8, 8, 3), dtype=np.uint8)
            Image.fromarray(pixels).save(tmp_path / "pictures" / name / f"{number}.png")
    folder = ["dataset=images", "dataset.path=pictures", "dataset.size=8", "model=linear"]
    assert main(["train", *folder, *QUICK, "loader.eval_batch_size=4"]) == 0
    broken = tmp_path / "pictures/red/3.png"
    whole = broken.read_bytes()
    broken.write_bytes(whole[: len(whole) // 2])
    capsys.readouterr()
    assert main(["predict", "latest", "pictures", "-o", "out.csv"]) == 1
    said = capsys.readouterr().err
    assert said.count("error:") == 1
    assert "pictures/red/3.png cannot be read" in said
    files = [row["file"] for row in csv.DictReader(io.StringIO((tmp_path / "out.csv").read_text()))]
    wanted = sorted(str(path.relative_to(tmp_path)) for path in tmp_path.glob("pictures/*/*.png") if path != broken)
    assert sorted(files) == wanted
    assert main(["predict", "latest", "pictures", "-o", "out.npz"]) == 1
    assert np.load(tmp_path / "out.npz")["file"].tolist() == files
    assert main(["predict", "latest", str(broken)]) == 2
    (tmp_path / "bad").mkdir()
    for number in range(6):
        (tmp_path / "bad" / f"{number}.png").write_bytes(b"no picture")
    assert main(["predict", "latest", "bad", "-o", "none.csv"]) == 2
    assert not (tmp_path / "none.csv").exists()


def test_columns_of_any_type_are_passed_on(tmp_path: Path) -> None:
    n = 40
    table = pa.table(
        {
            "a": np.random.default_rng(0).normal(size=n),
            "words": pa.array(["x", "y"] * (n // 2)).dictionary_encode(),
            "list": [[1, 2]] * n,
            "struct": [{"u": 1, "v": "q,r"}] * n,
            "bytes": [b"\x00\xff"] * n,
            "nothing": pa.nulls(n),
            "target": ["p", "q"] * (n // 2),
        }
    )
    pyarrow.parquet.write_table(table.select(["a", "words", "target"]), tmp_path / "train.parquet")
    pyarrow.parquet.write_table(table.drop(["target"]), tmp_path / "new.parquet")
    assert main(["train", "dataset=table", "dataset.path=train.parquet", "dataset.target=target", *QUICK]) == 0
    for name in ("out.csv", "out.parquet"):
        assert main(["predict", "latest", "new.parquet", "-o", name]) == 0
    rows = list(csv.DictReader(io.StringIO((tmp_path / "out.csv").read_text())))
    kept = pyarrow.parquet.read_table(tmp_path / "out.parquet")
    assert kept.select(table.column_names[:-1]).to_pylist() == table.drop(["target"]).to_pylist()
    assert [row["prediction"] for row in rows] == kept["prediction"].to_pylist()
    assert (rows[0]["list"], rows[0]["words"], rows[0]["nothing"]) == ("[1, 2]", "x", "")
    assert rows[0]["struct"] == "{'u': 1, 'v': 'q,r'}"


def test_an_output_of_pixels_needs_arrays(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.syspath_prepend(str(Path(__file__).parent))
    x = np.random.default_rng(0).random((20, 1, 6, 6), dtype=np.float32)
    np.savez(tmp_path / "masks.npz", x=x)
    words = ["dataset=own", "dataset._target_=test_predict.Masks", "model=own", "model._target_=test_predict.Pixels"]
    assert main(["train", *words, *QUICK]) == 0
    capsys.readouterr()
    assert main(["predict", "latest", "masks.npz"]) == 2
    said = capsys.readouterr()
    assert "a row gets 2×6×6 values" in said.err
    assert "try: -o predictions.npz" in said.err
    for out in ("out.npz", "out.safetensors"):
        assert main(["predict", "latest", "masks.npz", "-o", out]) == 0
    found, same = np.load(tmp_path / "out.npz"), load_file(tmp_path / "out.safetensors")
    assert found["prediction"].shape == (20, 6, 6)
    np.testing.assert_array_equal(found["probabilities"].argmax(1), found["prediction"])
    for name, values in same.items():
        np.testing.assert_array_equal(values, found[name])
