"""Completion, typed into real shells on a terminal, with the real command behind it."""

import os
import re
import select
import shutil
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import pytest
from conftest import config

from trainer.config.check import known_keys
from trainer.verbs import VERBS, completion
from trainer.verbs.candidates import candidates

pytestmark = pytest.mark.no_torch
pty = pytest.importorskip("pty", reason="no terminals of this kind on Windows")

ROOT = Path(__file__).resolve().parents[2]
GROUPS = ["augment", "dataset", "experiment", "loss", "model", "optimizer", "scheduler"]
START = {
    "bash": ["bash", "--norc", "--noprofile", "-i"],
    "zsh": ["zsh", "-f", "-i"],
}
PREPARE = {"bash": "", "zsh": "autoload -Uz compinit; compinit -u -D; unsetopt prompt_sp; "}

TYPED = [  # what is typed before TAB, and the line that it becomes
    ("trainer trai", "trainer train "),
    ("trainer train model=ml", "trainer train model=mlp "),
    ("trainer train optimizer=sgd optimizer.mom", "trainer train optimizer=sgd optimizer.momentum="),
    ("trainer train -m model=mlp,cn", "trainer train -m model=mlp,cnn "),
    ("trainer train model.activation=si", "trainer train model.activation=si"),  # silu or sigmoid
    ("trainer train model.activation=sil", "trainer train model.activation=silu "),
    ("trainer train early_stop.p", "trainer train early_stop.patience="),
    ("trainer train optimizer=nad", "trainer train optimizer=nadam "),  # your own config
    ("trainer eval 09-0", "trainer eval 09-00-00-iris-mlp-ab12 "),
    ("trainer train --multi", "trainer train --multirun "),
]


class Shell:
    """An interactive shell on its own terminal."""

    def __init__(self, name: str, folder: Path) -> None:
        (folder / "bin").mkdir()
        program = folder / "bin/trainer"
        program.write_text(f'#!/bin/sh\nPYTHONPATH={ROOT} exec {sys.executable} -m trainer "$@"\n')
        program.chmod(0o755)
        path = f"{folder}/bin:{os.environ['PATH']}"
        environment = {**os.environ, "PATH": path, "PS1": "$ ", "TERM": "xterm", "COLUMNS": "200"}
        self.own, theirs = pty.openpty()
        self.process = subprocess.Popen(
            START[name], stdin=theirs, stdout=theirs, stderr=theirs, cwd=folder, env=environment, start_new_session=True
        )
        os.close(theirs)
        self.type(f'{PREPARE[name]}eval "$(trainer completion {name})"; echo rea""dy\n')
        self.wait("ready")

    def type(self, text: str) -> None:
        os.write(self.own, text.encode())

    def wait(self, wanted: str, seconds: float = 20) -> str:
        """What the terminal shows, up to `wanted`."""
        seen, end = "", time.monotonic() + seconds
        while not re.search(wanted, seen):
            assert time.monotonic() < end, f"no {wanted!r} in {seen!r}"
            if select.select([self.own], [], [], 0.1)[0]:
                seen += os.read(self.own, 4096).decode(errors="replace")
        return seen

    def complete(self, line: str) -> str:
        """The line after TAB."""
        self.type(f"{line}\t")
        self.type("]]'\x01echo '[[\x05\n")  # after and before it: the shell prints the completed line
        printed = r"\[\[([^\r\x1b]*)\]\]\r\n"
        return re.findall(printed, self.wait(printed))[-1]

    def close(self) -> None:
        self.process.kill()
        self.process.wait()
        os.close(self.own)


@pytest.fixture(params=["bash", "zsh"])
def shell(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Shell]:
    if shutil.which(request.param) is None:
        pytest.skip(f"no {request.param} here")
    own = tmp_path / "conf/optimizer/nadam.yaml"
    own.parent.mkdir(parents=True)
    own.write_text("# mine\n_target_: torch.optim.NAdam\nlr: 0.1\n")
    for name in ("09-00-00-iris-mlp-ab12", "10-00-00-iris-mlp-cd34"):
        folder = tmp_path / "outputs/2026-11-22" / name
        folder.mkdir(parents=True)
        (folder / "config.yaml").write_text("{}")
    opened = Shell(request.param, tmp_path)
    yield opened
    opened.close()


def test_a_tab_in_a_real_shell(shell: Shell) -> None:
    assert [(line, shell.complete(line)) for line, _ in TYPED] == TYPED


def test_every_verb_is_completed() -> None:
    assert candidates("trainer ") == [f"{verb} " for verb in VERBS]
    for verb in VERBS:
        assert "--help " in candidates(f"trainer {verb} -"), verb
    assert candidates("trainer ls ") == [f"{group} " for group in GROUPS]
    assert candidates("trainer completion ") == ["bash ", "zsh "]
    assert "autograd " in candidates("trainer chapter ")
    assert candidates("trainer resume ") == ["epochs="]
    assert candidates("trainer nonsense ") == []
    assert candidates("trainer") == [f"{verb} " for verb in VERBS]


def test_every_key_is_reached_by_its_parts(tmp_path: Path) -> None:
    """From the start of a key or its dot, and from its last letter, completion leads to it."""
    words = ["optimizer=rmsprop", "model=cnn", "scheduler=warmup"]
    keys = sorted(known_keys(vars(config(*words))))
    for key in keys:
        if key.endswith("._target_") or (any(other.startswith(f"{key}.") for other in keys) and key not in GROUPS):
            continue
        for length in (key.find(".") + 1, len(key) - 1):
            found = candidates(f"trainer train {' '.join(words)} {key[:length]}")
            assert any(f"{key}=".startswith(item) for item in found), (key[:length], found)


def test_broken_files_break_nothing(tmp_path: Path) -> None:
    (tmp_path / "conf/model").mkdir(parents=True)
    (tmp_path / "conf/model/bad.yaml").write_text("a: [\n")
    (tmp_path / "conf/model/list.yaml").write_text("- a\n")
    assert "model=bad " in candidates("trainer train model=")
    assert "optimizer.lr=" in candidates("trainer train model=bad optimizer.")
    assert "optimizer.lr=" in candidates("trainer train model=list experiment=none optimizer.")


@pytest.mark.parametrize("line", ["trainer ", "trainer train optimizer=sgd optimizer.", "trainer eval "])
def test_it_imports_little(line: str) -> None:
    program = "import sys; from trainer.cli import main; main(['completion', *sys.argv[1:]]); print(*sys.modules)"
    command = [sys.executable, "-c", program, "--line", line]
    environment = {**os.environ, "PYTHONPATH": str(ROOT)}
    done = subprocess.run(command, capture_output=True, text=True, env=environment)
    assert done.returncode == 0, done.stderr
    assert not {"torch", "hydra", "omegaconf", "rich", "numpy", "pyarrow"} & set(done.stdout.splitlines()[-1].split())


def test_scripts_are_for_known_shells() -> None:
    from trainer.verbs.candidates import SHELLS

    assert tuple(completion.SCRIPTS) == SHELLS
