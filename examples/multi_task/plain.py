"""The same job as a plain PyTorch loop: python plain.py [SEED]"""

import sys

import torch
from job import Net, Signals
from torch.nn import functional as F
from torch.utils.data import DataLoader, Subset


def main(seed: int) -> None:
    torch.manual_seed(seed)
    data = Signals()
    train = DataLoader(Subset(data, range(1000)), batch_size=32, shuffle=True)
    model = Net()
    optimizer = torch.optim.AdamW(model.parameters(), lr=0.002)
    for _ in range(10):
        model.train()
        for x, y in train:
            optimizer.zero_grad()
            prediction = model(x)
            kind = F.cross_entropy(prediction["kind"], y["kind"])
            speed = F.mse_loss(prediction["speed"], y["speed"])
            loss = kind + speed
            loss.backward()
            optimizer.step()
    model.eval()
    x, y = next(iter(DataLoader(Subset(data, range(1000, 1200)), batch_size=200)))
    with torch.no_grad():
        prediction = model(x)
        kind = F.cross_entropy(prediction["kind"], y["kind"])
        speed = F.mse_loss(prediction["speed"], y["speed"])
    print(f"val/loss {kind + speed:.6f}")


main(int(sys.argv[1]) if len(sys.argv) > 1 else 0)
