"""Text in a stranger's folder reaches the terminal clean: one string at a time holds what a terminal would obey."""

import contextlib
import csv
import io
import json
import re
import shutil
import unicodedata
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from conftest import config
from terminals import said

from trainer.cli import main
from trainer.config import run_config
from trainer.disk import layout, sweep_plan
from trainer.disk.sweep_plan import Job
from trainer.text import cleaned

CLEAR = "\x1b]0;x\x07\x1b[2J\x9b31m\x08\x7f\x00\x85\u2028\u2029\u202e\u2066\r\n\t"
WORD = f"plant{CLEAR}ed"
IN_A_PATH = WORD.replace("\0", "")
SEEN = "plant?]0;x??[2J?31m??"  # how each of them begins once it is clean
KEPT = "می\u200cخواهم é e\u0301 👩\u200d🔬 \u200e\ufeff"  # marks, joiners and letters, which scripts need
DANGEROUS = re.compile("[\x00-\x09\x0b-\x1f\x7f-\x9f\u2028\u2029\u202a-\u202e\u2066-\u2069\ud800-\udfff]")
QUICK = ["epochs=1", "report=false", "threads=1", "device=cpu", "dataset=table", "dataset.target=y"]


def table(path: Path, *, names: tuple[str, ...] = ("a", "b"), classes: tuple[str, str] = ("no", "yes")) -> Path:
    rows = [[i, (7 * i) % 13, classes[i % 2]] for i in range(60)]
    with path.open("w", newline="") as file:
        csv.writer(file, quoting=csv.QUOTE_ALL).writerows([[*names, "y"], *rows])
    return path


def strangers_run(folder: Path, **words: Any) -> Path:
    """A run as it comes out of somebody else's archive."""
    path = table(folder / "rows.csv", **words)
    assert main(["train", *QUICK, f"dataset.path={path}", f"output_dir={folder}/out"]) == 0
    run = (folder / "out/latest").resolve().rename(folder / "run")
    shutil.rmtree(folder / "out")
    (run / "config.sig").unlink()
    return run


@pytest.fixture(scope="module")
def original(tmp_path_factory: pytest.TempPathFactory) -> Path:
    with pytest.MonkeyPatch.context() as patch:
        folder = tmp_path_factory.mktemp("theirs")
        patch.setenv("XDG_CONFIG_HOME", str(folder / ".config"))
        with contextlib.redirect_stdout(io.StringIO()):
            return strangers_run(folder)


@pytest.fixture
def run(original: Path) -> Path:
    """Two runs in outputs/; the second is broken by the tests, the first stays whole."""
    day = Path("outputs/2026-11-22")
    shutil.copytree(original, day / "20-00-00-whole")
    shutil.copytree(original, day / "20-00-01-planted")
    shutil.copy(original.parent / "rows.csv", "rows.csv")
    return day / "20-00-01-planted"


def in_config(change: Callable[[dict[str, Any]], object]) -> Callable[[Path], Path]:
    def plant(run: Path) -> Path:
        data = run_config.parse((run / layout.CONFIG).read_bytes(), run)
        change(data)
        (run / layout.CONFIG).write_bytes(run_config.dump(data))
        return run

    return plant


def in_summary(**changes: Any) -> Callable[[Path], Path]:
    def plant(run: Path) -> Path:
        path = run / layout.SUMMARY
        path.write_text(json.dumps(json.loads(path.read_text()) | changes))
        return run

    return plant


def in_classes(run: Path) -> Path:
    shutil.rmtree(run)
    return strangers_run(Path.cwd(), classes=("no", WORD.replace("\0", ""))).rename(run)


def in_columns(run: Path) -> Path:
    shutil.rmtree(run)
    return strangers_run(Path.cwd(), names=("a", WORD.replace("\0", ""))).rename(run)


def in_its_name(run: Path) -> Path:
    return run.rename(run.with_name(IN_A_PATH))


def in_overrides(run: Path) -> Path:
    """The words of a sweep's jobs, of which the run is one."""
    data = run_config.parse((run / layout.CONFIG).read_bytes(), run)
    sweep = Path("outputs/sweeps/2026-11-22/20-00-02-s")
    jobs = [Job(number, [f"{WORD}={number}"], {**data, "seed": number}) for number in (0, 1)]
    for job in jobs:
        shutil.copytree(run, sweep / f"{job.number:03d}")
        text = json.dumps({"identity": job.identity, "overrides": job.overrides})
        (sweep / f"{job.number:03d}/job.json").write_text(text)
    sweep_plan.write_plan(sweep, [WORD], jobs, {})
    (sweep / "config.sig").unlink()
    return sweep


BEST = {"step": 1, WORD: 0.5}
PLACES: dict[str, tuple[Callable[[Path], Path], list[str]]] = {  # where, and the commands that show it
    "a key": (in_config(lambda data: data.update({WORD: 1})), ["eval RUN", "resume RUN epochs=2"]),
    "device": (in_config(lambda data: data.update(device=WORD)), ["eval RUN", "verify RUN"]),
    "activation": (in_config(lambda data: data["model"].update(activation=WORD)), ["eval RUN", "export RUN"]),
    "a path": (in_config(lambda data: data["dataset"].update(path=WORD)), ["eval RUN", "resume RUN epochs=2"]),
    "monitor of the config": (in_config(lambda data: data.update(monitor=WORD)), ["resume RUN epochs=2"]),
    "a target": (in_config(lambda data: data["model"].update(_target_=WORD)), ["eval RUN", "resume RUN --trust"]),
    "error": (in_summary(status="failed", error=WORD), ["compare"]),
    "status": (in_summary(status=WORD), ["runs", "compare --all"]),
    "monitor": (in_summary(monitor=WORD, best=BEST, last=None), ["runs", "compare", "compare --md", "compare --csv"]),
    "steps": (in_summary(steps=WORD), ["resume RUN"]),
    "names of metrics": (in_summary(monitor="val/acc", best={"val/" + WORD: 0.5}), ["compare --sort x"]),
    "classes": (in_classes, ["predict RUN rows.csv", "resume RUN epochs=2"]),
    "columns": (in_columns, ["predict RUN fewer.csv"]),
    "its own name": (in_its_name, ["runs", "compare --csv", "report RUN", "eval RUN", "resume RUN"]),
    "overrides": (in_overrides, ["compare RUN", "compare RUN --md"]),
}  # fmt: skip
VERBS = [
    "eval RUN", "predict RUN rows.csv", "resume RUN epochs=2", "resume RUN", "report RUN", "compare", "compare --all",
    "compare --csv", "compare --json", "compare --md", "runs", "runs --sweeps", "compare RUN", "eval RUN --debug",
]  # fmt: skip
AS_DATA = ("compare --csv", "predict")  # exact words, where they do not go to a terminal


def check(place: str, verbs: list[str], run: Path, *, must_show: bool, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("TERM", "dumb")  # so that no control character is trainer's own
    plant, _ = PLACES[place]
    planted = plant(run)
    table(Path("fewer.csv"), names=("a", "c"))
    kept = Path("kept")
    shutil.copytree(planted, kept)
    for verb in verbs:
        for terminal in (True, False):
            shutil.rmtree(planted)
            shutil.copytree(kept, planted)
            code, out = said([str(planted) if w == "RUN" else w for w in verb.split()], terminal=terminal)
            where = f"{place}: {verb} in a {'terminal' if terminal else 'pipe'}: exit {code}\n{out!r}"
            assert "Traceback" not in out or "--debug" in verb, where
            if code == 0 and not terminal and verb.startswith(AS_DATA):
                assert WORD.replace("\0", "") in out.replace("\0", "") or not must_show, where
                continue
            assert not DANGEROUS.search(out), where
            assert not must_show or SEEN[:12] in out, where
            assert not any(line.startswith("ed") for line in out.splitlines()), where  # a line of its own making


@pytest.mark.parametrize("place", PLACES)
def test_the_planted_word_is_shown_and_not_obeyed(place: str, run: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    check(place, PLACES[place][1], run, must_show=True, monkeypatch=monkeypatch)


@pytest.mark.slow
@pytest.mark.parametrize("place", PLACES)
def test_no_verb_obeys_it(place: str, run: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    check(place, VERBS, run, must_show=False, monkeypatch=monkeypatch)


@pytest.mark.slow
@pytest.mark.parametrize("place", ["classes", "its own name"])
def test_export_does_not_obey_it(place: str, run: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    check(place, ["export RUN"], run, must_show=True, monkeypatch=monkeypatch)


def test_data_keep_their_exact_words_in_a_pipe(run: Path) -> None:
    name = WORD.replace("\0", "") + ',"\r' + KEPT
    shutil.rmtree(run)
    strangers_run(Path.cwd(), classes=("no", name)).rename(run)
    code, out = said(["predict", str(run), "rows.csv"], terminal=False)
    assert code == 0
    rows = list(csv.reader(io.StringIO(out, newline="")))
    assert rows[0][-2:] == ["probability_no", f"probability_{name}"]
    assert len(rows) == 61
    assert {row[2] for row in rows[1:]} == {"no", name}
    code, out = said(["predict", str(run), "rows.csv"], terminal=True)
    assert code == 0
    assert f"probability_{cleaned(name)}" in out.replace('""', '"')
    assert len(out.splitlines()) == 61


def test_what_is_cleaned_and_what_is_not() -> None:
    """Against the properties of every character in Unicode's own table."""
    for number in range(0x110000):
        character = chr(number)
        obeyed = unicodedata.category(character) in ("Cc", "Zl", "Zp", "Cs")
        obeyed |= unicodedata.bidirectional(character) in {
            "LRE",
            "RLE",
            "PDF",
            "LRO",
            "RLO",
            "LRI",
            "RLI",
            "FSI",
            "PDI",
        }
        assert (cleaned(character) != character) == obeyed, hex(number)
    assert cleaned(KEPT) == KEPT
    assert len(cleaned(WORD)) == len(WORD)
    assert cleaned("a\tb\r\nc") == "a b  c"


def test_the_planted_configs_are_valid() -> None:
    import dataclasses

    data = {**dataclasses.asdict(config("dataset=iris", "seed=0")), WORD: [WORD]}
    assert run_config.parse(run_config.dump(data), Path("x"))[WORD] == [WORD]
