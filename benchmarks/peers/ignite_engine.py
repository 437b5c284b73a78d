"""Ignite: its supervised trainer and evaluator, TensorDataset and DataLoader."""

import job
import torch
from ignite.engine import Events, create_supervised_evaluator, create_supervised_trainer
from ignite.metrics import Loss, RunningAverage
from torch import nn
from torch.utils.data import DataLoader, TensorDataset

args = job.settings()
x, y, val_x, val_y = job.tensors(args.digits)
train, val = DataLoader(TensorDataset(x, y), args.batch, shuffle=True), DataLoader(TensorDataset(val_x, val_y), 1024)
model, loss_fn = job.mlp(x.shape[1]), nn.CrossEntropyLoss()
optimizer = torch.optim.Adam(model.parameters(), lr=job.LR)
engine = create_supervised_trainer(model, optimizer, loss_fn)
evaluator = create_supervised_evaluator(model, metrics={"loss": Loss(loss_fn)})
RunningAverage(output_transform=lambda loss: loss).attach(engine, "loss")
report = job.Report()


@engine.on(Events.EPOCH_COMPLETED)
def validate() -> None:
    evaluator.run(val)
    report.epoch()


engine.run(train, max_epochs=args.epochs)
report.end(engine.state.metrics["loss"], evaluator.state.metrics["loss"])
