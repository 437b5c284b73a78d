"""What the fork server imports once, so that a job starts in milliseconds: torch, an optimizer, trainer itself.

Nothing here may start a thread pool or a device: a forked process inherits neither.
"""

import torch

from trainer import parent, summary

parent.die_with_it()
torch.optim.AdamW([torch.zeros(1)])  # a process's first optimizer imports torch._dynamo, which takes a second
summary.versions()
summary.git_commit()
