"""A run folder's config, read as plain data: no interpolation, no tags, nothing is imported."""

from pathlib import Path
from typing import Any

import yaml

from trainer import rundir
from trainer.errors import ConfigError, StorageError


def read_config(folder: Path) -> dict[str, Any]:
    """config.yaml of a run folder as plain data. Raises StorageError or ConfigError."""
    path = folder / rundir.CONFIG
    try:
        data = yaml.safe_load(path.read_text(encoding="utf-8"))
    except OSError as error:
        raise StorageError(f"cannot read {path}: {error.strerror}") from error
    except (yaml.YAMLError, UnicodeDecodeError) as error:
        raise ConfigError(f"{path} cannot be read: {error}") from error
    if not isinstance(data, dict):
        raise ConfigError(f"{path} holds no config")
    return data
