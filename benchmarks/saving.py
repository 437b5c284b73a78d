"""The cost of saving: the share of a run's time that goes into checkpoints, at the default interval and every second.

python benchmarks/saving.py [width] [steps]
"""

import json
import subprocess
import sys
import tempfile
from pathlib import Path


def measure(width: str, steps: str, every: str) -> tuple[float, float, int]:
    """Train once. Returns (seconds in train and eval, seconds in saving, bytes of a checkpoint)."""
    with tempfile.TemporaryDirectory() as folder:
        words = ["train", f"model.hidden=[{width},{width}]", f"max_steps={steps}", "epochs=100000", "report=false"]
        words += [f"checkpoint.every_seconds={every}", "eval_every=100000steps", f"output_dir={folder}"]
        command = [sys.executable, "-m", "trainer", *words]
        subprocess.run(command, check=True, stdout=subprocess.DEVNULL)  # noqa: S603 - our own words
        run = next(path.parent for path in Path(folder).rglob("summary.json"))
        spent = json.loads((run / "summary.json").read_text())["seconds"]
        size = sum(path.stat().st_size for path in next((run / "checkpoints").glob("step-*")).iterdir())
    return spent["train"] + spent["eval"], spent["save"], size


def main() -> None:
    """Print a line for each interval."""
    width, steps = (sys.argv[1:] + ["512", "20000"][len(sys.argv) - 1 :])[:2]
    for every in ("30", "1"):
        work, save, size = measure(width, steps, every)
        share = save / (work + save)
        print(f"every {every:>2} s: {work:6.1f} s of work, {save:6.2f} s saving ({share:.2%}), {size:,} bytes")


main()
