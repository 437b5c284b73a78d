"""Pages from templates: values are escaped, nothing is fetched, and only trainer's script, named by its hash, runs."""

import base64
import hashlib
import io
import json
from collections.abc import Sequence
from functools import cache
from pathlib import Path
from typing import Any

from trainer import __version__
from trainer.disk.figures import Picture
from trainer.text import cleaned_lines, clock, cut

BLANKS = {"\n": "⏎", "\t": "⇥"}
TEMPLATES = Path(__file__).parent / "templates"


def render(template: str, scripts: Sequence[str] = ("page.js",), **values: Any) -> str:
    """Render a page as one self-contained text. scripts: the files that make its script."""
    from markupsafe import Markup

    css, *parts = ((TEMPLATES / name).read_text(encoding="utf-8") for name in ("page.css", *scripts))
    script = "".join(parts)
    digest = base64.b64encode(hashlib.sha256(script.encode()).digest()).decode()
    values |= {"version": __version__, "digest": digest, "css": Markup(css), "script": Markup(script)}  # noqa: S704 - ours
    page: str = _environment().get_template(template).render(values)
    return page


@cache
def _environment() -> Any:
    import jinja2

    loader, undefined = jinja2.FileSystemLoader(TEMPLATES), jinja2.StrictUndefined
    environment = jinja2.Environment(
        loader=loader, autoescape=True, undefined=undefined, trim_blocks=True, lstrip_blocks=True, finalize=_finalized
    )
    environment.policies["json.dumps_function"] = lambda value, **_: json_text(value)
    environment.filters |= {"value": value_text, "metric": metric_text, "cut": cut, "png": png, "seconds": clock}
    return environment


def json_text(value: Any) -> str:
    """Plain data as JSON without spaces."""
    return json.dumps(value, separators=(",", ":"), allow_nan=False)


def _finalized(value: Any) -> Any:
    return cleaned_lines(value) if type(value) is str else value


def visible(name: str) -> str:
    """The name of a class; of one that is white space, as a character may be, something that can be seen."""
    return name if name.strip() else "".join(BLANKS.get(letter, "␣") for letter in name) or "''"


def value_text(value: float) -> str:
    """A number with about four significant digits; an integer with all its digits."""
    size = abs(value)
    if value == int(value) and size < 1e15:
        return f"{int(value):,}"
    return f"{value:,.4f}" if 1e-3 <= size < 1e3 else f"{value:,.1f}" if 1e3 <= size < 1e7 else f"{value:.4g}"


def metric_text(value: float) -> str:
    """A metric as in the tables: 0.9805."""
    size = abs(value)
    if 1e3 <= size < 1e7:
        return f"{value:,.1f}"
    return f"{value:.4f}" if size == 0 or 1e-3 <= size < 1e3 else f"{value:.4g}"


def png(picture: Picture) -> str:
    """The picture as a data URL."""
    from PIL import Image

    buffer = io.BytesIO()
    mode = "L" if picture.channels == 1 else "RGB"
    Image.frombytes(mode, (picture.width, picture.height), picture.pixels).save(buffer, "PNG")
    return "data:image/png;base64," + base64.b64encode(buffer.getvalue()).decode()
