"""Where a user's own modules are imported from."""

import sys
from pathlib import Path

from trainer.config import files


def allow_user_modules(folders: list[Path] | None = None) -> None:
    """Let `_target_: my_models.Net` find my_models.py in the folder where the command is typed, or beside a config.

    The first wins over what is installed, the others do not.
    """
    here = str(Path.cwd())
    if here not in sys.path:
        sys.path.insert(0, here)
    for folder in files.module_folders(folders or files.roots()):
        if str(folder) not in sys.path:
            sys.path.append(str(folder))
