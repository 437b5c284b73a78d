"""The same job as a plain PyTorch loop: python job.py, then python plain.py [SEED]"""

import sys
from pathlib import Path

import numpy as np
import torch
from job import CNN
from PIL import Image
from torch import nn


def main(seed: int) -> None:
    torch.manual_seed(seed)
    kinds = sorted(folder.name for folder in Path("pictures").iterdir())
    files = [(file, kinds.index(file.parent.name)) for file in sorted(Path("pictures").glob("*/*.png"))]
    x = torch.stack([torch.from_numpy(np.array(Image.open(file))) for file, _ in files]).permute(0, 3, 1, 2) / 255
    x = (x - torch.tensor([0.485, 0.456, 0.406]).view(3, 1, 1)) / torch.tensor([0.229, 0.224, 0.225]).view(3, 1, 1)
    y = torch.tensor([label for _, label in files])
    val, train = torch.randperm(len(x)).split([len(x) // 5, len(x) - len(x) // 5])
    model, loss_fn = CNN(3, 3), nn.CrossEntropyLoss()
    optimizer = torch.optim.AdamW(model.parameters(), lr=0.002)
    for _ in range(15):
        model.train()
        for rows in train[torch.randperm(len(train))].split(16):
            optimizer.zero_grad()
            prediction = model(x[rows])
            loss = loss_fn(prediction, y[rows])
            loss.backward()
            optimizer.step()
    model.eval()
    with torch.no_grad():
        accuracy = (model(x[val]).argmax(1) == y[val]).float().mean()
    print(f"val/acc {accuracy:.6f}")


main(int(sys.argv[1]) if len(sys.argv) > 1 else 0)
