"""The files that a path in a config names."""

import glob
from collections.abc import Sequence
from pathlib import Path

from trainer.errors import ConfigError


def find(path: str | Sequence[str]) -> list[Path]:
    """The files that a path, a pattern or a list of them names, sorted within a pattern. Raises ConfigError."""
    files: list[Path] = []
    for entry in [path] if isinstance(path, str) else path:
        plain = Path(entry).expanduser()
        matches = [plain] if plain.exists() else [Path(name) for name in sorted(glob.glob(str(plain)))]
        if not matches:
            raise ConfigError(f"there is no file {entry}", key="dataset.path")
        for file in matches:
            if file.is_dir():
                raise ConfigError(f"{file} is a folder", f"dataset.path='{file}/*.csv'")
            if not file.is_file():
                raise ConfigError(f"{file} is not a regular file")
        files += matches
    return files
