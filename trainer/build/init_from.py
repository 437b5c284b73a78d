"""The first weights of a run: another run's, those of a file, or published ones. Tensors whose name and shape match are
loaded after the model is built as ever, so that what is new has the same bits as without."""

import dataclasses
import shlex
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import torch
from torch import Tensor, nn

from trainer.build import expected_pictures, matching, published
from trainer.build.matching import Matched, Specs
from trainer.build.published import Published
from trainer.build.weight_keys import as_built
from trainer.config import first_weights
from trainer.config.schema import Config
from trainer.data.splits import Splits
from trainer.disk import layout, weights_file
from trainer.disk.tensors import tensors_of
from trainer.disk.weights_file import WeightsFile
from trainer.errors import ConfigError
from trainer.text import first_few, listed

DIGITS = 12  # of a sha256 that are shown


@dataclass(frozen=True)
class FirstWeights:
    """What a run began from. path: of the file or run, and sha256: of the file, for the stored config; None where it
    began from nothing. lines, warnings: for the header. new: the tensors of a new run that the file did not fill."""

    path: str | None = None
    sha256: str | None = None
    lines: Sequence[str] = ()
    warnings: Sequence[Sequence[str]] = ()
    new: Sequence[str] = ()

    def with_frozen(self, model: nn.Module, frozen: Iterable[nn.Parameter]) -> "FirstWeights":
        """The same, with a warning that names the frozen parameters that the file did not fill."""
        ids, named = {id(p) for p in frozen}, dict(model.named_parameters())
        if not (names := [name for name in self.new if name in named and id(named[name]) in ids]):
            return self
        which = listed(list(matching.grouped(names, named)))
        text = f"frozen, though {self.path} does not fill them: {which}; they stay as they are drawn"
        return dataclasses.replace(self, warnings=[*self.warnings, [text]])


def without_published(config: Config) -> tuple[Config, Published | None]:
    """(The config of the same model without published weights, those that it asks for). Raises ConfigError."""
    return dataclasses.replace(config, model=published.bare(config.model)), published.of(config.model)


def begin(
    model: nn.Module, config: Config, weights: Published | None, splits: Splits, *, is_trusted: bool, resumes: bool
) -> FirstWeights:
    """Load the first weights of a new run, see `load`. resumes: whether it is not new; then nothing is read, since its
    checkpoint has its weights."""
    if not resumes:
        return load(model, config, weights, splits, is_trusted=is_trusted)
    digest = f", sha256 {config.init_sha256[:DIGITS]}" if config.init_sha256 else ""
    lines = [f"began from {config.init_from}{digest}"] if config.init_from else []
    return FirstWeights(config.init_from, config.init_sha256, lines)


def load(
    model: nn.Module, config: Config, weights: Published | None, splits: Splits, *, is_trusted: bool
) -> FirstWeights:
    """Load what the config names into a model. weights: the published ones that its node asks for. is_trusted: whether
    this user typed, signed or trusts the config: otherwise no file that it names is read. Raises ConfigError."""
    if config.init_from is None and weights is None:
        for key in ("init_rename", "init_sha256"):
            if getattr(config, key) is not None:
                raise ConfigError(f"{key} without init_from: there is no file that it is about", f"{key}=null", key)
        return FirstWeights()
    key = "init_from" if weights is None else weights.key
    if weights is not None and config.init_from is not None:
        raise ConfigError(f"init_from and {key} both name weights to start from", "init_from=null", "init_from")
    if not is_trusted:
        what = config.init_from if weights is None else weights.name
        text = f"{key}: {what} is not read, since the config is not signed with your key"
        raise ConfigError(text, "--trust, if you trust its author")
    path = str(weights.fetch()) if weights is not None else first_weights.resolved(str(config.init_from))
    file = weights_file.read(Path(path), key)
    if config.init_sha256 not in (None, file.sha256):
        text = f"{file.path} has the sha256 {file.sha256[:DIGITS]}…, not {str(config.init_sha256)[:DIGITS]}…"
        raise ConfigError(text, "init_sha256=null", "init_sha256")
    matched = _into(model, file, config.init_rename or {}, key)
    lines = list(_lines(model, file, matched, path if weights is None else weights.name))
    differences = [] if weights is None else list(expected_pictures.warnings(weights, file, splits))
    return FirstWeights(path, file.sha256, lines, differences, matched.new)


def load_again(model: nn.Module, config: Config, splits: Splits, folder: Path, *, is_trusted: bool) -> None:
    """Load the first weights of a stored run that resumes without a checkpoint. Raises ConfigError."""
    try:
        load(model, config, None, splits, is_trusted=is_trusted)
    except ConfigError as error:
        if not is_trusted:
            raise
        command = f"trainer resume {shlex.quote(str(layout.relative(folder)))}"  # which may change no first weights
        hint = f"put {config.init_from} back as it was, then {command}"
        raise ConfigError(error.message, hint, error.key) from error


@torch.no_grad()
def _into(model: nn.Module, file: WeightsFile, renames: Mapping[str, str], key: str) -> Matched:
    """Copy the tensors that match into the model."""
    wanted, offered = tensors_of(model.state_dict()), as_built(file.tensors, model)
    of_model, of_file = _specs(wanted), _specs(offered)
    try:
        matched = matching.match(of_model, of_file, renames)
    except ValueError as error:
        text, rename = (
            f"{error}; {file.path} holds {first_few(list(offered), 3)}",
            matching.suggested(of_model, of_file),
        )
        hint = _rename(*rename) if rename is not None else "init_rename=null"
        raise ConfigError(f"init_rename: {text}", hint, "init_rename") from error
    if not matched.pairs:
        raise _nothing(model, file, matched, of_model, of_file, key)
    for name, other in matched.pairs.items():
        wanted[name].copy_(offered[other])
    loaded = {_place(wanted[name]) for name in matched.pairs}  # a tied one is loaded under its other name
    new = [name for name in matched.new if name in matched.differs or _place(wanted[name]) not in loaded]
    return Matched(matched.pairs, new, matched.differs, matched.unused)


def _nothing(
    model: nn.Module, file: WeightsFile, matched: Matched, wanted: Specs, offered: Specs, key: str
) -> ConfigError:
    """The error where no tensor matches."""
    name = type(model).__name__
    if matched.differs:
        text = f"{file.path} is of another model: {_other_shape(matched.differs, wanted, offered)}"
        return ConfigError(text, f"{key}=null", key)
    held, has = first_few(list(offered), 3), first_few(list(wanted), 3)
    text = f"{file.path} is of another model: it holds {held}; {name} has {has}"
    rename = matching.suggested(wanted, offered)
    return ConfigError(text, _rename(*rename) if rename else f"{key}=null", key)


def _lines(model: nn.Module, file: WeightsFile, matched: Matched, asked: str) -> Iterator[str]:
    wanted, offered = tensors_of(model.state_dict()), as_built(file.tensors, model)
    text = f"{len(wanted) - len(matched.new)} of {len(wanted)} tensors from {asked}"
    for word, names, among in (("new", matched.new, wanted), ("unused", matched.unused, offered)):
        if names:
            text += f"; {word}: {listed(list(matching.grouped(names, among)))}"
    yield text
    if matched.differs:
        yield f"of another shape, so new: {_other_shape(matched.differs, _specs(wanted), _specs(offered))}"
    if len(matched.new) > len(wanted) / 2 and (rename := matching.suggested(_specs(wanted), _specs(offered))):
        yield f"more would match with {_rename(*rename)}"
    yield f"sha256 {file.sha256[:DIGITS]} of {file.path.name}"


def _specs(tensors: Mapping[str, Tensor]) -> Specs:
    def kind(tensor: Tensor) -> str:
        return "complex" if tensor.is_complex() else "float" if tensor.is_floating_point() else "whole"

    return {name: (tuple(tensor.shape), kind(tensor)) for name, tensor in tensors.items()}


def _place(tensor: Tensor) -> tuple[int, ...]:
    """Equal for two names of one tensor."""
    return (tensor.data_ptr(), *tensor.shape) if tensor.numel() else (id(tensor),)


def _other_shape(differs: Mapping[str, str], wanted: Specs, offered: Specs) -> str:
    def shown(spec: tuple[tuple[int, ...], str], other: str) -> str:
        return "×".join(map(str, spec[0])) or "one number" if spec[1] == other else f"{spec[1]} numbers"

    def both(name: str) -> str:
        there, here = offered[differs[name]], wanted[name]
        return f"{name} is {shown(there, here[1])} there, {shown(here, there[1])} here"

    return first_few([both(name) for name in differs], 2, "; ")


def _rename(old: str, new: str) -> str:
    """A rename as Hydra's grammar takes it, which reads 0. and 1 as numbers."""
    key = old if old.isdigit() else f"{old}."
    value = f"{new}." if new and not new.isdigit() else f'"{new}"'
    return f"'init_rename={{{key}: {value}}}'"
