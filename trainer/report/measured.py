"""What a run came to, by name, beside the truth where the data set knows it and what its config expects."""

from collections.abc import Mapping
from typing import Any

from trainer.build import sizes
from trainer.config import expectations
from trainer.disk.history import History
from trainer.state import TrainState

Truth = Mapping[str, float]


def values(run: TrainState, truth: Truth, past: History, metrics: Mapping[str, float]) -> dict[str, Any]:
    """Metrics, steps, samples and parameters; `loss` as 'first -> last step' where step 1 was logged; and the numbers
    learned, under their names in `truth`, where the model has just as many."""
    progress = run.progress
    found: dict[str, Any] = {**metrics, "steps": progress.step, "samples": progress.samples}
    found["parameters"] = sizes.num_parameters(run.model)
    curve = past.curves["train"]
    if curve and curve[0][0] == 1:
        found["loss"] = f"{curve[0][1]:.4g} -> {curve[-1][1]:.3g}"
    if len(truth) == found["parameters"]:
        learned = [number for parameter in run.model.parameters() for number in parameter.flatten().tolist()]
        found |= dict(zip(truth, learned, strict=True))
    return found


def lines(found: Mapping[str, Any], truth: Truth, expect: Mapping[str, Any]) -> list[str]:
    """For the end of a run: what it learned beside the truth, and which values are not as was expected of it."""
    said = []
    if truth and truth.keys() <= found.keys():
        said.append("learned " + ", ".join(f"{name}={found[name]:.3f} (true {true})" for name, true in truth.items()))
        if "loss" in found:
            said.append(f"loss: {found['loss']} over {found['steps']} steps")
    expected = {name: expectations.parse(node) for name, node in expect.items() if name in found}
    differing = [name for name, expectation in expected.items() if not expectation.holds(found[name])]
    for name in differing:
        said.append("expect   {}: {}, got {}".format(name, *expectations.shown_apart(expected[name], found[name])))
    if expected:
        said.append(f"expect   {len(expected) - len(differing)} of {len(expected)} values are as expected")
    return said
