"""Whether permutation importance finds the columns that matter: the five of scikit-learn's make_friedman1, out of ten.

python benchmarks/importance.py [seeds]

For each seed: 1,000 new rows with noise 1.0 as a CSV file, `trainer train` with the defaults of a table, and the run's
importance.json. Needs scikit-learn.
"""

import subprocess
import sys
import tempfile
from pathlib import Path

import numpy as np
from sklearn.datasets import make_friedman1

from trainer.disk import importance, layout

NAMES = [f"x{number}" for number in range(10)]
INFORMATIVE = set(NAMES[:5])


def main() -> None:
    """Print a line for each seed, and in how many the five columns are the first five."""
    num_seeds = int(sys.argv[1]) if len(sys.argv) > 1 else 20
    found = 0
    with tempfile.TemporaryDirectory() as folder:
        for seed in range(num_seeds):
            x, y = make_friedman1(n_samples=1000, n_features=10, noise=1.0, random_state=seed)
            header = ",".join([*NAMES, "y"])
            np.savetxt(Path(folder) / "rows.csv", np.c_[x, y], delimiter=",", header=header, comments="")
            words = ["dataset=table", "dataset.path=rows.csv", "dataset.target=y", f"seed={seed}", "threads=1"]
            command = [sys.executable, "-m", "trainer", "train", *words]
            subprocess.run(command, cwd=folder, check=True, capture_output=True)  # noqa: S603
            if (told := importance.read(layout.find("latest", f"{folder}/outputs"))) is None:
                raise SystemExit(f"seed {seed}: the run has no {layout.IMPORTANCE}")
            first = [column.name for column in told.columns[:5]]
            found += set(first) == INFORMATIVE
            gap = told.columns[4].mean - told.columns[4].reach, told.columns[5].mean + told.columns[5].reach
            print(f"seed {seed:<3} {told.metric} {told.score:.3f}   {' '.join(first)}   ", end="")
            print(f"fifth at least {gap[0]:.3f}, sixth at most {gap[1]:.3f}", flush=True)
    print(f"the five informative columns come first in {found} of {num_seeds} seeds")


main()
