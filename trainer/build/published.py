"""Weights that torchvision and timm publish. A model that asks for them is built without them, with as many outputs as
the data needs; their file is then loaded as init_from loads one.

So a stored run never asks for them: its own weights take their place.
"""

import dataclasses
import logging
import re
from collections.abc import Mapping
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from urllib.parse import urlparse

import torch

from trainer.config import target
from trainer.errors import ConfigError
from trainer.terminal.spelling import closest
from trainer.text import first_line, listed

log = logging.getLogger(__name__)

TORCHVISION, TIMM = "torchvision.models.", "timm."
# What torchvision's own constructors set, unless it is typed, where they are given weights.
WITH_WEIGHTS = {
    "googlenet": {"transform_input": True, "aux_logits": False, "init_weights": False},
    "inception_v3": {"transform_input": True, "init_weights": False},
}
LOADED_BY_TIMM = ("pretrained", "checkpoint_path", "cache_dir")
HUB_FILE = "model.safetensors"


@dataclass(frozen=True)
class Published:
    """name: of the weights; key: the key of the config that asks for them; path: their file, or where torch keeps it;
    url: where that comes from; hub: (repository, file) of Hugging Face's hub instead; size: (height, width) of the
    pictures that they were measured on; mean, std: of pixels from 0 to 1, by channel. Empty where it is not known."""

    name: str
    key: str
    path: Path | None = None
    url: str = ""
    hub: tuple[str, str] | None = None
    size: tuple[int, ...] = ()
    mean: tuple[float, ...] = ()
    std: tuple[float, ...] = ()

    @property
    def sha256(self) -> str:
        """How the sha256 of the file begins, which torch has in the names of its files."""
        found = re.search(r"-([0-9a-f]{8,})\.\w+$", self.url)
        return found[1] if found is not None else ""

    def fetch(self) -> Path:
        """The path of the file, downloaded if it is missing. Raises ConfigError."""
        if self.hub is not None:
            return self._from_hub(*self.hub)
        if self.path is None:
            raise ConfigError(f"timm publishes no weights of {self.name}", f"{self.key}=false", self.key)
        if self.url and not self.path.is_file():
            self._download(self.path)
        return self.path

    def _download(self, path: Path) -> None:
        log.info("download %s into %s (this happens once)", self.url, path.parent)
        try:
            path.parent.mkdir(parents=True, exist_ok=True)
            torch.hub.download_url_to_file(self.url, str(path), self.sha256 or None, progress=False)
        except (OSError, RuntimeError) as error:
            text = f"{self.name} is not in {path.parent}, and cannot be downloaded: {first_line(error)}"
            raise ConfigError(text, f"put {path.name} there, from {self.url}", self.key) from error

    def _from_hub(self, repository: str, name: str) -> Path:
        from huggingface_hub import get_hf_file_metadata, hf_hub_download, hf_hub_url  # timm needs it

        with suppress(Exception):  # it is not in the cache
            return Path(hf_hub_download(repository, name, local_files_only=True))
        log.info("download %s of huggingface.co/%s (this happens once)", name, repository)
        try:
            get_hf_file_metadata(hf_hub_url(repository, name))  # a download tries half a minute without a network
            return Path(hf_hub_download(repository, name))
        except Exception as error:  # of the hub, of HTTP, of the disk
            text = f"{name} of {repository} is not in Hugging Face's cache, and cannot be downloaded"
            hint = f"fetch https://huggingface.co/{repository}/resolve/main/{name}, then +model.checkpoint_path=FILE"
            raise ConfigError(text, hint, self.key) from error


def of(node: Mapping[str, Any]) -> Published | None:
    """The published weights that a model node asks for. Raises ConfigError for some that there are not."""
    if _asks_torchvision(node):
        return _of_torchvision(node)
    return _of_timm(node) if _asks_timm(node) else None


def bare(node: Mapping[str, Any]) -> dict[str, Any]:
    """The node of the same model without weights, its number of outputs left to the data unless it is typed."""
    if not (_asks_torchvision(node) or _asks_timm(node)):
        return dict(node)
    without = LOADED_BY_TIMM if _asks_timm(node) else ("weights", "progress")
    rest = {"num_classes": None} | {name: value for name, value in node.items() if name not in without}
    if isinstance(overlay := rest.get("pretrained_cfg_overlay"), Mapping):
        rest["pretrained_cfg_overlay"] = {name: value for name, value in overlay.items() if name != "file"}
    if _asks_torchvision(node):
        name, taken = str(node["_target_"]), target.parameters(target.locate(node["_target_"], "model"))
        rest = WITH_WEIGHTS.get(name.rpartition(".")[2], {}) | rest
        if "weights_backbone" in taken:  # by default torchvision downloads those
            rest = {"weights_backbone": None} | rest
    return {"_target_": node["_target_"]} | rest


def _asks_torchvision(node: Mapping[str, Any]) -> bool:
    return str(node["_target_"]).startswith(TORCHVISION) and bool(node.get("weights"))


def _asks_timm(node: Mapping[str, Any]) -> bool:
    return str(node["_target_"]).startswith(TIMM) and bool(node.get("pretrained") or node.get("checkpoint_path"))


def _of_torchvision(node: Mapping[str, Any]) -> Published:
    from torchvision.models import get_model_weights

    key, builder = "model.weights", target.locate(node["_target_"], "model")
    try:
        known = get_model_weights(builder).__members__
    except ValueError as error:
        raise ConfigError(f"{node['_target_']} has no published weights", f"{key}=null", key) from error
    name = str(node["weights"]).rpartition(".")[2]
    if name not in known:
        text = f"{key}={node['weights']}: {node['_target_']} has {listed(list(known))}"
        raise ConfigError(text, f"{key}={closest(name, known) or next(iter(known))}", key)
    weights = known[name]
    preset = weights.transforms()
    sizes = getattr(preset, "crop_size", None) or ()
    return Published(
        str(weights),
        key,
        _in_cache(weights.url),
        weights.url,
        size=tuple(2 * sizes if len(sizes) == 1 else sizes),
        mean=tuple(getattr(preset, "mean", ())),
        std=tuple(getattr(preset, "std", ())),
    )


def _of_timm(node: Mapping[str, Any]) -> Published:
    target.locate(node["_target_"], "model")  # raises ConfigError where timm is not installed
    from timm.models import get_pretrained_cfg

    name, typed = str(node.get("model_name") or str(node["_target_"]).rpartition(".")[2]), node.get("pretrained_cfg")
    name = f"{name}.{typed}" if isinstance(typed, str) else name
    found = get_pretrained_cfg(name, allow_unregistered=True)
    about = dataclasses.asdict(found) if found is not None else {}
    for mapping in (typed, node.get("pretrained_cfg_overlay")):
        about |= mapping if isinstance(mapping, Mapping) else {}
    rest: dict[str, Any] = {
        "size": tuple(about.get("input_size") or ())[1:],
        "mean": tuple(about.get("mean") or ()),
        "std": tuple(about.get("std") or ()),
    }
    if file := node.get("checkpoint_path"):
        return Published(name, "model.checkpoint_path", Path(file).expanduser(), **rest)
    if file := about.get("file"):
        return Published(name, "model.pretrained_cfg_overlay", Path(file).expanduser(), **rest)
    if repository := about.get("hf_hub_id"):
        hub = (str(repository), str(about.get("hf_hub_filename") or HUB_FILE))
        return Published(name, "model.pretrained", hub=hub, **rest)
    url = str(about.get("url") or "")
    return Published(name, "model.pretrained", _in_cache(url) if url else None, url, **rest)


def _in_cache(url: str) -> Path:
    """Where torch.hub keeps what it has downloaded from there."""
    return Path(torch.hub.get_dir()) / "checkpoints" / Path(urlparse(url).path).name
