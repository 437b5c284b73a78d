"""The same job as a plain PyTorch loop: python plain.py [SEED]"""

import sys

import torch
from job import IGNORED, Sentences, Tagger
from torch import nn
from torch.utils.data import DataLoader, Subset


def main(seed: int) -> None:
    torch.manual_seed(seed)
    data = Sentences()
    train = DataLoader(Subset(data, range(800)), batch_size=32, shuffle=True, collate_fn=data.collate_fn)
    val = DataLoader(Subset(data, range(800, 1000)), batch_size=100, collate_fn=data.collate_fn)
    model, loss_fn = Tagger(3), nn.CrossEntropyLoss(ignore_index=IGNORED)
    optimizer = torch.optim.AdamW(model.parameters(), lr=0.005)
    for _ in range(12):
        model.train()
        for batch in train:
            optimizer.zero_grad()
            prediction = model(batch["tokens"], batch["mask"])
            loss = loss_fn(prediction.flatten(0, 1), batch["labels"].flatten())
            loss.backward()
            optimizer.step()
    model.eval()
    right = words = 0
    with torch.no_grad():
        for batch in val:
            guess = model(batch["tokens"], batch["mask"]).argmax(2)
            right += ((guess == batch["labels"]) & batch["mask"]).sum().item()
            words += batch["mask"].sum().item()
    print(f"val/acc {right / words:.6f}")


main(int(sys.argv[1]) if len(sys.argv) > 1 else 0)
