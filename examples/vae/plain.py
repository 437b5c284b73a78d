"""The same job as a plain PyTorch loop: python plain.py [SEED]"""

import sys

import torch
from job import VAE, Crosses, Evidence
from torch.utils.data import DataLoader, Subset


def main(seed: int) -> None:
    torch.manual_seed(seed)
    data = Crosses()
    train = DataLoader(Subset(data, range(800)), batch_size=32, shuffle=True)
    model, loss_fn = VAE(), Evidence()
    optimizer = torch.optim.AdamW(model.parameters(), lr=0.005)
    for _ in range(30):
        model.train()
        for x in train:
            optimizer.zero_grad()
            prediction = model(x)
            terms = loss_fn(prediction, x)
            loss = terms["reconstruction"] + terms["divergence"]
            loss.backward()
            optimizer.step()
    model.eval()
    x = next(iter(DataLoader(Subset(data, range(800, 1000)), batch_size=200)))
    with torch.no_grad():
        loss = sum(loss_fn(model(x), x).values())
    print(f"val/loss {loss:.6f}")


main(int(sys.argv[1]) if len(sys.argv) > 1 else 0)
