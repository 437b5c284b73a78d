"""Write JSON schemas of your configs, with which an editor completes keys, shows what they mean and marks typos."""

import json
from argparse import Namespace
from pathlib import Path

from trainer.config import files, json_schema
from trainer.disk import storage
from trainer.errors import ConfigError
from trainer.text import cleaned
from trainer.verbs.arguments import Parser

FOLDER = ".schema"  # of a conf/


def parser() -> Parser:
    parser = Parser("schema", "[DIR]", __doc__)
    parser.add_argument(
        "folder", nargs="?", default="conf", metavar="DIR", help="your folder of configs; default: conf"
    )
    return parser


def run(args: Namespace) -> int:
    """Write the schemas and say how a file names its own. Returns the exit code."""
    folder = Path(args.folder)
    groups = files.options([files.shipped()])
    if not folder.is_dir():
        start = (
            f"mkdir -p {folder}/experiment, or trainer init my_project" if args.folder == "conf" else "trainer schema"
        )
        raise ConfigError(f"there is no folder {folder}", start)
    if not any((folder / name).exists() for name in ("config.yaml", *groups)):
        text = f"{folder} is not a folder of configs: it holds neither config.yaml nor a folder {', '.join(groups)}"
        raise ConfigError(text, "trainer schema conf")
    for path in write(folder):
        print(cleaned(str(path)))
    print("line     an editor with the YAML language server reads this comment in a file:")
    print("         # yaml-language-server: $schema=../.schema/model.json")
    print("again    after a new option or a new version of trainer: trainer schema")
    return 0


def write(conf: Path) -> list[Path]:
    """Write the schemas of a folder of configs into it, over those that are there. Returns their paths."""
    found = json_schema.schemas(files.roots([str(conf)]))
    storage.open_folder(conf / FOLDER)
    paths = [conf / FOLDER / f"{name}.json" for name in found]
    for path, schema in zip(paths, found.values(), strict=True):
        try:
            text = json.dumps(schema, ensure_ascii=False, indent=1, default=str)  # str: of a date in YAML
        except (ValueError, RecursionError) as error:
            raise ConfigError(f"an option in {conf / path.stem} refers to itself", "leave & and * out") from error
        storage.write_file(path, text.encode())
    return paths
