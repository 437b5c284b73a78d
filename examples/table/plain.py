"""The same job as a plain PyTorch loop: python job.py, then python plain.py [SEED]"""

import csv
import sys

import torch
from job import Net
from torch import nn


def main(seed: int) -> None:
    torch.manual_seed(seed)
    with open("flats.csv") as file:
        table = list(csv.DictReader(file))
    words = sorted({row["district"] for row in table})
    numbers = torch.tensor([[float(row[name]) for name in ("area", "rooms", "age")] for row in table])
    one_hot = torch.tensor([[float(row["district"] == word) for word in words] for row in table])
    price = torch.tensor([[float(row["price"])] for row in table])
    val, train = torch.randperm(len(table)).split([len(table) // 5, len(table) - len(table) // 5])
    x = torch.cat([(numbers - numbers[train].mean(0)) / numbers[train].std(0), one_hot], 1)
    y = (price - price[train].mean()) / price[train].std()
    model, loss_fn = Net(7, 1), nn.MSELoss()
    optimizer = torch.optim.AdamW(model.parameters(), lr=0.01)
    for _ in range(40):
        model.train()
        for rows in train[torch.randperm(len(train))].split(32):
            optimizer.zero_grad()
            prediction = model(x[rows])
            loss = loss_fn(prediction, y[rows])
            loss.backward()
            optimizer.step()
    model.eval()
    with torch.no_grad():
        r2 = 1 - (model(x[val]) - y[val]).square().sum() / (y[val] - y[val].mean()).square().sum()
    print(f"val/r2 {r2:.6f}")


main(int(sys.argv[1]) if len(sys.argv) > 1 else 0)
