"""Do the verbs that look at a run, or at a config, answer?"""

import csv

from checks.example import Example, Wrong, summary


def report(example: Example) -> str:
    """The page and the picture of the first run are made, and made again."""
    run = example.runs[0]
    page, picture = run / "report.html", run / "results.png"
    for file in (page, picture):
        file.unlink()  # which training made
    example.trainer("report", str(run))
    if example.metric not in page.read_text() or not picture.stat().st_size:
        raise Wrong(f"the page does not show {example.metric}, or the picture is empty")
    return "ok"


def sweep(example: Example) -> str:
    """A sweep of two jobs ranks them by what it monitors, in its better direction. (Jobs that differ in their seed
    alone would share a rank.)"""
    example.trainer(
        "train", "-m", *example.settings, "optimizer.lr=0.0005,0.005", "sweep.jobs=1", "epochs=2", "report=false"
    )
    rows = list(csv.DictReader((example.folder / "outputs/latest/sweep.csv").read_text().splitlines()))
    ranks = {row["run"]: int(row["rank"]) for row in rows}
    found = {run: summary(example.folder / run) for run in ranks}
    metric, modes = rows[0]["metric"], found[rows[0]["run"]]["modes"]
    best_first = sorted(ranks, key=lambda run: found[run]["best"][metric])
    if modes[metric] == "max":
        best_first.reverse()
    if sorted(ranks, key=ranks.__getitem__) != best_first or len(set(ranks.values())) != 2:
        raise Wrong(f"the sweep ranks its jobs {ranks} by {metric} ({modes[metric]}); best first is {best_first}")
    return str(metric)


def plan(example: Example) -> str:
    """What would be trained is told."""
    return _answer(example, "plan", "memory")


def doctor(example: Example) -> str:
    """No guard trips."""
    return _answer(example, "doctor", "no guard trips")


def _answer(example: Example, verb: str, expected: str) -> str:
    text = example.trainer(verb, f"experiment={example.name}", "device=cpu", "threads=1")
    if expected not in text:
        raise Wrong(f"trainer {verb} says nothing of '{expected}'")
    return "ok"
