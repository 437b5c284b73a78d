"""The same job as a plain PyTorch loop: python plain.py [SEED]"""

import sys

import torch
from job import IGNORED, Echoes, Encoder
from torch import nn
from torch.utils.data import DataLoader, Subset


def main(seed: int) -> None:
    torch.manual_seed(seed)
    data = Echoes()
    train = DataLoader(Subset(data, range(1000)), batch_size=32, shuffle=True)
    model, loss_fn = Encoder(8), nn.CrossEntropyLoss(ignore_index=IGNORED)
    optimizer = torch.optim.AdamW(model.parameters(), lr=0.005)
    scheduler = torch.optim.lr_scheduler.CosineAnnealingLR(optimizer, 12 * len(train))
    for _ in range(12):
        model.train()
        for batch in train:
            optimizer.zero_grad()
            prediction = model(batch["tokens"])
            loss = loss_fn(prediction.flatten(0, 1), batch["labels"].flatten())
            loss.backward()
            optimizer.step()
            scheduler.step()
    model.eval()
    batch = next(iter(DataLoader(Subset(data, range(1000, 1600)), batch_size=600)))
    hidden = batch["labels"] != IGNORED
    with torch.no_grad():
        accuracy = (model(batch["tokens"]).argmax(2) == batch["labels"])[hidden].float().mean()
    print(f"val/acc {accuracy:.6f}")


main(int(sys.argv[1]) if len(sys.argv) > 1 else 0)
