"""The same job as a plain PyTorch loop: python plain.py [SEED]"""

import sys

import torch
from job import Encoder, InfoNCE, Views
from torch.utils.data import DataLoader, Subset


def main(seed: int) -> None:
    torch.manual_seed(seed)
    data = Views()
    train = DataLoader(Subset(data, range(800)), batch_size=50, shuffle=True)
    model, loss_fn = Encoder(), InfoNCE()
    optimizer = torch.optim.AdamW([*model.parameters(), *loss_fn.parameters()], lr=0.002)
    for _ in range(15):
        model.train()
        for one, other in train:
            optimizer.zero_grad()
            prediction = model(one, other)
            loss = loss_fn(prediction, None)["loss"]
            loss.backward()
            optimizer.step()
    model.eval()
    one, other = next(iter(DataLoader(Subset(data, range(800, 1000)), batch_size=200)))
    with torch.no_grad():
        loss = loss_fn(model(one, other), None)["loss"]
    print(f"val/loss {loss:.6f}")


main(int(sys.argv[1]) if len(sys.argv) > 1 else 0)
