"""What a run imports: beside what a bare torch script needs, only the libraries that it uses."""

import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent

BARE = """
import torch
layer = torch.nn.Linear(3, 2)
layer(torch.rand(4, 3)).sum().backward()
"""  # without an optimizer, whose first step imports torch's compiler

USED = {
    "trainer",
    "torch",
    "numpy",
    "hydra",
    "omegaconf",
    "antlr4",
    "yaml",
    "packaging",
    "rich",
    "safetensors",
    "xxhash",
}
USED |= {"plotille", "attr", "xxhash"}  # the curve in the terminal; hydra's and rich's own needs


def imported(folder: Path, *words: str) -> set[str]:
    """The modules that a Python process imports, by its own -X importtime."""
    command = [sys.executable, "-X", "importtime", *words]
    environment = {"PYTHONPATH": str(ROOT), "PATH": "/usr/bin:/bin", "HOME": str(folder)}
    done = subprocess.run(command, cwd=folder, env=environment, capture_output=True, text=True, timeout=120)
    assert done.returncode == 0, done.stderr[-2000:]
    lines = [line for line in done.stderr.splitlines() if line.startswith("import time:")]
    assert len(lines) > 20
    return {line.rpartition("|")[2].strip() for line in lines}


def unexpected(modules: set[str], bare: set[str]) -> set[str]:
    """Modules beyond those of a bare script that no run needs."""
    extra = {name for name in modules - bare if name.partition(".")[0] not in sys.stdlib_module_names}
    return {name for name in extra if name.partition(".")[0] not in USED or name.startswith("torch.")}


def test_training_imports_nothing_that_it_does_not_use(tmp_path: Path) -> None:
    bare = imported(tmp_path, "-c", BARE)
    found = imported(tmp_path, "-m", "trainer", "train", "epochs=1", "report=false")
    assert unexpected(found, bare) == set()
    late = {"torch._dynamo", "torch._inductor.codecache", "sympy", "triton"}
    late |= {"torchvision", "matplotlib", "pyarrow", "pandas", "sklearn", "jinja2"}
    assert unexpected(found | late, bare) == late  # the check sees them


def test_pages_over_several_runs_need_no_matplotlib(tmp_path: Path) -> None:
    found = imported(tmp_path, "-c", "from trainer.report import make, page_server")
    assert {"trainer.report.sweep_page", "trainer.report.overview"} <= found
    assert not {name for name in found if name.partition(".")[0] in {"matplotlib", "torch", "numpy", "hydra"}}
