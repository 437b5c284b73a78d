"""Lists in step: hydra.sweeper.zip leaves those jobs of Hydra's grid in which the zipped keys are at the same place."""

from pathlib import Path

import pytest
from hydra.core.override_parser.overrides_parser import OverridesParser
from hypothesis import given
from hypothesis import strategies as st
from test_hydra_plugins import jobs

from trainer.cli import main
from trainer.config.combinations import combinations, zipped
from trainer.errors import ConfigError

pytestmark = pytest.mark.no_torch
BOTH = "hydra.sweeper.zip=[model,optimizer.lr]"


@given(st.permutations(["a", "b", "c", "d", "e"]), st.integers(1, 4), st.integers(1, 3), st.booleans())
def test_a_zip_is_the_part_of_the_grid_where_its_lists_are_at_one_place(
    keys: list[str], in_step: int, others: int, two: bool
) -> None:
    groups = [["a", "b"], ["c", "d"]] if two else [["b", "a", "d"]]
    zipped_keys = {key for group in groups for key in group}
    lengths = {key: in_step if key in zipped_keys else others for key in keys}
    words = [f"{key}=choice({','.join(str(value) for value in range(lengths[key]))})" for key in keys]
    overrides = OverridesParser.create().parse_overrides(words)
    grid = [dict(word.split("=") for word in job) for job in combinations(overrides)]
    found = [dict(word.split("=") for word in job) for job in combinations(overrides, zipped(groups, overrides))]
    assert found == [job for job in grid if all(len({job[key] for key in group}) == 1 for group in groups)]


@pytest.mark.parametrize(
    ("overrides", "typed"),
    [
        (["model=mlp,cnn", "seed=5", "optimizer.lr=1e-3,1e-2", BOTH],
         ["model=mlp optimizer.lr=0.001 seed=5", "model=cnn optimizer.lr=0.01 seed=5"]),
        (["epochs=1,2", "optimizer.lr=1e-3,1e-2", "model=choice(mlp,cnn)", BOTH],
         ["epochs=1 optimizer.lr=0.001 model=mlp", "epochs=1 optimizer.lr=0.01 model=cnn",
          "epochs=2 optimizer.lr=0.001 model=mlp", "epochs=2 optimizer.lr=0.01 model=cnn"]),
        (["optimizer=glob(ada*,exclude=adam*)", "seed=range(3,5)", "hydra.sweeper.zip=[seed,optimizer]"],
         ["optimizer=adafactor seed=3", "optimizer=adagrad seed=4"]),
        (["model=mlp,cnn", "model.channels=[8],[16]", "hydra.sweeper.zip=[model,model.channels]"],
         ["model=mlp", "model=cnn model.channels=[16]"]),
        (["model=own", "model._target_=a.B", "+model.width=1,2", "seed=3,4", "hydra.sweeper.zip=[model.width,seed]"],
         ["model=own model._target_=a.B +model.width=1 seed=3", "model=own model._target_=a.B +model.width=2 seed=4"]),
        (["seed=range(200)", "dataset.split_seed=range(200)", "hydra.sweeper.zip=[seed,dataset.split_seed]"], None),
    ],
)  # fmt: skip
def test_the_jobs_of_a_zip(overrides: list[str], typed: list[str] | None) -> None:
    found = [" ".join(job.overrides) for job in jobs(*overrides)]
    assert found == typed if typed is not None else len(found) == 200  # 40,000 would need sweep.confirm=true


def test_a_zip_in_an_experiment_and_one_of_its_lists_typed_again(tmp_path: Path) -> None:
    (tmp_path / "conf/experiment").mkdir(parents=True)
    params = "{model: 'mlp,cnn', optimizer.lr: '1e-3,1e-2', seed: 'range(2)'}"
    sweeper = f"{{params: {params}, zip: [model, optimizer.lr]}}"
    text = f"# @package _global_\nhydra: {{mode: MULTIRUN, sweeper: {sweeper}}}\n"
    (tmp_path / "conf/experiment/both.yaml").write_text(text)
    found = [(job.data["model"]["_target_"][-3:], job.data["optimizer"]["lr"]) for job in jobs("experiment=both")]
    assert found == [("MLP", 1e-3), ("MLP", 1e-3), ("CNN", 1e-2), ("CNN", 1e-2)]
    assert [job.data["optimizer"]["lr"] for job in jobs("experiment=both", "optimizer.lr=5,6", "seed=1")] == [5, 6]
    with pytest.raises(ConfigError, match=r"names optimizer\.lr, which has one value"):
        jobs("experiment=both", "optimizer.lr=5")


@pytest.mark.parametrize(
    ("setting", "said", "instead"),
    [
        ("[model,seed]", "but model has 2, seed has 3", "try: model=VALUE,VALUE seed=VALUE,VALUE"),
        ("[model]", "one key alone is in step with nothing", f"'{BOTH}'"),
        ("[model,optimzer.lr]", "names optimzer.lr, which is not swept", f"'{BOTH}'"),
        ("[model,loss]", "names loss, which is not swept", "loss=VALUE,VALUE"),
        ("[model,epochs]", "names epochs, which has one value", "epochs=VALUE,VALUE"),
        ("[model,model]", "names model twice", f"'{BOTH}'"),
        ("[[model,optimizer.lr],[seed,model]]", "names model twice", "'hydra.sweeper.zip=[seed,model]'"),
        ("[[model,optimizer.lr],seed]", "takes the names of keys", f"'{BOTH}'"),
        ("model", "hydra.sweeper.zip must be a list", f"'{BOTH}'"),
        ("[model,optimizer.lr] hydra/sweeper=optuna", "hydra.sweeper.zip is for a grid", "hydra/sweeper=basic"),
    ],
)
def test_a_wrong_zip_starts_nothing(
    setting: str, said: str, instead: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    words = ["model=mlp,cnn", "optimizer.lr=1e-3,1e-2", "seed=1,2,3", "epochs=1"]
    assert main(["train", "-m", *words, *f"hydra.sweeper.zip={setting}".split()]) == 2
    error = capsys.readouterr().err
    assert said in error
    assert instead in error
    assert error.count("error: ") == 1
    assert not (tmp_path / "outputs").exists()
