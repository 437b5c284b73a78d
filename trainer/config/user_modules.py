"""The folders that a user's own modules are imported from."""

import sys
from collections.abc import Iterable
from importlib.machinery import PathFinder
from pathlib import Path
from typing import Any

from trainer.config import files
from trainer.config.target import targets

INSTALLED = ("torch", "torchvision", "trainer")  # never meant to come from the current folder


def allow_user_modules(config: Any, folders: list[Path] | None = None) -> None:
    """Let `_target_: my_models.Net` find my_models.py in the current folder or beside a config.

    The current folder comes first on Python's path, as for a script in it, but only if a `_target_` in `config`, plain
    data, names a file or package there: otherwise a file beside a stranger's run could stand for a library. The folders
    of configs come last. Call it only for what the user typed, signed or trusts.
    """
    here = str(Path.cwd())
    if sys.path[:1] != [here] and any(lies_in(here, name) for name in targets(config)):
        sys.path.insert(0, here)
    for folder in folders or files.roots():
        for path in sorted(folder.rglob("*.py")):
            if str(path.parent) not in sys.path:
                sys.path.append(str(path.parent))


def lies_in(folder: str, name: str) -> bool:
    """Whether a dotted name begins with a module or package of this folder. Imports nothing to find out."""
    places: Iterable[str] = [folder]
    parts = name.split(".")[:-1]
    if not parts or parts[0] in INSTALLED or not all(map(str.isidentifier, parts)):
        return False
    for part in parts:
        spec = PathFinder.find_spec(part, list(places))
        if spec is None or spec.loader is not None:
            return spec is not None
        places = spec.submodule_search_locations or []  # of a folder without an __init__.py: look inside
    return False
