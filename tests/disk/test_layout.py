"""The run folder on any system, with or without torch: its name, how it is found, and files that are replaced whole."""

from pathlib import Path

import pytest

from trainer.disk import layout, storage
from trainer.errors import ConfigError, StorageError

pytestmark = pytest.mark.no_torch


def test_runs_made_in_one_second_get_folders_of_their_own() -> None:
    folders = [layout.create("outputs", "Digits-MLP") for _ in range(20)]
    assert len(set(folders)) == 20
    assert all(folder.is_dir() and "-digits-mlp-" in folder.name for folder in folders)


def test_a_run_is_found_by_latest_its_path_and_the_end_of_its_name() -> None:
    first, second = (layout.create("outputs", "iris-mlp") for _ in range(2))
    for folder in (first, second):
        storage.write_file(folder / layout.CONFIG, b"epochs: 1\n")
    assert layout.find("latest").resolve() == second.resolve()
    assert layout.find(str(first)).resolve() == first.resolve()
    assert layout.find(first.name).resolve() == first.resolve()
    with pytest.raises(ConfigError, match="no run 'nothing'"):
        layout.find("nothing")


def test_a_file_is_replaced_whole_and_nothing_is_left_beside_it(tmp_path: Path) -> None:
    for data in (b"old", b"new and longer"):
        storage.write_file(tmp_path / "summary.json", data)
    assert (tmp_path / "summary.json").read_bytes() == b"new and longer"
    assert [path.name for path in tmp_path.iterdir()] == ["summary.json"]


def test_what_cannot_be_written_names_the_path(tmp_path: Path) -> None:
    (tmp_path / "file").write_bytes(b"")
    with pytest.raises(StorageError, match="is a file"):
        layout.check_writable(str(tmp_path / "file"))
    with pytest.raises(StorageError, match=r"summary\.json"):
        storage.write_file(tmp_path / "no folder" / "summary.json", b"")
