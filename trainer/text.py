"""Short texts that every room writes the same way: a first line, a cut or clean line, a count, a list, a time; CSV."""

import csv
import re
from collections.abc import Iterable, Sequence

WIDTH = 78  # columns of every line that a person reads


def first_line(error: BaseException) -> str:
    """The first line of an exception's message, or the name of its class if it has no message."""
    lines = str(error).strip().splitlines()
    return lines[0] if lines else type(error).__name__


def cut(text: str, most: int = WIDTH) -> str:
    """The text in at most `most` characters; an ellipsis stands for the rest."""
    return text if len(text) <= most else text[: most - 1].rstrip() + "…"


def counted(number: float, noun: str) -> str:
    """A number of things, with at most two decimals: 1 step, 1,438 steps, 2 batches, 3 categories, 6.96 epochs."""
    plural = re.sub("(?<=[^aeiou])y$", "ie", noun)
    plural += "es" if plural.endswith(("s", "x", "tch", "sh")) else "s"
    digits = f"{number:,.2f}".rstrip("0").rstrip(".")
    return f"{digits} {noun if digits == '1' else plural}"


def listed(words: Sequence[str], width: int = 60) -> str:
    """As many words as fit, separated by commas, and how many more there are. All are named where this takes no more
    room than "and 1 more" would."""
    line, spare = "", len(", and 1 more")
    if len(", ".join(words)) <= width + spare:
        return ", ".join(words)
    for number, word in enumerate(words):
        more = f", and {len(words) - number} more"
        if line and len(line) + 2 + len(word) + len(more) > width:
            return line + more
        line += (", " if line else "") + word
    return cut(line, width + spare)


def first_few(words: Sequence[str], most: int, comma: str = ", ") -> str:
    """The first words, and how many more there are: never "and 1 more", where the word itself is as short."""
    shown = words if len(words) == most + 1 else words[:most]
    left = len(words) - len(shown)
    return comma.join(shown) + (f" and {left:,} more" if left else "")


COMMAND = re.compile("(?:(?<=: )|(?<=, or )|(?<= · ))(?=trainer )")  # where one begins within a sentence
SHELL_WORDS = re.compile(r"""(?:'[^']*'|"[^"]*"|\S)+""")


def labelled(label: str, texts: Sequence[str], width: int = WIDTH) -> list[str]:
    """Paragraphs below each other, with the label before the first line and as much space before the others."""
    lines = [line for text in texts for line in folded(text, width - len(label))] or [""]
    return [label + lines[0], *(" " * len(label) + line for line in lines[1:])]


def folded(text: str, width: int = WIDTH) -> list[str]:
    """The text in lines that break between words. A command that does not fit begins a line of its own, and each of its
    lines but the last ends with a backslash, so that it can be copied whole."""
    if len(text) <= width:
        return [text]
    lines = []
    for part in COMMAND.split(text):
        is_command = part.startswith("trainer ") and len(part.rstrip()) > width
        words = SHELL_WORDS.findall(part) if is_command else part.split()
        line, most = "", width - 2 * is_command
        for word in words:
            if line and len(line) + 1 + len(word) > most:
                lines.append(line + " \\" * is_command)
                line = ""
            line += " " * bool(line) + word
        lines.append(line)
    return lines


def short(count: float) -> str:
    """A count in few characters: 950, 33k, 1.2M."""
    for size, unit in ((1e9, "G"), (1e6, "M"), (1e3, "k")):
        if count >= 0.9995 * size:
            return f"{count / size:.3g}{unit}"
    return f"{count:,.0f}"


def decimal(number: float) -> str:
    """A number with at most two decimals, or with its first two digits where it is small: 20,000, 6.96, 0.0043."""
    text = f"{number:,.2f}" if number >= 0.1 or number <= 0 else f"{number:.2g}"
    return text.rstrip("0").rstrip(".") if "." in text else text


def cleaned(text: str, instead: str = "?") -> str:
    """The text as one line that a terminal shows and does not obey, as long as before.

    All text from a run or sweep folder passes here before it is shown. Tabs and line breaks become spaces; other
    control characters (C0, C1), overrides and isolates of the writing direction, and halves of surrogate pairs become
    `instead`. Marks and joiners stay: scripts need them.
    """
    return _OBEYED.sub(instead, _BREAKS.sub(" ", text))


def cleaned_lines(text: str) -> str:
    """Text of several lines, such as a traceback, each of them clean."""
    return "\n".join(map(cleaned, text.split("\n")))


def csv_lines(rows: Iterable[Iterable[object]], delimiter: str = ",") -> str:
    """Rows as CSV, with line feeds. A value is quoted if it holds the delimiter, a quote, or a line feed or carriage
    return, which Python's own writer leaves bare beside line feeds."""
    lines = _Lines()
    csv.writer(lines, delimiter=delimiter, lineterminator="\r\n").writerows(rows)
    return "".join(lines)


class _Lines(list[str]):
    def write(self, line: str) -> None:
        self.append(line.removesuffix("\r\n") + "\n")


_BREAKS = re.compile("[\t\n\v\f\r\x1c-\x1e\x85\u2028\u2029]")
_OBEYED = re.compile("[\x00-\x1f\x7f-\x9f\u202a-\u202e\u2066-\u2069\ud800-\udfff]")


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
