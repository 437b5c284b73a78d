"""The page over many runs: how long it takes to make, how large it is, and how long Chromium takes to show it.

    python benchmarks/overview.py [--runs 500] [--rounds 5]

One run is trained (digits, 40 epochs); its folder is copied under other names, each with a learning rate, a width, a
seed, a batch size and curves of its own. `trainer report --all` makes the page. Opening is timed from the navigation to
the second frame after everything was drawn. Last, a cell of the table is sought by the filter, as if it were typed.
"""

import argparse
import json
import os
import platform
import random
import shutil
import sys
import tempfile
import time
from pathlib import Path
from statistics import median

from commands import ROOT, trainer

sys.path.insert(0, str(ROOT / "tests" / "support"))
from browser import Browser

FRAMES = "new Promise((done) => requestAnimationFrame(() => requestAnimationFrame(() => done(true))))"
TYPED = """(() => { const begun = performance.now(), box = document.getElementById("filter");
box.value = "lr=0.003 acc>0.5"; box.dispatchEvent(new Event("input")); document.body.offsetHeight;
return performance.now() - begun; })()"""


def copies(outputs: Path, number: int) -> None:
    """Copy the only run in outputs/ until there are `number`, each with other settings and curves."""
    run = next(outputs.glob("*/*/config.yaml")).parent
    config, draw = (run / "config.yaml").read_text(), random.Random(0)  # noqa: S311 - no secret
    rows = [json.loads(line) for line in (run / "metrics.jsonl").read_text().splitlines()]
    for index in range(number - 1):
        day, second = divmod(index, 200)
        folder = outputs / f"2026-01-{1 + day:02}" / f"12-{second // 60:02}-{second % 60:02}-digits-mlp-{index:04x}"
        shutil.copytree(run, folder)
        lr, width = draw.choice([0.001, 0.003, 0.01, 0.03]), draw.choice([32, 64, 128])
        text = config.replace("lr: 0.002", f"lr: {lr}").replace("- 128", f"- {width}")
        text = text.replace("seed: 0", f"seed: {index % 5}").replace("batch_size: 64", f"batch_size: {width}")
        (folder / "config.yaml").write_text(text)
        factor = draw.uniform(0.3, 3)
        changed = [{key: value * factor if "loss" in key else value for key, value in row.items()} for row in rows]
        (folder / "metrics.jsonl").write_text("".join(json.dumps(row) + "\n" for row in changed))


def drawn(browser: Browser, page: Path) -> float:
    """Seconds until the page is drawn."""
    begun = time.perf_counter()
    browser.open(page)
    browser.call("Runtime.evaluate", expression=FRAMES, awaitPromise=True)
    return time.perf_counter() - begun


def main() -> None:
    """Print the figures."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--runs", type=int, default=500)
    parser.add_argument("--rounds", type=int, default=5)
    args = parser.parse_args()
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        trainer(folder, "train", "epochs=40", "log_every=1")
        copies(folder / "outputs", args.runs)
        begun = time.perf_counter()
        trainer(folder, "report", "--all")
        made, page = time.perf_counter() - begun, folder / "outputs/report.html"
        with Browser(folder / "profile") as browser:
            opened = [drawn(browser, page) for _ in range(args.rounds)]
            shown = browser.run("document.querySelectorAll('#table tbody tr').length")
            typed = browser.run(TYPED)
            found = browser.run("document.getElementById('shown').textContent")
        print(f"{args.runs} runs, Python {platform.python_version()}, load {os.getloadavg()[0]:.1f}")
        print(f"made in   {made:.1f} s, command included")
        print(f"size      {page.stat().st_size / 1e6:.2f} MB")
        print(f"drawn in  {median(opened):.2f} s, median of {len(opened)} ({max(opened):.2f} at most), {shown} rows")
        print(f"filtered  in {typed:.0f} ms: {found}")


if __name__ == "__main__":
    main()
