"""Are numbers the same after a kill, on two processes, and compiled?"""

import json
import re
from pathlib import Path

from checks.example import Example, Wrong
from checks.variants import COUPLED, RECURRENT, exact, in_memory

ORDER_OF_SUMS = 1e-9  # how much that changes in float64, relative
FEW = ["max_steps=6", "eval_every=3steps", "log_every=1", "loader.batch_size=16"]


def verify(example: Example) -> str:
    """A run that is killed and resumed ends with the same bits."""
    example.trainer("verify", *example.settings, "max_steps=100")
    return "same bits"


def processes(example: Example) -> str:
    """Two processes find the numbers of one, or are refused with the reason."""
    if example.name == COUPLED:
        return _refused(example, "nproc=2", "rows depend on each other")
    words = [*exact(example.name), "accumulate=3", "epochs=1", "log_every=1"]
    return _compare(example, [*words, "nproc=1"], [*words, "nproc=2"])


def compiled_model(example: Example) -> str:
    """A compiled model finds the numbers of an eager one, or is refused with the reason."""
    words = [*exact(example.name), *FEW]
    if example.name in RECURRENT:
        return _refused(example, "compile=model", "does not compile an RNN, GRU or LSTM")
    return _compare(example, words, [*words, "compile=model"])


def compiled_step(example: Example) -> str:
    """A compiled step finds the numbers of an eager one, or is eager and says why."""
    words = [*exact(example.name), *FEW, in_memory(example.name)]
    found = _compare(example, words, [*words, "compile=step"])
    log = (example.folder / "outputs/latest/train.log").read_text()
    said = " ".join(re.findall(r"^compile .*(?:\n {9}.*)*", log, re.MULTILINE)[-1].split())
    return found if "the whole step" in said else said.partition("eagerly: ")[2].partition(":")[0]


def _refused(example: Example, word: str, reason: str) -> str:
    """Raises Wrong where a word is not refused, or without its reason."""
    text = example.trainer("train", *example.settings, word, codes=(2,))
    if reason not in " ".join(text.split()):
        raise Wrong(f"{word} is refused without the reason:\n{text}")
    return "refused"


def _compare(example: Example, words: list[str], others: list[str]) -> str:
    """Train twice and compare every number of every step and evaluation. Raises Wrong where one differs."""
    one, other = (_numbers(example.train(*typed)) for typed in (words, others))
    if [line.keys() for line in one] != [line.keys() for line in other]:
        raise Wrong(f"{' '.join(others)} stores other lines")
    most = 0.0
    for a, b in zip(one, other, strict=True):
        for key in a:
            off = abs(a[key] - b[key]) / max(abs(a[key]), 1e-12)
            if off > ORDER_OF_SUMS:
                raise Wrong(f"step {a['step']}: {key} is {a[key]!r}, and {b[key]!r} with {' '.join(others)}")
            most = max(most, off)
    return f"{most:.0e}"


def _numbers(run: Path) -> list[dict[str, float]]:
    """The numbers of each line of a run's metrics, times left out."""
    lines = map(json.loads, (run / "metrics.jsonl").read_text().splitlines())
    return [
        {key: value for key, value in line.items() if key != "seconds" and isinstance(value, (int, float))}
        for line in lines
    ]
