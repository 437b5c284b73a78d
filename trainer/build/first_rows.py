"""A model that begins from its training data: its method init_from_data gets the first rows."""

import torch
from torch import nn

from trainer.config.schema import Config
from trainer.data import seeds
from trainer.data.batches import epoch_order
from trainer.data.splits import Split
from trainer.data.workers import Workers
from trainer.device import seed_all
from trainer.errors import ConfigError, TrainerError, described, place

MOST = 1_000  # rows
METHOD = "init_from_data"


@torch.no_grad()
def init_from_data(model: nn.Module, train: Split, config: Config) -> None:
    """Call the model's init_from_data, if it has one, with the input of the first rows of epoch 0 before any
    augmentation, on every rank the same. Raises ConfigError where it fails.

    A resume calls it too, and then loads its checkpoint, if there is one.
    """
    init = getattr(model, METHOD, None)
    if init is None:
        return
    order = epoch_order(train.loader, train.num_rows, config.seed, 0, shuffle=config.loader.shuffle)
    rows, loader = order.split(MOST)[0], train.loader
    if isinstance(loader, Workers):
        batch, _ = loader.unaugmented().read(rows.tolist())
    else:
        (batch,) = loader.fetch([rows], 0)
    inputs, _ = loader.load(batch)
    seed_all(seeds.derive(config.seed, METHOD))
    try:
        init(inputs)
    except TrainerError:
        raise
    except Exception as error:
        text = f"{type(model).__name__}.{METHOD} failed on {len(rows):,} rows: {described(error)}{place(error)}"
        raise ConfigError(text) from error
