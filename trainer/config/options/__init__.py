"""The keyword arguments of the classes that trainer ships, one file a group.

A class that is not in SCHEMAS is checked against its own signature when it is built (config/target.py).
"""

from trainer.config.options import dataset, loss, model, optimizer, scheduler
from trainer.config.options.dataset import DatasetKeys as DatasetKeys

# {`_target_`: the dataclass of its keys}
SCHEMAS = dataset.SCHEMAS | model.SCHEMAS | loss.SCHEMAS | optimizer.SCHEMAS | scheduler.SCHEMAS
