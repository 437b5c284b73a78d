"""The loop of PyTorch's own tutorial: TensorDataset and DataLoader."""

from typing import Any

import job
import torch
from torch.nn import functional as F
from torch.utils.data import DataLoader, TensorDataset


def fit(model: torch.nn.Module, train: DataLoader[Any], val: DataLoader[Any], epochs: int) -> None:
    """Train, validate after each epoch, and print the report."""
    optimizer = torch.optim.Adam(model.parameters(), lr=job.LR)
    report = job.Report()
    for _ in range(epochs):
        total = 0.0
        for x, y in train:
            optimizer.zero_grad()
            loss = F.cross_entropy(model(x), y)
            loss.backward()
            optimizer.step()
            total += loss.item() * len(x)
        with torch.no_grad():
            val_loss = sum(float(F.cross_entropy(model(x), y, reduction="sum")) for x, y in val)
        report.epoch()
    report.end(total / len(train.dataset), val_loss / len(val.dataset))


if __name__ == "__main__":
    args = job.settings()
    x, y, val_x, val_y = job.tensors(args.digits)
    train = DataLoader(TensorDataset(x, y), args.batch, shuffle=True)
    fit(job.mlp(x.shape[1]), train, DataLoader(TensorDataset(val_x, val_y), 1024), args.epochs)
