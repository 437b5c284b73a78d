"""git.diff: what differs from the last commit where the command was typed, so that a run's code can be had again."""

import subprocess
from functools import cache
from pathlib import Path

from trainer.disk import layout, storage
from trainer.errors import complain

MOST = 10 * 2**20  # bytes
PATIENCE = 5  # seconds
COMMAND = (  # the same whatever the user has set, so that `git apply` takes it
    *("git", "-c", "core.fsmonitor=false", "diff", "HEAD", "--binary", "--no-color", "--no-ext-diff", "--no-textconv"),
    *("--src-prefix=a/", "--dst-prefix=b/", "--no-relative", "--submodule=short"),
)


@cache
def changes() -> bytes:
    """The diff of all tracked files to the last commit; b'' where there is none, and outside a repository.

    git runs the filters that the repository's own settings name: do not call it for a stranger's folder.
    """
    try:
        return subprocess.run(COMMAND, capture_output=True, timeout=PATIENCE, check=True).stdout  # noqa: S603
    except subprocess.TimeoutExpired:
        complain(f"warning: git took over {PATIENCE} seconds, so {layout.GIT_DIFF} is not written: commit first")
        return b""
    except (OSError, subprocess.SubprocessError):  # no git, no repository, no commit
        return b""


def write(folder: Path) -> None:
    """Write RUN/git.diff if something has not been committed; a warning in its place if it is very long."""
    if len(diff := changes()) > MOST:
        complain(f"warning: {layout.GIT_DIFF} would take {len(diff) / 1e6:.0f} MB and is not written: commit first")
    elif diff:
        storage.write_file(folder / layout.GIT_DIFF, diff)
