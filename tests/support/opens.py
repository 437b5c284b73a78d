"""What is opened, changed or made in a folder, whatever path led there: Linux's inotify, through ctypes."""

import ctypes
import os
import struct
from pathlib import Path

OPEN, MODIFY, ATTRIB, MOVED, CREATE, DELETE = 0x20, 0x2, 0x4, 0xC0, 0x100, 0x200
ANY = OPEN | MODIFY | ATTRIB | MOVED | CREATE | DELETE
IS_FOLDER = 0x40000000


class Opens:
    """Watches a folder and those below it, as they are now."""

    def __init__(self, folder: Path) -> None:
        libc = ctypes.CDLL(None, use_errno=True)
        self.handle = libc.inotify_init1(os.O_NONBLOCK)
        assert self.handle >= 0, os.strerror(ctypes.get_errno())
        self.folders = {}
        for path in [folder, *(p for p in folder.rglob("*") if p.is_dir() and not p.is_symlink())]:
            self.folders[libc.inotify_add_watch(self.handle, os.fsencode(path), ANY)] = path

    def seen(self) -> list[str]:
        """What has happened since the last call: files opened or changed, names made or removed."""
        found = []
        try:
            data = os.read(self.handle, 2**20)
        except BlockingIOError:
            return []
        while data:
            watch, mask, _, size = struct.unpack_from("iIII", data)
            name, data = data[16 : 16 + size].rstrip(b"\0").decode(), data[16 + size :]
            if not (mask & IS_FOLDER and mask & OPEN):  # a test lists folders itself; a folder's files count
                found.append(f"{self.folders.get(watch)}/{name}: {mask:#x}")
        return found

    def close(self) -> None:
        os.close(self.handle)
