"""Keys as a user types them in a shell: quoted for the shell and for Hydra's grammar."""

import re
import shlex
from collections.abc import Sequence

LITERAL = re.compile(r"(?i)null|true|false|nan|inf")
BARE = re.compile(r"[A-Za-z][A-Za-z0-9_./%+-]*")  # a text that needs no quotes, unless it is a literal
SPECIAL = re.compile(r"([\\()\[\]{}:=,])")  # to be escaped in the key of a mapping, where Hydra reads no quotes
QUOTE = re.compile(r"(\\*)'")
KEY = re.compile(r"[A-Za-z0-9_./%+\\()\[\]{}:=, -]+")


def texts(key: str, values: Sequence[str]) -> str:
    """A list of texts, such as 'dataset.missing=[n.d.]'."""
    inner = [
        value if BARE.fullmatch(value) and not LITERAL.fullmatch(value) else "'" + QUOTE.sub(r"\1\1\'", value) + "'"
        for value in values
    ]
    word = f"dataset.{key}=[{','.join(inner)}]"
    return f'"{word}"' if "'" in word and not set(word) & set('"$`\\!') else shlex.quote(word)


def types(name: str, kind: str) -> str:
    """The kind of a column, such as 'dataset.types={age: number}'; what to do where Hydra cannot read its name."""
    if not KEY.fullmatch(name) or LITERAL.fullmatch(name):
        return f"rename column '{name}' with plain letters, for 'dataset.types={{NAME: {kind}}}'"
    escaped = SPECIAL.sub(r"\\\1", name)
    return shlex.quote(f"dataset.types={{{escaped}: {kind}}}")
