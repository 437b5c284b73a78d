"""Checkpoints: their contents, saving, finding the newest good one, loading. Safetensors and JSON, no pickle."""

import json
import math
import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass, fields
from pathlib import Path
from types import NoneType
from typing import Any

import torch
from torch import Tensor, nn

from trainer import device as devices
from trainer.disk import history, json_text, layout, reading, storage
from trainer.disk.folder import names
from trainer.disk.tensors import MALFORMED, read_tensors, tensor_bytes, tensors_of
from trainer.errors import ConfigError, Diverged, StorageError, complain
from trainer.optim import exact_state
from trainer.optim.stretch import num_moves, stretch
from trainer.progress import Progress
from trainer.state import TrainState
from trainer.stopping import StopReason, loss_of
from trainer.tasks import loss_modules
from trainer.text import decimal

FORMAT = 1
LARGEST = 16  # times the model's bytes: more than weights, best weights and any optimizer's state take
SPARE = 64 * 2**20  # bytes on top
WEIGHTS, BEST, OPTIMIZER, STATE = "weights.safetensors", "best.safetensors", "optimizer.safetensors", "state.json"
AVERAGE = "average.safetensors"
SCALER_KEYS = {"scale", "growth_factor", "backoff_factor", "growth_interval", "_growth_tracker"}
# Fields of Progress that the config sets, or that are loaded only in part.
LIMITS = ("num_steps", "steps_per_epoch", "eval_every", "stop_reason", "stop_note")


def save(run: TrainState, folder: Path, keep: int, sync_metrics: Callable[[], dict[str, int]]) -> Path:
    """Write the run's state to folder/checkpoints/step-N, unless it is there, and keep the newest `keep` checkpoints.

    One that was saved before the evaluation of its step is replaced after it.
    sync_metrics: flushes the metrics files to disk and returns their sizes in bytes. Raises Diverged for weights that
    are not finite, StorageError for a disk that is full or read-only.
    """
    path = folder / layout.CHECKPOINTS / name_at(run.progress.step)
    if path.exists() and _evaluated_at(run, path) == run.progress.evaluated_at:
        return path
    check_finite(run)
    storage.open_folder(path.parent)
    storage.write_folder(path, contents(run, sync_metrics()))
    for old in checkpoints(folder)[:-keep]:
        storage.remove_folder(old)
    if (earlier := folder / layout.EARLIER).is_dir():
        storage.remove_folder(earlier)
    storage.remove_leftovers(path.parent)
    return path


def _evaluated_at(run: TrainState, path: Path) -> object:
    """The step of the last evaluation that a checkpoint holds; None if that cannot be read."""
    try:
        state = reading.read_json(path / STATE, most_bytes(run.model, run.loss_fn))
        return json_text.decode(state["progress"])["evaluated_at"]
    except (OSError, *MALFORMED):
        return None


def name_at(step: int) -> str:
    """The name of the folder that holds the checkpoint of a step."""
    return f"step-{step:08d}"


def checkpoints(folder: Path) -> list[Path]:
    """The checkpoints of a run, oldest first."""
    path = folder / layout.CHECKPOINTS
    return [path / name for name in names(path) if re.fullmatch(r"step-\d+", name)]


def contents(run: TrainState, offsets: Mapping[str, int]) -> dict[str, bytes]:
    """The files of a checkpoint, by name. Raises TypeError for state that is neither a tensor nor plain data."""
    optimizer = run.optimizer.state_dict()
    entries = {f"{i}.{name}": value for i, entry in optimizer["state"].items() for name, value in entry.items()}
    tensors = {key: value for key, value in entries.items() if isinstance(value, Tensor)}
    scalars = {k: json_text.encode(v, f"optimizer state {k}") for k, v in entries.items() if k not in tensors}
    state = {
        "format": FORMAT,
        "progress": json_text.encode(vars(run.progress)),
        "optimizer": {"param_groups": json_text.encode(optimizer["param_groups"], "param_groups"), "scalars": scalars},
        "scheduler": json_text.encode(run.scheduler.state_dict(), "scheduler"),
        "scaler": json_text.encode(run.scaler.state_dict(), "scaler"),
        "phases": run.phases.begun,
        "num_averaged": run.average.num_averaged,
        "offsets": dict(offsets),
        "seconds": run.timer.seconds,
        "environment": environment(run),
    }
    files = {WEIGHTS: tensor_bytes(run.weights()), OPTIMIZER: tensor_bytes(tensors)}
    files[STATE] = json.dumps(state, indent=1, allow_nan=False).encode()
    if run.best_weights is not None and (run.average.tensors or run.progress.best_step != run.progress.step):
        files[BEST] = tensor_bytes(run.best_weights)
    if run.average.tensors:
        files[AVERAGE] = tensor_bytes(run.average.tensors)
    return files


def environment(run: TrainState) -> dict[str, Any]:
    """Everything that must be equal for equal bits: versions, processor, threads, device, number of processes."""
    digest = loss_modules.frozen_digest(run.loss_fn)
    frozen = {"frozen modules of the loss": digest} if digest is not None else {}
    return devices.environment(run.device) | {"processes": run.ranks.size} | frozen


def check_finite(run: TrainState) -> None:
    """Raise Diverged for a loss, weight or moment that is NaN or infinite, so that it is never saved."""
    run.look()
    if run.diverged_at is not None:
        raise Diverged(f"loss or weights are not finite after step {run.diverged_at}; this step was not saved")
    parts = [("", run.weights()), ("best ", run.best_weights or {}), ("average ", run.average.tensors)]
    parts += [("optimizer ", entry) for entry in run.optimizer.state_dict()["state"].values()]
    parts.append(("term ", dict(zip(run.terms, torch.as_tensor(run.progress.term_sums), strict=False))))
    for kind, tensors in parts:
        for name, tensor in tensors.items():
            if isinstance(tensor, Tensor) and not bool(tensor.isfinite().all()):
                run.progress.stop_reason = StopReason.DIVERGED
                raise Diverged(f"{kind}{name} is not finite after step {run.progress.step}; this step was not saved")


def newest(run: TrainState, folder: Path) -> tuple[dict[str, bytes], Path] | None:
    """The newest intact checkpoint: (its files, its folder). Renames damaged ones to .corrupt, with a warning."""
    for path in reversed(checkpoints(folder)):
        try:
            return reading.read_folder(path, most_bytes(run.model, run.loss_fn)), path
        except reading.Damaged as damage:
            aside = storage.set_aside(path)
            complain(f"warning: {damage}; set aside as {aside.name}, using the one before it")
    return None


def most_bytes(*modules: nn.Module) -> int:
    """The most bytes that a checkpoint of a model, and of a loss with parameters of its own, can take."""
    tensors = [tensor for module in modules for tensor in tensors_of(module.state_dict()).values()]
    num_bytes: int = sum(tensor.numel() * tensor.element_size() for tensor in tensors)
    return SPARE + LARGEST * num_bytes


@dataclass(frozen=True)
class Loaded:
    """Facts about a loaded checkpoint."""

    offsets: dict[str, int]  # bytes of each metrics file at that step
    elsewhere: list[str]  # differences between this environment and the one it was saved in
    schedule: str  # a line on how the schedule was adapted to another number of steps; empty where it was not


def load(run: TrainState, files: Mapping[str, bytes], path: Path) -> Loaded:
    """Load a checkpoint's files into a freshly built run. Raises StorageError for a malformed checkpoint, ConfigError
    for one of another model or of a longer run."""
    try:
        state = reading.parse_json(files[STATE], path / STATE)
        if state["format"] != FORMAT:
            raise StorageError(f"{path} has format {state['format']}, this trainer reads format {FORMAT}")
        weights = read_tensors(files[WEIGHTS])
        best = read_tensors(files[BEST]) if BEST in files else None
        load_weights(run.load_weights, weights, path)
        tensors = tensors_of(read_tensors(files[OPTIMIZER]))
        progress = check_progress(since_0_1_0(json_text.decode(state["progress"]), path), len(run.terms))
        run.phases.repeat(run, state.get("phases", {}))
        run.average.load(read_tensors(files[AVERAGE]) if AVERAGE in files else {}, state.get("num_averaged", 0))
        optimizer = exact_state.read(run.optimizer, tensors, state["optimizer"])
        schedule = json_text.decode(state["scheduler"])
        moves = num_moves(schedule)
        by_steps = moves is not None and moves <= progress["step"]
        scaler = json_text.decode(state["scaler"])
        if not (schedule.keys() <= run.scheduler.state_dict().keys() and scaler.keys() <= SCALER_KEYS):
            raise ValueError("the state of its scheduler or scaler does not match this run's")
        offsets = {name: int(state["offsets"].get(name, 0)) for name in (layout.METRICS, layout.RESULTS)}
        here = environment(run)
        elsewhere = [f"{k} {v} (now {here.get(k)})" for k, v in state["environment"].items() if here.get(k) != v]
        if min(offsets.values()) < 0:
            raise ValueError("an offset is negative")
        run.timer.before = max(0.0, reading.number(state.get("seconds")) or 0.0)  # none were stored before 0.9.0
    except MALFORMED as error:
        raise StorageError(f"{path} is not a checkpoint of this run: {error}") from error
    if progress["step"] > run.progress.num_steps:
        epoch = progress["step"] / run.progress.steps_per_epoch
        text = f"{path.parent.parent} is already at epoch {decimal(epoch)}"
        raise ConfigError(text, f"epochs={2 * math.ceil(epoch)}")
    try:
        if best is not None:
            run.best_weights = {
                name: best[name].to(value) if isinstance(value, Tensor) else best[name]
                for name, value in run.weights().items()
            }
        elif progress["best"] is not None:
            run.keep_best()
    except MALFORMED as error:
        raise ConfigError(f"{path} is of another model: its best weights have no {error}") from error
    other_length = progress["num_steps"] != run.progress.num_steps
    for name, value in progress.items():
        if name not in LIMITS:
            setattr(run.progress, name, value)
    if progress["stop_reason"] in (StopReason.EARLY_STOP, StopReason.LISTENER) and not other_length:
        # It was killed after its last save, but it was over.
        run.progress.stop_reason, run.progress.stop_note = StopReason(progress["stop_reason"]), progress["stop_note"]
    run.scaler.load_state_dict(scaler)
    note = ""
    try:
        if other_length and moves is not None and by_steps and not hasattr(run.scheduler, "look"):
            note = stretch(run.scheduler, run.optimizer, optimizer, moves, run.progress.num_steps)
        else:
            run.scheduler.load_state_dict(schedule)
    except MALFORMED as error:
        raise StorageError(f"{path} is not a checkpoint of this run: {error}") from error
    exact_state.load(run.optimizer, optimizer)
    return Loaded(offsets, elsewhere, note)


def load_weights(load: Callable[[Any], Any], weights: Mapping[str, Tensor], path: Path) -> None:
    """Load what was read from this path into a model, by load. Raises ConfigError for one with other parameters."""
    try:
        load(weights)
    except MALFORMED as error:
        text = f"{path} is of another model: {str(error).splitlines()[-1].strip()}"
        hint = "undo what changed in the class or the settings of the model, or train again"
        raise ConfigError(text, hint) from error


def since_0_1_0(progress: dict[str, Any], path: Path) -> dict[str, Any]:
    """Saved progress with the fields that version 0.1.0 did not save: it kept the value that patience refers to as the
    best one, and the loss of those weights only in metrics.jsonl."""
    progress = {"term_sums": [], "stop_note": None} | progress
    if {"reference", "best_loss"} & progress.keys() or progress.get("best") is None:
        return {"reference": None, "best_loss": None} | progress
    best_loss = loss_of(history.read(path.parent.parent).at(progress["best_step"]))
    return {"reference": progress["best"], "best_loss": best_loss} | progress


def check_progress(progress: dict[str, Any], num_terms: int) -> dict[str, Any]:
    """Return saved progress unchanged. Raises ValueError for wrong names, types, negative numbers or other terms."""
    kinds: dict[str, tuple[type, ...]] = {"loss_sum": (float,), "term_sums": (list,), "stop_reason": (str, NoneType)}
    kinds["stop_note"] = (str, NoneType)
    kinds |= dict.fromkeys(("best", "best_loss", "reference"), (float, NoneType)) | {"loss_samples": (int, float)}
    if progress.keys() != {f.name for f in fields(Progress)}:
        raise ValueError("its progress has other fields")
    for name, value in progress.items():
        wrong = type(value) not in kinds.get(name, (int,)) or (type(value) is int and value < 0)
        if wrong or (name == "term_sums" and (len(value) not in (0, num_terms) or {*map(type, value)} - {float})):
            raise ValueError(f"its progress has {name} = {value!r}")
    return progress
