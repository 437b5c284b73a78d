"""Python's warnings as a person reads them: each once, in our words where torch's name what nobody here has typed."""

import os
import re
import warnings
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from typing import TextIO

UNDETERMINED = re.compile(r"(.+?) (?:does not have a deterministic implementation|defaults to a non-deterministic)")
INTERNAL = re.compile(r"\s*\(Triggered internally at .*\)\s*$")  # a line of torch's C++


@contextmanager
def told(tell: Callable[[Sequence[str], str], None]) -> Iterator[None]:
    """Within: tell(texts, where) gets each warning that Python's filters let through, once.

    Filters that are set within end with it. A process forked meanwhile, such as a DataLoader's worker, has no screen to
    speak on and warns as Python does.
    """
    said: set[tuple[str, ...]] = set()
    process, before = os.getpid(), warnings.showwarning

    def show(
        message: Warning | str,
        category: type[Warning],
        filename: str,
        lineno: int,
        file: TextIO | None = None,
        line: str | None = None,
    ) -> None:
        if file is not None or os.getpid() != process:
            before(message, category, filename, lineno, file, line)
            return
        texts = in_words(str(message)) or (category.__name__,)
        if texts not in said:
            said.add(texts)
            tell(texts, f"{filename}:{lineno}, {category.__name__}")

    with warnings.catch_warnings():
        warnings.showwarning = show
        yield


def in_words(message: str) -> tuple[str, ...]:
    """A warning's paragraphs."""
    if found := UNDETERMINED.match(message):
        return (
            f"{found[1]} has no deterministic form here: a resumed run may differ in its last bits",
            "try: deterministic=false, no less exact here and perhaps faster",
        )
    return tuple(filter(None, map(str.strip, INTERNAL.sub("", message).splitlines())))
