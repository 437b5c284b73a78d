"""Hydra's grammar: the jobs that we plan are those that Hydra would have composed, and what is wrong starts nothing."""

import importlib.util
import json
import sys
from collections.abc import Callable
from pathlib import Path

import pytest
from sample import sampled

from trainer.cli import main
from trainer.config import compose, files
from trainer.config.search_settings import DEFAULT_PRUNER
from trainer.config.search_space import Space
from trainer.config.source import Source
from trainer.disk.sweep_plan import Job
from trainer.errors import ConfigError
from trainer.sweep.hydra_task import Task
from trainer.sweep.lines import partial_keys

needs_optuna = pytest.mark.skipif(importlib.util.find_spec("optuna") is None, reason="could not import 'optuna'")

pytestmark = pytest.mark.no_torch


class Planned:
    """A sweep that only takes jobs on."""

    def __init__(self) -> None:
        self.jobs: list[Job] = []

    def plan(self, jobs: list[Job], launcher: object) -> Path:
        self.jobs += jobs
        return Path("nowhere")

    def run(self, jobs: list[Job]) -> list[int]:
        return [0] * len(jobs)


def jobs(*overrides: str) -> list[Job]:
    sweep, source = Planned(), Source(list(overrides), files.roots())
    compose.sweep(source, Task(sweep, source))  # type: ignore[arg-type]
    return sweep.jobs


@pytest.mark.parametrize(
    ("overrides", "typed"),
    [
        (["seed=1,2", "epochs=3,4"], ["seed=1 epochs=3", "seed=1 epochs=4", "seed=2 epochs=3", "seed=2 epochs=4"]),
        (["seed=range(1,4)"], ["seed=1", "seed=2", "seed=3"]),
        (["model.hidden=[8],[16,16]"], ["model.hidden=[8]", "model.hidden=[16,16]"]),
        (["model=choice(mlp,linear)", "seed=5"], ["model=mlp seed=5", "model=linear seed=5"]),
        (["optimizer=glob(ada*,exclude=adam*)"], ["optimizer=adafactor", "optimizer=adagrad"]),
        (["seed=sort(3,1)", "++epochs=4,5"], None),
        (["model=own", "model._target_=a.B", "+model.width=1,2", "loss=cross_entropy", "~loss.label_smoothing"], None),
        (["experiment=sweep/lr_by_seed", "seed=7", "loss=auto,mse"], None),
        (["seed=0,1", "dataset.split_seed=${seed}"], ["seed=0 dataset.split_seed=${seed}",
                                                      "seed=1 dataset.split_seed=${seed}"]),
        (["optimizer.lr=1e-3,1e-2", "optimizer.weight_decay=0,${optimizer.lr}"], None),
        (["model=mlp,cnn", "model.channels=[8],[16]"], ["model=mlp", "model=cnn model.channels=[8]",
                                                       "model=cnn model.channels=[16]"]),
        (["model.channels=[8]", "model=mlp,cnn"], ["model=mlp", "model.channels=[8] model=cnn"]),
        (["scheduler=none,step", "seed=1,2", "scheduler.gamma=.1,.2"], [
            "scheduler=none seed=1", "scheduler=none seed=2", "scheduler=step seed=1 scheduler.gamma=0.1",
            "scheduler=step seed=1 scheduler.gamma=0.2", "scheduler=step seed=2 scheduler.gamma=0.1",
            "scheduler=step seed=2 scheduler.gamma=0.2"]),
        (["model=linear,mlp", "~model.dropout"], ["model=linear", "model=mlp ~model.dropout"]),
        (["dataset=table,digits", "dataset.path=a.csv", "dataset.target=price"], [
            "dataset=table dataset.path=a.csv dataset.target=price", "dataset=digits"]),
    ],
)  # fmt: skip
def test_each_job_is_what_hydra_composes(overrides: list[str], typed: list[str] | None) -> None:
    found = jobs(*overrides)
    if typed is not None:
        assert [" ".join(job.overrides) for job in found] == typed
    assert [job.number for job in found] == list(range(len(found)))
    for job in found:
        assert job.data == compose.compose(Source(job.overrides, files.roots())).data


def test_a_sweep_in_yaml() -> None:
    found = jobs("experiment=sweep/lr_by_seed")
    assert len(found) == 16
    assert {(job.data["optimizer"]["lr"], job.data["seed"]) for job in found} == {
        (lr, seed) for lr in (1e-4, 3e-4, 1e-3, 3e-3) for seed in range(4)
    }
    assert len({job.identity for job in found}) == 16


def test_an_interpolation_is_each_jobs_own(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PLACE", "elsewhere")
    assert [job.data["dataset"]["split_seed"] for job in jobs("seed=0,1,2", "dataset.split_seed=${seed}")] == [0, 1, 2]
    found = jobs("optimizer.lr=1e-3,1e-2", "optimizer.weight_decay=${optimizer.lr}", "output_dir=${oc.env:PLACE}")
    assert [job.data["optimizer"]["weight_decay"] for job in found] == [1e-3, 1e-2]
    assert [job.data["output_dir"] for job in found] == ["elsewhere"] * 2
    assert "output_dir=${oc.env:PLACE}" in found[0].overrides


def test_an_interpolation_in_the_params_of_an_experiment_is_each_jobs_own(tmp_path: Path) -> None:
    (tmp_path / "conf/experiment").mkdir(parents=True)
    params = "{seed: '3,4', dataset.split_seed: '${seed}', model.hidden: '[${epochs}]', epochs: 5}"
    text = f"# @package _global_\nhydra: {{mode: MULTIRUN, sweeper: {{params: {params}}}}}\n"
    (tmp_path / "conf/experiment/both.yaml").write_text(text)
    found = jobs("experiment=both")
    assert [(job.data["dataset"]["split_seed"], job.data["model"]["hidden"]) for job in found] == [(3, [5]), (4, [5])]


class Samples(Task):
    """Takes on the space of a search."""

    def search(self, space: Space, launcher: object, launch: Callable) -> None:
        self.space = Space.of_data(json.loads(json.dumps(space.as_data())))  # as sweep.json gives it back


def space(*overrides: str) -> Space:
    source = Source(["hydra/sweeper=optuna", *overrides], files.roots())
    task = Samples(Planned(), source)  # type: ignore[arg-type]
    compose.sweep(source, task)
    return task.space


def test_a_search_checks_every_choice_and_both_ends_and_keeps_to_the_same_rules() -> None:
    words = ["optimizer.lr=interval(1e-3,1e-1)", "optimizer.weight_decay=${optimizer.lr}"]
    found = space(*words, "model=mlp,cnn", "model.channels=[4],[8]")
    samples = found.samples()
    assert {trial["optimizer.lr"] for trial in samples} == {"0.001", "0.1"}
    assert {(trial["model"], trial["model.channels"]) for trial in samples} == {
        ("mlp", "[4]"),
        ("mlp", "[8]"),
        ("cnn", "[4]"),
    }
    proposal = found.job(7, {"optimizer.lr": "0.05", "model": "mlp", "model.channels": "[8]"})
    assert proposal.overrides == ["optimizer.weight_decay=${optimizer.lr}", "optimizer.lr=0.05", "model=mlp"]
    assert proposal.data["optimizer"]["weight_decay"] == 0.05
    with pytest.raises(ValueError, match=r"outside 0\.001 to 0\.1"):
        found.job(8, proposal.trial | {"optimizer.lr": "0.2"})


PROPOSED = [
    ["optimizer.lr=tag(log,interval(1e-4,1e-1))", "seed=1,2,3", "epochs=3"],
    ["seed=int(interval(1,9))", "dataset.split_seed=${seed}"],
    ["model=mlp,linear,cnn", "model.hidden=[8],[16,16]", "model.dropout=interval(0.1,0.2)"],
    ["model=own", "model._target_=a.B,c.D", "+model.width=int(interval(1,4))", "+model.name='x y',z"],
    ["optimizer=adamw,sgd,adagrad", "optimizer.momentum=0,0.9", "optimizer.weight_decay=${optimizer.lr}",
     "optimizer.lr=interval(1e-3,1e-1)"],
    ["experiment=sweep/lr_by_seed", "loss=auto,cross_entropy", "loss.label_smoothing=interval(0.0,0.2)"],
    ["scheduler=none,step", "scheduler.step_size=2epochs,3epochs", "loss=cross_entropy", "~loss.label_smoothing"],
    ["dataset=table,digits", "dataset.path=a.csv,b.csv", "dataset.target=price", "clip_grad_norm=null,1.0"],
    ["early_stop.patience=2,null", "output_dir=out/${seed}-${epochs}", "seed=4,5", "epochs=int(interval(2,3))"],
    ["model.hidden=[${seed}],[8]", "seed=3,4", "optimizer._target_=torch.optim.SGD,torch.optim.Adagrad"],
]  # fmt: skip


@pytest.mark.parametrize("overrides", sampled([(overrides,) for overrides in PROPOSED], 4))
def test_a_proposed_job_is_what_hydra_composes(overrides: list[str]) -> None:
    found = space(*overrides)
    samples, variants = found.samples(), found.variants
    for number in range(max(len(samples), len(variants))):  # each of both at least once
        job = found.job(number, samples[number % len(samples)] | variants[number % len(variants)].picks)
        assert job.data == compose.compose(Source(job.overrides, files.roots())).data
        assert job.number == number


def test_the_pruner_and_the_time_of_a_search_and_of_one_that_an_earlier_version_stored() -> None:
    """prune=false is what `pruner=none` was; of jobs that are evaluated once, none is pruned unless somebody asks."""
    found = [
        space(AXIS, *words).settings for words in ([], ["hydra.sweeper.prune=false"], ["hydra.sweeper.prune=true"])
    ]
    assert [settings.pruner for settings in found] == [None, "none", None]
    assert space(AXIS, "hydra.sweeper.max_time=1h1.5m3s").settings.seconds == 3693
    assert space(AXIS).planned(1).settings.pruner == "none"
    assert space(AXIS).planned(2).settings.pruner == DEFAULT_PRUNER
    with pytest.raises(ConfigError, match="never evaluated"):
        space(AXIS, "hydra.sweeper.pruner=median").planned(0)
    stored = space(AXIS).as_data()
    before = {name: stored[name] for name in ("axes", "variants", "base", "n_trials", "seed")}
    for prune, pruner in ((True, "median"), (False, "none")):
        old = Space.of_data(json.loads(json.dumps(before | {"prune": prune})))
        assert (old.settings.sampler, old.settings.pruner, old.settings.seconds) == ("tpe", pruner, None)


def test_the_header_says_which_jobs_a_key_is_set_in() -> None:
    typed = [job.overrides for job in jobs("model=mlp,linear,cnn", "model.dropout=.1,.2", "seed=1")]
    assert partial_keys(typed) == ["model.dropout is set only where model=mlp or model=cnn"]
    assert partial_keys([["seed=1", "epochs=2"], ["seed=2", "epochs=2"]]) == []


def test_two_hundred_jobs_are_composed_once(monkeypatch: pytest.MonkeyPatch) -> None:
    from hydra._internal.config_loader_impl import ConfigLoaderImpl

    calls = []
    true = ConfigLoaderImpl.load_sweep_config
    monkeypatch.setattr(ConfigLoaderImpl, "load_sweep_config", lambda self, *args: calls.append(1) or true(self, *args))
    assert len(jobs("seed=range(100)", "model=mlp,linear")) == 200
    assert len(calls) == 2  # once for each model


def test_the_identity_forgets_how_and_where() -> None:
    one, other = jobs("seed=1", "sweep.jobs=1,2")
    assert one.identity == other.identity
    assert one.identity != jobs("seed=2")[0].identity


AXIS = "optimizer.lr=tag(log,interval(1e-4,1e-1))"
RANDOM, OPTUNA = ["hydra/sweeper=random", AXIS], ["hydra/sweeper=optuna", AXIS]


@pytest.mark.parametrize(
    ("words", "said", "typed_instead"),
    [
        (["optimizer.lr=1e-3,abc"], "optimizer.lr=abc: optimizer.lr must be a number", ""),
        (["seed=range(5,5)"], "an empty list of values", "seed=VALUE,VALUE"),
        (["seed=range(101)", "epochs=range(1,101)"], "10,100 jobs", "sweep.confirm=true"),
        (["monitor=val/auc", "seed=0,1"], "reports no such metric", "val/acc"),
        (["model=mlp,cmm"], "no model 'cmm'", "mlp"),
        (["dataset.folds=3", "dataset.fold=0,3"], "the folds of dataset.folds=3 are 0 to 2", "dataset.fold=2"),
        (["sweep.jobs=0", "seed=0,1"], "sweep.jobs must be at least 1", ""),
        (["hydra.sweeper.max_batch_size=a", "seed=0,1"], "max_batch_size must be a whole number", "max_batch_size=10"),
        (["model=mlp,cnn", "model.chanels=[8],[16]"], "no key 'model.chanels'", "model.channels=[8],[16]"),
        (
            ["seed=0,1", "scheduler.step_size=5epochs"],
            "no key 'scheduler.step_size'",
            "scheduler=step scheduler.step_size=5epochs",
        ),
        (["model=mlp,cnn", "nonsense=1"], "no key 'nonsense'", "trainer config"),
        pytest.param(
            ["hydra/sweeper=optuna", "optimizer.lr=interval(-1,1)"],
            "optimizer.lr must be",
            "",
            marks=[pytest.mark.optional, needs_optuna],
        ),
        (["seed=0,1", "optimizer.lr=interval(1e-4,1e-2)"], "an interval is for a search", "hydra/sweeper=optuna"),
        (["seed=0,1", "hydra.sweeper.max_time=9m"], "no key", "hydra/sweeper=optuna hydra.sweeper.max_time=9m"),
        ([*RANDOM, "hydra.sweeper.max_time=9"], "max_time=9 is not a time", "hydra.sweeper.max_time=10m"),
        ([*RANDOM, "hydra.sweeper.n_trials=0"], "must be a whole number from 1", ""),
        ([*RANDOM, "hydra.sweeper.pruner=median"], "no key 'hydra.sweeper.pruner'", "hydra/sweeper=optuna"),
        ([*RANDOM, "epochs=interval(9,1)"], "the interval ends before it begins", ""),
        ([*RANDOM, "optimizer.weight_decay=tag(log,interval(0,1))"], "a log scale begins above 0", ""),
        (
            [*OPTUNA, "hydra.sweeper.prune=false", "hydra.sweeper.pruner=hyperband"],
            "contradict each other",
            "hyperband",
        ),
        ([*OPTUNA, "hydra.sweeper.prune=true", "hydra.sweeper.pruner=none"], "contradict each other", "pruner=none"),
        ([*OPTUNA, "hydra.sweeper.pruner=hyperbnd"], "there is median, hyperband, none", "pruner=hyperband"),
        ([*OPTUNA, "hydra.sweeper.sampler=cmae"], "there is tpe, random, gp, cmaes", "sampler=cmaes"),
        pytest.param(
            [*OPTUNA, "hydra.sweeper.sampler=cmaes"],
            "at least two intervals",
            "sampler=tpe",
            marks=[pytest.mark.optional, needs_optuna],
        ),
        pytest.param(
            [*OPTUNA, "hydra.sweeper.pruner=median", "epochs=1"],
            "the jobs are evaluated only once, when they end",
            "hydra.sweeper.pruner=none, or for example eval_every=0.1epoch",
            marks=[pytest.mark.optional, needs_optuna, pytest.mark.slow],
        ),
        pytest.param(
            [*OPTUNA, "hydra.sweeper.pruner=hyperband", "dataset.val_fraction=0"],
            "the jobs are never evaluated",
            "hydra.sweeper.pruner=none",
            marks=[pytest.mark.optional, needs_optuna, pytest.mark.slow],
        ),
    ],
)
def test_what_is_wrong_starts_nothing(
    words: list[str], said: str, typed_instead: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["train", "-m", *words]) == 2
    error = capsys.readouterr().err
    assert said in error
    assert typed_instead in error
    assert not (tmp_path / "outputs").exists()


@pytest.mark.parametrize(
    ("missing", "sampler"),
    [
        ("optuna", "tpe"),
        pytest.param("scipy", "gp", marks=[pytest.mark.optional, needs_optuna]),
        pytest.param("cmaes", "cmaes", marks=[pytest.mark.optional, needs_optuna]),
    ],
)
def test_a_search_without_its_libraries_makes_no_folder(
    missing: str, sampler: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setitem(sys.modules, missing, None)
    assert main(["train", "-m", *OPTUNA, f"hydra.sweeper.sampler={sampler}"]) == 2
    assert "pip install 'fiveline[optuna]'" in capsys.readouterr().err
    assert not (tmp_path / "outputs").exists()
