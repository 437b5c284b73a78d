"""Digests of a run's results, times left out: equal digests, equal bits."""

import hashlib
import json
from pathlib import Path

import safetensors.torch
import torch

from trainer import checkpoint
from trainer.disk import digest, layout, reading
from trainer.errors import StorageError

MOST = 2**40  # bytes of one file; these are your own runs


def evidence(folder: Path) -> dict[str, str]:
    """{part: its sha256} for a run's last checkpoint, best weights and metrics. Raises StorageError."""
    try:
        files = reading.read_folder(checkpoint.checkpoints(folder)[-1], MOST)
        model = digest.read_tensors(folder / layout.MODEL, MOST)
        lines = [json.loads(line) for line in reading.read_file(folder / layout.METRICS, MOST).splitlines()]
        loss = digest.read_tensors(folder / layout.LOSS, MOST) if (folder / layout.LOSS).exists() else b""
        results = reading.read_file(folder / layout.RESULTS, MOST)
        calibration = folder / layout.CALIBRATION
        temperature = reading.read_file(calibration) if calibration.exists() else b""
    except (IndexError, FileNotFoundError, ValueError, reading.Damaged) as error:
        raise StorageError(f"{folder} cannot be compared: {error}") from error
    state = json.loads(files[checkpoint.STATE])
    average = _tensor_digest(files[checkpoint.AVERAGE]) if checkpoint.AVERAGE in files else ""
    lines = [{key: value for key, value in line.items() if key != "seconds"} for line in lines]
    return {
        "weights": _tensor_digest(files[checkpoint.WEIGHTS]),
        "optimizer": _tensor_digest(files[checkpoint.OPTIMIZER]) + _digest(state["optimizer"]),
        "scheduler and scaler": _digest([state["scheduler"], state["scaler"]]),
        **({"averaged weights": average} if average else {}),
        "steps, best step, patience": _digest(state["progress"]),
        "best weights": _tensor_digest(model) + (_tensor_digest(loss) if loss else ""),
        "metrics.jsonl, seconds aside": _digest(lines),
        "results.csv": hashlib.sha256(results).hexdigest(),
        **({layout.CALIBRATION: hashlib.sha256(temperature).hexdigest()} if temperature else {}),
    }


def _tensor_digest(data: bytes) -> str:
    """The sha256 of (name, dtype, shape, bytes) of the tensors in a safetensors file, sorted by name."""
    digest = hashlib.sha256()
    for name, tensor in sorted(safetensors.torch.load(data).items()):
        digest.update(f"{name} {tensor.dtype} {tuple(tensor.shape)}".encode())
        digest.update(tensor.contiguous().reshape(-1).view(torch.uint8).numpy().tobytes())
    return digest.hexdigest()


def _digest(value: object) -> str:
    return hashlib.sha256(json.dumps(value, sort_keys=True).encode()).hexdigest()
