"""Runs the example jobs, with trainer and as plain PyTorch loops, and says whether both reach what is expected.

    python examples/check.py                    all jobs, three seeds, both ways
    python examples/check.py vae gru            these jobs
    python examples/check.py --quick            one seed of each, with trainer alone

It ends with exit code 1 if a number is not as expected. A file conf/experiment/JOB.yaml says what to expect.
"""

import argparse
import json
import os
import re
import shutil
import subprocess
import sys
import tempfile
from pathlib import Path
from statistics import mean

import yaml

HERE = Path(__file__).parent
ONE_CORE = {"OMP_NUM_THREADS": "1", "MKL_NUM_THREADS": "1"}


def expectation(job: str) -> tuple[str, float, float]:
    """(The metric of a job, the value to expect, by how much a run may differ from it)."""
    config = yaml.safe_load((HERE / job / "conf/experiment" / f"{job}.yaml").read_text())
    ((metric, expected),) = config["expect"].items()
    return metric, expected["value"], expected["within"]


def run(command: list[str], folder: Path) -> str:
    """What a program writes. Raises RuntimeError with its last lines."""
    done = subprocess.run(
        [sys.executable, *command], cwd=folder, env=os.environ | ONE_CORE, capture_output=True, text=True
    )
    if done.returncode:
        last = "\n".join((done.stdout + done.stderr).strip().splitlines()[-5:])
        raise RuntimeError(f"{' '.join(command)} in {folder.name} ends with exit code {done.returncode}:\n{last}")
    return done.stdout


def with_trainer(job: str, metric: str, seed: int, folder: Path) -> tuple[float, float]:
    """(The metric after the last epoch, the seconds of training)."""
    settings = [f"experiment={job}", f"seed={seed}", "device=cpu", "threads=1", "report=false"]
    run(["-m", "trainer", "train", *settings], folder)
    summary = json.loads((folder / "outputs/latest/summary.json").read_text())
    return summary["last"][metric], summary["seconds"]["train"] + summary["seconds"]["data"]


def plain(metric: str, seed: int, folder: Path) -> float:
    """The metric that the plain loop of a job prints."""
    printed = run(["plain.py", str(seed)], folder)
    found = re.search(rf"^{re.escape(metric)} (\S+)$", printed, re.MULTILINE)
    if found is None:
        raise RuntimeError(f"plain.py of {folder.name} prints no line '{metric} NUMBER'")
    return float(found[1])


def check(job: str, seeds: range, scratch: Path, quick: bool) -> bool:
    """Run one job. Returns whether it is as expected, and says so."""
    metric, value, within = expectation(job)
    folder = scratch / job
    shutil.copytree(HERE / job, folder)
    if "__main__" in (folder / "job.py").read_text():
        run(["job.py"], folder)  # makes its data
    ours, seconds = zip(*(with_trainer(job, metric, seed, folder) for seed in seeds), strict=True)
    found = {"trainer": ours} if quick else {"trainer": ours, "plain loop": [plain(metric, s, folder) for s in seeds]}
    good = all(abs(number - value) <= within for numbers in found.values() for number in numbers)
    good = good and abs(mean(found["trainer"]) - mean(list(found.values())[-1])) <= within
    print(f"{job}: {metric} should be {value:g}, give or take {within:g}")
    for way, numbers in found.items():
        print(f"    {way:10} {'  '.join(f'{number:.4g}' for number in numbers)}")
    print(f"    {'as expected' if good else 'NOT as expected'}; {mean(seconds):.1f} s of training", flush=True)
    return good


def main() -> int:
    everything = sorted(file.parent.name for file in HERE.glob("*/job.py"))
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("jobs", nargs="*", metavar="JOB", help=f"{', '.join(everything)}; all of them if left out")
    parser.add_argument("--seeds", type=int, default=3, help="how many seeds to try, from 0 (default: 3)")
    parser.add_argument("--quick", action="store_true", help="seed 0 only, without the plain loops")
    asked = parser.parse_args()
    if unknown := [job for job in asked.jobs if job not in everything]:
        parser.error(f"no job {unknown[0]}: there are {', '.join(everything)}")
    bad = []
    with tempfile.TemporaryDirectory() as scratch:
        for job in asked.jobs or everything:
            try:
                if not check(job, range(1 if asked.quick else asked.seeds), Path(scratch), asked.quick):
                    bad.append(job)
            except RuntimeError as error:
                print(f"{job}: {error}", flush=True)
                bad.append(job)
    num_good = len(asked.jobs or everything) - len(bad)
    print(f"{num_good} as expected" + (f"; not as expected: {', '.join(bad)}" if bad else ""))
    return 1 if bad else 0


if __name__ == "__main__":
    sys.exit(main())
