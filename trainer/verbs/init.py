"""trainer init: a small project of your own."""

from argparse import Namespace
from pathlib import Path

from trainer.errors import ConfigError, StorageError
from trainer.verbs.arguments import Parser

FILES = Path(__file__).resolve().parent.parent / "template"
RENAMED = {"gitignore": ".gitignore"}  # as it is named here, git would heed it


def parser() -> Parser:
    """The words and flags of this verb."""
    parser = Parser("init", "DIR", "A small project of your own that trains at once: model, config, experiment, test.")
    parser.add_argument("folder", nargs="?", metavar="DIR", help="where to; files that are there are left alone")
    return parser


def run(args: Namespace) -> int:
    """Write a small project. Returns the exit code."""
    if args.folder is None:
        raise ConfigError("init needs a folder", "trainer init my_project")
    root = Path(args.folder)
    sources = sorted(path for path in FILES.rglob("*") if path.is_file() and path.suffix != ".pyc")
    targets = {root / path.relative_to(FILES).with_name(RENAMED.get(path.name, path.name)): path for path in sources}
    there = [str(target) for target in targets if target.exists()]
    if there:
        raise ConfigError(f"{there[0]} is there already; nothing was written", "trainer init another_folder")
    try:
        for target, source in targets.items():
            target.parent.mkdir(parents=True, exist_ok=True)
            target.write_bytes(source.read_bytes())
    except OSError as error:
        raise StorageError(f"{error.filename} cannot be written: {error.strerror}") from error
    for target in targets:
        print(target)
    print(f"next     cd {root} && trainer train experiment=first")
    return 0
