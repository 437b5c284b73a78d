"""Start a small project that trains at once: model, config, experiment, test."""

from argparse import Namespace
from pathlib import Path

from trainer.errors import ConfigError, StorageError
from trainer.verbs import schema
from trainer.verbs.arguments import Parser

FILES = Path(__file__).resolve().parent.parent / "template"
RENAMED = {"gitignore": ".gitignore"}  # under its real name it would apply to this repository


def parser() -> Parser:
    parser = Parser("init", "DIR", __doc__)
    parser.add_argument("folder", nargs="?", metavar="DIR", help="where to write; files there are never overwritten")
    return parser


def run(args: Namespace) -> int:
    """Write a small project. Returns the exit code."""
    if args.folder is None:
        raise ConfigError("init needs a folder", "trainer init my_project")
    root = Path(args.folder)
    sources = sorted(path for path in FILES.rglob("*") if path.is_file() and path.suffix != ".pyc")
    copies = {root / path.relative_to(FILES).with_name(RENAMED.get(path.name, path.name)): path for path in sources}
    if existing := next((copy for copy in copies if copy.exists()), None):
        raise ConfigError(f"{existing} exists already; nothing was written", "trainer init another_folder")
    try:
        for copy, source in copies.items():
            copy.parent.mkdir(parents=True, exist_ok=True)
            copy.write_bytes(source.read_bytes())
    except OSError as error:
        raise StorageError(f"{error.filename} cannot be written: {error.strerror}") from error
    schema.write(root / "conf")
    print(*copies, root / "conf" / schema.FOLDER, f"next     cd {root} && trainer train experiment=first", sep="\n")
    return 0
