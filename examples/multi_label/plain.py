"""The same job as a plain PyTorch loop: python plain.py [SEED]"""

import sys

import torch
from job import Net, Topics
from torch import nn
from torch.utils.data import DataLoader, Subset


def main(seed: int) -> None:
    torch.manual_seed(seed)
    data = Topics()
    train = DataLoader(Subset(data, range(800)), batch_size=32, shuffle=True)
    model, loss_fn = Net(30, 6), nn.BCEWithLogitsLoss()
    optimizer = torch.optim.AdamW(model.parameters(), lr=0.002)
    for _ in range(20):
        model.train()
        for x, y in train:
            optimizer.zero_grad()
            prediction = model(x)
            loss = loss_fn(prediction, y.float())
            loss.backward()
            optimizer.step()
    model.eval()
    x, y = next(iter(DataLoader(Subset(data, range(800, 1000)), batch_size=200)))
    with torch.no_grad():
        guess, truth = model(x) > 0, y == 1
    right = (guess & truth).sum(0)
    f1 = (2 * right / (guess.sum(0) + truth.sum(0))).mean()
    print(f"val/f1 {f1:.6f}")


main(int(sys.argv[1]) if len(sys.argv) > 1 else 0)
