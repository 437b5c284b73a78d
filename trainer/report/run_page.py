"""report.html of a run, from its folder alone. Whoever made it: all of it is data, and shown as text."""

import json
import shlex
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from trainer.config.run_config import read_overrides
from trainer.disk import history, layout, reading
from trainer.disk import outcome as inspection
from trainer.disk.history import History
from trainer.disk.outcome import Inspection, Outcome
from trainer.report import html, plots
from trainer.report.plots import Plot
from trainer.report.scales import fit
from trainer.text import clock, cut

MOST_CELLS = 30  # classes up to which the matrix is a table
MOST_ROWS = 100  # of any table
MOST_POINTS = 1200  # of a scatter plot


def page(folder: Path, past: History | None = None) -> str:
    """The page as text. past: the folder's history, where it has been read already."""
    summary = layout.read_summary(folder)
    past = past or history.read(folder)
    found = inspection.read(folder) or Inspection()
    return html.render(
        "run.html",
        name=folder.name,
        head=head(summary),
        plots=loss_plots(past, summary),
        rates=rate_plots(past),
        outcome=found.outcome,
        matrix=matrix(found.outcome),
        scores=scores(found.outcome),
        mix_ups=mix_ups(found.outcome),
        scatter=scatter(found.outcome),
        mistakes=found.outcome.mistakes[:16] if found.outcome else [],
        layers=found.layers[:MOST_ROWS],
        num_layers=len(found.layers),
        changed=found.changed[:MOST_ROWS],
        inspection=found,
        parts=parts(summary),
        environment=environment(summary),
        command=command(folder, summary),
        config=config_text(folder),
    )


def head(summary: Mapping[str, Any]) -> dict[str, Any]:
    """What stands at the top: the headline metric, and the numbers beside it."""
    monitor = reading.text(summary.get("monitor"))
    best, last = (reading.numbers(summary.get(name)) for name in ("best", "last"))
    metrics = best or last
    steps, planned = (reading.count(summary.get(name)) for name in ("steps", "num_steps"))
    epochs = reading.number(summary.get("epochs"))
    step = metrics.get("step") if best else steps
    tiles = [(name, html.metric_text(value)) for name, value in metrics.items() if "/" in name and name != monitor]
    tiles = tiles[:6]
    if steps is not None:
        of = f" of {planned:,}" if planned is not None and planned != steps else ""
        tiles.append(("steps", f"{steps:,}{of}"))
    for name in ("epochs", "samples", "parameters"):
        if (value := reading.number(summary.get(name))) is not None:
            tiles.append((name, html.value_text(value)))
    if total := sum(seconds for _, seconds in parts(summary)):
        tiles.append(("time", clock(total)))
    at = f"at step {html.value_text(step)}" if step is not None else ""
    if best and epochs and steps and step is not None:
        at = f"at epoch {html.value_text(round(step * epochs / steps, 2))}, step {html.value_text(step)}"
    return {
        "status": reading.text(summary.get("status")) or "unknown",
        "reason": reading.text(summary.get("stop_reason")),
        "error": reading.text(summary.get("error"), 2000),
        "metric": monitor,
        "value": html.metric_text(metrics[monitor]) if monitor in metrics else None,
        "which": f"best {at}" if best else f"last {at}",
        "title": " · ".join(filter(None, [reading.text(summary.get(name)) for name in ("dataset", "model")])),
        "tiles": tiles,
    }


def loss_plots(past: History, summary: Mapping[str, Any]) -> list[Plot]:
    """The losses, then one plot for every other metric that was evaluated."""
    best = reading.numbers(summary.get("best")).get("step")
    marks = [(best, "best")] if best and past.evaluations and best <= past.evaluations[-1]["step"] else []
    series = [("train", "train", past.curves["train"]), ("val", "val", past.curves["val"])]
    found = [plots.curves("Loss", series, may_be_logarithmic=True, marks=marks)]
    names = dict.fromkeys(name for row in past.evaluations for name in row if "/" in name)
    others = [name for name in names if name not in ("train/loss", "val/loss")][:8]
    for name in others:
        points = [(row["step"], row[name]) for row in past.evaluations if name in row]
        found.append(plots.curves(cut(name, 40), [(name, "val", points)], marks=marks))
    return [plot for plot in found if plot is not None]


def rate_plots(past: History) -> list[Plot]:
    """The learning rate and, where it was logged, the norm of the gradients."""
    titles = {"lr": "Learning rate", "grad_norm": "Gradient norm"}
    found = [plots.curves(titles[name], [(name, "rate", curve)]) for name, curve in past.rates.items() if curve]
    return [plot for plot in found if plot is not None]


def matrix(outcome: Outcome | None) -> list[list[tuple[int, int]]] | None:
    """Rows of (count, percent of the highest) for the confusion matrix; None where it is too big for a table."""
    if outcome is None or not outcome.confusions or len(outcome.classes or []) > MOST_CELLS:
        return None
    classes = range(len(outcome.classes or []))
    highest = max(outcome.confusions.values()) or 1
    counts = [[outcome.confusions.get((truth, guess), 0) for guess in classes] for truth in classes]
    return [[(count, round(100 * count / highest)) for count in row] for row in counts]


def scores(outcome: Outcome | None) -> list[tuple[str, int, float, float, float]]:
    """(class, rows, precision, recall, F1); the weakest ones where there are too many classes to show."""
    if outcome is None or not outcome.confusions:
        return []
    found = [(name, *score) for name, score in zip(outcome.classes or [], outcome.scores(), strict=True)]
    return found if len(found) <= MOST_ROWS else sorted(found, key=lambda row: row[4])[:MOST_ROWS]


def mix_ups(outcome: Outcome | None) -> list[tuple[str, str, int]]:
    """(truth, guess, count) of what is mixed up most, in place of a matrix that is too big."""
    if outcome is None or outcome.classes is None or len(outcome.classes) <= MOST_CELLS:
        return []
    names = outcome.classes
    return [(names[truth], names[guess], count) for truth, guess, count in outcome.mix_ups()[:24]]


def scatter(outcome: Outcome | None) -> list[Plot]:
    """For numbers: prediction against truth, and what is left of the difference."""
    if outcome is None or not outcome.pairs:
        return []
    pairs = outcome.pairs[:MOST_POINTS]
    residuals = [(guess, truth - guess) for truth, guess in pairs]
    both, guesses = fit(value for pair in pairs for value in pair), fit(guess for _, guess in pairs)
    around = fit([*(abs(left) for _, left in residuals), *(-abs(left) for _, left in residuals)])
    if both is None or guesses is None or around is None:
        return []
    diagonal = [(both.low, both.low), (both.high, both.high)]
    zero = [(guesses.low, 0.0), (guesses.high, 0.0)]
    return [
        plots.cloud("Prediction against truth", pairs, both, both, ("truth", "prediction"), diagonal),
        plots.cloud("Residuals", residuals, guesses, around, ("prediction", "truth - prediction"), zero),
    ]


def parts(summary: Mapping[str, Any]) -> list[tuple[str, float]]:
    """(part, seconds) of where the time went."""
    seconds = reading.numbers(summary.get("seconds"))
    return [(name, value) for name, value in seconds.items() if value > 0][:12]


def environment(summary: Mapping[str, Any]) -> list[tuple[str, str]]:
    """(name, value) of what the numbers depend on."""
    versions = summary.get("versions")
    rows = [(name, summary.get(name)) for name in ("device", "threads", "seed", "git")]
    rows += list(versions.items())[:30] if isinstance(versions, dict) else []
    return [(cut(str(name), 60), _plain(value)) for name, value in rows if value is not None]


def command(folder: Path, summary: Mapping[str, Any]) -> str:
    """What makes this run again, as one would type it."""
    typed = reading.items(summary.get("argv"), str)
    if typed[:1] != ["train"] or {"-m", "--multirun"} & set(typed):
        typed = ["train", *read_overrides(folder)]
    return cut(shlex.join(["trainer", *typed]), 4000)


def config_text(folder: Path) -> str:
    """config.yaml as it stands there."""
    try:
        text = reading.read_file(folder / layout.CONFIG).decode("utf-8", "replace")
    except (FileNotFoundError, reading.Damaged):
        return ""
    return cut(text, 20_000)


def _plain(value: Any) -> str:
    return cut(value if isinstance(value, str) else json.dumps(value, default=str), 200)
