"""A run whose folder, or a file in it, is removed or moved while it runs, in processes of their own."""

import os
import shutil
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
from trials import attempt, config

from trainer.diagnosis.fingerprint import evidence
from trainer.disk import layout
from trainer.events import Ended, Stepped

WORDS = ["dataset=iris", "model.hidden=[8]", "epochs=6", "checkpoint.every_seconds=1000"]
NEEDED = [layout.CONFIG, layout.PREPROCESSING, layout.PREPROCESSING_FACTS, layout.METRICS]


@dataclass
class At:
    """A listener that does something to the run's folder after a step, or with step 0 when training has ended."""

    step: int
    act: Callable[[Path, str], Any]
    folder: Path
    name: str = ""

    def __call__(self, event: Any) -> None:
        is_now = event.step == self.step if isinstance(event, Stepped) else isinstance(event, Ended) and not self.step
        if is_now:
            self.act(self.folder, self.name)

    def close(self) -> None:
        """Nothing is open."""


def move(folder: Path, _: str) -> None:
    folder.rename(folder.with_name("elsewhere"))


def move_and_replace(folder: Path, _: str) -> None:
    move(folder, "")
    folder.mkdir()


def remove(folder: Path, name: str) -> None:
    shutil.rmtree(folder / name) if (folder / name).is_dir() else (folder / name).unlink()


def take_away(folder: Path, name: str) -> None:
    os.rename(folder / name, folder.with_name(name))


@pytest.fixture(scope="module")
def whole(tmp_path_factory: pytest.TempPathFactory) -> dict[str, str]:
    """The evidence of a run that nobody disturbed."""
    folder = tmp_path_factory.mktemp("whole") / "run"
    assert attempt(folder, config(*WORDS)) == 0
    return evidence(folder)


def disturbed(folder: Path, step: int, act: Callable[[Path, str], Any], name: str = "", *more: str) -> tuple[int, str]:
    """Run, and do something to the folder on the way. Returns exit code and error."""
    code = attempt(folder, config(*WORDS, *more), listeners=[At(step, act, folder, name)])
    said = folder.with_name(f"{folder.name}.out").read_text()
    return code, next((line for line in said.splitlines() if line.startswith("error:")), "")


@pytest.mark.parametrize(
    ("step", "act"),
    [
        (4, move_and_replace),  # where an evaluation is due
        *(pytest.param(step, act, marks=pytest.mark.slow) for step in (1, 0) for act in (move, move_and_replace)),
    ],
)
def test_a_folder_that_is_moved_keeps_a_last_checkpoint(tmp_path: Path, whole, step: int, act) -> None:
    folder, there = tmp_path / "run", tmp_path / "elsewhere"
    code, error = disturbed(folder, step, act)
    assert code == 4
    assert f"{folder} was moved to {there} while the run wrote to it; saved {there.name}/checkpoints/step-" in error
    assert not folder.exists() or not any(folder.iterdir())
    assert attempt(there, config(*WORDS)) == 0
    assert evidence(there) == whole


class WithinCalls(At):
    """The same, of a listener that lets the compiled step take several steps a call."""

    per_call = True


@pytest.mark.slow
def test_the_last_checkpoint_is_of_the_end_of_a_call(tmp_path: Path) -> None:
    words = config(*WORDS, "loader.batch_size=8", "log_every=1", "compile=step", "compiler.steps=4", "max_steps=24")
    folder, there = tmp_path / "run", tmp_path / "elsewhere"
    listener = WithinCalls(6, move, folder)  # in the middle of steps 5 to 8; step 7 finds it moved
    assert attempt(folder, words, listeners=[listener]) == 4
    assert [path.name for path in (there / "checkpoints").iterdir()] == ["step-00000008"]
    assert "4 steps a call" in (there / layout.LOG).read_text()
    assert attempt(there, words) == 0
    assert attempt(folder, words, listeners=[At(999, move, folder)]) == 0
    assert "one step a call: At looks at the run after each" in (folder / layout.LOG).read_text()
    assert evidence(there) == evidence(folder)


@pytest.mark.slow
def test_tensorboard_which_writes_by_name_does_not_hide_it(tmp_path: Path, whole) -> None:
    folder, there = tmp_path / "run", tmp_path / "elsewhere"
    code, error = disturbed(folder, 5, move, "", "tensorboard=true")
    assert (code, f"saved {there.name}/checkpoints/step-" in error) == (4, True)
    assert not folder.exists()
    assert attempt(there, config(*WORDS, "tensorboard=true")) == 0
    assert evidence(there) == whole


@pytest.mark.parametrize("step", [1, pytest.param(0, marks=pytest.mark.slow)])
def test_a_folder_that_is_removed_is_not_made_again(tmp_path: Path, step: int) -> None:
    folder = tmp_path / "runs" / "run"
    folder.parent.mkdir()
    code, error = disturbed(folder, step, remove)
    assert code == 4
    assert error == f"error: {folder} was removed while the run wrote to it; nothing of it is left"
    assert not folder.exists()


@pytest.mark.parametrize("name", [*(pytest.param(name, marks=pytest.mark.slow) for name in NEEDED[1:]), NEEDED[0]])
def test_a_file_that_is_needed_is_missed_and_not_made_again(tmp_path: Path, whole, name: str) -> None:
    folder = tmp_path / "run"
    code, error = disturbed(folder, 5, take_away, name)
    assert code == 4
    assert (
        f"{folder / name} was removed or moved while the run wrote to it; saved {folder.name}/checkpoints/step-"
        in error
    )
    assert not (folder / name).exists()
    os.rename(tmp_path / name, folder / name)
    assert attempt(folder, config(*WORDS)) == 0
    assert evidence(folder) == whole


@pytest.mark.slow
@pytest.mark.parametrize("name", [layout.LOG, layout.OVERRIDES, layout.SUMMARY, layout.DATA, "config.sig"])
def test_what_is_not_needed_may_go(tmp_path: Path, whole, name: str) -> None:
    assert disturbed(tmp_path / "run", 5, remove, name) == (0, "")
    assert evidence(tmp_path / "run") == whole


@pytest.mark.slow
def test_a_missing_older_checkpoint_is_no_error(tmp_path: Path) -> None:
    folder = tmp_path / "run"
    often = config(*WORDS[:-1], "checkpoint.every_seconds=0", "checkpoint.keep=2")
    listeners = [At(7, remove, folder, f"{layout.CHECKPOINTS}/step-00000006")]
    assert attempt(folder, often, listeners=listeners) == 0
