"""The same job as a plain PyTorch loop: python plain.py [SEED]"""

import sys

import torch
from job import Autoencoder, Spots
from torch import nn
from torch.utils.data import DataLoader, Subset


def main(seed: int) -> None:
    torch.manual_seed(seed)
    data = Spots()
    train = DataLoader(Subset(data, range(800)), batch_size=32, shuffle=True)
    model, loss_fn = Autoencoder(), nn.MSELoss()
    optimizer = torch.optim.AdamW(model.parameters(), lr=0.005)
    for _ in range(30):
        model.train()
        for x in train:
            optimizer.zero_grad()
            prediction = model(x)
            loss = loss_fn(prediction, x)
            loss.backward()
            optimizer.step()
    model.eval()
    x = next(iter(DataLoader(Subset(data, range(800, 1000)), batch_size=200)))
    with torch.no_grad():
        mse = (model(x) - x).square().mean()
    print(f"val/mse {mse:.8f}")


main(int(sys.argv[1]) if len(sys.argv) > 1 else 0)
