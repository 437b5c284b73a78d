"""A run that starts from weights: what is loaded, what stays new, what is stored, and what is refused."""

import json
import re
import shlex
import shutil
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
import yaml
from conftest import Cli, config
from hypothesis import given, settings
from hypothesis import strategies as some
from safetensors.torch import load_file, save_file
from torch import Tensor, nn

from trainer.build import matching
from trainer.build.build import build
from trainer.cli import main
from trainer.config import first_weights
from trainer.config.source import Source
from trainer.disk import layout
from trainer.errors import ConfigError

QUICK = ["threads=1", "device=cpu", "report=false"]
IRIS = [*QUICK, "dataset=iris", "model.hidden=[8]"]
HEAD = ("layers.2.weight", "layers.2.bias")


class Tied(nn.Module):
    """Two names for one matrix."""

    def __init__(self) -> None:
        super().__init__()
        self.first, self.second = nn.Linear(4, 4), nn.Linear(4, 4)
        self.second.weight = self.first.weight
        self.head = nn.Linear(4, 3)

    def forward(self, x: Tensor) -> Tensor:
        return self.head(self.second(self.first(x)))


def state(*words: str) -> dict[str, Tensor]:
    return build(config(*IRIS, *words))[0].model.state_dict()


def save(path: str, tensors: dict[str, Any]) -> str:
    """Write a file of either kind."""
    save_file(tensors, path) if path.endswith(".safetensors") else torch.save(tensors, path)
    return path


def trained(*words: str) -> Path:
    """The folder of a run that has been trained now."""
    assert main(["train", *IRIS, "epochs=1", *words]) == 0
    return Path("outputs/latest").resolve().relative_to(Path.cwd())


@pytest.mark.parametrize("file", ["w.pt", "w.safetensors"])
def test_matching_tensors_are_the_files_and_new_ones_have_the_bits_of_a_run_without(file: str) -> None:
    fresh, other = state(), state("seed=7")
    there = other | {name: torch.zeros(5, *other[name].shape[1:]) for name in HEAD}
    there |= {f"{name}.scale": torch.ones(3) for name in "abcde"}
    save(file, there)
    run, setup = build(config(*IRIS, f"init_from={file}"))
    for name, value in run.model.state_dict().items():
        assert torch.equal(value, fresh[name] if name in HEAD else other[name]), name
    assert not torch.equal(fresh["layers.0.weight"], other["layers.0.weight"])
    first, second, third = setup.first_weights.lines
    assert (
        first
        == f"2 of 4 tensors from {file}; new: layers.2.*; unused: {', '.join(f'{name}.scale' for name in 'abcde')}"
    )
    assert second == f"of another shape, so new: {HEAD[0]} is 5×8 there, 3×8 here; {HEAD[1]} is 5 there, 3 here"
    assert re.fullmatch(rf"sha256 [0-9a-f]{{12}} of {re.escape(file)}", third)


def test_a_warning_names_what_is_frozen_though_the_file_does_not_fill_it() -> None:
    save("w.pt", {name: value for name, value in state("seed=7").items() if name != "layers.0.bias"})
    for pattern, named in (("layers.0", "layers.0.bias"), ('"*.weight"', ""), ("layers.2", "")):
        _, setup = build(config(*IRIS, "init_from=w.pt", f"freeze=[{pattern}]"))
        text = f"frozen, though w.pt does not fill them: {named}; they stay as they are drawn"
        assert list(setup.first_weights.warnings) == [[text]] * bool(named)


def test_weights_of_another_dtype_are_cast_and_whole_numbers_never_become_weights() -> None:
    other = state("seed=7")
    save("w.pt", {**{name: value.half() for name, value in other.items()}, HEAD[1]: torch.ones(3, dtype=torch.int8)})
    run, setup = build(config(*IRIS, "init_from=w.pt", "dtype=float64"))
    assert torch.equal(run.model.state_dict()[HEAD[0]], other[HEAD[0]].half().double())
    assert setup.first_weights.lines[1].endswith(f"{HEAD[1]} is whole numbers there, float numbers here")


def test_a_tied_tensor_is_not_new_if_the_file_has_its_other_name() -> None:
    words = [*QUICK, "dataset=iris", "model=own", "model._target_=test_init_from.Tied"]
    weights = torch.randn(4, 4)
    run, setup = build(config(*words, f"init_from={save('w.pt', {'first.weight': weights})}"))
    assert torch.equal(run.model.second.weight, weights)
    assert setup.first_weights.lines[0] == "2 of 6 tensors from w.pt; new: first.bias, second.bias, head.*"


def test_prefixes_are_renamed_and_the_rename_that_fits_is_suggested() -> None:
    other = state("seed=7")
    for old, new, typed in (("module.", "", '{module.: ""}'), ("net.0.", "layers.", "{net.0.: layers.}")):
        save("w.pt", {name.replace("layers.", f"{old}layers." if not new else old): v for name, v in other.items()})
        with pytest.raises(ConfigError, match="is of another model: it holds") as error:
            build(config(*IRIS, "init_from=w.pt"))
        assert error.value.hint == f"'init_rename={typed}'"
        run, setup = build(config(*IRIS, "init_from=w.pt", f"init_rename={typed}"))
        assert setup.first_weights.lines[0] == "4 of 4 tensors from w.pt"
        assert all(torch.equal(value, other[name]) for name, value in run.model.state_dict().items())
    with pytest.raises(ConfigError, match=r"no tensor begins with 'x\.'") as error:
        build(config(*IRIS, "init_from=w.pt", "init_rename={x.: y.}"))
    assert error.value.hint == "'init_rename={net.0.: layers.}'"
    save("w.pt", {name if name == HEAD[1] else f"module.{name}": value for name, value in other.items()})
    _, setup = build(config(*IRIS, "init_from=w.pt"))
    assert setup.first_weights.lines[1] == """more would match with 'init_rename={module.: ""}'"""
    save("w.pt", {name.removeprefix("layers."): value for name, value in other.items()})
    _, setup = build(config(*IRIS, "init_from=w.pt", "init_rename={.: layers.}"))
    assert setup.first_weights.lines[0] == "4 of 4 tensors from w.pt"


PARTS = some.lists(some.sampled_from(["a", "b", "1", "10", "head"]), min_size=1, max_size=4).map(".".join)
SPECS = some.dictionaries(PARTS, some.tuples(some.sampled_from([(1,), (2, 3)]), some.just("float")), max_size=8)


@settings(max_examples=50)
@given(SPECS, SPECS)
def test_every_tensor_of_model_and_file_is_told_once(wanted: matching.Specs, offered: matching.Specs) -> None:
    found = matching.match(wanted, offered, {})
    assert sorted([*found.pairs, *found.new]) == sorted(wanted)
    assert sorted([*found.pairs.values(), *found.differs.values(), *found.unused]) == sorted(offered)
    assert all(wanted[name] == offered[other] for name, other in found.pairs.items())
    assert set(found.differs) <= set(found.new)
    for words, names, among in ((found.new, found.new, wanted), (found.unused, found.unused, offered)):
        told = [
            {name for name in among if name == word or name.startswith(word.removesuffix("*") if "*" in word else "\0")}
            for word in matching.grouped(words, among)
        ]
        assert set().union(*told) == set(names)
        assert sum(map(len, told)) == len(names)
    moved = {f"old.{name}": spec for name, spec in offered.items()}
    if moved:
        assert len(matching.match(offered, moved, {"old": ""}).pairs) == len(offered)
    if len(offered) > 1:
        old, new = matching.suggested(offered, moved) or ("", "")
        assert len(matching.match(offered, moved, {old: new}).pairs) == len(offered)


def test_thousands_of_names_take_no_time() -> None:
    """Each with each would take a minute."""
    names = [f"{block}.part{part}.weight" for block in range(500) for part in range(8)]
    wanted, offered = ({f"{stem}.{name}": ((2,), "float") for name in names} for stem in ("model.blocks", "net.h"))
    begun = time.process_time()
    assert matching.suggested(wanted, offered) == ("net.h", "model.blocks")
    left = [name for name in wanted if "part0" not in name]
    assert list(matching.grouped(left, wanted)) == left
    assert time.process_time() - begun < 5


def good(path: str) -> str:
    return save(path, state("seed=7"))


BAD: dict[str, tuple[Callable[[], Any], list[str], str]] = {
    "a pickle": (lambda: torch.save(nn.Linear(1, 1), "w.pt"), ["init_from=w.pt"], "would run torch.nn"),
    "cut off": (lambda: Path("w.pth").write_bytes(b"PK"), ["init_from=w.pth"], "it is cut off, damaged"),
    "NaN": (lambda: save("w.pt", {"w": torch.tensor(float("nan"))}), ["init_from=w.pt"], "w.pt: w holds NaN"),
    "another model": (
        lambda: save("w.pt", {"conv.weight": torch.ones(2), "conv.bias": torch.ones(2)}),
        ["init_from=w.pt"],
        "it holds conv.weight, conv.bias; MLP has layers.0.weight, layers.0.bias, layers.2.weight",
    ),
    "other shapes": (
        lambda: save("w.pt", {"layers.0.weight": torch.ones(2, 2)}),
        ["init_from=w.pt"],
        "layers.0.weight is 2×2 there, 8×4 here",
    ),
    "missing": (lambda: None, ["init_from=w.pt"], "there is no file w.pt"),
    "not a run": (lambda: Path("folder").mkdir(), ["init_from=folder"], "folder is not a run folder"),
    "a folder named like a file": (lambda: Path("w.pt").mkdir(), ["init_from=w.pt"], "w.pt is not a run folder: it"),
    "no run": (lambda: None, ["init_from=4217"], "no run '4217' below outputs/"),
    "no latest": (lambda: None, ["init_from=latest"], "there is no run below outputs/ yet"),
    "rename without": (lambda: None, ["init_rename={a.: b.}"], "init_rename without init_from"),
    "a rename of nothing": (
        lambda: save("w.pt", {"a.x": torch.ones(1)}),
        ["init_from=w.pt", "init_rename={encoder.: layers.}"],
        "no tensor begins with 'encoder.'; w.pt holds a.x",
    ),
    "two of one name": (
        lambda: save("w.pt", {"a.x": torch.ones(1), "b.x": torch.ones(1)}),
        ["init_from=w.pt", "init_rename={a.: b.}"],
        "a.x and b.x would both be called b.x",
    ),
    "another file": (
        lambda: save("w.pt", {"x": torch.ones(1)}),
        ["init_from=w.pt", "init_sha256=abc"],
        "w.pt has the sha256 ",
    ),
}


@pytest.mark.parametrize("name", BAD)
def test_what_cannot_be_loaded_is_refused_with_something_to_type(name: str, capsys: pytest.CaptureFixture[str]) -> None:
    make, words, text = BAD[name]
    make()
    capsys.readouterr()
    assert main(["train", *IRIS, *words]) == 2
    _, err = capsys.readouterr()
    message, _, hint = err.strip().partition("\n  try: ")
    assert text in message
    assert hint
    assert "\n" not in message
    assert not Path("outputs").exists()


def test_the_source_is_stored_and_nothing_needs_it_afterwards(capsys: pytest.CaptureFixture[str]) -> None:
    first = trained("seed=7")
    second = trained(f"init_from={first.name[-4:]}")
    stored = yaml.safe_load((second / layout.CONFIG).read_text())
    assert stored["init_from"] == str(first)
    assert len(stored["init_sha256"]) == 64
    begun = load_file(second / "checkpoints/step-00000000/weights.safetensors")
    ended = load_file(first / layout.MODEL)
    assert all(torch.equal(begun[name], ended[name]) for name in ended)
    (first / layout.MODEL).unlink()
    after = load_file(second / layout.MODEL)
    shutil.rmtree(next(path for path in (second / "checkpoints").iterdir() if path.name != "step-00000000"))
    (second / layout.SUMMARY).unlink()
    assert main(["resume", str(second)]) == 0
    assert all(torch.equal(value, after[name]) for name, value in load_file(second / layout.MODEL).items())
    capsys.readouterr()
    assert main(["eval", str(second)]) == 0
    assert main(["resume", str(second), "epochs=2"]) == 0
    assert f"weights  began from {first}" in re.sub(r"\n +", " ", capsys.readouterr().out)
    assert yaml.safe_load((second / layout.CONFIG).read_text()) == stored | {"epochs": 2}


def test_without_a_checkpoint_a_run_begins_from_the_same_file_or_not_at_all(capsys: pytest.CaptureFixture[str]) -> None:
    """Killed before its first checkpoint, or after all of them have rotted."""
    good("w.pt")
    run = trained("init_from=w.pt")
    whole = load_file(run / layout.MODEL)

    def again() -> int:
        for path in (run / "checkpoints").glob("*/weights.safetensors"):
            path.write_bytes(b"rot")
        for name in (layout.MODEL, layout.SUMMARY):
            (run / name).unlink(missing_ok=True)
        capsys.readouterr()
        return main(["resume", str(run)])

    assert again() == 0
    assert all(torch.equal(value, whole[name]) for name, value in load_file(run / layout.MODEL).items())
    for make, text in (
        (lambda: save("w.pt", state("seed=8")), "w.pt has the sha256"),
        (Path("w.pt").unlink, "there is no file"),
    ):
        make()
        assert again() == 2
        message, hint = capsys.readouterr().err.split("  try: ")
        assert text in message
        assert hint == f"put w.pt back as it was, then trainer resume {run}\n"


def test_latest_is_the_run_that_it_meant_when_it_was_typed() -> None:
    first = trained()
    assert Source(["init_from=latest", "-m"]).overrides == [f"init_from={first}", "-m"]
    assert Source(["init_from=w.pt,latest,null"]).overrides == [f"init_from=w.pt,{first},null"]
    assert Source(["init_from=choice(latest,latest.pt)"]).overrides == [f"init_from=choice({first},latest.pt)"]
    for typed, stored in (
        ("0042", "'0042'"),
        ("0042,13,w.pt", "'0042','13',w.pt"),
        ("choice(12,1e5)", "choice('12','1e5')"),
    ):
        assert Source([f"init_from={typed}"]).overrides == [f"init_from={stored}"]
    assert Source(["init_from='0042',\"13\",v2/1.pt"]).overrides == ["init_from='0042',\"13\",v2/1.pt"]
    assert Source(["init_from=[ 'latest' ,\"latest\"]"]).overrides == [f"init_from=[ {first} ,{first}]"]
    for name in ("my latest model.pt", "'my latest model.pt'", "'a,latest,b.pt'", r"'it\'s latest'", "latest/w.pt"):
        assert Source([f"init_from={name}"]).overrides == [f"init_from={name}"]
    for link in ("outputs/latest", "outputs/latest/model.safetensors"):
        named = first_weights.resolved(link)
        assert (Path(named).parent if named.endswith("safetensors") else Path(named)) == first
    second = trained("init_from=latest")
    assert config(f"init_from={second.name}").init_from == str(second)
    assert f"init_from={first}" in (second / layout.OVERRIDES).read_text()
    assert yaml.safe_load((second / layout.CONFIG).read_text())["init_from"] == str(first)


@pytest.mark.slow
def test_each_job_of_a_sweep_has_its_own_source(cli: Cli) -> None:
    """The sweep's own folder is `latest` from its beginning; its plan names the run."""
    first = trained("seed=7")
    good("w.pt")
    done = cli("train", "-m", *IRIS, "epochs=1", "init_from=latest,w.pt,null")
    assert done.returncode == 0, done.stderr
    sweep = Path("outputs/latest").resolve()
    stored = [yaml.safe_load((sweep / job / layout.CONFIG).read_text()) for job in ("000", "001", "002")]
    assert [job["init_from"] for job in stored] == [str(first), "w.pt", None]
    assert "latest" not in json.dumps(json.loads((sweep / layout.SWEEP).read_text())["typed"])
    assert main(["train", *IRIS, f"init_from={sweep}"]) == 2


@pytest.mark.slow
@pytest.mark.parametrize("search", [[], ["hydra/sweeper=optuna", "hydra.sweeper.n_trials=1"]])
def test_a_file_that_says_latest_is_told_as_the_run_that_it_meant(search: list[str], cli: Cli) -> None:
    """The command that makes the best job of a sweep again, or a run, starts from the same weights."""
    first = trained("seed=7")
    path = Path("conf/experiment/again.yaml")
    path.parent.mkdir(parents=True)
    path.write_text("# @package _global_\ninit_from: latest\n")
    words = [*IRIS, "epochs=1", "experiment=again"]
    done = cli("train", "-m", *words, *search, "optimizer.lr=0.1,0.1")
    assert done.returncode == 0, done.stderr
    said = done.stdout[done.stdout.index("best     trainer train") :].partition("run  ")[0]
    command = shlex.split(said.replace("\\\n", " "))[3:]
    assert f"init_from={first}" in command
    job = Path("outputs/latest/000").resolve()
    assert main(["train", *command]) == 0
    again = Path("outputs/latest").resolve()
    tensors = [load_file(folder / layout.MODEL) for folder in (job, again)]
    assert all(torch.equal(value, tensors[1][name]) for name, value in tensors[0].items())
    run = trained("experiment=again")
    assert f"init_from={again.relative_to(Path.cwd())}" in yaml.safe_load((run / layout.OVERRIDES).read_text())


def test_a_strangers_run_reads_no_file_that_it_names(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    good("w.pt")
    run = trained("init_from=w.pt")
    Path("w.pt").write_bytes(b"private")
    monkeypatch.setenv("XDG_CONFIG_HOME", "another person's")
    capsys.readouterr()
    assert main(["eval", str(run)]) == 0
    assert main(["resume", str(run), "epochs=2"]) == 0
    for path in (run / "checkpoints").iterdir():
        (path / "weights.safetensors").write_bytes(b"rot")
    capsys.readouterr()
    assert main(["resume", str(run), "epochs=3"]) == 2
    assert "init_from: w.pt is not read, since the config is not signed with your key" in capsys.readouterr().err


@pytest.mark.slow
def test_a_killed_run_resumes_to_the_bit(cli: Cli) -> None:
    good("w.safetensors")
    done = cli("verify", *IRIS, "epochs=3", "init_from=w.safetensors", "model.dropout=0.1")
    assert done.returncode == 0, done.stdout + done.stderr
    assert "same     weights" in done.stdout


@pytest.mark.slow
def test_two_processes_start_from_the_same_weights_as_one(cli: Cli) -> None:
    save("w.safetensors", {name: value for name, value in state("seed=7").items() if name not in HEAD})
    words = [*IRIS, "epochs=3", "dtype=float64", "init_from=w.safetensors"]

    def ended(*more: str) -> dict[str, Tensor]:
        done = cli("train", *words, *more)
        assert done.returncode == 0, done.stderr
        assert "2 of 4 tensors from w.safetensors; new: layers.2.*" in done.stdout
        return load_file(Path("outputs/latest") / layout.MODEL)

    one, two = ended(), ended("nproc=2")
    assert all(torch.allclose(one[name], two[name], rtol=0, atol=1e-9) for name in one)
