"""The folders that a user's own modules are imported from."""

import sys
from pathlib import Path

from trainer.config import files


def allow_user_modules(folders: list[Path] | None = None) -> None:
    """Let `_target_: my_models.Net` find my_models.py in the current folder or beside a config.

    The current folder comes before installed packages, the others after them.
    """
    here = str(Path.cwd())
    if here not in sys.path:
        sys.path.insert(0, here)
    for folder in folders or files.roots():
        for path in sorted(folder.rglob("*.py")):
            if str(path.parent) not in sys.path:
                sys.path.append(str(path.parent))
