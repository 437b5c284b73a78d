"""The same job as a plain PyTorch loop: python plain.py [SEED]"""

import sys

import torch
from job import Classifier, Movements
from torch import nn
from torch.utils.data import DataLoader, Subset


def main(seed: int) -> None:
    torch.manual_seed(seed)
    data = Movements()
    train = DataLoader(Subset(data, range(600)), batch_size=32, shuffle=True)
    model, loss_fn = Classifier(3), nn.CrossEntropyLoss()
    optimizer = torch.optim.AdamW(model.parameters(), lr=0.005)
    for _ in range(15):
        model.train()
        for x, y in train:
            optimizer.zero_grad()
            prediction, _ = model(x)
            loss = loss_fn(prediction, y)
            loss.backward()
            optimizer.step()
    model.eval()
    x, y = next(iter(DataLoader(Subset(data, range(600, 900)), batch_size=300)))
    with torch.no_grad():
        accuracy = (model(x)[0].argmax(1) == y).float().mean()
    print(f"val/acc {accuracy:.6f}")


main(int(sys.argv[1]) if len(sys.argv) > 1 else 0)
