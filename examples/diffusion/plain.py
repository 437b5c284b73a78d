"""The same job as a plain PyTorch loop: python plain.py [SEED]"""

import sys

import torch
from job import Denoiser, Ring
from torch import nn
from torch.utils.data import DataLoader, Subset


def main(seed: int) -> None:
    torch.manual_seed(seed)
    data = Ring()
    train = DataLoader(Subset(data, range(1000)), batch_size=32, shuffle=True)
    model, loss_fn = Denoiser(), nn.MSELoss()
    optimizer = torch.optim.AdamW(model.parameters(), lr=0.005)
    for _ in range(20):
        model.train()
        for x, noise in train:
            optimizer.zero_grad()
            prediction = model(x["point"], x["time"])
            loss = loss_fn(prediction, noise)
            loss.backward()
            optimizer.step()
    model.eval()
    x, noise = next(iter(DataLoader(Subset(data, range(1000, 2000)), batch_size=1000)))
    with torch.no_grad():
        loss = loss_fn(model(x["point"], x["time"]), noise)
    print(f"val/loss {loss:.6f}")


main(int(sys.argv[1]) if len(sys.argv) > 1 else 0)
