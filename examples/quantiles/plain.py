"""The same job as a plain PyTorch loop: python plain.py [SEED]"""

import sys

import torch
from job import Net, Pinball, Waits
from torch.utils.data import DataLoader, Subset


def main(seed: int) -> None:
    torch.manual_seed(seed)
    data = Waits()
    train = DataLoader(Subset(data, range(1200)), batch_size=32, shuffle=True)
    model, loss_fn = Net(), Pinball()
    optimizer = torch.optim.AdamW(model.parameters(), lr=0.005)
    for _ in range(20):
        model.train()
        for x, y in train:
            optimizer.zero_grad()
            prediction = model(x)
            loss = loss_fn(prediction, y)["loss"]
            loss.backward()
            optimizer.step()
    model.eval()
    x, y = next(iter(DataLoader(Subset(data, range(1200, 2000)), batch_size=800)))
    with torch.no_grad():
        loss = loss_fn(model(x), y)["loss"]
    print(f"val/loss {loss:.6f}")


main(int(sys.argv[1]) if len(sys.argv) > 1 else 0)
