"""JSON schemas for editors: a validator finds every shipped file right, and marks what trainer's own check refuses."""

import copy
import json
import re
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from conftest import Cli
from jsonschema import Draft7Validator
from omegaconf import OmegaConf

from trainer.cli import main
from trainer.config import files, json_schema
from trainer.config.options import SCHEMAS

pytestmark = pytest.mark.no_torch

ROOT = Path(__file__).resolve().parents[2]
CONF = ROOT / "conf"
LINE = re.compile(r"^# yaml-language-server: \$schema=(\S+)$", re.M)

WRONG = [  # an experiment, and the path of what an editor marks
    ("epoch: 3", []),
    ("epochs: many", ["epochs"]),
    ("epochs: 0", ["epochs"]),
    ("optimizer: {lr: -1}", ["optimizer", "lr"]),
    ("optimizer: {lrr: 0.1}", ["optimizer"]),
    ("loader: {batchsize: 3}", ["loader"]),
    ("eval_every: often", ["eval_every"]),
    ("device: gpu", ["device"]),
    ("compile: maybe", ["compile"]),
    ("expect: {loss: {atleast: 3}}", ["expect"]),
    ("augment: {transforms: [{degrees: 3}]}", ["augment", "transforms"]),
    ("defaults: [override /model: mpl]", ["defaults", 0]),
    ("defaults: [override /modle: mlp]", ["defaults", 0]),
    ("defaults: [override /model: mlp]\nmodel: {hiden: [3]}", ["model"]),
    ("defaults: [override /model: mlp]\nmodel: {channels: [3]}", ["model"]),
    ("defaults: [override /model: mlp]\nmodel: {hidden: [3, x]}", ["model", "hidden"]),
    ("model: {_target_: trainer.models.mlp.MLP, channels: [3]}", ["model"]),
    ("defaults: [cifar10_fast, override /optimizer: muon]\noptimizer: {nestrov: true}", ["optimizer"]),
]
RIGHT = [  # what no editor may mark
    "model: {hidden: [3], channels: [4]}",
    "defaults: [mine]\nmodel: {of_my_class: 3}",
    "defaults: [override /model: own]\nmodel: {_target_: my.Net, of_my_class: 3}",
    "defaults: [override /model: mlp]\nmodel: {_target_: my.Net, of_my_class: 3}",
    "dataset: {path: '???', val_fraction: '${share}'}",
    "dataset: {_target_: my.Data, split: 3}",
    "optimizer: {lr: 1e-3, groups: [{params: '*.bias', lr: 1e-4}]}",
    "defaults: [override /scheduler: step, override hydra/launcher: slurm]\nscheduler: {step_size: 3epochs}",
    "hydra: {sweeper: {params: {seed: 'range(3)'}}}",
    "device: 1\nloader: {num_workers: auto}\nmax_steps: null",
]


def schema_of(path: Path, conf: Path) -> str:
    parts = path.relative_to(conf).parts
    return "config" if len(parts) == 1 else parts[0]


def read(text: str) -> Any:
    return OmegaConf.to_container(OmegaConf.create(text), resolve=False)


def shipped() -> Iterator[tuple[Path, Path]]:
    """(conf/, file in it) of all but Hydra's own groups."""
    for conf in (CONF, ROOT / "trainer/template/conf", *sorted(ROOT.glob("examples/*/conf"))):
        yield from ((conf, path) for path in sorted(conf.rglob("*.yaml")) if path.parts[-3:-2] != ("hydra",))


@pytest.fixture(scope="module")
def validators() -> dict[str, Draft7Validator]:
    found = json_schema.schemas(files.roots([str(ROOT / "trainer/template/conf")]))
    for schema in found.values():
        Draft7Validator.check_schema(schema)
    return {name: Draft7Validator(schema) for name, schema in found.items()}


def test_every_shipped_file_is_right(validators: dict[str, Draft7Validator]) -> None:
    wrong = {
        str(path): [error.message for error in validators[schema_of(path, conf)].iter_errors(read(path.read_text()))]
        for conf, path in shipped()
    }
    assert len(wrong) > 90
    assert {path: messages for path, messages in wrong.items() if messages} == {}


def test_a_typo_in_any_key_of_a_shipped_file_is_marked(validators: dict[str, Draft7Validator]) -> None:
    """Wherever the keys are known: at the top of a config, in its groups, and beside a class that ships."""
    num_typos = 0
    for conf, path in shipped():
        name, data = schema_of(path, conf), read(path.read_text())
        free = {
            "expect",
            "hydra",
            *(group for group in data if {f"override /{group}": "own"} in data.get("defaults", ())),
        }
        inner = {(key,): value for key, value in data.items() if isinstance(value, dict) and key not in free}
        for at, node in {(): data, **inner}.items():
            if name == "chapter" or node.get("_target_", "torch.nn.MSELoss") not in SCHEMAS:
                continue  # a function of the chapter's, or a class of the user's own
            for key in node:
                typed = copy.deepcopy(data)
                changed = typed[at[0]] if at else typed
                changed[f"{key}x"] = changed.pop(key)
                assert not validators[name].is_valid(typed), (path, at, key)
                num_typos += 1
    assert num_typos > 500


@pytest.mark.parametrize(("text", "place"), WRONG)
def test_what_is_wrong_is_marked_where_it_is(
    text: str, place: list[str | int], validators: dict[str, Draft7Validator]
) -> None:
    assert [list(error.absolute_path) for error in validators["experiment"].iter_errors(read(text))] == [place]


@pytest.mark.parametrize("text", RIGHT)
def test_what_is_right_is_not(text: str, validators: dict[str, Draft7Validator]) -> None:
    assert [error.message for error in validators["experiment"].iter_errors(read(text))] == []


def test_every_file_names_its_schema(tmp_path: Path) -> None:
    assert main(["init", "mine"]) == 0
    written = {path.stem for path in (tmp_path / "mine/conf/.schema").glob("*.json")}
    for conf in (CONF, tmp_path / "mine/conf"):
        for path in (path for path in conf.rglob("*.yaml") if path.parent.parent.name != "hydra"):
            (line,) = LINE.findall(path.read_text())
            meant = (path.parent / line).resolve()
            assert (meant.parent, meant.stem) == (conf.resolve() / ".schema", schema_of(path, conf)), path
            assert meant.stem in written


def test_your_own_options_are_known(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (tmp_path / "conf/model").mkdir(parents=True)
    mine = tmp_path / "conf/model/mine.yaml"
    mine.write_text("# yaml-language-server: $schema=../.schema/model.json\n# my net\n_target_: my.Net\nwidth: 3\n")
    assert main(["schema"]) == main(["schema", "conf"]) == 0  # a second time over the first
    assert "$schema=../.schema/model.json" in capsys.readouterr().out
    schema = json.loads((tmp_path / "conf/.schema/experiment.json").read_text())
    assert Draft7Validator(schema).is_valid(read("defaults: [override /model: mine]\nmodel: {width: 7}"))
    assert main(["ls", "model"]) == 0
    assert "my net\n" in capsys.readouterr().out


def test_another_folder_and_a_disk(tmp_path: Path, cli: Cli, capsys: pytest.CaptureFixture[str]) -> None:
    (tmp_path / "pictures").mkdir()
    for words, said in (
        (["schema"], "there is no folder conf\n  try: mkdir -p conf/experiment, or trainer init"),
        (["schema", "nowhere"], "there is no folder nowhere"),
        (["schema", "pictures"], "pictures is not a folder of configs"),
    ):
        assert main(words) == 2
        assert said in capsys.readouterr().err
    assert list((tmp_path / "pictures").iterdir()) == []
    (tmp_path / "conf/model").mkdir(parents=True)
    (tmp_path / "conf/.schema").touch()
    assert main(["schema"]) == 4


def test_it_imports_little(tmp_path: Path) -> None:
    (tmp_path / "conf/model").mkdir(parents=True)
    program = "import sys; from trainer.cli import main; main(['schema']); print(*sys.modules)"
    done = subprocess.run(
        [sys.executable, "-c", program], capture_output=True, text=True, check=True, env={"PYTHONPATH": str(ROOT)}
    )
    assert not {"torch", "hydra", "omegaconf", "numpy"} & set(done.stdout.splitlines()[-1].split())
