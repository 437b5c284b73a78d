"""The same job as a plain PyTorch loop: python plain.py [SEED]. It needs scikit-learn, for the digits."""

import sys

import torch
from job import MLP
from sklearn.datasets import load_digits
from torch import nn


def main(seed: int) -> None:
    torch.manual_seed(seed)
    digits = load_digits()
    x, y = torch.tensor(digits.images, dtype=torch.float32), torch.tensor(digits.target)
    val, train = torch.randperm(len(x)).split([len(x) // 5, len(x) - len(x) // 5])
    x = (x - x[train].mean()) / x[train].std()
    model, loss_fn = MLP(64, 10), nn.CrossEntropyLoss()
    optimizer = torch.optim.AdamW(model.parameters(), lr=0.002)
    for _ in range(20):
        model.train()
        for rows in train[torch.randperm(len(train))].split(32):
            optimizer.zero_grad()
            prediction = model(x[rows])
            loss = loss_fn(prediction, y[rows])
            loss.backward()
            optimizer.step()
    model.eval()
    with torch.no_grad():
        accuracy = (model(x[val]).argmax(1) == y[val]).float().mean()
    print(f"val/acc {accuracy:.6f}")


main(int(sys.argv[1]) if len(sys.argv) > 1 else 0)
