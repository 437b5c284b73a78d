"""One bad folder among good ones: it becomes a row that says why, and costs the others nothing."""

import json
import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest
import yaml

from trainer.cli import main
from trainer.disk import layout, signature

pytestmark = pytest.mark.no_torch

CONFIG = {"dataset": {"_target_": "trainer.data.embedded.Iris", "split_seed": 0}, "seed": 0, "optimizer": {"lr": 0.1}}
SUMMARY = {
    "status": "ok", "monitor": "val/acc", "best": {"step": 4, "val/acc": 0.5, "val/loss": None}, "last": None,
    "steps": 4, "seconds": {"train": 1.5}, "num_val": 30, "data": "d1", "error": None,
}  # fmt: skip
RUNS = Path("outputs/2026-11-22")

CONFIGS = {
    "empty": b"",
    "binary": os.urandom(300),
    "a tag": b"key: !!python/object:os.system x",
    "an alias": b"a: &a [*a]",
    "a list": b"[1, 2]",
    "long": b"#" * 2_000_000,
    "deep": b"model: " + b"[" * 5000,
    "an interpolation": b"seed: ${oc.env:HOME}",
    "a number as a key": b"1: 2",
}
SUMMARIES = [
    '{"best": [1], "status": "ok"}', '{"best": "val/acc", "monitor": "val/acc"}', '{"best": {"val/acc": "x"}}',
    '{"best": {"val/acc": true}, "monitor": "val/acc"}', '{"best": {"val/acc": 1e400}, "monitor": "val/acc"}',
    f'{{"best": {{"val/acc": {"9" * 400}}}, "monitor": "val/acc"}}', '{"monitor": ["a"]}', '{"status": {"a": 1}}',
    '{"steps": -1}', '{"steps": [1]}', '{"seconds": 3}', '{"last": 3}', '{"error": {"a": 1}}', '{"num_val": "30"}',
    '{"data": 7}', "[]", "null", "{", "", "\0" * 9, "[" * 100_000, '"status"',
]  # fmt: skip


def good(name: str, value: float, seed: int) -> Path:
    folder = RUNS / f"20-31-07-{name}"
    folder.mkdir(parents=True)
    (folder / layout.CONFIG).write_text(yaml.safe_dump(CONFIG | {"seed": seed}))
    summary = SUMMARY | {"best": SUMMARY["best"] | {"val/acc": value}}
    (folder / layout.SUMMARY).write_text(json.dumps(summary))
    return folder


@pytest.fixture
def folders() -> list[Path]:
    """Three good runs, in order of their names; the tests break the second."""
    return [good(name, value, seed) for seed, (name, value) in enumerate([("a", 0.25), ("b", 0.5), ("c", 0.75)])]


def said(capsys: pytest.CaptureFixture[str], *words: str) -> str:
    code = main(list(words))
    out, error = capsys.readouterr()
    assert (code, error) == (0, ""), words
    return out


def check_others(capsys: pytest.CaptureFixture[str], bad: Path, reason: str) -> None:
    """The two others keep their numbers in every form of the table, and the bad one is there with its reason."""
    text = said(capsys, "compare", "--all")
    assert "0.2500" in text
    assert "0.7500" in text
    assert f"unreadable {bad}" in text
    assert reason in " ".join(text.split())
    data = json.loads(said(capsys, "compare", "--json"))
    assert sorted(value for group in data["groups"] for value in group["values"]) == [0.25, 0.75]
    assert [row["run"] for row in data["unreadable"]] == [str(bad)]
    lines = said(capsys, "compare", "--csv").splitlines()
    assert len(lines) == 4
    assert sum("unreadable" in line for line in lines) == 1
    assert f"unreadable: {bad}" in said(capsys, "compare", "--md")


@pytest.mark.parametrize("name", CONFIGS)
def test_a_damaged_config_is_one_row(name: str, folders: list[Path], capsys: pytest.CaptureFixture[str]) -> None:
    (folders[1] / layout.CONFIG).write_bytes(CONFIGS[name])
    check_others(capsys, folders[1], "config.yaml")
    assert said(capsys, "runs").count("val/acc") == 3  # the summary is whole


@pytest.mark.parametrize("text", SUMMARIES, ids=lambda text: repr(text[:40]))
def test_an_odd_summary_is_one_row(text: str, folders: list[Path], capsys: pytest.CaptureFixture[str]) -> None:
    (folders[1] / layout.SUMMARY).write_text(text)
    check_others(capsys, folders[1], "summary.json")
    _, first, second, third = said(capsys, "runs").splitlines()
    assert "val/acc 0.2500" in first
    assert "unreadable  " in second
    assert "summary.json" in second
    assert "val/acc 0.7500" in third


def test_what_is_not_a_file_is_one_row(folders: list[Path], capsys: pytest.CaptureFixture[str]) -> None:
    for name in (layout.SUMMARY, layout.METRICS, layout.CONFIG):
        path = folders[1] / name
        before = path.read_bytes() if path.exists() else None
        path.unlink(missing_ok=True)
        path.symlink_to((folders[0] / layout.SUMMARY).absolute())
        check_others(capsys, folders[1], name)
        path.unlink()
        if name != layout.CONFIG:  # a folder, which is no run, has no config.yaml
            path.mkdir()
            check_others(capsys, folders[1], name)
            path.rmdir()
        if before is not None:
            path.write_bytes(before)
    with (folders[1] / layout.METRICS).open("wb") as file:
        file.truncate(5 * 2**30)
    check_others(capsys, folders[1], layout.METRICS)


def test_a_class_that_is_not_known_or_signed_is_compared_like_any_other(folders, capsys) -> None:
    data = CONFIG | {"model": {"_target_": "evil.Net"}, "scheduler": {"_target_": "os.system"}}
    (folders[1] / layout.CONFIG).write_text(yaml.safe_dump(data))
    text = said(capsys, "compare", "--all")
    assert "unreadable" not in text
    assert [text.count(value) for value in ("0.2500", "0.5000", "0.7500")] == [1, 1, 1]


def test_all_bad_is_said_once(folders: list[Path], capsys: pytest.CaptureFixture[str]) -> None:
    for folder in folders:
        (folder / layout.CONFIG).write_text("")
    assert main(["compare"]) == 2
    assert "none of these runs can be read" in capsys.readouterr().err


def test_a_circle_of_links_costs_nothing(folders: list[Path], capsys: pytest.CaptureFixture[str]) -> None:
    (folders[1] / "loop").symlink_to("loop")
    Path("outputs/latest").symlink_to("latest")
    assert said(capsys, "compare", "--all").count("0.5000") == 1
    assert len(said(capsys, "runs").splitlines()) == 4
    assert main(["report", "latest"]) == 2
    assert "latest" in capsys.readouterr().err


def test_a_hundred_unsigned_runs_are_compared_without_torch(folders: list[Path]) -> None:
    for number in range(100):
        shutil.copytree(folders[0], RUNS / f"20-31-08-{number}")
    program = "import sys, trainer.cli; code = trainer.cli.main(['compare']); print(code, 'torch' in sys.modules)"
    environment = {**os.environ, "PYTHONPATH": str(Path(__file__).resolve().parents[2])}
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, env=environment, timeout=120)
    assert done.stdout.splitlines()[-1] == "0 False", done.stderr


def test_of_two_first_keys_one_stays(monkeypatch: pytest.MonkeyPatch) -> None:
    """A second process makes its key between the look and the write of the first."""
    other = os.urandom(signature.KEY_BYTES)
    real = signature.secrets.token_bytes

    def late(count: int) -> bytes:
        path = signature.key_file()
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(other)
        path.chmod(0o600)
        return real(count)

    monkeypatch.setattr(signature.secrets, "token_bytes", late)
    Path("run").mkdir()
    signature.sign(Path("run"), "config.yaml", b"config")
    assert signature.key_file().read_bytes() == other
    assert signature.is_signed(Path("run"), b"config")
