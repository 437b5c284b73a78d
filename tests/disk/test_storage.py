"""Storage against a disk that fails: at any operation, at any power cut, with any bit flipped."""

import contextlib
import os
import random
import resource
import shutil
import subprocess
import sys
from pathlib import Path

import pytest
from conftest import config as checked
from faults import ERRORS, FAULTS, FaultyOS, Recorder, after_power_loss, lay_out
from trials import attempt, config

from trainer import checkpoint
from trainer.diagnosis.fingerprint import evidence
from trainer.disk import layout, reading, storage
from trainer.errors import StorageError

THREE_SAVES = ["dataset=iris", "model.hidden=[8]", "max_steps=3", "checkpoint.every_seconds=0", "epochs=3"]


def break_storage(how: tuple[int, str]) -> None:
    from trainer.disk import storage

    storage.os = FaultyOS(*how)


def count_operations(path: Path) -> None:
    from trainer.disk import storage

    storage.os = counter = FaultyOS(-1, "none")
    real, os._exit = os._exit, lambda code: (path.write_text(str(counter.count)), real(code))


def survives(folder: Path, data: dict, number: int, fault: str, whole: dict[str, str], **how) -> str:
    """Run with a fault at operation `number`, then once without; what went wrong, or nothing.

    The folder's parent is new, so that the user's key is made in it too.
    """
    folder.parent.mkdir()
    code = attempt(folder, data, before=break_storage, argument=(number, fault))
    said = (folder.parent / f"{folder.name}.out").read_text()
    expected = {-9} if fault in ("kill", "torn write") else {4}
    if code not in expected:
        return f"operation {number}, {fault}: exit code {code}: {said}"
    if fault in ERRORS and ("error: cannot write" not in said or "Traceback" in said):
        return f"operation {number}, {fault}: said {said}"
    if (code := attempt(folder, data, **how)) != 0:
        return f"operation {number}, {fault}: resume ended with {code}: {said}"
    left = [p.name for p in folder.rglob(".*.tmp")]
    if left or evidence(folder) != whole:
        return f"operation {number}, {fault}: another result, or left over: {left}"
    return ""


@pytest.fixture
def faultless(tmp_path: Path) -> tuple[dict, dict[str, str], int]:
    """A run of three saves: its config, what it came to, and how many file operations it took."""
    data = config(*THREE_SAVES)
    assert attempt(tmp_path / "whole", data, before=count_operations, argument=tmp_path / "count") == 0
    return data, evidence(tmp_path / "whole"), int((tmp_path / "count").read_text())


@pytest.mark.slow
def test_a_fault_at_an_operation_costs_nothing(tmp_path: Path, faultless) -> None:
    data, whole, count = faultless
    assert count > 60
    chance = random.Random(5)
    for fault in FAULTS:
        number = chance.randrange(count)
        assert survives(tmp_path / f"{number}-{fault}" / "run", data, number, fault, whole) == ""


@pytest.mark.slow
@pytest.mark.parametrize("fault", FAULTS)
def test_a_fault_at_any_operation_costs_nothing(tmp_path: Path, faultless, fault: str) -> None:
    """Each fault at every third operation, from another one on, so that each operation meets one; all of them with
    EVERY_OPERATION=1, in ten minutes."""
    data, whole, count = faultless
    problems = []
    every = 1 if os.environ.get("EVERY_OPERATION") else 3
    for number in range(list(FAULTS).index(fault) % every, count, every):
        folder = tmp_path / f"{number}" / "run"
        problems.append(survives(folder, data, number, fault, whole))
        shutil.rmtree(folder.parent)
    print(f"{fault}: {problems.count('')} of {len(problems)} recovered")
    assert [problem for problem in problems if problem] == []


def test_the_fault_harness_notices_a_resume_that_does_not_cut(tmp_path: Path, faultless) -> None:
    data, whole, count = faultless
    problems = (
        survives(tmp_path / f"{number}" / "run", data, number, "kill", whole, before=forget_to_cut)
        for number in range(count // 2, count, 3)
    )
    assert "another result" in next(filter(None, problems), "")


def forget_to_cut(_: None) -> None:
    from trainer.disk import storage

    storage.truncate = lambda path, size: None


# --- power loss


def three_saves(root: Path, recorder: Recorder) -> None:
    """What a run does to the disk: its folder, its config, metrics and checkpoints; notes each save that returned."""
    folder = root / "outputs" / "2026-11-22" / "run"
    storage.make_folder(folder)
    storage.write_file(folder / layout.CONFIG, b"epochs: 3\n")
    recorder.note("begun")
    lines = storage.AppendFile(folder / layout.METRICS)
    for step in range(1, 4):
        lines.write(f'{{"step": {step}}}\n')
        path = folder / layout.CHECKPOINTS / f"step-{step:08d}"
        if not path.parent.exists():
            storage.make_folder(path.parent)
        files = {"weights.safetensors": bytes([step]) * 50, "state.json": str(lines.sync()).encode()}
        storage.write_folder(path, files)
        recorder.note(f"saved {step}")
        if step > 2:
            storage.remove_folder(checkpoint.checkpoints(folder)[0])
    lines.close()
    assert len(checkpoint.checkpoints(folder)) == 2


def record(root: Path, skip: tuple[int, ...] | None) -> Recorder:
    recorder = Recorder(root, skip)
    storage.os = recorder
    try:
        three_saves(root, recorder)
    finally:
        storage.os = os
    return recorder


def recovers(disk: Path, last: int | None) -> bool:
    """Whether a resume would find the config and a whole checkpoint at least as new as the last save that returned."""
    if last is None:
        return True
    folder = disk / "outputs" / "2026-11-22" / "run"
    try:
        if (folder / layout.CONFIG).read_bytes() != b"epochs: 3\n":
            return False
    except OSError:
        return False
    for path in reversed(checkpoint.checkpoints(folder)):
        with contextlib.suppress(reading.Damaged):
            files = reading.read_folder(path, 10_000)
            size = int(files["state.json"])
            metrics = folder / layout.METRICS
            step = files["weights.safetensors"][0]
            whole = "".join(f'{{"step": {n}}}\n' for n in range(1, step + 1))
            return step >= last and metrics.exists() and metrics.read_bytes()[:size].decode() == whole
    return last == 0


def count_recovered(tmp_path: Path, num_states: int, skip: tuple[int, ...] | None = None) -> tuple[int, set]:
    """Of so many states after power cuts, how many recover; and the places in storage.py that sync or rename."""
    root = tmp_path / "live"
    shutil.rmtree(root, ignore_errors=True)
    root.mkdir()
    recorder = record(root, skip)
    chance, good, disk = random.Random(11), 0, tmp_path / "disk"
    for _ in range(num_states):
        log = recorder.log[: chance.randrange(len(recorder.log) + 1)]
        notes = [entry[1] for entry in log if entry[0] == "note"]
        last = int(notes[-1].rpartition(" ")[2]) if len(notes) > 1 else 0 if notes else None
        shutil.rmtree(disk, ignore_errors=True)
        lay_out(after_power_loss(log, root, chance), disk)
        good += recovers(disk, last)
    return good, recorder.places


def test_after_a_power_cut_the_last_save_is_there(tmp_path: Path) -> None:
    assert count_recovered(tmp_path, 300)[0] == 300


@pytest.mark.slow
def test_after_5000_power_cuts_the_last_save_is_there(tmp_path: Path) -> None:
    good, _ = count_recovered(tmp_path, 5000)
    print(f"power cuts: {good} of 5000")
    assert good == 5000


def test_every_sync_and_rename_is_needed(tmp_path: Path) -> None:
    _, places = count_recovered(tmp_path, 1)
    assert len(places) >= 11
    needless = []
    for place in places:
        try:
            good, _ = count_recovered(tmp_path, 150, skip=place)
        except (OSError, StorageError, IndexError, AssertionError):
            continue  # without it, the next operation finds nothing
        if good == 150:
            needless.append(place)
    assert needless == []


# --- what lies on the disk is not what was written


@pytest.fixture(scope="module")
def good_run(tmp_path_factory: pytest.TempPathFactory):
    """A run with two checkpoints."""
    from trainer.build.build import build
    from trainer.events import Stepped
    from trainer.loop import train

    folder = tmp_path_factory.mktemp("run")
    run, _ = build(checked("dataset=iris", "model.hidden=[8]", "threads=1"))
    for event in train(run):
        if isinstance(event, Stepped) and event.step in (2, 4):
            checkpoint.save(run, folder, 2, dict)
            if event.step == 4:
                break
    return run, folder


def notices(run, folder: Path, path: Path, data: bytes, capsys) -> bool:
    """Whether a changed file is noticed, named, set aside, and the checkpoint before it used."""
    whole, newer = path.read_bytes(), path.parent
    path.write_bytes(data)
    found = checkpoint.newest(run, folder)
    said, aside = capsys.readouterr().err, newer.with_name(newer.name + ".corrupt")
    good = found is not None and found[1].name == "step-00000002" and aside.is_dir() and f"{newer.name}" in said
    aside.rename(newer)
    path.write_bytes(whole)
    return good


@pytest.mark.parametrize(("flips", "cuts"), [(60, 30), pytest.param(1000, 500, marks=pytest.mark.slow)])
def test_flipped_bits_and_truncations_are_noticed(good_run, flips: int, cuts: int, capsys) -> None:
    run, folder = good_run
    files = sorted((folder / "checkpoints/step-00000004").iterdir())
    chance, noticed = random.Random(3), [0, 0]
    for kind, count in enumerate((flips, cuts)):
        for _ in range(count):
            path = chance.choice(files)
            data = bytearray(path.read_bytes())
            if kind == 0:
                data[chance.randrange(len(data))] ^= 1 << chance.randrange(8)
            else:
                del data[chance.randrange(len(data)) :]
            noticed[kind] += notices(run, folder, path, bytes(data), capsys)
    print(f"bit flips {noticed[0]} of {flips}, truncations {noticed[1]} of {cuts}")
    assert noticed == [flips, cuts]
    assert checkpoint.newest(run, folder)[1].name == "step-00000004"


def test_without_the_digest_a_flipped_bit_would_pass(good_run, monkeypatch) -> None:
    run, folder = good_run
    path = folder / "checkpoints/step-00000004/weights.safetensors"
    whole = path.read_bytes()
    path.write_bytes(whole[:-1] + bytes([whole[-1] ^ 1]))
    monkeypatch.setattr(reading.hashlib, "sha256", lambda data: type("", (), {"hexdigest": lambda self: Anything()})())
    assert checkpoint.newest(run, folder)[1].name == "step-00000004"
    path.write_bytes(whole)


class Anything:
    def __ne__(self, other: object) -> bool:
        return False


# --- a really full disk


def fill_disk(size: int) -> None:
    import signal

    signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
    resource.setrlimit(resource.RLIMIT_FSIZE, (size, size))


def full_disk_trial(folder: Path, data: dict, size: int) -> None:
    """A first save fits; another, of a wider optimizer state, meets the limit."""
    assert attempt(folder, data) == 0
    before = {p: p.read_bytes() for p in (folder / "checkpoints").rglob("*") if p.is_file()}
    longer = {**data, "max_steps": 6}
    assert attempt(folder, longer, before=fill_disk, argument=size) == 4
    said = (folder.parent / f"{folder.name}.out").read_text().splitlines()
    errors = [line for line in said if line.startswith("error:")]
    assert len(errors) == 1
    assert str(folder) in errors[0]
    assert "bytes" in errors[0]
    assert {p: p.read_bytes() for p in before} == before
    assert not list(folder.rglob(".*.tmp"))
    assert attempt(folder, longer) == 0


@pytest.mark.parametrize("size", [3000, pytest.param(None, marks=pytest.mark.slow)])
def test_a_file_size_limit_leaves_the_old_checkpoint_whole(tmp_path: Path, size: int | None) -> None:
    data = config("dataset=iris", "model.hidden=[64]", "max_steps=3", "checkpoint.every_seconds=1000")
    for number, limit in enumerate([size] if size else range(3000, 4000, 100)):
        full_disk_trial(tmp_path / f"run-{number}", data, limit)
    print(f"file size limits: {1 if size else 10} of {1 if size else 10}")


@pytest.mark.slow
def test_a_full_disk_leaves_the_old_checkpoint_whole(tmp_path: Path) -> None:
    """A real tmpfs of 2 MB, filled up to so many free bytes. Needs the right to mount."""
    disk = tmp_path / "disk"
    disk.mkdir()
    mounted = subprocess.run(["mount", "-t", "tmpfs", "-o", "size=2m", "none", str(disk)], check=False)
    if mounted.returncode != 0:
        pytest.skip("no right to mount a tmpfs")
    try:
        data = config("dataset=iris", "model.hidden=[64]", "max_steps=3", "checkpoint.every_seconds=1000")
        for number in range(10):
            folder = disk / f"run-{number}"
            assert attempt(folder, data) == 0
            before = {p: p.read_bytes() for p in (folder / "checkpoints").rglob("*") if p.is_file()}
            free = os.statvfs(disk)
            room = free.f_bavail * free.f_bsize
            (disk / "filler").write_bytes(bytes(max(0, room - 4096 * (1 + number % 5))))
            longer = {**data, "max_steps": 6}
            assert attempt(folder, longer) == 4
            errors = [s for s in (disk / f"run-{number}.out").read_text().splitlines() if s.startswith("error:")]
            assert {p: p.read_bytes() for p in before} == before
            (disk / "filler").unlink()
            assert len(errors) <= 1  # the disk is full for what is said, too
            assert attempt(folder, longer) == 0
            shutil.rmtree(folder)
        print("full disk: 10 of 10")
    finally:
        subprocess.run(["umount", str(disk)], check=True)


@pytest.mark.slow
@pytest.mark.skipif(not os.path.exists("/dev/full"), reason="no /dev/full here")
def test_a_full_disk_below_stdout_is_a_warning_and_exit_code_4(tmp_path: Path) -> None:
    root = Path(__file__).resolve().parents[2]
    words = [sys.executable, "-m", "trainer", "train", "dataset=iris", "max_steps=2", "report=false"]
    with open("/dev/full", "w") as full:
        environment = {**os.environ, "PYTHONPATH": str(root)}
        done = subprocess.run(words, cwd=tmp_path, env=environment, stdout=full, stderr=subprocess.PIPE, text=True)
    assert done.returncode == 4, done.stderr
    assert done.stderr.startswith("warning: standard output cannot be written: No space left on device")
    assert done.stderr.count("\n") == 1
    assert list(tmp_path.glob("outputs/latest/model.safetensors"))
