"""An example in a folder of its own, where its programs are run: its plain loop, and trainer's verbs."""

import json
import os
import re
import shutil
import subprocess
import sys
from collections.abc import Sequence
from functools import cached_property
from pathlib import Path

import yaml

EXAMPLES = Path(__file__).parent.parent
NAMES = sorted(file.parent.name for file in EXAMPLES.glob("*/job.py"))
ONE_CORE = {"OMP_NUM_THREADS": "1", "MKL_NUM_THREADS": "1", "NO_COLOR": "1"}


class Wrong(Exception):
    """A check found something that should not be: what, in a few lines."""


def execute(command: Sequence[str], folder: Path) -> tuple[int, str]:
    """Run a Python program in a folder. Returns its exit code and what it writes."""
    done = subprocess.run(
        [sys.executable, *command], cwd=folder, env=os.environ | ONE_CORE, capture_output=True, text=True
    )
    return done.returncode, done.stdout + done.stderr


class Example:
    """One example. metric, value, within: what it should reach, and by how much it may differ from that; seeds: those
    to try, of which the first is the run that other checks look at; settings: more words for each `trainer train`."""

    def __init__(self, name: str, scratch: Path, seeds: Sequence[int], settings: Sequence[str] = ()) -> None:
        self.name, self.folder, self.seeds = name, scratch / name, seeds
        self.config = yaml.safe_load((EXAMPLES / name / "conf/experiment" / f"{name}.yaml").read_text())
        ((self.metric, expected),) = self.config["expect"].items()
        self.value, self.within = expected["value"], expected["within"]
        self.settings = [f"experiment={name}", "device=cpu", "threads=1", *settings]
        shutil.copytree(EXAMPLES / name, self.folder)
        if "__main__" in (self.folder / "job.py").read_text():
            self.python("job.py")  # makes its data

    def python(self, *command: str, codes: Sequence[int] = (0,)) -> str:
        """What a program writes. Raises Wrong, with its last lines, if it ends with another exit code."""
        code, text = execute(command, self.folder)
        if code not in codes:
            last = "\n".join(text.strip().splitlines()[-5:])
            raise Wrong(f"{' '.join(command)} ends with exit code {code}:\n{last}")
        return text

    def trainer(self, *words: str, codes: Sequence[int] = (0,)) -> str:
        """What a trainer command writes. Raises Wrong as `python` does."""
        return self.python("-m", "trainer", *words, codes=codes)

    def train(self, *settings: str) -> Path:
        """Train. Returns the run folder."""
        self.trainer("train", *self.settings, *settings)
        return (self.folder / "outputs/latest").resolve()

    @cached_property
    def runs(self) -> list[Path]:
        """A finished run of each seed, the first with its report."""
        return [
            self.train(f"seed={seed}", f"report={'true' if not n else 'false'}") for n, seed in enumerate(self.seeds)
        ]

    @cached_property
    def plain(self) -> list[float]:
        """What the plain loop reaches with each seed."""
        return [self._printed(self.python("plain.py", str(seed))) for seed in self.seeds]

    def _printed(self, text: str) -> float:
        found = re.search(rf"^{re.escape(self.metric)} (\S+)$", text, re.MULTILINE)
        if found is None:
            raise Wrong(f"plain.py prints no line '{self.metric} NUMBER'")
        return float(found[1])


def summary(run: Path) -> dict[str, dict[str, float]]:
    """A run's summary.json."""
    return json.loads((run / "summary.json").read_text())  # type: ignore[no-any-return]
