"""The same job as a plain PyTorch loop: python plain.py [SEED]"""

import sys

import torch
from job import Net, Windows
from torch import nn
from torch.utils.data import DataLoader, Subset


def main(seed: int) -> None:
    torch.manual_seed(seed)
    data = Windows()
    train = DataLoader(Subset(data, range(1100 - 42)), batch_size=32, shuffle=True)
    val = DataLoader(Subset(data, range(1100, len(data))), batch_size=len(data))
    model, loss_fn = Net(36, 6), nn.MSELoss()
    optimizer = torch.optim.AdamW(model.parameters(), lr=0.002)
    for _ in range(15):
        model.train()
        for x, y in train:
            optimizer.zero_grad()
            prediction = model(x)
            loss = loss_fn(prediction, y)
            loss.backward()
            optimizer.step()
    model.eval()
    x, y = next(iter(val))
    with torch.no_grad():
        mae = (model(x) - y).abs().mean()
    print(f"val/mae {mae:.6f}")


main(int(sys.argv[1]) if len(sys.argv) > 1 else 0)
