"""Every hint can be followed: what begins with `trainer` is typed, settings are added to the command that failed."""

import os
import shutil
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from sample import sampled
from slips import SLIPS, WITH_A_RUN, WITH_A_SWEEP
from typed_hints import follow, run, words_of

from trainer.errors import TrainerError

HERE = Path(__file__).resolve().parent
sys.path += [
    str(HERE / folder) for folder in ("build", "config", "data", "data/tabular", "optim")
]  # their lists of bad inputs

import test_arrays  # noqa: E402
import test_augmented  # noqa: E402
import test_bad_tables  # noqa: E402
import test_build  # noqa: E402
import test_cli  # noqa: E402
import test_groups  # noqa: E402
import test_images  # noqa: E402
import test_init_from  # noqa: E402
import test_model_state  # noqa: E402
import test_notation  # noqa: E402
import test_option_keys  # noqa: E402
import test_own_dataset  # noqa: E402
import test_picture_folder  # noqa: E402
import test_scaling  # noqa: E402
import test_splits  # noqa: E402

Make = Callable[[], Any]


def word(key: str, value: Any) -> str:
    """A setting of a table, quoted for Hydra."""

    def inner(value: Any) -> str:
        if isinstance(value, dict):
            return "{" + ", ".join(f"{name}: {inner(item)}" for name, item in value.items()) + "}"
        if isinstance(value, list):
            return "[" + ",".join(map(inner, value)) + "]"
        return f'"{value}"' if isinstance(value, str) and not value.isidentifier() else str(value)

    return f"dataset.{key}={inner(value)}"


def table(data: bytes, keys: dict[str, Any]) -> tuple[list[str], Make]:
    keys = {"target": "label", "path": "t.csv", **keys}
    path = Path(keys.pop("path"))
    keys["path"] = keys.pop("read", str(path))
    return ["dataset=table", *(word(*item) for item in keys.items())], lambda: path.write_bytes(data)


def split_files() -> None:
    for name, rows in (("t.csv", test_splits.ROWS), ("v.csv", 10), ("empty.csv", 0)):
        test_splits.write(name, test_splits.COLUMNS, rows)


def pictures(name: str) -> None:
    test_images.draw(Path("pics"))
    for number in range(12):
        test_images.BROKEN[name](Path(f"pics/red/{number:02d}.png"))


def commands() -> Iterator[tuple[str, list[str], Make | None]]:
    """(room, a command line that is refused, what makes the files it names)."""
    for words in SLIPS:
        yield "slip", words, None
    for words, *_ in test_cli.WRONG:
        yield "cli", words, None
    for words, _ in test_build.MISFITS:
        yield "build", ["train", *words], None
    for make, words, _ in test_init_from.BAD.values():
        yield "weights", ["train", "dataset=iris", "model.hidden=[8]", *words], make
    for words, _ in test_groups.REFUSED:
        yield "groups", ["train", "dataset=iris", *words], None
    for last, _ in test_option_keys.WRONG:
        nested = ["model._target_=test_option_keys.Headed", "+model.backbone={_target_:torch.nn.Identity}", last]
        yield "nested", ["train", *nested], None
    for kind, words, _ in test_model_state.REFUSED:
        target = f"model._target_=test_model_state.{kind.__name__}"
        yield "state", ["train", *test_model_state.RUN, target, *words], None
    for words, _ in test_scaling.REFUSED:
        yield "scaling", ["train", *words], None
    for data, keys, _ in test_bad_tables.REFUSED.values():
        words, make = table(data, keys)
        yield "table", ["train", *words], make
    for target, keys, *_ in test_splits.REFUSED.values():
        words = ["dataset=table", *(word(*item) for item in {"path": "t.csv", "target": target, **keys}.items())]
        yield "split", ["train", *words], split_files
    for values, *_ in test_notation.LOOKS.values():
        rows = values * 30
        words = ["dataset=table", "dataset.path=t.csv", "dataset.target=v"]
        yield "notation", ["train", *words], lambda rows=rows: test_notation.write(Path("t.csv"), rows)
    for make, _ in test_arrays.BAD.values():
        yield "arrays", ["train", "dataset=npz", "dataset.path=a.npz"], lambda make=make: make(Path("a.npz"))
    for name in test_images.BROKEN:
        words = [*test_images.PICTURES, "loader.in_memory=true"]
        yield "pictures", ["train", *words], lambda name=name: pictures(name)
    for words, *_ in test_augmented.REFUSED:
        yield "augment", ["train", *words], None
    for names, _ in test_picture_folder.REFUSED.values():
        make = lambda names=names: test_picture_folder.lay_out(Path("pics"), *names)  # noqa: E731
        yield "folder", ["train", *test_images.PICTURES], make
    for name, *_ in test_own_dataset.REFUSED:
        target = f"dataset._target_=test_own_dataset.{name}"
        yield "own", ["train", *test_own_dataset.OWN, target], None
    for name, words, _ in test_own_dataset.WRONG:
        target = f"dataset._target_=test_own_dataset.{name}"
        yield "own", ["train", *test_own_dataset.OWN, target, *words], None


@pytest.fixture(scope="session")
def trained(tmp_path_factory: pytest.TempPathFactory) -> Callable[[str], None]:
    """Copies a finished run, or a sweep of two, and files beside it, into the current folder."""
    folders = {}
    for name, words in {"run": ["seed=0"], "sweep": ["-m", "seed=0,1"]}.items():
        folder = folders[name] = tmp_path_factory.mktemp(name)
        words = ["train", "dataset=iris", "epochs=1", "report=false", "threads=1", "device=cpu", *words]
        command = [sys.executable, "-m", "trainer", *words]
        env = {**os.environ, "PYTHONPATH": str(HERE.parent), "XDG_CONFIG_HOME": str(folder / ".config")}
        subprocess.run(command, cwd=folder, env=env, capture_output=True, check=True)
        np.savez(folder / "rows.npz", x=np.zeros((5, 4), dtype="float32"))
        np.savez(folder / "other.npz", x=np.zeros((5, 3), dtype="float32"))
        np.savez(folder / "text.npz", z=np.zeros((5, 3), dtype="float32"))
        (folder / "new.csv").write_text("a,b\n1,2\n")
        (folder / "folder").mkdir()
    return lambda name: shutil.copytree(folders[name], ".", symlinks=True, dirs_exist_ok=True)


def check(argv: list[str]) -> None:
    hints = follow(argv, run)
    assert not [hint for hint in hints if hint.problem]


@pytest.mark.parametrize(("room", "argv", "make"), sampled(commands(), 30))
def test_every_hint_can_be_followed(room: str, argv: list[str], make: Make | None) -> None:
    if make:
        make()
    check(argv)


@pytest.mark.slow
@pytest.mark.parametrize(
    ("folder", "line"), [("run", line) for line in WITH_A_RUN] + [("sweep", line) for line in WITH_A_SWEEP]
)
def test_hints_about_runs_can_be_followed(folder: str, line: list[str], trained: Callable[[str], None]) -> None:
    trained(folder)
    check(line)


@pytest.mark.parametrize(
    "hint",
    [
        "monitor=a|b",
        "model.x=…",
        "-m model=mlp,cnn to try each",
        "dataset.split=random, or another",
        "dataset=table, which has it",
        "trainer completion bash|zsh",
        "trainer verify latest, or trainer verify epochs=2",
        "optimizer.lr=interval(1,2)",
        "pics/val/CLASS",
        "",
    ],
)
def test_what_cannot_be_typed_is_found(hint: str) -> None:
    with pytest.raises(ValueError, match=r"\w"):
        words_of(hint)


def test_an_answer_that_repeats_itself_is_found() -> None:
    def stubborn(argv: list[str]) -> TrainerError:
        return TrainerError(f"{argv[-1]}: a must be 2", "a=3")

    (hint,) = follow(["train", "a=1"], stubborn)
    assert hint.problem
