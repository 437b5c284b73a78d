"""The same job as a plain PyTorch loop: python plain.py [SEED]"""

import sys

import torch
from job import GPT, Text
from torch import nn
from torch.utils.data import DataLoader, Subset


def main(seed: int) -> None:
    torch.manual_seed(seed)
    data = Text()
    first = len(data) * 9 // 10
    train = DataLoader(Subset(data, range(first)), batch_size=32, shuffle=True)
    val = DataLoader(Subset(data, range(first, len(data))), batch_size=len(data))
    model, loss_fn = GPT(len(data.characters)), nn.CrossEntropyLoss()
    optimizer = torch.optim.AdamW(model.parameters(), lr=0.004)
    for _ in range(16):
        model.train()
        for x, y in train:
            optimizer.zero_grad()
            prediction = model(x)
            loss = loss_fn(prediction.flatten(0, 1), y.flatten())
            loss.backward()
            optimizer.step()
    model.eval()
    x, y = next(iter(val))
    with torch.no_grad():
        loss = loss_fn(model(x).flatten(0, 1), y.flatten())
    print(f"val/loss {loss:.6f}")


main(int(sys.argv[1]) if len(sys.argv) > 1 else 0)
