"""MNIST's files, in their own format, with drawn pictures."""

import struct
from pathlib import Path

import numpy as np


def write_mnist(root: Path, num_train: int, num_test: int) -> None:
    """Files in the idx format, as LeCun's page describes it: magic, sizes, bytes."""
    folder = root / "MNIST" / "raw"
    folder.mkdir(parents=True)
    generator = np.random.default_rng(0)
    for name, rows in (("train", num_train), ("t10k", num_test)):
        images = generator.integers(0, 256, (rows, 28, 28), dtype=np.uint8)
        labels = np.arange(rows, dtype=np.uint8) % 10
        (folder / f"{name}-images-idx3-ubyte").write_bytes(struct.pack(">IIII", 2051, rows, 28, 28) + images.tobytes())
        (folder / f"{name}-labels-idx1-ubyte").write_bytes(struct.pack(">II", 2049, rows) + labels.tobytes())
