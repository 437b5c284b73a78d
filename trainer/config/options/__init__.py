"""The keyword arguments of what trainer ships, one file a group. TARGETS names them by `_target_`.

A class that is not in TARGETS is checked against its own signature when it is built (config/target.py).
"""

from trainer.config.options import dataset, loss, model, optimizer, scheduler
from trainer.config.options.dataset import DatasetKeys as DatasetKeys

TARGETS: dict[str, type] = {
    **dataset.TARGETS,
    **model.TARGETS,
    **loss.TARGETS,
    **optimizer.TARGETS,
    **scheduler.TARGETS,
}
