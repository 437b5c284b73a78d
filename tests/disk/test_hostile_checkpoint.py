"""Somebody else's checkpoint: refused with a message of ours, nothing run, nothing written outside, little memory."""

import json
import os
import pickle
import random
import resource
import struct
import zipfile
from collections.abc import Callable
from pathlib import Path

import pytest
import safetensors.torch
import torch
from conftest import config

from trainer import checkpoint
from trainer.build.build import build
from trainer.disk import reading, storage
from trainer.errors import TrainerError
from trainer.events import Stepped
from trainer.loop import train
from trainer.state import TrainState

STATE, WEIGHTS, OPTIMIZER = checkpoint.STATE, checkpoint.WEIGHTS, checkpoint.OPTIMIZER


class Evil:
    def __reduce__(self):
        return os.system, ("touch pwned",)


def header(text: bytes, size: int | None = None) -> bytes:
    return struct.pack("<Q", len(text) if size is None else size) + text


def of_state(change: Callable[[dict], object]) -> Callable[[dict[str, bytes]], None]:
    """A consistent checkpoint whose state.json was changed."""

    def apply(files: dict[str, bytes]) -> None:
        state = json.loads(files[STATE])
        change(state)
        files[STATE] = json.dumps(state).encode()

    return apply


def of_file(name: str, data: Callable[[bytes], bytes]) -> Callable[[dict[str, bytes]], None]:
    return lambda files: files.__setitem__(name, data(files[name]))


def of_tensors(name: str, change: Callable[[dict], object]) -> Callable[[dict[str, bytes]], None]:
    def apply(files: dict[str, bytes]) -> None:
        tensors = safetensors.torch.load(files[name])
        change(tensors)
        files[name] = safetensors.torch.save(tensors)

    return apply


def progress(name: str, value: object) -> Callable[[dict[str, bytes]], None]:
    def change(state: dict) -> None:
        pairs = state["progress"]["__pairs__"]
        state["progress"]["__pairs__"] = [[k, value if k == name else v] for k, v in pairs]

    return of_state(change)


CONSISTENT = {  # whose manifest is right
    "pickled weights": of_file(WEIGHTS, lambda _: pickle.dumps(Evil())),
    "pickled state": of_file(STATE, lambda _: pickle.dumps(Evil())),
    "pickled optimizer": of_file(OPTIMIZER, lambda _: pickle.dumps(Evil())),
    "empty weights": of_file(WEIGHTS, lambda _: b""),
    "header of 2^40": of_file(WEIGHTS, lambda _: header(b"{}", 2**40)),
    "header past the end": of_file(WEIGHTS, lambda data: header(b"{}", 4000)),
    "header no JSON": of_file(WEIGHTS, lambda _: header(b"{" * 4000)),
    "overlapping tensors": of_file(WEIGHTS, lambda _: header(
        b'{"a":{"dtype":"F32","shape":[1],"data_offsets":[0,4]},"b":{"dtype":"F32","shape":[1],"data_offsets":[0,4]}}'
    ) + bytes(4)),
    "huge shape": of_file(WEIGHTS, lambda _: header(
        b'{"a":{"dtype":"F32","shape":[4611686018427387904,4],"data_offsets":[0,4]}}') + bytes(4)),
    "unknown dtype": of_file(WEIGHTS, lambda _: header(
        b'{"a":{"dtype":"EVIL","shape":[1],"data_offsets":[0,4]}}') + bytes(4)),
    "other names": of_tensors(WEIGHTS, lambda t: t.update(evil=torch.zeros(1))),
    "other shapes": of_tensors(WEIGHTS, lambda t: t.update({k: torch.zeros(2) for k in t})),
    "short moments for a fused kernel": of_tensors(OPTIMIZER, lambda t: t.update({"0.exp_avg": torch.zeros(1)})),
    "long step": of_tensors(OPTIMIZER, lambda t: t.update({"0.step": torch.zeros(9)})),
    "moments of no parameter": of_tensors(OPTIMIZER, lambda t: t.update({"99.exp_avg": torch.zeros(1)})),
    "moments of a negative one": of_tensors(OPTIMIZER, lambda t: t.update({"x.exp_avg": torch.zeros(1)})),
    "deep JSON": of_file(STATE, lambda _: b"[" * 100_000),
    "deep but valid JSON": of_file(STATE, lambda _: b"[" * 500 + b"]" * 500),
    "long number": of_file(STATE, lambda _: b"9" * 100_000),
    "no object": of_file(STATE, lambda _: b"[]"),
    "other format": of_state(lambda s: s.update(format=2)),
    "no progress": of_state(lambda s: s.pop("progress")),
    "progress of other names": of_state(lambda s: s["progress"]["__pairs__"].append(["advance", 1])),
    "negative step": progress("step", -1),
    "step as text": progress("step", "os.system"),
    "step past the end": progress("step", 10**9),
    "infinite samples": progress("samples", {"__float__": "inf"}),
    "scheduler with a method": of_state(lambda s: s.update(scheduler={"__pairs__": [["step", "x"]]})),
    "scaler with a method": of_state(lambda s: s.update(scaler={"__pairs__": [["step", "x"]]})),
    "other groups": of_state(lambda s: s["optimizer"].update(param_groups=[])),
    "groups with a hook": of_state(lambda s: s["optimizer"]["param_groups"][0]["__pairs__"].append(["hook", "x"])),
    "scalars of no parameter": of_state(lambda s: s["optimizer"]["scalars"].update({"7.x.y": {"a": 1}})),
    "negative offset": of_state(lambda s: s["offsets"].update({"metrics.jsonl": -5})),
    "offset as text": of_state(lambda s: s["offsets"].update({"metrics.jsonl": "x"})),
    "offsets elsewhere": of_state(lambda s: s.update(offsets=["/etc/passwd"])),
    "environment of another kind": of_state(lambda s: s.update(environment="x")),
}  # fmt: skip


def manifest(change: Callable[[dict, Path], object]) -> Callable[[Path], None]:
    def apply(path: Path) -> None:
        data = json.loads((path / storage.MANIFEST).read_text())
        change(data["files"], path)
        (path / storage.MANIFEST).write_text(json.dumps(data))

    return apply


def swap_for(make: Callable[[Path], object]) -> Callable[[Path], None]:
    def apply(path: Path) -> None:
        (path / WEIGHTS).unlink()
        make(path / WEIGHTS)

    return apply


def huge(path: Path) -> None:
    with open(path / WEIGHTS, "r+b") as file:
        file.truncate(10 * 2**30)
    manifest(lambda files, _: files[WEIGHTS].update(bytes=10 * 2**30))(path)


def zipped(path: Path) -> None:
    with zipfile.ZipFile(path / "weights.pt", "w") as archive:
        archive.writestr("data.pkl", pickle.dumps(Evil()))
    (path / WEIGHTS).unlink()


INCONSISTENT = {
    "a name with ..": manifest(lambda files, _: files.update({"../../x": files[WEIGHTS]})),
    "an absolute name": manifest(lambda files, _: files.update({"/etc/passwd": {"bytes": 1, "sha256": ""}})),
    "a hidden name": manifest(lambda files, _: files.update({".x": {"bytes": 1, "sha256": ""}})),
    "a name with NUL": manifest(lambda files, _: files.update({"a\0b": {"bytes": 1, "sha256": ""}})),
    "a size below nothing": manifest(lambda files, _: files[WEIGHTS].update(bytes=-1)),
    "a size as text": manifest(lambda files, _: files[WEIGHTS].update(bytes="9" * 9)),
    "10 GB": huge,
    "no manifest": lambda path: (path / storage.MANIFEST).unlink(),
    "a manifest of 100 MB": lambda path: os.truncate(path / storage.MANIFEST, 100 * 2**20),
    "a deep manifest": lambda path: (path / storage.MANIFEST).write_text("[" * 100_000),
    "a manifest without files": lambda path: (path / storage.MANIFEST).write_text('{"files": 3}'),
    "a link to a file": swap_for(lambda path: path.symlink_to("/etc/passwd")),
    "a pipe": swap_for(os.mkfifo),
    "a folder": swap_for(os.mkdir),
    "a device": swap_for(lambda path: path.symlink_to("/dev/zero")),
    "torch's zip": zipped,
}


@pytest.fixture(scope="module")
def good(tmp_path_factory: pytest.TempPathFactory) -> tuple[list[str], dict[str, bytes]]:
    words = ["dataset=iris", "model.hidden=[8]", "threads=1", "scheduler=cosine"]
    run, _ = build(config(*words))
    for event in train(run):
        if isinstance(event, Stepped) and event.step == 4:
            break
    return words, checkpoint.contents(run, {"metrics.jsonl": 3, "results.csv": 4})


def opens(run: TrainState, folder: Path) -> bool:
    """Whether a checkpoint is loaded from the folder; an error of ours counts as no."""
    try:
        found = checkpoint.newest(run, folder)
        if found is None:
            return False
        checkpoint.load(run, *found)
    except TrainerError:
        return False
    return True


def set_aside(entry: tuple, folder: Path) -> bool:
    """Whether an audited event is the renaming of a damaged checkpoint within its own folder."""
    event, args = entry
    return event == "os.rename" and all(Path(name).parent == folder for name in args[:2])


def test_hostile_checkpoints_are_refused(tmp_path: Path, good, watch, monkeypatch, capfd) -> None:
    monkeypatch.setenv("SECRET", "swordfish-91d0")
    words, files = good
    run, _ = build(config(*words))
    cases = {**CONSISTENT, **INCONSISTENT}
    outside: list[tuple[str, tuple]] = []
    opened, before = [], resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    for number, (name, change) in enumerate(cases.items()):
        path = tmp_path / str(number) / "checkpoints" / "step-00000004"
        path.parent.mkdir(parents=True)
        changed = dict(files)
        if name in CONSISTENT:
            change(changed)
        storage.write_folder(path, changed)
        if name in INCONSISTENT:
            change(path)
        watch.seen, watch.on = [], True
        try:
            opened += [name] if opens(run, path.parent.parent) else []
        finally:
            watch.on = False
        outside += [(name, entry) for entry in watch.seen if not set_aside(entry, path.parent)]
    said = "".join(capfd.readouterr())
    left = b"".join(file.read_bytes() for file in tmp_path.rglob("*") if file.is_file() and file.stat().st_size < 2**20)
    assert "swordfish" not in said
    assert b"swordfish" not in left
    assert outside == []
    print(f"hostile checkpoints: {len(cases) - len(opened)} of {len(cases)} refused")
    assert len(cases) >= 40
    assert opened == []
    assert not Path("pwned").exists()
    assert resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before < 500 * 1024


def test_the_untouched_one_is_loaded(tmp_path: Path, good) -> None:
    words, files = good
    (tmp_path / "checkpoints").mkdir()
    storage.write_folder(tmp_path / "checkpoints/step-00000004", files)
    assert opens(build(config(*words))[0], tmp_path)


@pytest.mark.parametrize("count", [100, pytest.param(10_000, marks=pytest.mark.slow)])
def test_mutated_parts_raise_errors_of_ours_alone(good, count: int) -> None:
    words, files = good
    run, _ = build(config(*words))
    chance = random.Random(9)
    for _ in range(count):
        name = chance.choice([STATE, WEIGHTS, OPTIMIZER])
        data = bytearray(files[name])
        for _ in range(chance.randint(1, 4)):
            data[chance.randrange(min(len(data), 1200))] = chance.randrange(256)
        try:
            checkpoint.load(run, {**files, name: bytes(data)}, Path("x"))
        except (TrainerError, reading.Damaged):
            continue
