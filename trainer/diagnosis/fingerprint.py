"""What a run came to, part by part, without what the clock has a share in: two runs that agree in all of it are one."""

import hashlib
import json
from collections.abc import Mapping
from pathlib import Path

import safetensors.torch
import torch
from torch import Tensor

from trainer import checkpoint
from trainer.disk import layout, reading
from trainer.errors import StorageError

MOST = 2**40  # bytes; one's own runs


def evidence(folder: Path) -> dict[str, str]:
    """{part: sha256 of it} from a run's last checkpoint, its best weights and its metrics. Raises StorageError."""
    try:
        files = reading.read_folder(checkpoint.checkpoints(folder)[-1], MOST)
        model = reading.read_file(folder / layout.MODEL, MOST)
        lines = [json.loads(line) for line in reading.read_file(folder / layout.METRICS, MOST).splitlines()]
        results = reading.read_file(folder / layout.RESULTS, MOST)
    except (IndexError, FileNotFoundError, ValueError, reading.Damaged) as error:
        raise StorageError(f"{folder} cannot be compared: {error}") from error
    state = json.loads(files[checkpoint.STATE])
    for line in lines:
        line.pop("seconds", None)
    return {
        "weights": _of_tensors(files[checkpoint.WEIGHTS]),
        "optimizer": _of_tensors(files[checkpoint.OPTIMIZER]) + _of(state["optimizer"]),
        "scheduler and scaler": _of([state["scheduler"], state["scaler"]]),
        "steps, best step, patience": _of(state["progress"]),
        "best weights": _of_tensors(model),
        "metrics.jsonl, seconds aside": _of(lines),
        "results.csv": hashlib.sha256(results).hexdigest(),
    }


def _of_tensors(data: bytes) -> str:
    """Of sorted (name, dtype, shape, bytes)."""
    tensors: Mapping[str, Tensor] = safetensors.torch.load(data)
    digest = hashlib.sha256()
    for name, tensor in sorted(tensors.items()):
        digest.update(f"{name} {tensor.dtype} {tuple(tensor.shape)}".encode())
        digest.update(tensor.contiguous().reshape(-1).view(torch.uint8).numpy().tobytes())
    return digest.hexdigest()


def _of(value: object) -> str:
    return hashlib.sha256(json.dumps(value, sort_keys=True).encode()).hexdigest()
