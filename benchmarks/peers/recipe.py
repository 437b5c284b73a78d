"""The usual recipe: torchvision's MNIST with ToTensor and Normalize, and a DataLoader with as many workers as cores."""

import os
import struct
import tempfile
from pathlib import Path

import job
import torch
from plain import fit
from torch.utils.data import DataLoader
from torchvision import datasets, transforms


def write(folder: Path, name: str, x: torch.Tensor, y: torch.Tensor) -> None:
    """Write pictures and labels in MNIST's format."""
    (folder / f"{name}-images-idx3-ubyte").write_bytes(struct.pack(">4i", 2051, len(x), 28, 28) + x.numpy().tobytes())
    labels = y.to(torch.uint8).numpy().tobytes()
    (folder / f"{name}-labels-idx1-ubyte").write_bytes(struct.pack(">2i", 2049, len(y)) + labels)


def main() -> None:
    args = job.settings()
    x, y = job.pictures()
    with tempfile.TemporaryDirectory() as root:
        folder = Path(root) / "MNIST/raw"
        folder.mkdir(parents=True)
        write(folder, "train", x[10_000:], y[10_000:])
        write(folder, "t10k", x[:10_000], y[:10_000])
        transform = transforms.Compose([transforms.ToTensor(), transforms.Normalize((job.MEAN,), (job.STD,))])
        parts = [datasets.MNIST(root, train=train, transform=transform) for train in (True, False)]
    workers = {"num_workers": os.cpu_count() or 1, "persistent_workers": True}
    train, val = DataLoader(parts[0], args.batch, shuffle=True, **workers), DataLoader(parts[1], 1024, **workers)
    fit(job.mlp(784), train, val, args.epochs)


if __name__ == "__main__":
    main()
