"""trainer export RUN [format=torch_export|onnx|safetensors]"""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

from trainer.config import compose
from trainer.config.compose import Source
from trainer.config.run_config import read_config
from trainer.disk import layout, reading, storage
from trainer.errors import ConfigError, TrainerError
from trainer.processes.torch_import import uncollected
from trainer.verbs.arguments import Parser

DESCRIPTION = (
    "A run's best weights as a file that others can load without trainer, in RUN/export/, with the preprocessing "
    "inside, a model card and a program of some ten lines that loads it. It is written if it equals the model."
)
ROWS, TOLERANCE = 1000, 1e-5  # of the check; relative to the largest output, where that is above 1


def run(words: Sequence[str]) -> int:
    """Export and check. Returns the exit code."""
    parser = Parser("export", DESCRIPTION)
    parser.add_argument("words", nargs="*", metavar="RUN format=…", help="torch_export (default), onnx or safetensors")
    parser.add_argument("--trust", action="store_true", help="import what the stored config names, whoever made it")
    args = parser.read(words)
    if args.help:
        print(parser.format_help())
        return 0
    names = [word for word in args.words if "=" not in word or Path(word).exists()]
    settings = dict(word.split("=", 1) for word in args.words if word not in names)
    name = settings.pop("format", "torch_export")
    for key in settings:
        raise ConfigError(f"export has no '{key}'", "format=torch_export|onnx|safetensors")
    if len(names) > 1:
        raise ConfigError(f"export takes one run, not {' and '.join(names)}", f"trainer export {names[0]}")
    if name not in ("torch_export", "onnx", "safetensors"):
        raise ConfigError(f"no format '{name}'", "format=torch_export|onnx|safetensors")
    folder = layout.find(names[0] if names else layout.LATEST)
    data = read_config(folder, trusted=args.trust)
    data |= {"device": "cpu", "autocast": "none"}  # the file is for anywhere
    config = compose.checked(data, Source([], []), {})
    if data.own:
        compose.allow_user_modules()
    return _export(folder, config, name)


def _export(folder: Path, config: Any, name: str) -> int:
    with uncollected():
        import torch

        from trainer.inference import model as trained
    from trainer.inference import card, programs
    from trainer.inference.chain import is_chain
    from trainer.inference.formats import FORMATS
    from trainer.inference.whole import Whole, likely_rows, output_name

    chosen = FORMATS[name]
    chosen.check_installed(name)
    model = trained.load(folder, config)
    made = model.preprocessing
    whole = Whole(model).eval()
    rows = likely_rows(made, ROWS, whole.dtype)
    with torch.no_grad():
        expected = whole(rows)
        data = chosen.make(whole, made)
        run_file = chosen.load(data, whole)
        off = max(_off(run_file(rows[:count]), expected[:count]) for count in (1, 7, ROWS))
        plain = is_chain(model.model, made.x(rows[:2]))
    if not off <= TOLERANCE:
        raise TrainerError(f"{chosen.file} differs from the model by {off:.2g} on {ROWS:,} rows; it was not written")

    target = folder / layout.EXPORT
    if not target.is_dir():
        storage.make_folder(target)
    storage.write_file(target / chosen.file, data)
    text = programs.program(name, made, rows, model.model, config.model, plain)
    storage.write_file(target / card.PROGRAM.format(name=name), text.encode())
    files = {key: entry.file for key, entry in FORMATS.items() if (target / entry.file).exists()}
    dtype = str(whole.dtype).removeprefix("torch.")
    page = card.card(folder, files, made, dtype, _typed(folder))
    storage.write_file(target / layout.CARD, page.encode())

    outputs = made.facts.classes or [f"{made.facts.num_outputs} numbers"]
    print(f"export   {target / chosen.file} ({len(data) / 1000:,.1f} kB)")
    print(f"input    x: {dtype} (rows, {', '.join(map(str, made.raw_shape))}), raw values")
    named = f"output   {output_name(made)}: float (rows, {made.facts.num_outputs}): {', '.join(outputs)}"
    print("".join(c if c.isprintable() else "?" for c in named)[:78])
    print(f"checked  {ROWS:,} rows through the file: as the model says, within {off:.1g}")
    print(f"files    {layout.CARD} {card.PROGRAM.format(name=name)}")
    print(f"next     python {target / card.PROGRAM.format(name=name)}")
    return 0


def _off(got: Any, expected: Any) -> float:
    """The largest difference, relative to the largest output where that is above 1; NaN where there is one."""
    if got.shape != expected.shape:
        return float("inf")
    return float((got - expected).abs().max() / max(1.0, float(expected.abs().max())))


def _typed(folder: Path) -> list[str]:
    """What was typed to train it, as far as that can be read."""
    import yaml

    try:
        typed = yaml.safe_load(reading.read_file(folder / layout.OVERRIDES))
    except (FileNotFoundError, reading.Damaged, yaml.YAMLError):
        return []
    return [word for word in typed if isinstance(word, str)] if isinstance(typed, list) else []
