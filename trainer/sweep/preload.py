"""Imports that the fork server makes once, so that a job starts in milliseconds: torch, and the parts that train.

Nothing here may start a thread pool or a device: a forked process inherits neither. The garbage collector skips what
is imported here; otherwise a collection in a job would write to, and so copy, every page shared with the server.
"""

from trainer.processes import environment, parent_death
from trainer.processes.torch_import import uncollected

with uncollected(announced=False):
    import numpy.ctypeslib
    import numpy.random

    from trainer.data import embedded
    from trainer.models import mlp
    from trainer.run import launch, summary
    from trainer.sweep import job

__all__ = ["embedded", "job", "launch", "mlp", "numpy"]  # the slow imports

environment.forget_safe_path()
parent_death.die_with_it()
summary.versions()
