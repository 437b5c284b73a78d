"""The same job as a plain PyTorch loop: python plain.py [SEED]"""

import sys

import torch
from job import Distillation, Net, Points
from torch.utils.data import DataLoader, Subset


def main(seed: int) -> None:
    torch.manual_seed(seed)
    data = Points()
    train = DataLoader(Subset(data, range(1000)), batch_size=32, shuffle=True)
    model, loss_fn = Net(), Distillation()
    optimizer = torch.optim.AdamW(model.parameters(), lr=0.01)
    for _ in range(20):
        model.train()
        for x, y in train:
            optimizer.zero_grad()
            prediction = model(x)
            terms = loss_fn(prediction, y, inputs=x)
            loss = terms["label"] + terms["teacher"]
            loss.backward()
            optimizer.step()
    model.eval()
    x, y = next(iter(DataLoader(Subset(data, range(1000, 1500)), batch_size=500)))
    with torch.no_grad():
        accuracy = (model(x).argmax(1) == y).float().mean()
    print(f"val/acc {accuracy:.6f}")


main(int(sys.argv[1]) if len(sys.argv) > 1 else 0)
