"""The user's signature of a config: HMAC-SHA256 with a key that never leaves the user's folder."""

import hashlib
import hmac
import os
import secrets
import stat
from contextlib import suppress
from pathlib import Path

from trainer.disk import reading, storage, user_file
from trainer.errors import TrainerError

SIGNATURE = "config.sig"
KEY_BYTES = 32
MOST = 256 * 2**20  # bytes of a config or a sweep's plan


def sign(folder: Path, name: str, config: bytes) -> None:
    """Sign a config with this user's key. Call it before the config is written to the file of that name.

    The signature of what the file holds now stays too, since the write may not happen: after a kill, or on a full disk.
    Without a key, for example in a read-only home folder, nothing is signed.
    """
    key = _key(make=True)
    if key is not None:
        kept = set(_signatures(folder)) & {_signature(key, _content(folder / name))}
        lines = list(dict.fromkeys([_signature(key, config), *kept]))
        storage.write_file(folder / SIGNATURE, b"".join(line + b"\n" for line in [*lines, _mark(key)]))


def is_signed(folder: Path, config: bytes) -> bool:
    """Whether this user signed exactly these bytes."""
    key = _key(make=False)
    return key is not None and any(hmac.compare_digest(line, _signature(key, config)) for line in _signatures(folder))


def is_changed(folder: Path, config: bytes) -> bool:
    """Whether this user signed this config in another form: it was edited since, or is damaged."""
    key = _key(make=False)
    return key is not None and _mark(key) in _signatures(folder) and not is_signed(folder, config)


def _mark(key: bytes) -> bytes:
    """What says in a file of signatures that they were made with this key."""
    return hmac.new(key, b"trainer key 1", hashlib.sha256).hexdigest().encode()


def _signature(key: bytes, config: bytes) -> bytes:
    return hmac.new(key, b"trainer config 1\n" + config, hashlib.sha256).hexdigest().encode()


def _signatures(folder: Path) -> list[bytes]:
    with suppress(FileNotFoundError, reading.Damaged):
        return reading.read_file(folder / SIGNATURE, 200).splitlines()
    return []


def _content(path: Path) -> bytes:
    with suppress(FileNotFoundError, reading.Damaged):
        return reading.read_file(path, MOST)
    return b""


def key_file() -> Path:
    """The path of the key: trainer/key in the user's configuration folder."""
    return Path(os.environ.get("XDG_CONFIG_HOME") or Path.home() / ".config") / "trainer" / "key"


def _key(*, make: bool) -> bytes | None:
    path = key_file()
    if make and not path.exists():
        with suppress(TrainerError, OSError):
            user_file.make_once(path, secrets.token_bytes(KEY_BYTES), mode=0o600)
    try:
        key = reading.read_file(path, KEY_BYTES)
        status = path.stat()
    except (OSError, reading.Damaged):
        return None
    private = os.name == "nt" or (status.st_uid == os.getuid() and not stat.S_IMODE(status.st_mode) & 0o077)
    return key if private and len(key) == KEY_BYTES else None
