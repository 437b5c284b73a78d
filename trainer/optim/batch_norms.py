"""The statistics of batch norms, measured again for averaged weights: no average of statistics fits those."""

from collections.abc import Iterator
from contextlib import contextmanager

from torch import nn

from trainer.optim.freezing import BATCH_NORMS


@contextmanager
def measuring(model: nn.Module) -> Iterator[bool]:
    """Within: the model is in training mode, and its batch norms begin with no statistics and weigh each batch alike,
    as in torch.optim.swa_utils.update_bn. Those that are kept in eval mode, since they are frozen, keep theirs.

    Yields whether there is anything to measure.
    """
    model.train()
    norms = [m for m in model.modules() if isinstance(m, BATCH_NORMS) and m.training and m.track_running_stats]
    momenta = [norm.momentum for norm in norms]
    for norm in norms:
        norm.reset_running_stats()
        norm.momentum = None
    try:
        yield bool(norms)
    finally:
        for norm, momentum in zip(norms, momenta, strict=True):
            norm.momentum = momentum
