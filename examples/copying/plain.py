"""The same job as a plain PyTorch loop: python plain.py [SEED]"""

import sys

import torch
from job import Copier, Copies
from torch import nn
from torch.utils.data import DataLoader, Subset


def main(seed: int) -> None:
    torch.manual_seed(seed)
    data = Copies()
    train = DataLoader(Subset(data, range(1300)), batch_size=32, shuffle=True)
    model, loss_fn = Copier(10), nn.CrossEntropyLoss()
    optimizer = torch.optim.AdamW(model.parameters(), lr=0.01)
    for _ in range(7):
        model.train()
        for batch in train:
            optimizer.zero_grad()
            prediction = model(batch["source"], batch["prefix"])
            loss = loss_fn(prediction.flatten(0, 1), batch["target"].flatten())
            loss.backward()
            optimizer.step()
    model.eval()
    batch = next(iter(DataLoader(Subset(data, range(1300, 1500)), batch_size=200)))
    with torch.no_grad():
        accuracy = (model(batch["source"], batch["prefix"]).argmax(2) == batch["target"]).float().mean()
    print(f"val/acc {accuracy:.6f}")


main(int(sys.argv[1]) if len(sys.argv) > 1 else 0)
