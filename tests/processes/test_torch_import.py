"""The collector rests while torch is imported, and only then."""

import os
import subprocess
import sys
from pathlib import Path

import pytest
from conftest import needs_torch

pytestmark = pytest.mark.no_torch

ROOT = Path(__file__).resolve().parents[2]
SCRIPT = """
import gc, sys
from trainer.processes.torch_import import uncollected

cycle = []
cycle.append(cycle)
{before}
try:
    with uncollected():
        inside = gc.isenabled()
        {within}
except ImportError:
    pass
print(inside, gc.isenabled(), gc.get_freeze_count() > 100)
"""


@pytest.mark.parametrize(
    ("before", "within", "said"),
    [
        ("", "pass", "False True True"),
        ("", "import nothing_of_this_name", "False True True"),
        ("sys.modules['torch'] = sys", "pass", "True True False"),
        ("gc.disable()", "pass", "False False False"),
    ],
)
def test_the_collector_rests_while_torch_is_imported(before: str, within: str, said: str) -> None:
    script = SCRIPT.format(before=before, within=within)
    done = subprocess.run([sys.executable, "-c", script], cwd=ROOT, capture_output=True, text=True, check=True)
    assert done.stdout.strip() == said


@needs_torch
@pytest.mark.skipif(sys.platform != "linux", reason="limits the address space")
@pytest.mark.parametrize("words", [[], pytest.param(["-m", "seed=0,1"], marks=pytest.mark.slow)])
def test_too_little_memory_for_torch_is_one_message(words: list[str], tmp_path: Path) -> None:
    line = 'ulimit -v 1500000; exec "$@"'  # in kB; torch maps more than twice as much
    command = ["bash", "-c", line, "bash", sys.executable, "-m", "trainer", "train", "device=cpu", *words]
    environment = {**os.environ, "PYTHONPATH": str(ROOT)}
    done = subprocess.run(command, cwd=tmp_path, env=environment, capture_output=True, text=True)
    assert (done.returncode, done.stdout) == (1, "")
    assert done.stderr.startswith("error: there is not enough memory to start: ")
    assert done.stderr.endswith("\n  try: ulimit -v unlimited\n")
    assert len(done.stderr.splitlines()) == 2
    assert not (tmp_path / "outputs").exists()
