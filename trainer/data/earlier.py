"""What an earlier start of a run stored about its data, and what follows for its rows now."""

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

import numpy as np
import torch

from trainer.config import given
from trainer.config.asked_augmentation import decodes_augmented
from trainer.config.schema import Config
from trainer.data import images, preprocessing
from trainer.data.fingerprint import Fingerprint
from trainer.data.preprocessing import Preprocessing
from trainer.disk import layout
from trainer.errors import ConfigError
from trainer.text import first_few

AUGMENTED_ALL = ("0.1.0", "0.2.0")  # versions whose dataset.augment changed every picture as it was decoded
NAMED = 3  # differences that an error names
IfChanged = Literal["refuse", "continue", "measure"]


@dataclass(frozen=True)
class Earlier:
    """fingerprint: None in a run of version 0.1.0, which stored none.

    if_changed: what to do where the data has changed since: `refuse` it; `continue` to train on it, with the rows that
    are known again in their roles; or only `measure` it, with the same roles. name: of the run folder, to be typed.
    """

    preprocessing: Preprocessing
    fingerprint: Fingerprint | None
    if_changed: IfChanged = "refuse"
    name: str = "latest"

    def settle(self, now: Fingerprint, groups: np.ndarray[Any, Any] | None = None) -> list[str]:
        """Give the rows of `now`, whose roles are newly drawn, the roles that they had. Returns lines for the header
        about what has changed. Raises ConfigError if nothing may have.

        groups: see Fingerprint.keep_roles.
        """
        before = self.fingerprint
        if before is None:
            return []
        differences = now.differences(before)
        if differences and self.if_changed == "refuse":
            text = f"the data of this run has changed: {summary(differences)}"
            again = given.changed_data(self.name) or f"trainer resume {self.name} data=changed"
            raise ConfigError(text, f"put the old data back; or {again}")
        if not differences and self.if_changed != "continue":
            now.roles = before.roles
            if self.if_changed == "refuse":
                now.parts.expect(before.parts)
            return []
        if now.known_by == "file":
            now.read_rest()
        if np.array_equal(now.ids, before.ids):
            now.roles = before.roles
        else:
            now.roles = before.keep_roles(now.ids, now.roles, groups)
        if not differences:
            return []
        return [f"changed: {summary(differences)}", "rows that the run knows keep their split"]


def read_preprocessing(folder: Path, node: Mapping[str, Any], dtype: torch.dtype) -> Preprocessing:
    """The preprocessing of a run folder, of any version. node: of its dataset. Raises StorageError for malformed
    files."""
    return images.upgraded(preprocessing.read(folder, dtype), node, dtype)


def about_pictures(folder: Path, config: Config) -> list[str]:
    """A line for stderr where an earlier version, which made this run, augmented its pictures in another way."""
    versions = layout.read_summary(folder).get("versions")
    version = versions.get("trainer") if isinstance(versions, dict) else None
    if version not in AUGMENTED_ALL or not decodes_augmented(config):
        return []
    ways = ["other crops"] + ["validation pictures too"] * (config.dataset.get("val_fraction", 0) > 0)
    ways += ["each only once"] * (config.loader.in_memory is True)
    return [f"warning: version {version} augmented pictures in another way: {', '.join(ways)}"]


def summary(differences: list[str]) -> str:
    """What has changed, in one line."""
    return first_few(differences, NAMED, "; ")
