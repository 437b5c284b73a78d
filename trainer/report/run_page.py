"""The report.html of a run, from its folder alone. The folder may come from anyone: its contents are shown as text."""

import json
import shlex
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

from trainer.config.run_config import read_overrides
from trainer.disk import calibration, history, importance, layout, outcome, reading
from trainer.disk.history import History
from trainer.disk.outcome import Outcome, Predictions
from trainer.report import columns, drawn, html, plots
from trainer.report.plots import Plot
from trainer.report.scales import fit
from trainer.tasks.baseline import Baseline
from trainer.text import clock, cut

MOST_CELLS = 30  # classes above which the matrix is not shown
MOST_ROWS = 100  # of any table
MOST_POINTS = 1200  # of a scatter plot
MOST_METRICS, MOST_TILES = 12, 8
HEADLINES = {"val/r2": "val/r2 (R²)", "val/mae": "val/mae, in the data's units"}


def page(folder: Path, past: History | None = None) -> str:
    """The page as text. past: the folder's history, if it has already been read."""
    summary = layout.read_summary(folder)
    past = past or history.read(folder)
    measured = outcome.read(folder) or Outcome()
    predictions = measured.predictions or Predictions("")
    used = importance.read(folder)
    if predictions.classes is not None:
        predictions = replace(predictions, classes=list(map(html.visible, predictions.classes)))
    return html.render(
        "run.html",
        name=folder.name,
        head=head(summary),
        plots=loss_plots(past, summary),
        rates=rate_plots(past),
        predictions=predictions if measured.predictions is not None else None,
        trained_on=drawn.drawn(measured.trained_on),
        figures=drawn.drawn(predictions.figures),
        matrix=matrix(predictions),
        scores=scores(predictions),
        used=columns.bars(used) if used is not None else None,
        to_ask=columns.to_ask(folder, reading.count(summary.get("num_val"))),
        each=each_rows(measured),
        calibration=calibration_rows(summary),
        mix_ups=mix_ups(predictions),
        scatter=scatter(predictions),
        mistakes=predictions.mistakes[:16],
        layers=measured.layers[:MOST_ROWS],
        num_layers=len(measured.layers),
        changed=measured.changed[:MOST_ROWS],
        outcome=measured,
        parts=parts(summary),
        environment=environment(summary),
        command=command(folder, summary),
        config=config_text(folder),
    )


def head(summary: Mapping[str, Any]) -> dict[str, Any]:
    """The top of the page: the headline metric, and the numbers beside it."""
    monitor = reading.text(summary.get("monitor"))
    best, last, baseline = (reading.numbers(summary.get(name)) for name in ("best", "last", "baseline"))
    weak = Baseline("", baseline).missed(monitor, best)
    metrics = best or last
    steps, epochs = reading.count(summary.get("steps")), reading.number(summary.get("epochs"))
    step = metrics.get("step") if best else steps
    at = f"at step {html.value_text(step)}" if step is not None else ""
    if best and epochs and steps and step is not None:
        at = f"at epoch {html.value_text(round(step * epochs / steps, 2))}, step {html.value_text(step)}"
    answer = reading.text((summary.get("baseline") or {}).get("answer")) if weak else ""
    shown = headline(monitor, metrics)
    others = {name: value for name, value in metrics.items() if "/" in name and name not in shown}
    others = dict(sorted(others.items(), key=lambda item: not item[0].startswith("val/")))
    of_test = [(f"{name}, selects nothing", value) for name, value in reading.numbers(summary.get("test")).items()]
    return {
        "status": reading.text(summary.get("status")) or "unknown",
        "notes": reading.text(summary.get("notes"), 2000),
        "reason": reading.text(summary.get("stop_reason")),
        "error": reading.text(summary.get("error"), 2000),
        "weak": f"does no better than {answer}, which gives {weak} {html.metric_text(baseline[weak])}" if weak else "",
        "figures": [(HEADLINES.get(name, name), html.metric_text(metrics[name])) for name in shown],
        "which": f"best {at}" if best else f"last {at}",
        "title": " · ".join(filter(None, [reading.text(summary.get(name)) for name in ("dataset", "model")])),
        "tiles": [(name, html.metric_text(value)) for name, value in [*others.items(), *of_test][:MOST_TILES]]
        + tiles(summary),
    }


def headline(monitor: str, metrics: Mapping[str, float]) -> list[str]:
    """The metrics that stand at the top: the monitored one; for numbers, R² and the error in the data's units, since a
    loss of standardised targets has no units that anybody knows."""
    if monitor in (*HEADLINES, "val/loss", "val/mse") and HEADLINES.keys() <= metrics.keys():
        return list(HEADLINES)
    return [monitor] if monitor in metrics else []


def tiles(summary: Mapping[str, Any]) -> list[tuple[str, str]]:
    """(name, text) of the counts and the time of a run, as far as they are known."""
    steps, planned = (reading.count(summary.get(name)) for name in ("steps", "num_steps"))
    of = f" of {planned:,}" if planned is not None and planned != steps else ""
    counts = [("steps", f"{steps:,}{of}")] if steps is not None else []
    numbers = {name: reading.number(summary.get(name)) for name in ("epochs", "samples", "parameters")}
    counts += [(name, html.value_text(value)) for name, value in numbers.items() if value is not None]
    total = sum(seconds for _, seconds in parts(summary))
    counts += [("total time", clock(total))] if total else []
    ended = reading.text(summary.get("ended"))[:16].replace("T", " ")
    return [*counts, ("ended", ended)] if ended else counts


def loss_plots(past: History, summary: Mapping[str, Any]) -> list[Plot]:
    """The losses, then one plot for every other metric, and for every term of the loss."""
    best = reading.numbers(summary.get("best")).get("step")
    marks = [(best, "best")] if best and past.evaluations and best <= past.evaluations[-1]["step"] else []
    losses = [("train", "train", past.curves["train"]), ("val", "val", past.curves["val"])]
    found = [plots.curves("Loss", losses, may_be_logarithmic=True, marks=marks)]
    for name, series in list(drawn.metric_curves(past).items())[:MOST_METRICS]:
        title = name if len(series) > 1 else f"{series[0][0]}/{name}"
        found.append(plots.curves(cut(title, 40), series, marks=marks))
    return list(filter(None, found))


def rate_plots(past: History) -> list[Plot]:
    """The learning rate and, if it was logged, the norm of the gradients."""
    titles = {"lr": "Learning rate", "grad_norm": "Gradient norm"}
    found = [plots.curves(titles[name], [(name, "rate", curve)]) for name, curve in past.rates.items() if curve]
    return list(filter(None, found))


def matrix(predictions: Predictions) -> list[list[tuple[int, int]]] | None:
    """Rows of (count, percent of its row) for the confusion matrix; None where it is too large for a table."""
    classes = range(len(predictions.classes or []))
    if not predictions.confusions or len(classes) > MOST_CELLS:
        return None
    counts = [[predictions.confusions.get((truth, guess), 0) for guess in classes] for truth in classes]
    return [list(zip(row, drawn.percents(row), strict=True)) for row in counts]


def scores(predictions: Predictions) -> list[tuple[str, int, float, float, float, float]]:
    """(class, rows, its share in percent, precision, recall, F1); the classes with the lowest F1 if there are too many
    to show."""
    if not predictions.confusions:
        return []
    total, names = sum(predictions.confusions.values()) or 1, predictions.classes or []
    found = [
        (name, count, 100 * count / total, precision, recall, f1)
        for name, (count, precision, recall, f1) in zip(names, predictions.scores(), strict=True)
    ]
    return found if len(found) <= MOST_ROWS else sorted(found, key=lambda row: row[-1])[:MOST_ROWS]


def each_rows(measured: Outcome) -> list[list[str]]:
    """The metrics by name of each class, label or output: the heading, then a row each, at most MOST_ROWS."""
    if measured.each is None:
        return []
    columns = [[html.metric_text(v) if v is not None else "-" for v in row] for row in measured.each.values.values()]
    rows = [list(row) for row in zip(map(html.visible, measured.each.names), *columns, strict=True)]
    return [["", *(cut(name, 40) for name in measured.each.values)], *rows[:MOST_ROWS]]


def mix_ups(predictions: Predictions) -> list[tuple[str, str, int]]:
    """(truth, guess, count) of the most frequent confusions, in place of a matrix that is too large."""
    names = predictions.classes or []
    if len(names) <= MOST_CELLS:
        return []
    return [(names[truth], names[guess], count) for truth, guess, count in predictions.mix_ups()[:24]]


def calibration_rows(summary: Mapping[str, Any]) -> list[tuple[str, str]]:
    """(name, text) of the temperature of a run with calibrate=true, and of what it gains."""
    found = calibration.parsed(summary.get("calibration"))
    if found is None:
        return []
    rows = [("temperature", f"{found.temperature:.4g}, fitted to {found.num_fitted:,} validation rows")]
    if found.before is not None and found.after is not None:
        for name in ("nll", "ece"):
            texts = html.metric_text(found.after[name]), html.metric_text(found.before[name])
            rows.append((name.upper(), "{}, without it {}".format(*texts)))
        rows.append(("measured", found.where))
    return rows


def scatter(predictions: Predictions) -> list[Plot]:
    """For numbers: prediction against truth, and residuals."""
    pairs = predictions.pairs[:MOST_POINTS]
    residuals = [(guess, truth - guess) for truth, guess in pairs]
    both, guesses = fit(value for pair in pairs for value in pair), fit(guess for _, guess in pairs)
    around = fit(sign * residual for sign in (1, -1) for _, residual in residuals)
    if both is None or guesses is None or around is None:
        return []
    diagonal = [(both.low, both.low), (both.high, both.high)]
    zero = [(guesses.low, 0.0), (guesses.high, 0.0)]
    return [
        plots.cloud("Prediction against truth", pairs, both, both, ("truth", "prediction"), diagonal),
        plots.cloud("Residuals", residuals, guesses, around, ("prediction", "truth - prediction"), zero),
    ]


def parts(summary: Mapping[str, Any]) -> list[tuple[str, float]]:
    """(part of the run, seconds it took)."""
    seconds = reading.numbers(summary.get("seconds"))
    return [(name, value) for name, value in seconds.items() if value > 0][:12]


def environment(summary: Mapping[str, Any]) -> list[tuple[str, str]]:
    """(name, value) of everything that the numbers depend on."""
    versions = summary.get("versions")
    rows = [(name, summary.get(name)) for name in ("device", "threads", "seed", "git")]
    rows += list(versions.items())[:30] if isinstance(versions, dict) else []
    texts = {name: value if isinstance(value, str) else json.dumps(value, default=str) for name, value in rows}
    return [(cut(str(name), 60), cut(texts[name], 200)) for name, value in rows if value is not None]


def command(folder: Path, summary: Mapping[str, Any]) -> str:
    """The command that trains this run again."""
    typed = reading.items(summary.get("argv"), str)
    if typed[:1] != ["train"] or {"-m", "--multirun"} & set(typed):
        typed = ["train", *read_overrides(folder)]
    return cut(shlex.join(["trainer", *typed]), 4000)


def config_text(folder: Path) -> str:
    """The text of config.yaml; '' if it cannot be read."""
    try:
        return cut(reading.read_file(folder / layout.CONFIG).decode("utf-8", "replace"), 20_000)
    except (FileNotFoundError, reading.Damaged):
        return ""
