"""What the fork server imports once, so that a job starts in milliseconds: torch, and all of trainer that trains.

Nothing here may start a thread pool or a device: a forked process inherits neither.
"""

from trainer import launch, parent, summary

__all__ = ["launch"]  # what takes the time

parent.die_with_it()
summary.versions()
summary.git_commit()
