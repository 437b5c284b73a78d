"""Shows Python's warnings once each, in plainer words than torch's."""

import os
import re
import warnings
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from typing import Any

UNDETERMINED = re.compile(r"(.+?) (?:does not have a deterministic implementation|defaults to a non-deterministic)")
INTERNAL = re.compile(r"\s*\(Triggered internally at .*\)\s*$")  # a line of torch's C++


@contextmanager
def captured(report: Callable[[Sequence[str], str], None]) -> Iterator[None]:
    """Call report(paragraphs, where) once for each warning that Python's filters let through in this block.

    Filters that are set in the block end with it. A process forked meanwhile, such as a DataLoader's worker, has no
    screen and warns as Python does.
    """
    seen: set[tuple[str, ...]] = set()
    process, before = os.getpid(), warnings.showwarning

    def show(
        message: Warning | str, category: type[Warning], filename: str, lineno: int, file: Any = None, line: Any = None
    ) -> None:
        if file is not None or os.getpid() != process:
            before(message, category, filename, lineno, file, line)
            return
        texts = paragraphs(str(message)) or (category.__name__,)
        if texts not in seen:
            seen.add(texts)
            report(texts, f"{filename}:{lineno}, {category.__name__}")

    with warnings.catch_warnings():
        warnings.showwarning = show
        yield


def paragraphs(message: str) -> tuple[str, ...]:
    """A warning's paragraphs; in trainer's words if torch names a setting that the user has not typed."""
    if match := UNDETERMINED.match(message):
        return (
            f"{match[1]} has no deterministic form here: a resumed run may differ in its last bits",
            "try: deterministic=false, which is just as exact and perhaps faster",
        )
    return tuple(filter(None, map(str.strip, INTERNAL.sub("", message).splitlines())))
