"""Lightning: its Trainer with all extras off (bar, logger, checkpoints, sanity check), TensorDataset and DataLoader."""

import job
import lightning
import torch
from torch import Tensor
from torch.nn import functional as F
from torch.utils.data import DataLoader, TensorDataset


class Net(lightning.LightningModule):
    def __init__(self, features: int) -> None:
        super().__init__()
        self.layers = job.mlp(features)

    def training_step(self, batch: tuple[Tensor, Tensor], index: int) -> Tensor:
        x, y = batch
        loss = F.cross_entropy(self.layers(x), y)
        self.log("loss", loss, on_step=False, on_epoch=True)
        return loss

    def validation_step(self, batch: tuple[Tensor, Tensor], index: int) -> None:
        x, y = batch
        self.log("val_loss", F.cross_entropy(self.layers(x), y))

    def on_train_start(self) -> None:
        self.report = job.Report()

    def on_train_epoch_end(self) -> None:
        self.report.epoch()

    def configure_optimizers(self) -> torch.optim.Optimizer:
        return torch.optim.Adam(self.parameters(), lr=job.LR)


args = job.settings()
x, y, val_x, val_y = job.tensors(args.digits)
extras = ("logger", "enable_checkpointing", "enable_progress_bar", "enable_model_summary")
off = dict.fromkeys(extras, False)
trainer = lightning.Trainer(accelerator="auto", max_epochs=args.epochs, num_sanity_val_steps=0, **off)
net = Net(x.shape[1])
train = DataLoader(TensorDataset(x, y), args.batch, shuffle=True)
trainer.fit(net, train, DataLoader(TensorDataset(val_x, val_y), 1024))
torch.save(net.state_dict(), "model.pt")
net.report.end(trainer.callback_metrics["loss"], trainer.callback_metrics["val_loss"])
