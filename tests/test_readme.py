"""What the README promises beside its commands, which test_docs runs."""

import re
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parent.parent
README = (ROOT / "README.md").read_text(encoding="utf-8")

pytestmark = pytest.mark.no_torch


def test_it_fits_on_two_screens() -> None:
    assert len(README.splitlines()) <= 160


def test_the_two_setup_commands_are_there_for_ci() -> None:
    for name in ("train", "tests"):
        assert re.search(rf"<!-- {name} -->\n```sh\n(.+)\n```", README) is not None


def test_what_it_says_of_the_loop_is_true() -> None:
    loop = (ROOT / "trainer/loop.py").read_text(encoding="utf-8")
    verbs = [
        "optimizer.zero_grad()",
        "run.forward(x)",
        "run.loss(prediction, y, x)",
        ".backward(",
        "scaler.step(run.optimizer)",
    ]
    body = loop[loop.index("def train_step") :]
    assert [body.index(verb) for verb in verbs] == sorted(body.index(verb) for verb in verbs)
