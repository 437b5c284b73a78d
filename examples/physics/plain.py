"""The same job as a plain PyTorch loop: python plain.py [SEED]"""

import sys

import torch
from job import Spring, Times
from torch.utils.data import DataLoader, Subset


def main(seed: int) -> None:
    torch.manual_seed(seed)
    data = Times()
    train = DataLoader(Subset(data, range(300)), batch_size=32, shuffle=True)
    model = Spring()
    optimizer = torch.optim.AdamW(model.parameters(), lr=0.01)
    scheduler = torch.optim.lr_scheduler.CosineAnnealingLR(optimizer, 120 * len(train))
    for _ in range(120):
        model.train()
        for time, _ in train:
            optimizer.zero_grad()
            prediction = model(time)
            loss = prediction["residual"].square().mean()
            loss.backward()
            optimizer.step()
            scheduler.step()
    model.eval()
    time, truth = next(iter(DataLoader(Subset(data, range(300, 400)), batch_size=100)))
    r2 = 1 - (model(time)["place"] - truth).square().sum() / (truth - truth.mean()).square().sum()
    print(f"val/r2 {r2:.8f}")


main(int(sys.argv[1]) if len(sys.argv) > 1 else 0)
