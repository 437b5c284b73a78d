"""The same job as a plain PyTorch loop: python plain.py [SEED]"""

import sys

import torch
from job import Likes, Towers
from torch import nn
from torch.utils.data import DataLoader, Subset


def main(seed: int) -> None:
    torch.manual_seed(seed)
    data = Likes()
    train = DataLoader(Subset(data, data.order[:2400]), batch_size=32, shuffle=True)
    val = DataLoader(Subset(data, data.order[2400:]), batch_size=600)
    model, loss_fn = Towers(), nn.BCEWithLogitsLoss()
    optimizer = torch.optim.AdamW(model.parameters(), lr=0.005, weight_decay=0.1)
    for _ in range(10):
        model.train()
        for batch in train:
            optimizer.zero_grad()
            prediction = model(batch["user"], batch["item"])
            loss = loss_fn(prediction, batch["label"])
            loss.backward()
            optimizer.step()
    model.eval()
    batch = next(iter(val))
    with torch.no_grad():
        guess, truth = model(batch["user"], batch["item"]) > 0, batch["label"] == 1
    f1 = 2 * (guess & truth).sum() / (guess.sum() + truth.sum())
    print(f"val/f1 {f1:.6f}")


main(int(sys.argv[1]) if len(sys.argv) > 1 else 0)
