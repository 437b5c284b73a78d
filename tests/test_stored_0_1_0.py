"""Folders that version 0.1.0 wrote: they still evaluate, predict, export, resume, compare and report the same numbers.

stored/0.1.0/README.md says how they were made. Every number here is what 0.1.0 itself said of them. What torch
computes is held within 1e-5: the last bits differ between processors and versions of torch. Names, steps, states
and copied tensors are held exactly. Which epoch counts as the best, and the spread behind ±, are left to each version.
"""

import csv
import importlib
import io
import json
import re
import shutil
from pathlib import Path

import pytest
import torch
import yaml
from conftest import Cli
from safetensors.torch import load_file

from trainer.cli import main
from trainer.diagnosis.fingerprint import evidence

STORED = Path(__file__).parent / "stored" / "0.1.0"
CLOSE = 1e-5

RUN_LOSSES = [
    0.33443251, 0.13693431, 0.16789779, 0.10050925, 0.11438082, 0.39145589, 0.11955784, 0.10368679,
    0.089301899, 0.096988931, 0.044583898, 0.22142962, 0.20325348, 0.07146176, 0.13943064, 0.1230434,
    0.050388146, 0.25962311, 0.17516296, 0.049943317, 0.070559874, 0.094106153, 0.12264404, 0.096837789,
    0.11931168, 0.071790233, 0.20162141, 0.1544908, 0.053751886, 0.19654639, 0.11825775, 0.070316344,
    0.10248367, 0.11310796, 0.12584928, 0.07181257, 0.088704541, 0.22179835, 0.070677079,
]  # fmt: skip
RUN_EVALUATIONS = [
    (36, 0.19535655),
    (42, 0.18528005),
    (48, 0.18293606),
    (54, 0.18245766),
    (60, 0.18291906),
    (66, 0.18270902),
    (72, 0.18268916),
]
DIGITS_LOSSES = [
    0.55872256, 0.57943606, 0.6660583, 0.58686841, 0.45897669, 0.555237, 0.32723424, 0.65544462,
    0.68505347, 0.84235346, 0.77914667, 0.74496752, 0.81339639, 0.60401928, 0.70638436, 0.46453682,
    0.46338767, 0.45383763, 0.6699819, 0.60976279, 0.4085367, 0.52996033, 1.0234218,
]  # fmt: skip
DIGITS_EVALUATIONS = [
    (69, 0.28715578),
]
JOB_LOSSES = [
    0.6905095, 0.62248397, 0.59451091, 0.55057281, 0.51715833, 0.71497744, 0.50447261, 0.43660894,
    0.48217192, 0.71470225, 0.39466783, 0.40228137, 0.49206355, 0.53982913, 0.44058987, 0.36693799,
    0.32819974, 0.46015409, 0.3189849, 0.53348047, 0.35418981, 0.45043984, 0.41442826, 0.27077863,
    0.32793963, 0.37404644, 0.26802066, 0.26839116, 0.39099428, 0.51127928,
]  # fmt: skip
JOB_EVALUATIONS = [
    (24, 0.50193793),
    (32, 0.4074057),
    (40, 0.34434003),
    (48, 0.28069222),
]
RUN_WEIGHTS = {  # name: its first value, and the norm of all
    "layers.0.bias": (0.12290017, 0.91928273),
    "layers.0.weight": (-0.56648892, 2.8667555),
    "layers.2.bias": (-0.043131705, 0.043131705),
    "layers.2.weight": (-0.38732523, 0.87497741),
}
PREDICTIONS = [302.26352, 330.25153, 202.9144, 247.87671, 301.5645]
ROWS = [  # new.csv as an exported file takes it: the city by its index, the day as days since 1970
    [93.8, 3, 1, 367],
    [float("nan"), 4, 2, 7281],
    [52.6, float("nan"), float("nan"), -4809],
    [71.0, 2, 0, float("nan")],
    [88.2, 1, -1, 12465],
]


def close(value: object) -> object:
    return pytest.approx(value, rel=CLOSE)


@pytest.fixture(autouse=True)
def _copies(tmp_path: Path) -> None:
    """Each test works on copies in its own folder. The user's key is a new one, so nothing bears their signature."""
    shutil.copytree(STORED, tmp_path, dirs_exist_ok=True)


def losses(run: str, first: int) -> tuple[list[float], list[tuple[int, float]]]:
    """What metrics.jsonl holds from a step on: the loss of every step, and (step, val/loss) of each evaluation.

    Every step must stand there once, those before included.
    """
    rows = [json.loads(line) for line in Path(run, "metrics.jsonl").read_text().splitlines()]
    steps = [row for row in rows if not row.get("eval")]
    assert [row["step"] for row in steps] == list(range(1, len(steps) + 1))
    late = [row for row in rows if row["step"] >= first]
    evaluations = [(row["step"], row["val/loss"]) for row in late if row.get("eval")]
    return [row["train/loss"] for row in late if not row.get("eval")], evaluations


def printed(text: str) -> dict[str, float]:
    """The numbers that eval prints, by name."""
    return {name: float(value) for name, value in re.findall(r"^(\S+) +(-?\d+\.\d{4})$", text, re.M)}


def test_every_class_that_a_stored_config_names_still_imports() -> None:
    named = set()
    for path in Path().glob("**/config.yaml"):
        config = yaml.safe_load(path.read_text())
        named |= {node["_target_"] for node in config.values() if isinstance(node, dict) and "_target_" in node}
    assert named == {
        "trainer.data.embedded.Digits", "trainer.data.embedded.Iris", "trainer.data.table.Table",
        "trainer.models.mlp.MLP", "trainer.schedules.Constant", "torch.nn.CrossEntropyLoss", "torch.nn.MSELoss",
        "torch.optim.AdamW", "torch.optim.SGD", "torch.optim.lr_scheduler.CosineAnnealingLR",
    }  # fmt: skip
    for target in named:
        module, _, name = target.rpartition(".")
        assert isinstance(getattr(importlib.import_module(module), name), type), target


@pytest.mark.parametrize(
    ("words", "data", "numbers"),
    [
        (["run"], "houses: 20 rows of the test split",
         {"test/loss": 0.0771, "test/mse": 501.8235, "test/mae": 18.5682, "test/r2": 0.8716}),
        (["run", "dataset.path=houses.csv"], "houses.csv: 100 rows",
         {"loss": 0.1971, "mse": 1282.7325, "mae": 27.4095, "r2": 0.7853}),
        (["digits"], "Digits: 359 rows of the val split", {"val/loss": 0.4337, "val/acc": 0.8774}),
        (["sweep/002"], "Iris: 30 rows of the val split", {"val/loss": 0.2753, "val/acc": 0.9}),
        (["sweep"], "Iris: 30 rows of the val split", {"val/loss": 0.2753, "val/acc": 0.9}),
    ],
    ids=["run", "whole table", "digits", "job", "best job"],
)  # fmt: skip
def test_eval_prints_the_same(words: list[str], data: str, numbers: dict, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["eval", *words]) == 0
    said = capsys.readouterr().out
    assert f"data     {data}\n" in said
    found = printed(said)
    assert found.keys() == numbers.keys()
    assert found == pytest.approx(numbers, rel=CLOSE, abs=1.01e-4)  # four decimals are printed


def test_predict_and_the_exported_file_say_the_same(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["predict", "run", "new.csv"]) == 0
    said = capsys.readouterr()
    rows = list(csv.DictReader(io.StringIO(said.out)))
    assert list(rows[0]) == ["size", "rooms", "city", "built", "prediction"]
    predictions = [float(row.pop("prediction")) for row in rows]
    assert rows == list(csv.DictReader(Path("new.csv").read_text().splitlines()))
    assert predictions == close(PREDICTIONS)
    assert "Lima" in said.err

    assert main(["export", "run"]) == 0
    exported = torch.export.load("run/export/model.pt2").module()
    assert exported(torch.tensor(ROWS, dtype=torch.float64)).flatten().tolist() == close(PREDICTIONS)


def test_exported_weights_are_those_of_the_run() -> None:
    assert main(["export", "digits", "format=safetensors"]) == 0
    kept, exported = load_file("digits/model.safetensors"), load_file("digits/export/model.safetensors")
    for name, tensor in kept.items():
        (found,) = [value for key, value in exported.items() if key.endswith(name)]
        assert torch.equal(found, tensor), name


def test_a_run_that_was_stopped_takes_the_same_steps(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["resume", "run"]) == 0
    assert "resume   run at step 33\n" in capsys.readouterr().out
    found, evaluations = losses("run", 34)
    assert found == close(RUN_LOSSES)
    assert evaluations == [(step, close(value)) for step, value in RUN_EVALUATIONS]
    weights = load_file("run/checkpoints/step-00000072/weights.safetensors")
    pairs = {name: (tensor.flatten()[0].item(), tensor.norm().item()) for name, tensor in weights.items()}
    assert pairs.keys() == RUN_WEIGHTS.keys()
    for name, pair in RUN_WEIGHTS.items():
        assert pairs[name] == pytest.approx(pair, rel=CLOSE, abs=CLOSE), name
    summary = json.loads(Path("run/summary.json").read_text())
    assert (summary["status"], summary["steps"], summary["monitor"]) == ("ok", 72, "val/loss")
    assert evidence(Path("run"))


@pytest.mark.skipif(not torch.backends.mkl.is_available(), reason="dropout draws other numbers without MKL")
def test_a_finished_run_is_extended_by_the_same_steps(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["resume", "digits"]) == 0
    assert "digits is finished: 46 steps. Nothing to do." in capsys.readouterr().out
    assert main(["resume", "digits", "epochs=3"]) == 0
    found, evaluations = losses("digits", 47)
    assert found == close(DIGITS_LOSSES)
    assert evaluations == [(step, close(value)) for step, value in DIGITS_EVALUATIONS]


def ranked(capsys: pytest.CaptureFixture[str]) -> list[dict]:
    """The groups of compare's ranking, best first."""
    assert main(["compare", "sweep", "--json"]) == 0
    data = json.loads(capsys.readouterr().out)
    assert (data["metric"], data["mode"]) == ("val/loss", "min")
    return data["groups"]


def values(group: dict) -> dict[str, float | None]:
    return {run["run"]: run["metrics"].get("val/loss") for run in group["runs"]}


def test_compare_ranks_the_same(capsys: pytest.CaptureFixture[str]) -> None:
    first, second = ranked(capsys)
    assert [group["settings"] for group in (first, second)] == [{"model.hidden": "[16]"}, {"model.hidden": "[2]"}]
    assert values(first) == {"sweep/002": close(0.27531546), "sweep/003": None}
    assert values(second) == {"sweep/000": close(1.0976156), "sweep/001": close(0.63530171)}
    assert (first["mean"], second["mean"]) == (close(0.27531546), close(0.86645865))
    assert [run["status"] for run in first["runs"]] == ["ok", "running"]
    assert main(["compare", "sweep"]) == 0
    said = capsys.readouterr().out
    assert "compare  4 runs by val/loss (min)\n" in said
    assert re.search(r"^1 +\[16\] +0\.2753 ", said, re.M)
    assert re.search(r"^2 +\[2\] +0\.8665 ", said, re.M)
    assert said.endswith("best     sweep/002\n")


@pytest.mark.slow
def test_a_sweep_that_was_killed_ends_with_the_same_steps(cli: Cli, capsys: pytest.CaptureFixture[str]) -> None:
    before = {number: evidence(Path(f"sweep/{number}")) for number in ("000", "001", "002")}
    assert list(Path("sweep/003/checkpoints").glob(".*.tmp"))  # the kill came while it saved
    done = cli("resume", "sweep")
    assert done.returncode == 0, done.stderr
    assert "resume   sweep: 3 ok, 1 interrupted\n" in done.stdout
    assert {number: evidence(Path(f"sweep/{number}")) for number in before} == before
    found, evaluations = losses("sweep/003", 19)
    assert found == close(JOB_LOSSES)
    assert evaluations == [(step, close(value)) for step, value in JOB_EVALUATIONS]
    assert not list(Path("sweep").glob("**/.*.tmp"))
    first, second = ranked(capsys)
    assert [first["settings"], second["settings"]] == [{"model.hidden": "[16]"}, {"model.hidden": "[2]"}]
    assert values(first)["sweep/002"] == close(0.27531546)
    assert values(first)["sweep/003"] in [value for _, value in losses("sweep/003", 1)[1]]
    assert values(second) == {"sweep/000": close(1.0976156), "sweep/001": close(0.63530171)}
    assert main(["resume", "sweep"]) == 0
    assert "sweep is finished: 4 jobs. Nothing to do." in capsys.readouterr().out


@pytest.mark.parametrize("kind", ["run", "digits", "sweep"])
def test_report_makes_its_pages_again(kind: str, capsys: pytest.CaptureFixture[str]) -> None:
    name = f"{kind}-by-0.1.0"
    Path(kind).rename(name)
    assert main(["report", name]) == 0
    assert f"report   {name}/report.html\n" in capsys.readouterr().out
    page = Path(name, "report.html").read_text()
    assert name in page
    if kind == "sweep":
        for number in ("000", "001", "002", "003"):
            assert number in Path(name, number, "report.html").read_text()
            assert Path(name, number, "results.png").read_bytes().startswith(b"\x89PNG")
        assert "0.2753" in page
    else:
        assert {"run": "0.2375", "digits": "0.8774"}[kind] in page
        assert Path(name, "results.png").read_bytes().startswith(b"\x89PNG")
