"""Show the resolved config and what each key means. Nothing is run."""

import dataclasses
import json
from argparse import Namespace
from collections.abc import Iterator, Mapping
from typing import Any

from trainer.config import compose
from trainer.config.options import target_schema
from trainer.config.schema import Config
from trainer.config.schema_key import keys
from trainer.config.source import Source
from trainer.text import WIDTH, folded
from trainer.verbs import arguments

COLUMN = 36  # of the help


def parser() -> arguments.Parser:
    parser = arguments.config_parser("config", __doc__)
    parser.add_argument("--json", action="store_true", help="print it as JSON, without the help")
    return parser


def run(args: Namespace) -> int:
    """Print the resolved config with what each key means. Returns the exit code."""
    config = dataclasses.asdict(compose.compose(Source.of(args)).check())
    print(json.dumps(config, indent=2) if args.json else "\n".join(lines(config)))
    return 0


def lines(config: Mapping[str, Any]) -> Iterator[str]:
    """Yield 'key=value   # help' for every key, in the order of the schema."""
    for group, field in keys(Config).items():
        value = config[group]
        if not isinstance(value, Mapping):
            yield _line(group, value, field)
            continue
        yield f"# {field.metadata['help']}"
        known = keys(field.type) if dataclasses.is_dataclass(field.type) else target_schema(group, value) or {}
        for name, inner in value.items():
            yield _line(f"{group}.{name}", inner, known.get(name))


def _line(key: str, value: Any, field: Any) -> str:
    text = f"{key}={json.dumps(value) if not isinstance(value, str) else value}"
    if field is None:
        return text
    first, *more = folded(field.metadata["help"], WIDTH - COLUMN - len("# "))
    lines = [f"{text:<{COLUMN - 1}} # {first}", *(f"{'':<{COLUMN}}# {line}" for line in more)]
    return "\n".join(lines)
