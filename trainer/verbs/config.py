"""trainer config: the resolved config, with what each key means."""

import dataclasses
import json
from argparse import Namespace
from collections.abc import Iterator, Mapping
from typing import Any

from trainer.config import compose, files
from trainer.config.check import target_schema
from trainer.config.schema import Config
from trainer.config.source import Source
from trainer.verbs import arguments


def parser() -> arguments.Parser:
    """The words and flags of this verb."""
    parser = arguments.config_parser("config", "The resolved config with what each key means; nothing is run.")
    parser.add_argument("--json", action="store_true", help="as JSON, without the help")
    return parser


def run(args: Namespace) -> int:
    """Print the resolved config with what each key means. Returns the exit code."""
    composed = compose.compose(Source(args.overrides, files.roots(args.config_dir), args.config_name))
    config = dataclasses.asdict(composed.checked())
    if args.json:
        print(json.dumps(config, indent=2))
        return 0
    for line in lines(config):
        print(line)
    return 0


def lines(config: Mapping[str, Any]) -> Iterator[str]:
    """'key = value   # help' for every key, in the order of conf/config.yaml's schema."""
    for field in dataclasses.fields(Config):
        value = config[field.name]
        if not isinstance(value, Mapping):
            yield _line(field.name, value, field)
            continue
        yield f"# {field.metadata['help']}"
        known = target_schema(field.name, value)
        if known is None:
            nested = field.type if dataclasses.is_dataclass(field.type) else None
            known = {sub.name: sub for sub in dataclasses.fields(nested)} if nested else {}
        for name, inner in value.items():
            yield _line(f"{field.name}.{name}", inner, known.get(name))


def _line(key: str, value: Any, field: "dataclasses.Field[Any] | None") -> str:
    text = f"{key}={json.dumps(value) if not isinstance(value, str) else value}"
    help_text = f"  # {field.metadata['help']}" if field is not None else ""
    return f"{text:<36}{help_text}".rstrip()
