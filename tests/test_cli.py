"""The command line: help, verbs, and the answers to what people mistype. No torch is imported for any of it."""

import json
import os
import random
import subprocess
import sys
from pathlib import Path

import pytest
from conftest import Cli, config, needs_torch

from trainer import cli as command_line
from trainer import verbs
from trainer.config.check import known_keys
from trainer.terminal.spelling import closest

pytestmark = pytest.mark.no_torch

WRONG = [  # what is typed, exit code, words that the answer holds
    (["train", "optimizer.lrr=1"], 2, ["no key 'optimizer.lrr'", "command line", "optimizer.lr=1"]),
    (["train", "+optimizer.lrr=1"], 2, ["no key 'optimizer.lrr'", "optimizer.lr"]),
    (["train", "++optimizer.lrr=1"], 2, ["no key 'optimizer.lrr'", "optimizer.lr"]),
    (["train", "optimizer.amsgrad=true"], 2, ["no key 'optimizer.amsgrad'", "+optimizer.amsgrad=true"]),
    (["train", "-m", "optimizer=sgd", "optimizer.dampening=0,0.1"], 2, ["try: +optimizer.dampening=0,0.1"]),
    (["train", "optimizer=sgd", "optimizer.amsgrad=true"], 2, ["no key 'optimizer.amsgrad'", "try: trainer config"]),
    (["train", "model=own", "model._target_=my.Net", "model.width=7"], 2, ["'model.width'", "try: +model.width=7"]),
    (["train", "model=own", "model._target_=my.Net", "model._targt_=7"], 2, ["try: model._target_=7"]),
    (["train", "hydra/launcher=basic", "seed=1"], 2, ["one run", "try: trainer train -m hydra/launcher=basic seed=1"]),
    (["train", "hydra/sweeper=optuna"], 2, ["one run", "try: trainer train -m hydra/sweeper=optuna"]),
    (["train", "modle=mlp"], 2, ["no key 'modle'", "model=mlp"]),
    (["train", "-m", "optimizr.lr=1,2"], 2, ["no key 'optimizr.lr' (on the command line)", "optimizer.lr=1"]),
    (["train", "+modle=mlp"], 2, ["no key 'modle'", "model"]),
    (["train", "model=mpl"], 2, ["no model 'mpl'", "Did you mean mlp"]),
    (["train", "model=[mlp,cnn]"], 2, ["one option", "-m model=mlp,cnn"]),
    (["train", "model=null"], 2, ["group override"]),
    (["train", "~model"], 2, ["model needs a value"]),
    (["train", "lr=0.1"], 2, ["no key 'lr'", "optimizer.lr=0.1"]),
    (["train", "batch_size=32"], 2, ["loader.batch_size=32"]),
    (["train", "epochs=abc"], 2, ["epochs=abc", "whole number", "command line"]),
    (["train", "epochs=0"], 2, ["at least 1"]),
    (["train", "epochs=1.5"], 2, ["whole number"]),
    (["train", "seed=-1"], 2, ["at least 0"]),
    (["train", "optimizer.lr=-1"], 2, ["above 0"]),
    (["train", "optimizer.lr="], 2, ["must be a number"]),
    (["train", "optimizer.lr=.nan"], 2, ["must be a number"]),
    (["train", "optimizer.betas=[0.9,1]"], 2, ["below 1"]),
    (["train", "model.hidden=128"], 2, ["list of whole numbers"]),
    (["train", "model.hidden=[64,x]"], 2, ["list of whole numbers"]),
    (["train", "model.activation=rleu"], 2, ["relu"]),
    (["train", "compile=true"], 2, ["compile=model"]),
    (["train", "autocast=true"], 2, ["autocast=bf16"]),
    (["train", "device=gpu"], 2, ["cuda"]),
    (["train", "eval_every=often"], 2, ["2epochs"]),
    (["train", "eval_every=0epochs"], 2, ["eval_every must be above 0", "eval_every=1epoch"]),
    (["train", "eval_every=0.0samples"], 2, ["eval_every=1sample"]),
    (["train", "scheduler=step", "scheduler.step_size=0steps"], 2, ["scheduler.step_size must be above 0"]),
    (["train", "loader=fast"], 2, ["loader"]),
    (["train", "loader.in_memory=maybe"], 2, ["auto or true or false"]),
    (["train", "dataset.val_fraction=1"], 2, ["below 1"]),
    (["train", "experiment=foo"], 2, ["no experiment 'foo'"]),
    (["train", "model=own"], 2, ["model._target_ needs a value"]),
    (["train", "optimizer.lr"], 2, ["key=value"]),
    (["train", "model.hidden=["], 2, ["cannot read"]),
    (["train", "optimizer.lr=1e-3,1e-2", "epochs=3"], 2, ["trainer train -m optimizer.lr=1e-3,1e-2 epochs=3"]),
    (["train", "hydra.run.dir=x"], 2, ["output_dir=FOLDER"]),
    (["train", "hydra.job.chdir=true"], 2, ["change the folder"]),
    (["train", "--dry-run"], 2, ["trainer plan"]),
    (["train", "--lr", "0.1"], 2, ["try: optimizer.lr=0.1"]),
    (["eval", "--split", "train"], 2, ["try: split=train"]),
    (["train", "a/houses.csv"], 2, ["try: dataset=table dataset.path=a/houses.csv dataset.target=COLUMN"]),
    (["train", "dataset=houses.parquet"], 2, ["try: dataset=table dataset.path=houses.parquet dataset.target=COLUMN"]),
    (["train", "model.weights=a.pt"], 2, ["no key 'model.weights'", "try: trainer config"]),
    (["train", "experiment=fit_line"], 2, ["try: experiment=chapter/fit_line"]),
    (["train", "optimizer.lr=logspace(-4,-1,3)"], 2, ["range(FROM,TO,STEP)", "trainer train -m optimizer.lr=A,B,C"]),
    (["runs", "nowhere"], 2, ["no folder nowhere"]),
    (["train", "+hydra.job.env_set.FOO=1"], 2, ["FOO=VALUE trainer train"]),
    (["train", "-cd", "nowhere"], 2, ["--config-dir nowhere: there is no such folder"]),
    (
        ["train", "dataset=table", "dataset.path=a.csv", "dataset.target=y", "dataset.drop=[2020]"],
        2,
        ["a list of text, like [a,b]", "\"dataset.drop=['2020']\""],
    ),
    (["train", "--epochs", "5"], 2, ["epochs=5"]),
    (["train", "--batch-size=5"], 2, ["batch_size=5"]),
    (["train", "epochs", "=", "5"], 2, ["epochs=5"]),
    (["trian", "epochs=3"], 2, ["Did you mean train", "try: trainer train epochs=3"]),
    (["model=mlp"], 2, ["trainer train model=mlp"]),
    (["ls", "modle"], 2, ["Did you mean model"]),
    (["eval", "nothing"], 2, ["no run 'nothing'"]),
    (["resume"], 2, ["no run below"]),
    (["resume", "a", "b"], 2, ["one run"]),
    *[
        ([verb, "experiment=sweep/lr_by_seed"], 2, [f"{verb} takes one run, not a sweep"])
        for verb in ("bench", "doctor", "lr-find", "plan", "profile", "verify")
    ],
]


@pytest.mark.parametrize(("words", "code", "answer"), WRONG, ids=[" ".join(words) for words, _, _ in WRONG])
def test_slips_are_answered(
    words: list[str], code: int, answer: list[str], capsys: pytest.CaptureFixture[str], tmp_path: Path
) -> None:
    assert command_line.main(words) == code
    out, err = capsys.readouterr()
    assert out == ""
    assert err.startswith("error: ")
    assert len(err.splitlines()) <= 2
    assert "Traceback" not in err
    for part in answer:
        assert part in err
    assert not (tmp_path / "outputs").exists()


def test_slips_in_files_name_file_and_line(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    files = {
        "conf/optimizer/fast.yaml": "# fast\n_target_: torch.optim.AdamW\nlr: fast\n",
        "conf/optimizer/typo.yaml": "# typo\n_target_: torch.optim.AdamW\n\nlearning_rate: 1\n",
        "conf/model/broken.yaml": "# broken\n_target_: a.B\n width: [7\n",
        "conf/model/need.yaml": "# need\n_target_: a.B\nwidth: ???\n",
        "conf/experiment/odd.yaml": "# @package _global_\n# odd\nepochs: -3\n",
    }
    for name, text in files.items():
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / name).write_text(text)
    answers = {
        "optimizer=fast": "optimizer.lr must be a number (conf/optimizer/fast.yaml line 3)",
        "optimizer=typo": "no key 'optimizer.learning_rate' (conf/optimizer/typo.yaml line 4)",
        "model=broken": "conf/model/broken.yaml line 3 column",
        "model=need": "model.width needs a value (conf/model/need.yaml line 3)",
        "experiment=odd": "epochs must be at least 1 (conf/experiment/odd.yaml line 3)",
    }
    for word, answer in answers.items():
        assert command_line.main(["train", word]) == 2
        assert answer in capsys.readouterr().err, word


@pytest.mark.slow
def test_one_slip_in_any_key_finds_that_key() -> None:
    keys = sorted(set(known_keys(vars(config()))))
    generator = random.Random(0)
    right = tried = 0
    for key in keys:
        for _ in range(5):
            position = generator.randrange(len(key.rpartition(".")[0]) + 1 if "." in key else 0, len(key))
            kind = generator.choice(["drop", "double", "swap", "change"])
            a, b, rest = key[:position], key[position], key[position + 1 :]
            typo = {
                "drop": a + rest,
                "double": a + b + b + rest,
                "swap": a + rest[:1] + b + rest[1:],
                "change": a + generator.choice("aeiou") + rest,
            }[kind]
            if typo not in keys:
                tried += 1
                right += closest(typo, keys) == key
    assert tried > 200
    assert right / tried >= 0.95


def test_help_lists_verbs_and_every_verb_has_help(capsys: pytest.CaptureFixture[str]) -> None:
    assert command_line.main([]) == 0
    welcome = capsys.readouterr().out
    assert all(f"\n  {verb}" in welcome for verb in verbs.VERBS)
    for verb in verbs.VERBS:
        assert command_line.main([verb, "--help"]) == 0
        text = capsys.readouterr().out
        assert f"trainer {verb}" in text
        assert max(map(len, text.splitlines())) <= 80


def test_flags_and_the_word_help_stand_anywhere(capsys: pytest.CaptureFixture[str]) -> None:
    texts = []
    for words in (["eval", "--help"], ["eval", "help"], ["help", "eval"], ["--help", "eval"]):
        assert command_line.main(words) == 0
        texts.append(capsys.readouterr().out)
    assert len(set(texts)) == 1
    assert command_line.main(["--debug", "train", "nope=1"]) == 2
    assert "Traceback" in capsys.readouterr().err


@pytest.mark.parametrize(
    "words",
    [
        ["--help"],
        pytest.param(["--version"], marks=needs_torch),
        ["train", "--help"],
        ["train", "--cfg", "job"],
        ["ls"],
        ["config"],
        ["runs"],
    ],
)
def test_what_trains_nothing_imports_no_torch(words: list[str]) -> None:
    program = "import json, sys; from trainer.cli import main; main(sys.argv[1:]); print(json.dumps(list(sys.modules)))"
    root = str(Path(__file__).resolve().parent.parent)
    done = subprocess.run(
        [sys.executable, "-c", program, *words], capture_output=True, text=True, env={**os.environ, "PYTHONPATH": root}
    )
    assert done.returncode == 0, done.stderr
    modules = set(json.loads(done.stdout.splitlines()[-1]))
    heavy = {"torch", "torchvision", "matplotlib", "jinja2", "PIL", "pyarrow", "numpy"}
    if "--cfg" not in words and "config" not in words:
        heavy |= {"hydra", "omegaconf"}
    assert not heavy & modules


def test_flags_may_stand_anywhere(capsys: pytest.CaptureFixture[str]) -> None:
    assert command_line.main(["train", "--cfg", "job", "model=linear", "--package", "model", "epochs=3"]) == 0
    assert "trainer.models.linear.Linear" in capsys.readouterr().out


def test_config_shows_every_key_with_help(capsys: pytest.CaptureFixture[str]) -> None:
    assert command_line.main(["config", "model.hidden=[7,8]"]) == 0
    lines = capsys.readouterr().out.splitlines()
    assert any(line.startswith("model.hidden=[7, 8]") and "width" in line for line in lines)
    assert command_line.main(["config", "--json"]) == 0
    assert json.loads(capsys.readouterr().out)["epochs"] == 20


@needs_torch
def test_a_device_that_is_not_there_is_refused(cli: Cli, tmp_path: Path) -> None:
    import torch

    if torch.cuda.is_available():
        pytest.skip("there is a GPU")
    done = cli("train", "model=mlp", "device=cuda")
    assert done.returncode == 2
    assert done.stdout == ""
    assert done.stderr.startswith("error: device=cuda: ")
    assert len(done.stderr.splitlines()) == 2
    assert list(tmp_path.iterdir()) == []


def test_unwritable_outputs_are_reported_before_torch_is_imported(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "outputs").write_text("a file")
    assert command_line.main(["train"]) == 4
    assert "output_dir=FOLDER" in capsys.readouterr().err


@pytest.mark.parametrize(
    "words", [[], ["config"], ["ls"], ["train", "--help"], ["resume", "--help"], ["runs", "--help"]]
)
def test_what_is_printed_fits_80_columns(words: list[str], capsys: pytest.CaptureFixture[str]) -> None:
    assert command_line.main(words) == 0
    lines = capsys.readouterr().out.splitlines()
    assert len(lines) > 5
    assert [line for line in lines if len(line) > 80] == []
