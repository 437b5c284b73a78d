"""The closest right word for a wrong one."""

from collections.abc import Iterable
from difflib import SequenceMatcher


def closest(word: str, choices: Iterable[str]) -> str | None:
    """The choice most like `word`, or None where nothing is near.

    Dotted keys are compared whole and by their last part, so that `optim.lr` and `lr` both find `optimizer.lr`.
    """

    def likeness(choice: str) -> float:
        pairs = [(word, choice), (word.rpartition(".")[2], choice.rpartition(".")[2])]
        whole, last = (SequenceMatcher(None, a.lower(), b.lower()).ratio() for a, b in pairs)
        return max(whole, 0.95 * last)

    best = max(choices, key=likeness, default=None)
    return best if best is not None and likeness(best) >= 0.6 else None


def did_you_mean(word: str, choices: Iterable[str]) -> str:
    """' Did you mean x?' or nothing."""
    near = closest(word, choices)
    return f" Did you mean {near}?" if near else ""
