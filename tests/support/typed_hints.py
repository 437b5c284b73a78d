"""What the `try:` line of an error says to type, typed."""

import re
import shlex
import shutil
from collections.abc import Callable, Sequence
from dataclasses import dataclass

from trainer import cli as command_line
from trainer.errors import TrainerError

SETTING = re.compile(r"[+~]*[\w./@-]+=.*", re.DOTALL)
SENTENCE = re.compile(r"[a-z]+'?[a-z]*,? |--debug |`")
QUICK = ("max_steps=1", "report=false", "threads=1", "device=cpu")
MOST = 5  # hints in a row, each answered by another


@dataclass
class Hint:
    """argv: the words that failed, without QUICK; problem: why its hint cannot be followed, or None."""

    argv: list[str]
    message: str
    hint: str
    problem: str | None = None


def words_of(hint: str) -> list[str] | None:
    """The words that a shell makes of a hint, None for a sentence. Raises ValueError if it is neither."""
    if not hint:
        raise ValueError("nothing")
    first = hint.lstrip("'\"")
    if not (first.startswith(("trainer ", "-o ")) or SETTING.match(first.split()[0])):
        command = hint.split()[0]
        if not SENTENCE.match(hint) and not shutil.which(command):
            raise ValueError("neither a command nor a sentence")
        return None
    lexer = shlex.shlex(hint, posix=True, punctuation_chars="();<>|&")
    lexer.whitespace_split, lexer.commenters = True, ""
    words = list(lexer)
    if marks := [word for word in words if set(word) <= set("();<>|&")]:
        raise ValueError(f"a shell reads {marks[0]}")
    if "…" in hint:
        raise ValueError("… cannot be typed")
    if words[0] == "trainer":
        if prose := [word for word in words if word.endswith((",", ";")) or word in ("or", "if")]:
            raise ValueError(f"prose in a command: {prose[0]}")
    elif prose := [word for word in words if not SETTING.fullmatch(word) and words[0] != "-o"]:
        raise ValueError(f"prose among settings: {prose[0]}")
    return words


def _key(word: str) -> str:
    return word.lstrip("+~-").partition("=")[0]


def added(argv: Sequence[str], words: Sequence[str], message: str) -> list[str]:
    """The command that failed with the settings of its hint: they replace their own keys and what the message names."""
    keys = {_key(word) for word in words if SETTING.fullmatch(word)} | ({words[0]} & {"-o"})
    named = re.findall(r"'([^']+)'|no flag (--?[\w-]+)", message)
    wrong = {word for groups in named for word in groups if word}
    wrong |= {part for word in wrong for part in word.split()}
    left = []
    for before, word in zip(["", *argv], argv, strict=False):
        value_of_flag = before.startswith("-") and (before in wrong or before == words[0])
        names = {word, _key(word), word.lstrip("+~").partition("=")[0]}
        if not (names & (keys | wrong) or value_of_flag):
            left.append(word)
    return [*(word for word in left if word != "="), *words]


def shape(message: str) -> str:
    """A message without the values in it, so that two answers to the same slip are alike."""
    return re.sub(r"\d+", "0", re.sub(r"=[^\s,:]+", "=…", message))


def follow(argv: Sequence[str], run: Callable[[list[str]], TrainerError | None]) -> list[Hint]:
    """Run a command and type its hint, and that of the next answer, until one succeeds or has nothing to type."""
    found: list[Hint] = []
    argv, seen = list(argv), set[str]()
    error = run(argv)
    while error is not None and error.hint is not None and len(found) < MOST:
        hint = Hint(argv, error.message, error.hint)
        found.append(hint)
        seen.add(shape(error.message))
        try:
            words = words_of(error.hint)
        except ValueError as problem:
            hint.problem = str(problem)
            break
        if words is None:
            break
        argv = words[1:] if words[0] == "trainer" else added(argv, words, error.message)
        error = run(argv)
        if error is not None and shape(error.message) in seen:
            hint.problem = f"answered by: {error.message}"
            break
    return found


def run(argv: list[str]) -> TrainerError | None:
    """One command line in this process; one that trains takes one step."""
    errors: list[TrainerError] = []
    report = command_line._report
    command_line._report = lambda error: errors.append(error) or error.exit_code
    try:
        command_line.main([argv[0], *QUICK, *argv[1:]] if argv[:1] == ["train"] and "--help" not in argv else argv)
    finally:
        command_line._report = report
    return errors[0] if errors else None
