"""Are scores that numpy and scikit-learn compute from what `trainer predict` writes those of `trainer eval`?"""

import csv
import re
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import numpy as np
import torch
from checks import rows
from checks.example import Example, Wrong
from checks.rows import Rows
from sklearn import metrics

IGNORED = -100
ROUNDED = 1e-7  # a probability near 1 in float32, and so its logarithm
Scores = dict[str, float]
Outputs = Mapping[str, Any]  # numpy arrays by name


def predict(example: Example) -> str:
    """All scores are equal to all digits that eval prints."""
    run = example.runs[0]
    validation = rows.of(example, run)
    ending = "csv" if validation.source.suffix == ".csv" else "npz"
    out = example.folder / f"predicted.{ending}"
    example.trainer("predict", str(run), str(validation.source), "-o", str(out))
    found = SCORES[example.name](_read(out), validation)
    printed = example.trainer("eval", str(run), "split=val")
    measured = {name: float(value) for name, value in re.findall(r"^val/(\S+) +(\S+)$", printed, re.MULTILINE)}
    if not measured.keys() <= found.keys() or example.metric.removeprefix("val/") not in found:
        raise Wrong(f"eval measures {', '.join(measured)}; computed are {', '.join(found)}")
    for name, value in measured.items():
        as_printed = max(6e-5, 1e-6 * abs(value)) if 1e-3 <= abs(value) < 1e5 else 6e-6 * abs(value)
        if not abs(found[name] - value) <= as_printed + ROUNDED:
            raise Wrong(f"{name} of predict's output is {found[name]:.6g}; eval says {value:.6g}")
    return " ".join(measured)


def _read(file: Path) -> Outputs:
    if file.suffix == ".npz":
        return dict(np.load(file))
    with file.open(newline="") as text:
        table = list(csv.DictReader(text))
    return {"prediction": np.array([float(row["prediction"]) for row in table])}


def _of_classes(probabilities: Any, y: Any) -> Scores:
    """probabilities: (…, classes); y: (…), class indices."""
    counts = y != IGNORED
    p, y = probabilities[counts].astype(np.float64), y[counts]
    loss, guess = -np.log(p[np.arange(len(y)), y]).mean(), p.argmax(1)
    return {
        "loss": loss,
        "acc": metrics.accuracy_score(y, guess),
        "iou": metrics.jaccard_score(y, guess, average="macro"),
        "perplexity": np.exp(loss),
        "bits": loss / np.log(2),
    }


def _classes(output: Outputs, rows: Rows) -> Scores:
    return _of_classes(output["probabilities"], rows.y)


def _pixels(output: Outputs, rows: Rows) -> Scores:
    return _of_classes(np.moveaxis(output["probabilities"], 1, -1), rows.y)


def _pictures(output: Outputs, rows: Rows) -> Scores:
    kinds = [Path(name).parent.name for name in output["file"]]
    return _of_classes(output["probabilities"], np.unique(kinds, return_inverse=True)[1])


def _labels(output: Outputs, rows: Rows) -> Scores:
    p, y = output["probabilities"].astype(np.float64), rows.y > 0.5
    each = [metrics.f1_score(y[:, label], p[:, label] > 0.5) for label in range(y.shape[1])]
    loss = -np.log(np.where(y, p, 1 - p)).mean()
    return {"loss": loss, "f1": np.mean(each), "subset_acc": (y == (p > 0.5)).all(1).mean()}


def _of_numbers(guess: Any, y: Any) -> Scores:
    mse = np.square(guess.astype(np.float64) - y).mean()
    return {"loss": mse, "mse": mse, "mae": np.abs(guess - y).mean(), "r2": metrics.r2_score(y, guess)}


def _numbers(output: Outputs, rows: Rows) -> Scores:
    return _of_numbers(output["prediction"], rows.y)


def _table(output: Outputs, rows: Rows) -> Scores:
    found = _of_numbers(output["prediction"], rows.y)
    return found | {"loss": found["mse"] / rows.x.var()}


def _input(output: Outputs, rows: Rows) -> Scores:
    mse = np.square(output["prediction"].reshape(rows.x.shape).astype(np.float64) - rows.x).mean()
    return {"loss": mse, "mse": mse}


def _vae(output: Outputs, rows: Rows) -> Scores:
    mse, mean, log_variance = _input(output, rows)["mse"], output["mean"], output["log_variance"]
    reconstruction = mse * 64 / 0.2**2 / 2
    divergence = (np.square(mean) + np.exp(log_variance) - 1 - log_variance).sum(1).mean() / 2
    terms = {"reconstruction": reconstruction, "divergence": divergence}
    return {"loss": reconstruction + divergence, "mse": mse} | terms


def _multi_task(output: Outputs, rows: Rows) -> Scores:
    kind = -_log_softmax(output["kind"])[np.arange(len(output["kind"])), rows.y["kind"]].mean()
    speed = np.square(output["speed"] - rows.y["speed"]).mean()
    return {"loss": kind + speed, "kind": kind, "speed": speed}


def _contrastive(output: Outputs, rows: Rows) -> Scores:
    similar = output["0"] @ output["1"].T * np.exp(rows.learned["log_scale"])
    own = np.arange(len(similar))
    return {"loss": -_log_softmax(similar)[own, own].mean(), "top1": (similar.argmax(1) == own).mean()}


def _distillation(output: Outputs, rows: Rows) -> Scores:
    found, logits = _classes(output, rows), np.log(output["probabilities"])
    with torch.no_grad():
        truth = _log_softmax(rows.job.teacher()(torch.from_numpy(rows.x)).numpy() / 3)
    teacher = (np.exp(truth) * (truth - _log_softmax(logits / 3))).sum(1).mean() * 9
    terms = {"label": 0.1 * found["loss"], "teacher": teacher}
    return found | {"loss": sum(terms.values())} | terms


def _quantiles(output: Outputs, rows: Rows) -> Scores:
    guess = output["prediction"]
    pinball = [metrics.mean_pinball_loss(rows.y[:, 0], guess[:, n], alpha=q) for n, q in enumerate((0.1, 0.5, 0.9))]
    return _of_numbers(guess[:, 1:2], rows.y) | {"loss": np.mean(pinball)}


def _physics(output: Outputs, rows: Rows) -> Scores:
    return _of_numbers(output["prediction"], rows.y) | {"loss": np.square(output["residual"]).mean()}


def _log_softmax(logits: Any) -> Any:
    return logits - np.log(np.exp(logits.astype(np.float64)).sum(1, keepdims=True))


SCORES: dict[str, Callable[[Outputs, Rows], Scores]] = {
    "autoencoder": _input,
    "char_gpt": _classes,
    "contrastive": _contrastive,
    "copying": _classes,
    "diffusion": _numbers,
    "digits": _classes,
    "distillation": _distillation,
    "forecast": _numbers,
    "gru": _classes,
    "masked_lm": _classes,
    "multi_label": _labels,
    "multi_task": _multi_task,
    "physics": _physics,
    "pictures": _pictures,
    "quantiles": _quantiles,
    "segmentation": _pixels,
    "table": _table,
    "token_tags": _classes,
    "two_tower": _labels,
    "vae": _vae,
}
