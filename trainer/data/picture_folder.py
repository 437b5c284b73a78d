"""A folder of pictures: its classes, its splits, and what in it is left out."""

import os
from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from trainer.data import picture_file
from trainer.errors import ConfigError
from trainer.text import counted, listed

SPLITS = {"train": "train", "val": "val", "valid": "val", "validation": "val", "test": "test"}
NO_CLASSES = ("__MACOSX", "__pycache__", "@eaDir", "$RECYCLE.BIN")  # made by programs, like names with a dot in front
Files = list[tuple[str, int]]  # path, class


@dataclass
class PictureFolder:
    """root: the folder. classes: their names, sorted. splits: the files of train, and of val and test if the folder
    holds these. left_out: number of files by kind. notes: lines for the header. lookalikes: classes that are named like
    splits."""

    root: Path
    classes: list[str]
    splits: dict[str, Files]
    left_out: Counter[str]
    notes: list[str] = field(default_factory=list)
    lookalikes: list[str] = field(default_factory=list)


def find(path: str) -> PictureFolder:
    """Look through a folder. Raises ConfigError for one without classes, or with splits that do not fit together."""
    root, left_out = Path(path).expanduser(), Counter[str]()
    if not root.is_dir():
        raise ConfigError(f"there is no folder {path}", key="dataset.path")
    top = _class_folders(root, left_out)
    if not top:
        raise ConfigError(f"{path} holds no folders", "put the pictures of each class into a folder of its own")
    named = [name for name in top if name.lower() in SPLITS]
    nested = [name for name in named if _class_folders(root / name, Counter())]
    others = [name for name in top if name not in named]
    if nested and not others:
        return _with_splits(root, named, left_out)
    if len(nested) > 1:
        text = f"{path} holds {listed(nested)}, which look like splits, beside {listed(others)}"
        raise ConfigError(text, f"move {listed(others)} elsewhere; rename {listed(nested)} if these are classes")
    return PictureFolder(root, top, {"train": _files(root, top, left_out, [root])}, left_out, lookalikes=named)


def _with_splits(root: Path, names: Sequence[str], left_out: Counter[str]) -> PictureFolder:
    """names: the folders in root, each named like a split."""
    named = sorted(names, key=lambda name: list(SPLITS).index(name.lower()))
    folders = {SPLITS[name.lower()]: root / name for name in named}
    if len(folders) < len(names):
        raise ConfigError(f"{root} holds {listed(names)}: one validation split is enough", "move the other elsewhere")
    if "train" not in folders:
        raise ConfigError(
            f"{root} holds {listed(names)}, but no train", f"put pictures into {root / 'train' / 'CLASS'}/"
        )
    inner = {split: _class_folders(folder, left_out) for split, folder in folders.items()}
    for split, folder in folders.items():
        if not inner[split]:
            raise ConfigError(
                f"{folder} holds no class folders", f"put pictures into {folder / 'CLASS'}/, or remove {folder}"
            )
    classes = inner["train"]
    use = "is not used" if "val" in folders else "splits train"
    notes, splits = [f"splits by folder: {listed(named)}; dataset.val_fraction {use}"], {}
    for split, folder in folders.items():
        if unknown := [name for name in inner[split] if name not in classes]:
            text = f"{folder} holds {listed(unknown)}, which {folders['train']} does not"
            raise ConfigError(text, f"rename or move it; the classes are {listed(classes)}")
        splits[split] = _files(folder, classes, left_out, [root, folder], must_have=split == "train")
        if not splits[split]:
            raise ConfigError(f"{folder} holds no pictures", f"put pictures into it, or remove {folder}")
        lacking = set(classes) - {classes[label] for _, label in splits[split]}
        if lacking:
            notes.append(f"{folder.name} has no pictures of {listed(sorted(lacking))}")
    return PictureFolder(root, classes, splits, left_out, notes)


def _files(
    root: Path, classes: Sequence[str], left_out: Counter[str], above: Sequence[Path], *, must_have: bool = True
) -> Files:
    """The pictures of each class, by class and path. above: root and the folders above it, up to the data's own."""
    found: Files = []
    for label, name in enumerate(classes):
        folder = root / name
        names = pictures_in(folder, left_out, above) if must_have or folder.is_dir() else []
        if must_have and not names:
            text, remedy = f"{folder} holds no pictures", "put pictures into it, or move it elsewhere"
            photos = sorted(path.name for path in folder.rglob("*") if path.suffix.lower() in picture_file.PHOTOS)
            if photos:
                text = f"{text} that can be read, only {len(photos):,} such as {photos[0]}"
                remedy = picture_file.CONVERT
            raise ConfigError(text, remedy)
        found += [(path, label) for path in names]
    return found


def pictures_in(folder: Path, left_out: Counter[str], above: Sequence[Path] = ()) -> list[str]:
    """The picture files in a folder and the folders in it, by path. Links are followed, but never to a folder above."""
    known = frozenset(_identity(os.fspath(path)) for path in above)
    return [os.path.join(place, name) for place, names in sorted(_walk(str(folder), left_out, known)) for name in names]


def described(left_out: Counter[str]) -> str:
    """How many files are left out, and of which kinds."""
    total, kinds = left_out.total(), [f"{count:,} {kind}" for kind, count in left_out.most_common() if count]
    return f"{counted(total, 'file')} ({listed(kinds)})"


def _walk(folder: str, left_out: Counter[str], above: frozenset[tuple[int, int]]) -> Iterator[tuple[str, list[str]]]:
    here = _identity(folder)
    if here in above:
        left_out["link to a folder above"] += 1
        return
    folders, files = _entries(folder, left_out)
    pictures = [name for name in files if _ending(name) in picture_file.endings()]
    left_out.update(_ending(name) for name in files if name not in set(pictures))
    yield folder, pictures
    for name in folders:
        yield from _walk(os.path.join(folder, name), left_out, above | {here})


def _class_folders(folder: Path, left_out: Counter[str]) -> list[str]:
    """The names of the folders in a folder; files beside them are left out."""
    folders, files = _entries(str(folder), left_out)
    left_out.update(f"{_ending(name)} beside the class folders" for name in files)
    return folders


def _entries(folder: str, left_out: Counter[str]) -> tuple[list[str], list[str]]:
    """The names of the folders and of the files in a folder, sorted, without the hidden ones."""
    folders, files = [], []
    try:
        with os.scandir(folder) as entries:
            for entry in sorted(entries, key=lambda entry: entry.name):
                hidden = entry.name.startswith(".")
                if entry.is_dir():
                    if hidden or entry.name in NO_CLASSES:
                        left_out[f"in {entry.name}"] += sum(len(names) for *_, names in os.walk(entry.path))
                    else:
                        folders.append(entry.name)
                elif hidden or not entry.is_file():
                    left_out["hidden" if hidden else "broken link"] += 1
                else:
                    files.append(entry.name)
    except OSError as error:
        raise ConfigError(f"{folder} cannot be read: {error.strerror}") from error
    return folders, files


def _ending(name: str) -> str:
    return os.path.splitext(name)[1].lower() or "without an ending"


def _identity(folder: str) -> tuple[int, int]:
    found = os.stat(folder)
    return found.st_dev, found.st_ino
