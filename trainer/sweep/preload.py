"""What the fork server imports once, so that a job starts in milliseconds: torch, and all of trainer that trains.

Nothing here may start a thread pool or a device: a forked process inherits neither. A collection in a job would write
to, and so copy, every page that it shares with the server; it leaves alone what was imported.
"""

from trainer.processes import parent_death
from trainer.processes.torch_import import uncollected

with uncollected():
    import numpy.ctypeslib
    import numpy.random

    from trainer.data import embedded
    from trainer.models import mlp
    from trainer.run import launch, summary
    from trainer.sweep import job

__all__ = ["embedded", "job", "launch", "mlp", "numpy"]  # what takes the time

parent_death.die_with_it()
summary.versions()
summary.git_commit()
