"""Links and second names planted in somebody else's run or sweep folder: nothing outside is read, changed or made."""

import importlib.util
import os
import shutil
import stat
import sys
from pathlib import Path

import numpy as np
import pytest
from conftest import Cli
from opens import Opens

from trainer.cli import main
from trainer.disk import layout, lock, signature

pytestmark = pytest.mark.skipif(sys.platform != "linux", reason="watches with inotify")

TENSORBOARD = ["tensorboard=true"] * (importlib.util.find_spec("tensorboard") is not None)
QUICK = ["dataset=iris", "model.hidden=[4]", "epochs=1", *TENSORBOARD, "threads=1", "device=cpu"]
IN_PLACE = (layout.LOG, layout.METRICS, layout.RESULTS, lock.LOCK)  # these are changed where they lie
FOLDERS = (layout.CHECKPOINTS, layout.EXPORT, "tensorboard")
READERS = [
    ["report"],
    ["compare"],
    ["eval"],
    ["predict", "{run}", "rows.npz"],
    ["export", "{run}", "format=safetensors"],
]


@pytest.fixture(scope="module")
def strangers(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with a run and a sweep that a stranger made, with everything in them that trainer makes."""
    home = tmp_path_factory.mktemp("home")
    with pytest.MonkeyPatch.context() as patch:
        patch.chdir(home)
        patch.setenv("XDG_CONFIG_HOME", str(home / ".config"))
        np.savez("rows.npz", x=np.ones((3, 4), dtype=np.float32))
        assert main(["train", *QUICK]) == 0
        assert main(["export", "latest", "format=safetensors"]) == 0
        shutil.move(Path("outputs/latest").resolve(), home / "run")
        shutil.rmtree("outputs")
        (home / "run" / signature.SIGNATURE).write_bytes(b"0" * 64)
    return home


@pytest.fixture
def swept(here: Path) -> Path:
    """The same with a sweep beside it, one of whose jobs has failed."""
    words = ["seed=0,1", "epochs=1", "dataset=iris", "model.hidden=[4]", "threads=1", "device=cpu", "report=false"]
    assert main(["train", "-m", *words]) == 0
    shutil.move(Path("outputs/latest").resolve(), here / "sweep")
    (here / "sweep" / signature.SIGNATURE).write_bytes(b"0" * 64)
    path = here / "sweep" / "001" / layout.SUMMARY
    path.write_text(path.read_text().replace('"status": "ok"', '"status": "failed"'))
    shutil.rmtree(here / ".config")
    return here


@pytest.fixture
def here(strangers: Path, tmp_path: Path) -> Path:
    """A copy of it, where the test runs."""
    shutil.copytree(strangers, tmp_path, dirs_exist_ok=True, symlinks=True)
    shutil.rmtree(tmp_path / ".config", ignore_errors=True)
    return tmp_path


def names_in(folder: Path) -> list[str]:
    """Every name that trainer gave in a folder, and every one in the layout."""
    made = [path.relative_to(folder).as_posix() for path in folder.rglob("*")]
    known = [name for key, name in vars(layout).items() if key.isupper() and isinstance(name, str) and "." in name]
    return sorted({*made, *known, lock.LOCK, signature.SIGNATURE})


def plant(path: Path, outside: Path, how: str) -> None:
    """Move what is at a path outside, or make something there, and put a link in its place."""
    outside.mkdir()
    target = outside / path.name
    if path.exists():
        shutil.move(path, target)
    else:
        target.write_text("theirs\n")
    if target.is_dir() or how == "symlink":
        path.symlink_to(target)
    else:
        os.link(target, path)


def state(folder: Path) -> dict[str, tuple[int, int, int, bytes]]:
    """What can be told about each file of a folder without opening it, and its bytes."""
    found = {}
    for path in sorted(folder.rglob("*")):
        status = path.lstat()
        data = path.read_bytes() if stat.S_ISREG(status.st_mode) else b""
        found[str(path)] = (status.st_mode, status.st_mtime_ns, status.st_size, data)
    return found


def attack(here: Path, name: str, how: str, commands: list[list[str]], source: str = "run") -> list[str]:
    """Plant a link at a name of a fresh copy; what happened outside in each of the commands."""
    shutil.rmtree(here / "copy", ignore_errors=True)
    shutil.rmtree(here / "outside", ignore_errors=True)
    shutil.copytree(here / source, here / "copy")
    plant(here / "copy" / name, here / "outside", how)
    before, broken = state(here / "outside"), []
    watch = Opens(here / "outside")
    watch.seen()
    for words in commands:
        given = [word.format(run="copy") for word in words]
        try:
            main(given if "copy" in given else [given[0], "copy", *given[1:]])
        except SystemExit as error:
            broken += [f"{name}, {how}: {words} exits with {error.code}"]
        broken += [f"{name}, {how}: {words[0]}: {seen}" for seen in watch.seen() if how == "symlink"]
    watch.close()
    return broken + ([f"{name}, {how}: changed"] if state(here / "outside") != before else [])


@pytest.mark.parametrize("how", ["symlink", "hard link"])
def test_what_is_written_in_place_or_made_is_not_reached_through_a_link(here: Path, how: str) -> None:
    commands = [["resume", "{run}", "max_steps=4"], READERS[-1]]
    with_report = (here / "run" / layout.CONFIG).read_text()
    (here / "run" / layout.CONFIG).write_text(with_report.replace("report: true", "report: false"))
    for name in (*IN_PLACE, *(FOLDERS if how == "symlink" else ())):
        assert attack(here, name, how, commands) == []


@pytest.mark.slow
def test_no_verb_follows_a_link_at_any_name_of_a_run(here: Path, capsys) -> None:
    commands = [*READERS, ["resume", "{run}", "max_steps=4"], ["runs", "copy"]]
    tries, broken = 0, []
    for name in names_in(here / "run"):
        for how in ("symlink", "hard link"):
            broken += attack(here, name, how, commands)
            tries += len(commands)
    with capsys.disabled():
        print(f"\nlinks in a run folder: {tries} commands, {len(broken)} reached outside")
    assert tries > 400
    assert broken == []


@pytest.mark.slow
def test_no_verb_follows_a_link_at_any_name_of_a_sweep(swept: Path, capsys) -> None:
    commands = [*READERS, ["resume"]]
    tries, broken = 0, []
    names = [name for name in names_in(swept / "sweep") if not name.startswith("000/") and "events" not in name]
    for name in [*names, "sweep.log", "optuna.log", "001/" + layout.METRICS]:
        for how in ("symlink", "hard link"):
            broken += attack(swept, name, how, commands, "sweep")
            tries += len(commands)
    with capsys.disabled():
        print(f"\nlinks in a sweep folder: {tries} commands, {len(broken)} reached outside")
    assert tries > 200
    assert broken == []


@pytest.mark.slow
@pytest.mark.parametrize("name", [layout.CONFIG, signature.SIGNATURE, layout.CHECKPOINTS])
def test_verify_follows_no_link(here: Path, cli: Cli, name: str) -> None:
    shutil.copytree(here / "run", here / "copy")
    plant(here / "copy" / name, here / "outside", "symlink")
    before = state(here / "outside")
    watch = Opens(here / "outside")
    done = cli("verify", "copy")
    assert "Traceback" not in done.stderr
    assert done.returncode == (4 if name == layout.CONFIG else 0), done.stderr
    assert watch.seen() == []
    assert state(here / "outside") == before
    watch.close()


def test_the_watch_sees_a_file_that_is_opened_through_a_link(tmp_path: Path) -> None:
    (tmp_path / "outside").mkdir()
    (tmp_path / "outside" / "file").write_text("x")
    (tmp_path / "link").symlink_to(tmp_path / "outside" / "file")
    watch = Opens(tmp_path / "outside")
    assert watch.seen() == []
    (tmp_path / "link").read_text()
    assert [seen.rpartition("/")[2] for seen in watch.seen()] == ["file: 0x20"]
    watch.close()


def test_backups_made_of_hard_links_can_be_read(here: Path, capsys) -> None:
    copied = shutil.copytree(here / "run", here / "backup", copy_function=os.link)
    assert main(["eval", "backup"]) == 0
    assert main(["report", "backup"]) == 0  # replaces its files by rename
    assert "report   backup/report.html" in capsys.readouterr().out
    assert os.stat(copied / layout.MODEL).st_nlink == 2
