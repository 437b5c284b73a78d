"""Short texts that every room writes the same way: a first line, a cut line, a list, a printable line, a time."""

from collections.abc import Sequence

WIDTH = 78  # columns of every line that a person reads


def first_line(error: BaseException) -> str:
    """The first line of an exception's message, or the name of its class if it has no message."""
    lines = str(error).strip().splitlines()
    return lines[0] if lines else type(error).__name__


def cut(text: str, most: int = WIDTH) -> str:
    """The text in at most `most` characters; an ellipsis stands for the rest."""
    return text if len(text) <= most else text[: most - 1].rstrip() + "…"


def listed(words: Sequence[str], width: int = 60) -> str:
    """As many words as fit, separated by commas, and how many more there are."""
    line = ""
    for number, word in enumerate(words):
        more = f", and {len(words) - number} more" if number < len(words) - 1 else ""
        if line and len(line) + 2 + len(word) + len(more) > width:
            return f"{line}, and {len(words) - number} more"
        line += (", " if line else "") + word
    return cut(line, width)


def printable(text: str) -> str:
    """The text with ? for every character that is not printable: a stranger's text may hold escape codes."""
    return "".join(c if c.isprintable() else "?" for c in text)


def clock(seconds: float) -> str:
    """A time as a person says it: 320 µs, 4.1 ms, 0.42 s, 12.3 s, 3:05 (minutes), 2:04:30 (hours)."""
    if seconds >= 1e9:
        return f"{seconds:.3g} s"
    if seconds >= 59.95:
        minutes, rest = divmod(round(seconds), 60)
        return f"{minutes}:{rest:02d}" if minutes < 60 else f"{minutes // 60}:{minutes % 60:02d}:{rest:02d}"
    if seconds >= 0.0995 or seconds <= 0:
        return f"{seconds:.1f} s" if seconds >= 0.995 or seconds <= 0 else f"{seconds:.2f} s"
    return f"{seconds * 1e3:.3g} ms" if seconds >= 1e-3 else f"{seconds * 1e6:.3g} µs"
