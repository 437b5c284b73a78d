"""Checkpoints: what they hold, saving, finding the newest good one, loading. Safetensors and JSON, no pickle."""

import json
import platform
import re
import warnings
from collections.abc import Mapping
from dataclasses import fields
from pathlib import Path
from typing import Any

import safetensors.torch
import torch
from safetensors import SafetensorError
from torch import Tensor

from trainer import plain, rundir, storage
from trainer.errors import ConfigError, Diverged, StorageError
from trainer.state import Progress, TrainState

FORMAT = 1
WEIGHTS, BEST, OPTIMIZER, STATE = "weights.safetensors", "best.safetensors", "optimizer.safetensors", "state.json"
LIMITS = ("num_steps", "steps_per_epoch", "eval_every", "stop_reason")  # Progress fields that the config decides anew


def save(run: TrainState, folder: Path, keep: int, offsets: Mapping[str, int]) -> Path:
    """Write the state between two steps to folder/checkpoints/step-N; keeps the newest `keep`, removes older ones.

    offsets: sizes of the metrics files that belong to it. The same step twice is written once.
    Raises Diverged for weights that are not finite, StorageError for a disk that is full or read-only.
    """
    check_finite(run)
    path = folder / rundir.CHECKPOINTS / f"step-{run.progress.step:08d}"
    if not path.parent.exists():
        storage.make_folder(path.parent)
    if path.exists():
        return path
    storage.write_folder(path, contents(run, offsets))
    for old in checkpoints(folder)[:-keep]:
        storage.remove_folder(old)
    return path


def checkpoints(folder: Path) -> list[Path]:
    """The checkpoints of a run, oldest first."""
    return sorted(p for p in (folder / rundir.CHECKPOINTS).glob("step-*") if re.fullmatch(r"step-\d+", p.name))


def contents(run: TrainState, offsets: Mapping[str, int]) -> dict[str, bytes]:
    """The files of a checkpoint. Raises TypeError for optimizer or scheduler state that is neither tensor nor plain."""
    optimizer = run.optimizer.state_dict()
    tensors, scalars = {}, {}
    for index, entry in optimizer["state"].items():
        for name, value in entry.items():
            if isinstance(value, Tensor):
                tensors[f"{index}.{name}"] = value
            else:
                scalars[f"{index}.{name}"] = plain.encode(value, f"optimizer state {name}")
    progress = {f.name: getattr(run.progress, f.name) for f in fields(Progress)}
    progress["loss_sum"] = float(progress["loss_sum"])
    state = {
        "format": FORMAT,
        "progress": plain.encode(progress),
        "optimizer": {"param_groups": plain.encode(optimizer["param_groups"], "param_groups"), "scalars": scalars},
        "scheduler": plain.encode(run.scheduler.state_dict(), "scheduler"),
        "scaler": plain.encode(run.scaler.state_dict(), "scaler"),
        "offsets": dict(offsets),
        "environment": environment(run),
    }
    files = {
        WEIGHTS: tensor_bytes(run.model.state_dict()),
        OPTIMIZER: tensor_bytes(tensors),
        STATE: json.dumps(state, indent=1, allow_nan=False).encode(),
    }
    if run.best_weights is not None and run.progress.best_step != run.progress.step:
        files[BEST] = tensor_bytes(run.best_weights)
    return files


def tensor_bytes(tensors: Mapping[str, Tensor]) -> bytes:
    """safetensors of contiguous copies, tied tensors under each of their names."""
    copies = {name: tensor.detach().cpu().clone().contiguous() for name, tensor in tensors.items()}
    return safetensors.torch.save(copies)


def environment(run: TrainState) -> dict[str, Any]:
    """What equality bit for bit holds for: versions, processor, threads, device."""
    device = str(run.device)
    if run.device.type == "cuda":
        device = f"{device} {torch.cuda.get_device_name(run.device)}"
    return {
        "torch": torch.__version__,
        "python": platform.python_version(),
        "machine": platform.machine(),
        "cpu_capability": torch.backends.cpu.get_cpu_capability(),
        "threads": torch.get_num_threads(),
        "device": device,
    }


def check_finite(run: TrainState) -> None:
    """Raise Diverged for a weight that is NaN or infinite: no such checkpoint is written."""
    for name, tensor in run.model.state_dict().items():
        if tensor.is_floating_point() and not bool(tensor.isfinite().all()):
            run.progress.stop_reason = "diverged"
            raise Diverged(f"{name} is not finite after step {run.progress.step}")


def newest(folder: Path) -> tuple[dict[str, bytes], Path] | None:
    """The newest checkpoint that is what its manifest says; a damaged one is set aside as .corrupt and warned of."""
    for path in reversed(checkpoints(folder)):
        try:
            return storage.read_folder(path), path
        except storage.Damaged as damage:
            aside = path.with_name(path.name + ".corrupt")
            path.rename(aside)
            warnings.warn(f"{damage}; set aside as {aside.name}", stacklevel=2)
    return None


def load(run: TrainState, files: Mapping[str, bytes], path: Path) -> tuple[dict[str, int], list[str]]:
    """Put a checkpoint's state into a freshly built run. Returns the offsets of the metrics files, and what differs
    from the environment it was saved in. Raises StorageError for a format that is not ours, ConfigError where it is
    of another model."""
    try:
        state = json.loads(files[STATE])
        if state["format"] != FORMAT:
            raise StorageError(f"{path} has format {state['format']}, this trainer reads {FORMAT}")
        weights = safetensors.torch.load(files[WEIGHTS])
        best = safetensors.torch.load(files[BEST]) if BEST in files else None
        tensors = safetensors.torch.load(files[OPTIMIZER])
        progress = plain.decode(state["progress"])
    except (KeyError, ValueError, SafetensorError) as error:
        raise StorageError(f"{path} cannot be read: {error}") from error

    try:
        run.model.load_state_dict(weights)
    except RuntimeError as error:
        raise ConfigError(f"{path} holds another model: {str(error).splitlines()[-1].strip()}") from error
    longer = progress["num_steps"] != run.progress.num_steps
    for name, value in progress.items():
        if name not in LIMITS:
            setattr(run.progress, name, value)
    if best is not None:
        run.best_weights = {name: tensor.to(run.device) for name, tensor in best.items()}
    elif run.progress.best is not None:
        run.keep_best()

    groups = plain.decode(state["optimizer"]["param_groups"])
    schedule = plain.decode(state["scheduler"])
    if longer and "last_epoch" in schedule:
        replay(run, schedule["last_epoch"])
        groups = run.optimizer.state_dict()["param_groups"]
    else:
        run.scheduler.load_state_dict(schedule)
    entries: dict[int, dict[str, Any]] = {}
    scalars = {key: plain.decode(value) for key, value in state["optimizer"]["scalars"].items()}
    for key, value in [*tensors.items(), *scalars.items()]:
        index, _, name = key.partition(".")
        entries.setdefault(int(index), {})[name] = value
    run.optimizer.load_state_dict({"state": entries, "param_groups": groups})
    run.scaler.load_state_dict(plain.decode(state["scaler"]))
    here = environment(run)
    differing = [f"{k} {v} (now {here.get(k)})" for k, v in state["environment"].items() if here.get(k) != v]
    return state["offsets"], differing


def replay(run: TrainState, num_moves: int) -> None:
    """Bring a schedule of another length to where it would stand had it been that long from the start."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # torch expects optimizer.step() between
        for _ in range(num_moves):
            run.scheduler.step()
