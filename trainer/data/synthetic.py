"""Data sets generated from a formula and a seed, in float64."""

from types import MappingProxyType

import numpy as np
import torch

from trainer.data.tensors import TensorData


class Line(TensorData):
    """y = 2x + 1 with noise: x (N, 1) uniform in [-2, 2], y (N, 1)."""

    truth = MappingProxyType({"w": 2.0, "b": 1.0})

    def __init__(self, num_points: int = 64, noise: float = 0.1, data_seed: int = 0) -> None:
        generator = np.random.default_rng(data_seed)
        x = generator.uniform(-2.0, 2.0, size=(num_points, 1))
        y = self.truth["w"] * x + self.truth["b"] + generator.normal(0.0, noise, size=(num_points, 1))
        super().__init__(torch.from_numpy(x), torch.from_numpy(y), source="generated")


class Spirals(TensorData):
    """Interleaved spiral arms: x (N, 2) within the unit circle before noise, y the arm."""

    def __init__(self, num_points: int = 600, num_classes: int = 3, noise: float = 0.1, data_seed: int = 0) -> None:
        generator = np.random.default_rng(data_seed)
        arm = np.arange(num_points) % num_classes
        radius = np.sqrt(generator.uniform(0.0, 1.0, size=num_points))
        angle = 2 * np.pi * (arm / num_classes + radius)
        x = radius[:, None] * np.stack([np.cos(angle), np.sin(angle)], axis=1)
        x += generator.normal(0.0, noise / 5, size=x.shape)
        names = [f"arm {index}" for index in range(num_classes)]
        super().__init__(torch.from_numpy(x), torch.from_numpy(arm), classes=names, source="generated")
