"""The same job as a plain PyTorch loop: python plain.py [SEED]"""

import sys

import torch
from job import Net, Waits
from torch import Tensor
from torch.utils.data import DataLoader, Subset

QUANTILES = (0.1, 0.5, 0.9)


def pinball(prediction: Tensor, target: Tensor) -> Tensor:
    """prediction: (N, 3); target: (N, 1)."""
    level, error = torch.tensor(QUANTILES), target - prediction
    return torch.maximum(level * error, (level - 1) * error).mean()


def main(seed: int) -> None:
    torch.manual_seed(seed)
    data = Waits()
    train = DataLoader(Subset(data, range(1200)), batch_size=32, shuffle=True)
    model = Net(len(QUANTILES))
    optimizer = torch.optim.AdamW(model.parameters(), lr=0.005)
    for _ in range(20):
        model.train()
        for x, y in train:
            optimizer.zero_grad()
            prediction = model(x)
            loss = pinball(prediction, y)
            loss.backward()
            optimizer.step()
    model.eval()
    x, y = next(iter(DataLoader(Subset(data, range(1200, 2000)), batch_size=800)))
    with torch.no_grad():
        loss = pinball(model(x), y)
    print(f"val/loss {loss:.6f}")


main(int(sys.argv[1]) if len(sys.argv) > 1 else 0)
