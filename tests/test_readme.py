"""Every command of the README, in its order, in one folder, with the files that it shows."""

import re
import shlex
from pathlib import Path

import pytest
import torch

from trainer.cli import main

ROOT = Path(__file__).resolve().parent.parent
README = (ROOT / "README.md").read_text(encoding="utf-8")

FILES = {
    "houses.csv": "size,rooms,city",
    "my_net.py": "class Net",
    "my_data.py": "class Parity",
    "conf/optimizer/nadam.yaml": "torch.optim.NAdam",
}


def blocks(language: str) -> list[str]:
    return re.findall(rf"^```{language}\n(.*?)^```", README, flags=re.M | re.S)


@pytest.mark.slow
def test_every_command_runs(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.syspath_prepend(tmp_path)
    for name, words in FILES.items():
        (text,) = (block for block in [*blocks("csv"), *blocks("python"), *blocks("yaml")] if words in block)
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / name).write_text(text)
    commands = [line[2:] for block in blocks("console") for line in block.splitlines() if line.startswith("$ ")]
    assert len(commands) >= 15
    for command in commands:
        program, *words = shlex.split(command, comments=True)
        assert program == "trainer"
        if words == ["chapter"]:
            continue  # half a minute; a slow test of the chapter runs it whole
        expected = 2 if "device=cuda" in words and not torch.cuda.is_available() else 0
        assert main(words) == expected, (command, capsys.readouterr().err)


def test_the_two_setup_commands_are_there_for_ci() -> None:
    assert [re.search(rf"<!-- {name} -->\n```sh\n(.+)\n```", README) is not None for name in ("train", "tests")] == [
        True
    ] * 2


def test_what_it_says_of_the_loop_is_true() -> None:
    loop = (ROOT / "trainer/loop.py").read_text()
    verbs = [
        "optimizer.zero_grad()",
        "run.model(x)",
        "run.loss_fn(prediction, y)",
        ".backward(",
        "scaler.step(run.optimizer)",
    ]
    body = loop[loop.index("def train_step") :]
    assert [body.index(verb) for verb in verbs] == sorted(body.index(verb) for verb in verbs)
