"""Files in the user's own folders, beside every run: made once, and from then on the same for all processes."""

import os
import secrets
from pathlib import Path

from trainer.disk import storage


def make_once(path: Path, data: bytes, *, mode: int = 0o666) -> None:
    """Make a file in one step, or leave the one that is there: of several processes at once the first one wins. Its
    folder is made, for the user alone, as needed. Raises OSError or StorageError."""
    path.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
    draft = path.with_name(f"{path.name}.{secrets.token_hex(4)}")
    storage.write_file(draft, data, mode=mode)
    try:
        os.link(draft, path)
    except FileExistsError:
        pass
    except OSError:  # a file system without hard links
        storage.rename(draft, path)
    finally:
        storage.remove(draft)
