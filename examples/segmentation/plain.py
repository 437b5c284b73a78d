"""The same job as a plain PyTorch loop: python plain.py [SEED]"""

import sys

import torch
from job import IGNORED, Net, Shapes
from torch import nn
from torch.utils.data import DataLoader, Subset


def main(seed: int) -> None:
    torch.manual_seed(seed)
    data = Shapes()
    train = DataLoader(Subset(data, range(300)), batch_size=16, shuffle=True)
    model, loss_fn = Net(1, 3), nn.CrossEntropyLoss(ignore_index=IGNORED)
    optimizer = torch.optim.AdamW(model.parameters(), lr=0.006)
    for _ in range(25):
        model.train()
        for x, y in train:
            optimizer.zero_grad()
            prediction = model(x)
            loss = loss_fn(prediction, y)
            loss.backward()
            optimizer.step()
    model.eval()
    x, y = next(iter(DataLoader(Subset(data, range(300, 400)), batch_size=100)))
    with torch.no_grad():
        guess = model(x).argmax(1)
    counts, each = y != IGNORED, []
    for label in range(3):
        both = ((guess == label) & (y == label) & counts).sum()
        either = (((guess == label) | (y == label)) & counts).sum()
        each.append(both / either)
    print(f"val/iou {sum(each) / 3:.6f}")


main(int(sys.argv[1]) if len(sys.argv) > 1 else 0)
