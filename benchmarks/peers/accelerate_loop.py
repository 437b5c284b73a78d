"""Accelerate: its README's loop, TensorDataset and DataLoader."""

import job
import torch
from accelerate import Accelerator
from torch.nn import functional as F
from torch.utils.data import DataLoader, TensorDataset

args = job.settings()
x, y, val_x, val_y = job.tensors(args.digits)
accelerator = Accelerator(cpu=True)
model = job.mlp(x.shape[1])
optimizer = torch.optim.Adam(model.parameters(), lr=job.LR)
train, val = DataLoader(TensorDataset(x, y), args.batch, shuffle=True), DataLoader(TensorDataset(val_x, val_y), 1024)
model, optimizer, train, val = accelerator.prepare(model, optimizer, train, val)
report = job.Report()
for _ in range(args.epochs):
    total = torch.zeros(())
    for batch, target in train:
        optimizer.zero_grad()
        loss = F.cross_entropy(model(batch), target)
        accelerator.backward(loss)
        optimizer.step()
        total += loss.detach() * len(batch)
    with torch.no_grad():
        val_loss = sum(float(F.cross_entropy(model(a), b, reduction="sum")) for a, b in val) / len(val_x)
    report.epoch()
report.end(total / len(x), val_loss)
