"""Exported files against the model they came from, loaded as somebody else would: without trainer."""

import csv
import random
import re
import runpy
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
import torch
from conftest import Cli
from drawn import draw
from PIL import Image
from torch import nn

import trainer
from trainer.cli import main
from trainer.config.run_config import read_config
from trainer.config.settings import Settings
from trainer.data.embedded import BreastCancer, Diabetes, Digits
from trainer.inference import exported, formats, model_card
from trainer.inference import model as trained
from trainer.inference.layer_chain import chain, is_chain
from trainer.inference.model import Trained

QUICK = ["epochs=2", "report=false", "threads=1", "device=cpu"]
onnx = pytest.mark.optional


def model_of(run: Path) -> Trained:
    return trained.load(run, Settings(read_config(run)).check())


def predicted(model: Trained, rows: torch.Tensor) -> torch.Tensor:
    return model.named(rows)[model.task.result]


def answer(program: Path, *forbidden: str, pictures: Sequence[str] = ()) -> str:
    """What a program beside an exported file prints in a process that cannot import some modules."""
    block = "".join(f"sys.modules[{name!r}] = None; " for name in ("trainer", *forbidden))
    code = f"import sys, runpy; {block}del sys.argv[0]; runpy.run_path(sys.argv[0])"
    command = [sys.executable, "-I", "-c", code, str(program), *pictures]
    done = subprocess.run(command, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    return done.stdout


CASES: list[tuple[list[str], Any, int]] = [  # what is trained, its rows, how many outputs
    (["dataset=digits", "model=cnn", "model.channels=[4,8]", "model.dropout=0.1"], Digits, 10),
    (["dataset=breast_cancer", "model.norm=batch", "model.dropout=0.1"], BreastCancer, 2),
    (["dataset=diabetes", "model.hidden=[32,16]"], Diabetes, 1),
]


def raw_rows(dataset: Any) -> torch.Tensor:
    x = dataset().x.double()
    return x.repeat(-(-1000 // len(x)), *[1] * (x.ndim - 1))[:1000]


@pytest.mark.parametrize(("words", "dataset", "num_outputs"), CASES, ids=["digits", "breast_cancer", "diabetes"])
def test_torch_export_and_safetensors_answer_like_the_model(words: list[str], dataset: Any, num_outputs: int) -> None:
    run = trainer.train([*words, *QUICK]).run_dir
    rows = raw_rows(dataset)
    expected = predicted(model_of(run), rows)
    assert expected.shape == (1000, num_outputs)
    assert main(["export", str(run)]) == 0
    loaded = torch.export.load(run / "export/model.pt2").module()
    for count in (1, 3, 1000):
        torch.testing.assert_close(loaded(rows[:count]), expected[:count], rtol=1e-5, atol=1e-5)
    assert main(["export", "latest", "format=safetensors"]) == 0
    scope: dict[str, Any] = {}
    program = (run / "export/load_safetensors.py").read_text()
    before, after = program.split("x = torch.tensor(", 1)
    code = f"{before}x = ROWS\n{after.split(chr(10), 1)[1]}"  # the program's own lines over these rows
    scope |= {"ROWS": rows, "__file__": str(run / "export/load_safetensors.py"), "print": lambda *words: None}
    code = code.replace("for output in", "ANSWER = output\nfor output in")
    exec(compile(code, "load_safetensors.py", "exec"), scope)
    torch.testing.assert_close(scope["ANSWER"], expected, rtol=1e-5, atol=1e-4 if num_outputs == 1 else 1e-5)


@onnx
@pytest.mark.parametrize(("words", "dataset", "num_outputs"), CASES, ids=["digits", "breast_cancer", "diabetes"])
def test_onnx_answers_like_the_model(words: list[str], dataset: Any, num_outputs: int) -> None:
    onnxruntime = pytest.importorskip("onnxruntime")
    pytest.importorskip("onnxscript")
    run = trainer.train([*words, *QUICK]).run_dir
    assert main(["export", "latest", "format=onnx"]) == 0
    rows = raw_rows(dataset)
    expected = predicted(model_of(run), rows).numpy()
    session = onnxruntime.InferenceSession(run / "export/model.onnx")
    for count in (1, 3, 1000):
        (got,) = session.run(None, {"x": rows[:count].numpy()})
        scale = max(1.0, np.abs(expected).max())
        assert np.abs(got - expected[:count]).max() <= 1e-5 * scale


def write_table(path: Path) -> None:
    draw = random.Random(0)
    with path.open("w", newline="") as file:
        writer = csv.writer(file)
        writer.writerow(["size", "colour|<b>", "bought", "price"])
        for index in range(200):
            size, colour = draw.uniform(1, 9), draw.choice(["red", "green", "a|b <script>"])
            price = 3 * size + 5 * (colour == "red") + draw.gauss(0, 0.1)
            day = f"2026-{1 + index % 12:02d}-{1 + index % 28:02d}"
            writer.writerow(["" if index % 9 == 0 else f"{size:.3f}", "" if index % 11 == 0 else colour, day, price])


@onnx
def test_a_table_takes_categories_as_their_index(capsys: pytest.CaptureFixture[str]) -> None:
    onnxruntime = pytest.importorskip("onnxruntime")
    pytest.importorskip("onnxscript")
    write_table(Path("sales.csv"))
    words = ["dataset=table", "dataset.path=sales.csv", "dataset.target=price"]
    run = trainer.train([*words, *QUICK]).run_dir
    assert main(["export", "latest", "format=onnx"]) == 0
    assert main(["export", "latest"]) == 0
    model = model_of(run)
    assert [c.kind for c in model.preprocessing.table.columns] == ["number", "category", "date"]
    grid = [[size, colour, 20_000.0] for size in (2.5, np.nan) for colour in (-1.0, 0.0, 1.0, 2.0, np.nan)]
    rows = torch.tensor(grid, dtype=torch.float64)
    expected = predicted(model, rows)
    assert len(expected.unique()) >= 8  # each makes a difference
    (got,) = onnxruntime.InferenceSession(run / "export/model.onnx").run(None, {"x": rows.numpy()})
    torch.testing.assert_close(torch.from_numpy(got), expected, rtol=1e-5, atol=1e-4)
    loaded = torch.export.load(run / "export/model.pt2").module()
    torch.testing.assert_close(loaded(rows), expected, rtol=1e-5, atol=1e-4)
    page = (run / "export/README.md").read_text()
    assert "<script>" not in page
    assert "<b>" not in page
    assert r"a\|b &lt;script&gt;" in page
    assert main(["export", "latest", "format=safetensors"]) == 2
    assert "holds only tensors" in capsys.readouterr().err


def test_digits_that_float32_cannot_hold_reach_the_exported_model(tmp_path: Path) -> None:
    chance = np.random.default_rng(0)
    days = 19_783.5 + chance.uniform(0, 600, 300) / 86_400  # ten minutes of one day
    y = 1.7e9 + 100 * np.sin(days * 86_400 / 100) + chance.normal(size=300)
    with (tmp_path / "t.csv").open("w", newline="") as file:
        csv.writer(file).writerows([["day", "y"], *zip(days.tolist(), y.tolist(), strict=True)])
    run = trainer.train(["dataset=table", "dataset.path=t.csv", "dataset.target=y", *QUICK, "epochs=20"]).run_dir
    assert main(["predict", "latest", "t.csv", "-o", "p.csv"]) == 0
    predicted = [float(row["prediction"]) for row in csv.DictReader((tmp_path / "p.csv").read_text().splitlines())]
    assert np.std(predicted) > 1  # of numbers around 1.7e9
    assert main(["export", "latest"]) == 0
    loaded = torch.export.load(run / "export/model.pt2").module()
    exported = loaded(torch.from_numpy(days)[:, None]).detach().numpy()[:, 0]
    assert np.abs(exported - predicted).max() < 1e-5 * y.std()
    with pytest.raises(RuntimeError, match="dtype mismatch"):
        loaded(torch.from_numpy(days).float()[:, None])
    example = re.search(
        r"torch.tensor\(\[\[(.*?)\]\], dtype=torch.float64\)", (run / "export/load_torch_export.py").read_text()
    )
    assert abs(float(example[1]) - days.mean()) < 5 * days.std()
    assert "`x`: float64, of shape (rows, 1)" in (run / "export/README.md").read_text()


@pytest.mark.slow
def test_the_program_beside_it_needs_no_trainer() -> None:
    run = trainer.train(["dataset=iris", *QUICK]).run_dir
    assert main(["export", "latest"]) == 0
    assert main(["export", "latest", "format=safetensors"]) == 0
    first = answer(run / "export/load_torch_export.py")
    assert first == answer(run / "export/load_safetensors.py")
    assert first.split()[0] in ("setosa", "versicolor", "virginica")


@onnx
def test_the_program_of_onnx_needs_no_torch() -> None:
    pytest.importorskip("onnxruntime")
    pytest.importorskip("onnxscript")
    run = trainer.train(["dataset=diabetes", *QUICK]).run_dir
    assert main(["export", "latest", "format=onnx"]) == 0
    row = predicted(model_of(run), raw_rows(Diabetes)[:50])
    printed = float(answer(run / "export/load_onnx.py", "torch").strip("[]\n"))
    assert row.min() - 100 < printed < row.max() + 100


OWN = """
import torch
from torch import nn
class Net(nn.Module):
    def __init__(self, in_features, out_features, backwards=True):
        super().__init__()
        self.b, self.a = nn.Linear(8, out_features), nn.Linear(in_features, 8)
    def forward(self, x):
        return self.b(self.a(x.flatten(1)).relu())
class Counts(nn.Linear):
    def __init__(self, in_features, num_classes):
        super().__init__(in_features, num_classes)
    def forward(self, x):
        return super().forward(x) * (1 if int(x.sum()) % 2 else 2)
"""


@pytest.mark.slow
def test_a_class_of_ones_own_is_imported_by_the_program(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.syspath_prepend(tmp_path)
    (tmp_path / "own_export.py").write_text(OWN)
    run = trainer.train(["dataset=iris", "model=own", "model._target_=own_export.Net", *QUICK]).run_dir
    assert main(["export", "latest", "format=safetensors"]) == 0
    program = run / "export/load_safetensors.py"
    assert "from own_export import Net" in program.read_text()
    program.write_text(f"import sys; sys.path.insert(0, {str(tmp_path)!r})\n" + program.read_text())
    assert answer(program).split()[0] in ("setosa", "versicolor", "virginica")


def test_what_cannot_be_traced_says_so(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.syspath_prepend(tmp_path)
    (tmp_path / "own_counts.py").write_text(OWN)
    run = trainer.train(["dataset=iris", "model=own", "model._target_=own_counts.Counts", *QUICK]).run_dir
    capsys.readouterr()
    assert main(["export", "latest"]) == 2
    error = capsys.readouterr().err
    assert "torch.export cannot trace Counts" in error
    assert len(error.splitlines()) == 2
    assert not (run / "export").exists()


def test_a_file_that_says_otherwise_is_not_written(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    run = trainer.train(["dataset=iris", *QUICK]).run_dir
    real = formats.FORMATS["safetensors"]

    def wrong(whole: Any, made: Any, rows: Any) -> bytes:
        with torch.no_grad():
            next(whole.model.parameters())[0, 0] += 0.1
        return real.make(whole, made, rows)

    monkeypatch.setitem(formats.FORMATS, "safetensors", formats.Format(real.file, wrong, real.load))
    assert main(["export", "latest", "format=safetensors"]) == 1
    assert "differs from the model" in capsys.readouterr().err
    assert not (run / "export").exists()


def test_large_rows_are_checked_some_at_a_time(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """1,000 pictures of 224×224 at once took 6 GB."""
    trainer.train(["dataset=digits", *QUICK])
    sizes = list[int]()
    monkeypatch.setattr(exported, "AT_ONCE", 70 * 64)
    outputs = Trained.outputs

    def seen(self: Trained, raw: torch.Tensor, batch: int = 0) -> Any:
        sizes.append(len(raw))
        return outputs(self, raw, batch)

    monkeypatch.setattr(Trained, "outputs", seen)
    assert main(["export", "latest"]) == 0
    assert sizes[-15:] == [70] * 14 + [20]
    assert "checked  1,000 rows" in capsys.readouterr().out


def test_slips(cli: Cli, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["export", "latest"]) == 2
    assert "no run below" in capsys.readouterr().err
    assert main(["export", "latest", "format=onxn"]) == 2
    assert "there are torch_export, onnx, safetensors\n  try: format=onnx\n" in capsys.readouterr().err
    assert main(["export", "latest", "opset=17"]) == 2


def test_only_layers_in_a_row_are_a_chain() -> None:
    from torch import nn

    class Backwards(nn.Sequential):
        def forward(self, x: torch.Tensor) -> torch.Tensor:
            for layer in reversed(self):
                x = layer(x)
            return x

    x = torch.randn(5, 3)
    straight = nn.Sequential(nn.Linear(3, 3), nn.ReLU(), nn.Linear(3, 3))
    assert chain(straight) is not None
    assert is_chain(straight, x)
    assert not is_chain(Backwards(*straight), x)
    assert not is_chain(nn.Sequential(nn.MultiheadAttention(3, 1)), x)


def test_text_of_others_stays_text() -> None:
    assert model_card.plain("<img src=x>\n# a|b") == r"&lt;img src=x&gt; \# a\|b"
    assert model_card.code("a`\x1b[31mb") == "a  [31mb"


def test_the_card_calls_the_one_input_by_its_name() -> None:
    prepared: Any = SimpleNamespace(pictures=None, table=None)
    port = exported.Port("image", "float32", ("rows", "3"))
    assert "`image`: float32, of shape (rows, 3)" in "\n".join(model_card._input(prepared, [port]))


FORMS = [
    ("safetensors", "false"),
    pytest.param("torch_export", "true", marks=pytest.mark.slow),
    pytest.param("onnx", "false", marks=[pytest.mark.slow, onnx]),
]


@pytest.mark.parametrize(("form", "grey"), FORMS)
def test_the_program_predicts_a_jpeg_as_predict_does(
    form: str, grey: str, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    for library in formats.FORMATS[form].needs:
        pytest.importorskip(library)
    draw(Path("pics"), 6, ending="jpg")
    words = ["dataset=images", "dataset.path=pics", "dataset.size=12", f"dataset.grey={grey}", "model=cnn"]
    run = trainer.train([*words, "model.channels=[4]", *QUICK]).run_dir
    turned = Image.Exif()
    turned[0x0112] = 6
    with Image.open("pics/red/00.jpg") as picture:
        picture.save("phone.jpg", exif=turned)
        picture.convert("RGBA").rotate(30, expand=True).save("sticker.png")
    assert main(["predict", str(run), "phone.jpg", "-o", "phone.csv"]) == 0
    assert main(["predict", str(run), "sticker.png", "-o", "sticker.csv"]) == 0
    expected = []
    for name in ("phone.csv", "sticker.csv"):
        with open(name) as file:
            (row,) = csv.DictReader(file)
            expected.append([float(row["probability_blue"]), float(row["probability_red"])])
    assert main(["export", str(run), f"format={form}"]) == 0
    program = run / f"export/load_{form}.py"
    words = ["phone.jpg", "sticker.png"]
    if form == "safetensors":  # in this process, which has torch already
        monkeypatch.setattr(sys, "argv", [str(program), *words])
        capsys.readouterr()
        runpy.run_path(str(program))
        lines = capsys.readouterr().out
    else:
        lines = answer(program, *["torch"] * (form == "onnx"), pictures=words)
    got = [[float(number) for number in line.partition("[")[2].strip("]").split()] for line in lines.splitlines()]
    np.testing.assert_allclose(got, expected, rtol=0, atol=1e-5)
    card = (run / "export/README.md").read_text()
    mean = "114.75 and divides by 57.375" if grey == "true" else "123.675, 116.28, 103.53 and divides by 58.395, 57.12"
    for text in ("uint8", "upright", "over white", mean, "resized to 12 × 12 pixels"):
        assert text in card


def test_text_in_the_place_of_a_setting_is_no_part_of_a_program() -> None:
    """What torch prints of a layer holds its settings as they are; a stranger's run may hold any."""
    assert chain(nn.Sequential(nn.LayerNorm(4), nn.Linear(4, 2))) is not None
    evil = nn.LayerNorm(4, elementwise_affine="__import__('os').getcwd()")
    assert chain(nn.Sequential(evil, nn.Linear(4, 2))) is None
    named = nn.Sequential()
    named.add_module("x=print() or 1, y", nn.Linear(4, 2))
    assert chain(named) is None
