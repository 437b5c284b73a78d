"""Distillation: a small network learns from labels, a third of which are wrong, and from a larger one, its teacher."""

import torch
from torch import Tensor, nn
from torch.nn import functional as F
from torch.utils.data import Dataset


class Net(nn.Module):
    def __init__(self, num_classes: int = 4, width: int = 32) -> None:
        super().__init__()
        self.layers = nn.Sequential(nn.Linear(8, width), nn.Tanh(), nn.Linear(width, num_classes))

    def forward(self, point: Tensor) -> Tensor:
        """point: (N, 8). Returns logits (N, classes)."""
        return self.layers(point)


def teacher() -> Net:
    """A network that knows: its weights are drawn once, and the true labels are what it says. In a real job its
    weights come from a file."""
    net, draw = Net(width=128), torch.Generator().manual_seed(0)
    with torch.no_grad():
        for parameter in net.parameters():
            parameter.copy_(torch.randn(parameter.shape, generator=draw) / 2)
    return net


class Points(Dataset):
    """Rows (point, label): point (8,) float32; label 0 to 3, which a third of the training rows have wrong."""

    classes = tuple("abcd")

    def __init__(self, num_rows: int = 1500) -> None:
        draw = torch.Generator().manual_seed(1)
        self.points = torch.randn(num_rows, 8, generator=draw)
        with torch.no_grad():
            truth = teacher()(self.points).argmax(1)
        wrong = torch.rand(num_rows, generator=draw) < 0.33
        wrong[1000:] = False
        self.labels = torch.where(wrong, torch.randint(0, 4, (num_rows,), generator=draw), truth)

    def __len__(self) -> int:
        return len(self.points)

    def __getitem__(self, row: int) -> tuple[Tensor, int]:
        return self.points[row], int(self.labels[row])

    def split(self) -> dict[str, range]:
        return {"val": range(1000, 1500)}


class Distillation(nn.Module):
    """Two terms: the label's cross-entropy, and the distance to what the teacher says about the same inputs."""

    def __init__(self, temperature: float = 3.0) -> None:
        super().__init__()
        self.teacher, self.temperature = teacher().requires_grad_(False), temperature

    def forward(self, prediction: Tensor, target: Tensor, inputs: Tensor) -> dict[str, Tensor]:
        truth = F.softmax(self.teacher(inputs) / self.temperature, 1)
        guess = F.log_softmax(prediction / self.temperature, 1)
        distance = F.kl_div(guess, truth, reduction="batchmean") * self.temperature**2
        return {"label": 0.1 * F.cross_entropy(prediction, target), "teacher": distance}
