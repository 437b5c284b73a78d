"""Jobs of a sweep that take long while a file `slow` lies in their folder, for tests that disturb them."""

import subprocess
from functools import partial
from pathlib import Path

import live_run

until = partial(live_run.until, seconds=180)  # a job imports torch, and is one of many processes
SLOW = """
import os, time
from torch import nn

class Net(nn.Module):
    def __init__(self, in_features, out_features):
        super().__init__()
        self.layers = nn.Sequential(nn.Flatten(), nn.Linear(in_features, 16), nn.Dropout(), nn.Linear(16, out_features))

    def forward(self, x):
        if os.path.exists("slow"):
            time.sleep(0.1)
        return self.layers(x)
"""
JOB = ["model=own", "model._target_=net.Net", "max_steps=500", "threads=1", "report=false", "log_every=1"]


def ended(sweep: "subprocess.Popen[str]") -> tuple[int, str, str]:
    out, err = sweep.communicate(timeout=180)
    return sweep.returncode, out, err


def sweep_of(folder: Path) -> Path:
    until(lambda: list(folder.glob("outputs/sweeps/*/*/sweep.json")))
    return next(folder.glob("outputs/sweeps/*/*"))


def until_training(folder: Path, *numbers: int) -> None:
    for number in numbers:
        path = sweep_of(folder) / f"{number:03d}/metrics.jsonl"
        until(lambda path=path: path.exists() and path.stat().st_size)


def bits(folder: Path) -> bytes:
    return (folder / "model.safetensors").read_bytes()
