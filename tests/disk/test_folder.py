"""Paths of a run or sweep folder: they do not leave it, on systems with and without handles of folders."""

import os
import pickle
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from trainer.disk import folder, reading, storage
from trainer.disk.folder import FolderPath
from trainer.errors import StorageError

CHANGES: dict[str, Callable[[Path], Any]] = {
    "write": lambda path: storage.write_file(path, b"ours"),
    "append": lambda path: storage.AppendFile(path).write("ours"),
    "cut": lambda path: storage.truncate(path, 0),
    "read": lambda path: reading.read_file(path),
    "make": lambda path: storage.make_folder(path.with_name("new")),
    "fill": lambda path: storage.write_folder(path.with_name("new"), {"a": b"ours"}),
    "list": lambda path: folder.names(path.parent),
    "open": lambda path: storage.open_folder(path.parent),
    "remove": lambda path: storage.remove(path),
    "rename": lambda path: storage.rename(path, path.with_name("new")),
    "set aside": lambda path: storage.set_aside(path),
}


@pytest.fixture(params=[True, False], ids=["handles", "no handles"])
def run(request, tmp_path: Path, monkeypatch) -> FolderPath:
    """A run folder, reached through a link, that holds links to a folder and to a file outside."""
    monkeypatch.setattr(folder, "HAS_HANDLES", request.param)
    (tmp_path / "disk" / "run").mkdir(parents=True)
    (tmp_path / "outside").mkdir()
    (tmp_path / "outside" / "file").write_text("theirs")
    (tmp_path / "outputs").symlink_to("disk")
    made = folder.top(tmp_path / "outputs" / "run")
    os.symlink(tmp_path / "outside", made / "inner")
    os.symlink(tmp_path / "outside" / "file", made / "link")
    return made


def outside(run: Path) -> dict[str, str]:
    return {path.name: path.read_text() for path in (run.parents[1] / "outside").iterdir()}


@pytest.mark.parametrize("what", CHANGES)
def test_nothing_is_done_through_a_link(run: FolderPath, what: str) -> None:
    for path in (run / "inner" / "file", run / "inner" / "deeper" / "file"):
        try:
            result = CHANGES[what](path)
        except (StorageError, reading.Damaged, FileNotFoundError):
            result = None
        assert result in (None, []), what
    assert outside(run) == {"file": "theirs"}
    assert not (run / "inner" / "file").exists()
    assert not (run / "inner").is_dir()
    with pytest.raises((StorageError, reading.Damaged), match="link"):
        (CHANGES["append"] if what == "append" else reading.read_file)(run / "link")
    assert not (run / "link").is_file()


def test_what_a_link_is_in_the_way_of_can_be_replaced(run: FolderPath) -> None:
    storage.write_file(run / "link", b"ours")
    assert reading.read_file(run / "link") == b"ours"
    assert outside(run) == {"file": "theirs"}


def test_a_second_name_can_be_read_and_replaced_but_not_changed(run: FolderPath) -> None:
    os.link(run.parents[1] / "outside" / "file", run / "name")
    assert reading.read_file(run / "name") == b"theirs"
    for change in ("append", "cut"):
        with pytest.raises(StorageError, match="second name"):
            CHANGES[change](run / "name")
    storage.write_file(run / "name", b"ours")
    assert outside(run) == {"file": "theirs"}


def test_a_folder_for_a_library_holds_no_links(run: FolderPath) -> None:
    made = storage.open_folder(run / "tensorboard")
    storage.write_file(made / "events", b"ours")
    folder.check_content(made)
    (made / "more").symlink_to(run.parents[1] / "outside" / "file")
    with pytest.raises(StorageError, match="more is not a plain file or folder"):
        folder.check_content(made)
    with pytest.raises(StorageError, match="link"):
        storage.open_folder(run / "inner")


def test_the_way_to_the_folder_may_hold_links(run: FolderPath) -> None:
    storage.make_folder(run / "checkpoints")
    storage.write_folder(run / "checkpoints" / "step-1", {"state.json": b"{}"})
    assert folder.names(run / "checkpoints") == ["step-1"]
    assert reading.read_folder(run / "checkpoints" / "step-1", 100) == {"state.json": b"{}"}
    storage.remove_folder(run / "checkpoints")
    assert not (run / "checkpoints").exists()


def test_a_path_knows_its_folder_wherever_it_goes(run: FolderPath) -> None:
    path = run / "checkpoints" / "step-1"
    for other in (
        path,
        path.parent / "x",
        path.with_name("y"),
        path.with_suffix(".z"),
        pickle.loads(pickle.dumps(path)),
    ):
        assert isinstance(other, FolderPath)
        assert other.folder is not None
        assert other.folder.path == run
    assert not isinstance(run.parent, FolderPath)
    with pytest.raises((StorageError, reading.Damaged)):
        reading.read_file(run / "../../outside/file")
