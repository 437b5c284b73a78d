"""The same sweep with Hydra's basic launcher and Lightning: benchmarks/sweep.py times it.

    python benchmarks/lightning_sweep.py -m lr=1e-4,3e-4 seed=0,1

Like trainer it writes a log of metrics and a checkpoint; there is no bar, no sanity check and no model summary.
"""

from dataclasses import dataclass

import hydra
import lightning
import torch
from hydra.core.config_store import ConfigStore
from hydra.core.hydra_config import HydraConfig
from lightning.pytorch.loggers import CSVLogger
from torch import Tensor, nn
from torch.nn import functional as F
from torch.utils.data import DataLoader, TensorDataset

from trainer.data.embedded import Digits


@dataclass
class Settings:
    lr: float = 1e-3
    seed: int = 0
    epochs: int = 20


class Net(lightning.LightningModule):
    def __init__(self, lr: float) -> None:
        super().__init__()
        self.lr = lr
        self.layers = nn.Sequential(nn.Flatten(), nn.Linear(64, 128), nn.ReLU(), nn.Linear(128, 10))

    def training_step(self, batch: tuple[Tensor, Tensor], index: int) -> Tensor:
        x, y = batch
        loss = F.cross_entropy(self.layers(x), y)
        self.log("train/loss", loss)
        return loss

    def validation_step(self, batch: tuple[Tensor, Tensor], index: int) -> None:
        x, y = batch
        logits = self.layers(x)
        self.log_dict({"val/loss": F.cross_entropy(logits, y), "val/acc": (logits.argmax(1) == y).float().mean()})

    def configure_optimizers(self) -> torch.optim.Optimizer:
        return torch.optim.AdamW(self.parameters(), lr=self.lr)


ConfigStore.instance().store(name="settings", node=Settings)


@hydra.main(version_base="1.3", config_path=None, config_name="settings")
def main(settings: Settings) -> None:
    lightning.seed_everything(settings.seed, verbose=False)
    data = Digits()
    x, y = data.x.float() / 16, data.y.long()
    train, val = TensorDataset(x[:1438], y[:1438]), TensorDataset(x[1438:], y[1438:])
    folder = HydraConfig.get().runtime.output_dir
    quiet = {"enable_progress_bar": False, "enable_model_summary": False, "num_sanity_val_steps": 0}
    log = {"logger": CSVLogger(folder), "log_every_n_steps": 10}
    trainer = lightning.Trainer(accelerator="cpu", max_epochs=settings.epochs, **quiet, **log)
    trainer.fit(Net(settings.lr), DataLoader(train, 64, shuffle=True), DataLoader(val, 1024))


if __name__ == "__main__":
    main()
