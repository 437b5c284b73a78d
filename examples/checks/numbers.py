"""Do trainer and the plain loop reach the number of an example, in the time that an example may take?"""

from collections.abc import Sequence
from statistics import mean

from checks.example import Example, Wrong, summary

LONGEST = 10.0  # seconds of training on one core
ENOUGH = 3  # runs, for an average that is worth comparing


def trainer(example: Example) -> str:
    """What trainer reaches after the last epoch."""
    return _expected(example, [summary(run)["last"][example.metric] for run in example.runs])


def plain(example: Example) -> str:
    """What the plain loop reaches, on average as near to trainer as a single run has to be to the number."""
    ours = mean(summary(run)["last"][example.metric] for run in example.runs)
    if len(example.runs) >= ENOUGH and abs(ours - mean(example.plain)) > example.within:
        raise Wrong(f"on average trainer reaches {ours:.6g}, and the plain loop {mean(example.plain):.6g}")
    return _expected(example, example.plain)


def interval(example: Example) -> str:
    """What both should reach. Nothing is checked here."""
    return f"{example.value:g} ± {example.within:g}"


def seconds(example: Example) -> str:
    """How long trainer takes to train on one core."""
    took = [summary(run)["seconds"]["train"] + summary(run)["seconds"]["data"] for run in example.runs]
    if min(took) > LONGEST:
        raise Wrong(f"training takes {min(took):.1f} s, more than {LONGEST:g} s")
    return f"{min(took):.1f}"


def _expected(example: Example, numbers: Sequence[float]) -> str:
    shown = " ".join(f"{number:.4g}" for number in numbers)
    if any(not abs(number - example.value) <= example.within for number in numbers):
        raise Wrong(f"{example.metric} is {shown}, and should be {interval(example)}")
    return shown
