"""The measured values of a run by name, with the data set's true values and the config's expectations."""

from collections.abc import Mapping
from typing import Any

from trainer.build import sizes
from trainer.config import expectations
from trainer.disk.history import History
from trainer.state import TrainState
from trainer.text import counted

Truth = Mapping[str, float]


def values(run: TrainState, truth: Truth, past: History, metrics: Mapping[str, float]) -> dict[str, Any]:
    """Metrics, steps, samples and parameters; `loss` of the first and last step, if step 1 was logged; and the learned
    parameters, under their names in `truth`, if it has as many."""
    num_parameters, curve = sizes.num_parameters(run.model), past.curves["train"]
    counts = {"steps": run.progress.step, "samples": run.progress.samples, "parameters": num_parameters}
    measured: dict[str, Any] = {**metrics, **counts}
    if curve and curve[0][0] == 1:
        measured["loss"] = f"{curve[0][1]:.4g} -> {curve[-1][1]:.3g}"
    if len(truth) == num_parameters:
        learned = [number for parameter in run.model.parameters() for number in parameter.flatten().tolist()]
        measured |= dict(zip(truth, learned, strict=True))
    return measured


def lines(measured: Mapping[str, Any], truth: Truth, expect: Mapping[str, Any]) -> list[str]:
    """The last lines of a run: the learned parameters beside the true ones, and the values that are not as expected."""
    text = []
    if truth and truth.keys() <= measured.keys():
        text.append("learned " + ", ".join(f"{key}={measured[key]:.3f} (true {true})" for key, true in truth.items()))
        if "loss" in measured:
            text.append(f"loss: {measured['loss']} over {counted(measured['steps'], 'step')}")
    expected = {name: expectations.parse(node) for name, node in expect.items() if name in measured}
    differing = [name for name, expectation in expected.items() if not expectation.holds(measured[name])]
    for name in differing:
        text.append("expect   {}: {}, got {}".format(name, *expectations.shown_apart(expected[name], measured[name])))
    if expected:
        text.append(f"expect   {len(expected) - len(differing)} of {len(expected)} values are as expected")
    return text
