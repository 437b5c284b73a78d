"""The collector rests while torch is imported, and only then."""

import subprocess
import sys
from pathlib import Path

import pytest

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
