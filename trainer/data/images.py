"""A folder of pictures as a data set, with one folder for each class."""

import logging
from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor
from torch.utils.data import Dataset

from trainer.data import digests, picture_file, picture_folder
from trainer.data.digests import Parts
from trainer.data.facts import Facts, Spec
from trainer.data.meaning import Meaning
from trainer.data.picture_file import PictureFormat
from trainer.data.preprocessing import Preprocessing
from trainer.data.roles import ROLES, Roles
from trainer.data.scaling import Standardize
from trainer.errors import ConfigError
from trainer.text import counted, listed

MEAN = (0.485, 0.456, 0.406)  # of ImageNet's pixels from 0 to 1, as torchvision's models expect
STD = (0.229, 0.224, 0.225)
GREY = (0.45, 0.225)

log = logging.getLogger(__name__)


def normalisation(how: PictureFormat, dtype: torch.dtype) -> Standardize:
    """Scales bytes by channel, with the mean and deviation of ImageNet's pixels."""
    numbers = ((GREY[0],), (GREY[1],)) if how.grey else (MEAN, STD)
    mean, std = (255 * torch.tensor(values, dtype=torch.float64).reshape(-1, 1, 1) for values in numbers)
    return Standardize(mean, std, dtype)


class Pictures(Dataset[tuple[Tensor, int]]):
    """x (channels, size, size) uint8, y the class. Each picture is decoded when its row is read.

    files: path and class of each; classes: their names; how: see PictureFormat. parts: the digests of all files of the
    folder, in which those of these files begin with number `first`.
    """

    def __init__(
        self, files: Sequence[tuple[str, int]], classes: Sequence[str], how: PictureFormat, parts: Parts, first: int = 0
    ) -> None:
        self.picture_files, self.targets = [path for path, _ in files], [label for _, label in files]
        self.classes, self.how = list(classes), how
        self.parts, self.first = parts, first

    def __len__(self) -> int:
        return len(self.targets)

    def __getitem__(self, index: int) -> tuple[Tensor, int]:
        return picture_file.decoded(self.checked_bytes(index), self.picture_files[index], self.how), self.targets[index]

    def checked_bytes(self, index: int) -> bytes:
        """The bytes of a file. Raises TrainerError if they were different before."""
        data = picture_file.read_bytes(self.picture_files[index])
        self.parts.check(self.first + index, digests.of_bytes(data))
        return data


class Images(Pictures):
    """The pictures to train on; `val` and `test` hold those of the folders of these names, or are None.

    path: the folder, see picture_folder.find. size: side of the square, in pixels. augment: crop a random part (at
    least 60%) of the square and mirror it at random, each time again; only in training. grey: one channel instead of
    three. background: white or black, behind transparent pictures.
    """

    def __init__(
        self, path: str, size: int = 64, augment: bool = False, grey: bool = False, background: str = "white"
    ) -> None:
        folder, how = picture_folder.find(path), PictureFormat(size, grey, background)
        files = [Path(name) for split in ROLES for name, _ in folder.splits.get(split, ())]
        names = [file.relative_to(folder.root).as_posix() for file in files]
        parts = Parts.of(names, [file.stat().st_size for file in files])
        made, first = dict[str, Pictures](), 0
        for split in ROLES:
            if split in folder.splits:
                made[split] = Pictures(folder.splits[split], folder.classes, how, parts, first)
                first += len(made[split])
        if bad := picture_file.unreadable([str(file) for file in files]):
            text = f"{len(bad):,} of {len(files):,} files in {path} cannot be read as pictures: {listed(bad)}"
            raise ConfigError(text, f"move {'it' if len(bad) == 1 else 'them'} elsewhere; or {picture_file.CONVERT}")
        super().__init__(folder.splits["train"], folder.classes, how, parts)
        self.val, self.test = made.get("val"), made.get("test")
        self.path, self.augment = path, augment
        self.source, self.notes = counted(sum(map(len, folder.splits.values())), "file"), list(folder.notes)
        if folder.left_out.total():
            self.notes.append(f"left out: {picture_folder.described(folder.left_out)}")
        if photos := [ending for ending in folder.left_out if ending in picture_file.PHOTOS]:
            count = sum(folder.left_out[ending] for ending in photos)
            named = sorted(str(file) for file in folder.root.rglob("*") if file.suffix.lower() in photos)
            text = f"{count:,} photo{'s' * (count != 1)} cannot be read, left out: {listed(named, 36)}"
            log.warning("warning  %s", text)
            log.warning("         try: %s", picture_file.CONVERT)
        if folder.lookalikes:
            log.warning("warning  read as classes: %s. Splits would hold class folders,", listed(folder.lookalikes, 30))
            log.warning("         and no other folders would stand beside them.")

    def preprocessing(self, dtype: torch.dtype, ignored: int) -> Preprocessing:
        """What is stored of these pictures: nothing in it is fitted. ignored: the class index that does not count."""
        facts = Facts(Spec(self.how.shape, "uint8"), Meaning("classes", "", self.classes, len(self.classes), ignored))
        return Preprocessing(facts, self.how.shape, normalisation(self.how, dtype), None, pictures=self.how)

    def digest_rest(self) -> None:
        """Digest now the files that have not been read, without decoding them."""
        for part in filter(None, (self, self.val, self.test)):
            for index in range(len(part)):
                if not self.parts.is_read(part.first + index):
                    part.checked_bytes(index)

    def digest_alike(self, roles: Roles) -> None:
        """Digest the files that have the size of a file with another role: only they can be the same picture. roles: of
        all files."""
        sizes = np.asarray(self.parts.sizes)
        alike = np.zeros(len(sizes), dtype=bool)
        for role in np.unique(roles):
            alike |= (roles == role) & np.isin(sizes, sizes[roles != role])
        for part in filter(None, (self, self.val, self.test)):
            for index in np.flatnonzero(alike[part.first : part.first + len(part)]).tolist():
                part.checked_bytes(index)

    def match(self, run: Preprocessing) -> Preprocessing:
        """Read these pictures as an earlier run read its own, and number the classes as it did, by their names.

        Returns the run's preprocessing. Raises ConfigError for a class that the run does not know, and where a key of
        the dataset asks for pictures that are read in another way.
        """
        how, known = run.pictures, run.facts.classes
        if how is None or known is None:
            raise ConfigError("this run was not trained on pictures")
        for key in ("size", "grey", "background"):
            if (value := getattr(how, key)) != getattr(self.how, key):
                raise ConfigError(f"dataset.{key} cannot change: it is {value} in this run".lower())
        if unknown := [name for name in self.classes if name not in known]:
            text = f"{self.path} has the class {listed(unknown)}, which the run does not know"
            raise ConfigError(text, f"rename or move the folder; the run knows {listed(known)}")
        if lacking := [name for name in known if name not in self.classes]:
            log.warning("warning  %s has no pictures of %s", self.path, listed(lacking))
        labels = [known.index(name) for name in self.classes]
        for part in (self, self.val, self.test):
            if part is not None:
                part.how, part.classes = how, list(known)
                part.targets = [labels[target] for target in part.targets]
        return run


def upgraded(prepared: Preprocessing, node: Mapping[str, Any], dtype: torch.dtype) -> Preprocessing:
    """The preprocessing of a run with this dataset. Version 0.1.0 normalised pictures as it decoded them, and stored
    nothing of it; now bytes are normalised, by the same numbers."""
    of_pictures = node["_target_"] == f"{__name__}.Images" and prepared.x.mean_and_std is None
    if not of_pictures or len(prepared.raw_shape) != 3:
        return prepared
    channels, size, _ = prepared.raw_shape
    how = PictureFormat(size, channels == 1, resize="torchvision")
    return replace(prepared, x=normalisation(how, dtype), pictures=how)
