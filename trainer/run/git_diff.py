"""git.diff: what differs from the last commit where the command was typed, so that a run's code can be had again."""

import subprocess
from functools import cache
from pathlib import Path

from trainer.disk import layout, storage
from trainer.errors import complain

MOST = 10 * 2**20  # bytes


@cache
def changes() -> bytes:
    """The diff of all tracked files to the last commit; b'' where there is none, and outside a repository.

    git runs what the repository's own settings name: do not call it for a stranger's folder.
    """
    command = ["git", "diff", "HEAD", "--binary", "--no-color", "--no-ext-diff", "--no-textconv"]
    try:
        return subprocess.run(command, capture_output=True, timeout=5, check=True).stdout  # noqa: S603
    except (OSError, subprocess.SubprocessError):
        return b""


def write(folder: Path) -> None:
    """Write RUN/git.diff if something has not been committed; a warning in its place if it is very long."""
    if len(diff := changes()) > MOST:
        complain(f"warning: {layout.GIT_DIFF} would take {len(diff) / 1e6:.0f} MB and is not written: commit first")
    elif diff:
        storage.write_file(folder / layout.GIT_DIFF, diff)
