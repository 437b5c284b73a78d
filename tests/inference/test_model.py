"""A stranger's run folder, as predict and eval open it: its preprocessing and weights are read as plain data."""

import json
import os
import pickle
import random
import resource
import struct
from collections.abc import Callable
from pathlib import Path

import pytest
import safetensors.torch
import torch
from conftest import config

from trainer.build.build import build
from trainer.data import preprocessing
from trainer.disk import digest, layout, storage
from trainer.disk.tensors import tensor_bytes
from trainer.errors import TrainerError
from trainer.inference import model as trained
from trainer.inference import predict

FACTS, NUMBERS = layout.PREPROCESSING_FACTS, layout.PREPROCESSING
WORDS = ["dataset=table", "dataset.path=t.csv", "dataset.target=y", "model.hidden=[4]", "threads=1"]
Files = dict[str, bytes]


class Evil:
    def __reduce__(self):
        return os.system, ("touch pwned",)


def facts(change: Callable[[dict], object]) -> Callable[[Files], None]:
    def apply(files: Files) -> None:
        data = json.loads(files[FACTS])
        change(data)
        files[FACTS] = json.dumps(data).encode()

    return apply


def column(number: int, **changes: object) -> Callable[[Files], None]:
    return facts(lambda data: data["table"]["columns"][number].update(changes))


def tensors(change: Callable[[dict], object]) -> Callable[[Files], None]:
    def apply(files: Files) -> None:
        found = safetensors.torch.load(files[NUMBERS])
        change(found)
        files[NUMBERS] = safetensors.torch.save(found)

    return apply


def content(name: str, data: bytes) -> Callable[[Files], None]:
    return lambda files: files.__setitem__(name, data)


HUGE = 2**62
CASES: dict[str, Callable[[Files], None]] = {
    "pickled facts": content(FACTS, pickle.dumps(Evil())),
    "pickled numbers": content(NUMBERS, pickle.dumps(Evil())),
    "pickled weights": content(layout.MODEL, pickle.dumps(Evil())),
    "empty facts": content(FACTS, b""),
    "empty numbers": content(NUMBERS, b""),
    "deep facts": content(FACTS, b"[" * 100_000),
    "deep but valid facts": content(FACTS, b"[" * 500 + b"]" * 500),
    "17 MB of facts": content(FACTS, b" " * (17 * 2**20) + b"{}"),
    "65 MB of numbers": content(NUMBERS, bytes(65 * 2**20)),
    "facts in a list": content(FACTS, b"[]"),
    "a header of 2^40": content(NUMBERS, struct.pack("<Q", 2**40) + b"{}"),
    "a huge shape": content(NUMBERS, struct.pack("<Q", 71)
                            + b'{"x.mean":{"dtype":"F32","shape":[4611686018427387904],"data_offsets":[0,4]}}'),
    "another format": facts(lambda d: d.update(format=2)),
    "a format as text": facts(lambda d: d.update(format="1")),
    "a task of its own": facts(lambda d: d.update(task="os.system")),
    "classes of numbers": facts(lambda d: d.update(task="numbers")),
    "no classes": facts(lambda d: d.update(classes=None)),
    "classes that are no list": facts(lambda d: d.update(classes="ab")),
    "classes that are no text": facts(lambda d: d.update(classes=[1, 2])),
    "more outputs than classes": facts(lambda d: d.update(num_outputs=3)),
    "no outputs": facts(lambda d: d.update(num_outputs=0, classes=[])),
    "outputs without end": facts(lambda d: d.update(num_outputs=HUGE)),
    "true as a number of outputs": facts(lambda d: d.update(num_outputs=True)),
    "an input without end": facts(lambda d: d.update(input_shape=[HUGE], raw_shape=[HUGE])),
    "a negative input": facts(lambda d: d.update(input_shape=[-4])),
    "an input of many sides": facts(lambda d: d.update(raw_shape=[1] * 100)),
    "other inputs than its columns": facts(lambda d: d.update(input_shape=[3])),
    "other columns than it says": facts(lambda d: d.update(raw_shape=[7])),
    "another scaling": facts(lambda d: d.update(x="os.system")),
    "scaled classes": facts(lambda d: d.update(y="Standardize")),
    "no table": facts(lambda d: d.update(table=None)),
    "a table in a list": facts(lambda d: d.update(table=[])),
    "no columns": facts(lambda d: d["table"].update(columns=[])),
    "a column twice": facts(lambda d: d["table"]["columns"].append(d["table"]["columns"][0])),
    "a column as text": facts(lambda d: d["table"]["columns"].append("a")),
    "a kind of its own": column(0, kind="eval"),
    "a name that is no text": column(0, name=["a"]),
    "a number with levels": column(0, levels=["a"]),
    "levels that are no list": column(1, levels="abc"),
    "levels twice": column(1, levels=["a", "a"]),
    "levels that are no text": column(1, levels=[1, 2]),
    "levels without end": column(1, levels=[str(i) for i in range(100_000)]),
    "other as text": column(1, other="x"),
    "missing as a number": column(0, missing=3),
    "no missing values": facts(lambda d: d["table"].pop("missing")),
    "no targets": facts(lambda d: d["table"].update(targets=[])),
    "a target that is a column": facts(lambda d: d["table"].update(targets=["a"])),
    "a target of no kind": facts(lambda d: d["table"].update(target_kind="x")),
    "pictures of a table": facts(lambda d: d.update(pictures={"size": 2, "grey": True, "background": "white",
                                                               "resize": "pillow"})),
    "pictures as text": facts(lambda d: d.update(pictures="x")),
    "an encoding that is none": facts(lambda d: d["table"].update(encoding="hex")),
    "an encoding with a path": facts(lambda d: d["table"].update(encoding="../evil")),
    "a long delimiter": facts(lambda d: d["table"].update(delimiter=",,")),
    "a missing value that is no text": facts(lambda d: d["table"].update(missing=[None])),
    "an output that is not there": facts(lambda d: d.update(path=[70])),
    "an output under a name": facts(lambda d: d.update(path=["logits"])),
    "classes along an axis that is not there": facts(lambda d: d.update(class_axis=7)),
    "numbers under other names": tensors(lambda t: t.update(evil=torch.zeros(1))),
    "numbers for another part": tensors(lambda t: t.update({"z.mean": torch.zeros(1)})),
    "one number too many": tensors(lambda t: t.update({"x.more": torch.zeros(1)})),
    "no deviation": tensors(lambda t: t.pop("x.std")),
    "a mean of another shape": tensors(lambda t: t.update({"x.mean": torch.zeros(3, dtype=torch.float64)})),
    "a mean of whole numbers": tensors(lambda t: t.update({"x.mean": torch.zeros(1, dtype=torch.int64)})),
    "a deviation of 0": tensors(lambda t: t.update({"x.std": torch.zeros(1, dtype=torch.float64)})),
    "a mean that is NaN": tensors(lambda t: t.update({"x.mean": torch.full((1,), float("nan"), dtype=torch.float64)})),
    "weights of another model": content(layout.MODEL, safetensors.torch.save({"evil": torch.zeros(3)})),
    "more weights than fit": content(layout.MODEL, bytes(70 * 2**20)),
}  # fmt: skip


def place(kind: str) -> Callable[[Path], object]:
    makers = {
        "link": lambda path: path.symlink_to("/etc/passwd"),
        "pipe": os.mkfifo,
        "folder": os.mkdir,
        "device": lambda path: path.symlink_to("/dev/zero"),
        "nothing": lambda path: None,
    }
    return makers[kind]


PLACES = [
    (name, kind) for name in (FACTS, NUMBERS, layout.MODEL) for kind in ("link", "pipe", "folder", "device", "nothing")
]


@pytest.fixture
def run_files(tmp_path: Path) -> Files:
    rows = "".join(f"{i},{'xyz'[i % 3]},{'no' if i % 2 else 'yes'}\n" for i in range(60))
    (tmp_path / "t.csv").write_text("a,b,y\n" + rows)
    run, setup = build(config(*WORDS))
    (tmp_path / "good").mkdir()
    preprocessing.write(tmp_path / "good", setup.splits.preprocessing)
    storage.write_file(tmp_path / "good" / layout.MODEL, tensor_bytes(run.model.state_dict()))
    files = {path.name: path.read_bytes() for path in (tmp_path / "good").iterdir()}
    facts(lambda data: data.pop(digest.CHECKSUM))(files)  # a digest would refuse each case before it is looked at
    tensors(lambda found: None)(files)
    for name, data in files.items():
        (tmp_path / "good" / name).write_bytes(data)
    return files


def used(folder: Path, settings: object) -> bool:
    """Whether the folder's model predicts anything; an error of ours counts as no."""
    try:
        model = trained.load(folder, settings)
        predict.write(model, "t.csv", "out.csv", settings.dataset, 64)
    except TrainerError as error:
        return len(error.message) > 500  # of ours is short
    return True


def test_hostile_run_folders_are_refused(tmp_path: Path, run_files: Files, watch, capfd, monkeypatch) -> None:
    monkeypatch.setenv("SECRET", "swordfish-51b7")
    settings = config(*WORDS)
    before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    passed, seen = [], []
    for number, (name, change) in enumerate([*CASES.items(), *((" is a ".join(at), at) for at in PLACES)]):
        folder = tmp_path / str(number)
        folder.mkdir()
        files = dict(run_files)
        if callable(change):
            change(files)
        for file, data in files.items():
            (folder / file).write_bytes(data)
        if not callable(change):
            (folder / change[0]).unlink()
            place(change[1])(folder / change[0])
        watch.seen, watch.on = [], True
        try:
            passed += [name] if used(folder, settings) else []
        finally:
            watch.on = False
        seen += [(name, entry) for entry in watch.seen]
    assert "swordfish" not in "".join(capfd.readouterr())
    print(f"hostile run folders: {number + 1 - len(passed)} of {number + 1} refused")
    assert number + 1 >= 60
    assert passed == []
    assert seen == []
    assert not Path("pwned").exists()
    assert resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before < 500 * 1024


def test_the_untouched_one_predicts(tmp_path: Path, run_files: Files) -> None:
    assert used(tmp_path / "good", config(*WORDS))
    assert len(Path("out.csv").read_text().splitlines()) == 61


@pytest.mark.parametrize("count", [100, pytest.param(3000, marks=pytest.mark.slow)])
def test_mutated_files_raise_errors_of_ours_alone(tmp_path: Path, run_files: Files, count: int) -> None:
    chance = random.Random(8)
    for _ in range(count):
        name = chance.choice([FACTS, NUMBERS])
        data = bytearray(run_files[name])
        for _ in range(chance.randint(1, 4)):
            data[chance.randrange(len(data))] = chance.randrange(256)
        (tmp_path / "good" / name).write_bytes(bytes(data))
        try:
            made = preprocessing.read(tmp_path / "good", torch.float32)
        except TrainerError:
            made = None
        (tmp_path / "good" / name).write_bytes(run_files[name])
        if made is not None:
            assert made.x(torch.zeros(1, *made.raw_shape)).shape[1:] == made.facts.input_shape


@pytest.mark.slow
def test_a_class_that_has_changed_since_is_not_a_damaged_file(cli, tmp_path: Path) -> None:
    (tmp_path / "mine.py").write_text(
        "from torch import nn\n"
        "class Wide(nn.Sequential):\n"
        "    def __init__(self, in_features, num_classes, width=16):\n"
        "        super().__init__(nn.Linear(in_features, width), nn.Linear(width, num_classes))\n"
    )
    words = ["model=own", "model._target_=mine.Wide", "dataset=iris", "max_steps=20", "report=false"]
    assert cli("train", *words).returncode == 0
    (tmp_path / "mine.py").write_text((tmp_path / "mine.py").read_text().replace("16", "24"))
    for verb in (["eval", "latest"], ["export", "latest"], ["resume", "latest", "max_steps=30"]):
        done = cli(*verb)
        assert done.returncode == 2, done.stderr
        assert "is of another model: size mismatch for 1.weight" in done.stderr, done.stderr
    (tmp_path / "mine.py").write_text((tmp_path / "mine.py").read_text().replace("24", "16"))
    assert cli("resume", "latest", "max_steps=30").returncode == 0
