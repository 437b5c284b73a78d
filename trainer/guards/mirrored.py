"""Mirrored digits: the mirror image of most is no digit, and that of a 2 is close to a 5."""

from collections.abc import Sequence

from trainer.guards.finding import Finding

DIGITS = tuple("0123456789")
NAMED = ("zero", "one", "two", "three", "four", "five", "six", "seven", "eight", "nine")


def mirrored(classes: Sequence[str] | None, shape: Sequence[int], setting: str) -> list[Finding]:
    """Training pictures of digits that are mirrored. classes: their names; shape: of an input, (1, height, width) for
    digits: numbers also name the classes of coloured pictures; setting: what mirrors them, '' if nothing does."""
    if not setting or classes is None or tuple(shape[:-2]) != (1,) or not _are_digits(classes):
        return []
    why = "a mirrored digit is none, and one class can look like another: the model learns what it never meets"
    remedy = setting.replace("=true", "=false").replace("transforms", "transforms=[]")
    return [Finding("mirrored", "dataset", f"{setting} mirrors digits", why, remedy)]


def _are_digits(classes: Sequence[str]) -> bool:
    """Whether these are '0' to '9', or as in MNIST '0 - zero' to '9 - nine'."""
    names = [name.strip().lower() for name in classes]
    return names == list(DIGITS) or names == [f"{digit} - {name}" for digit, name in zip(DIGITS, NAMED, strict=True)]
