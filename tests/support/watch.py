"""What a process does while it is watched: see Watch."""

import os
import sys


class Watch:
    """An audit hook: code run, processes started, sockets, and files opened for writing outside a folder."""

    def __init__(self) -> None:
        self.on, self.seen = False, []
        sys.addaudithook(self)

    def __call__(self, event: str, args: tuple) -> None:
        if self.on and (event in FORBIDDEN or _imports_evil(event, args) or _opens_to_write(event, args)):
            self.seen.append((event, _whole_paths(args) if event == "os.rename" else args))


FORBIDDEN = {
    *("os.system", "subprocess.Popen", "os.exec", "os.posix_spawn", "socket.connect", "pickle.find_class"),
    *("os.mkdir", "os.rename", "os.remove", "os.rmdir", "os.symlink", "os.truncate"),
}


def _whole_paths(args: tuple) -> tuple:
    """Old and new path of a rename, whose names may be relative to open folders."""
    old, new, *handles = args
    return tuple(
        os.path.join(os.readlink(f"/proc/self/fd/{at}"), name) if at >= 0 else name
        for name, at in zip((old, new), handles, strict=True)
    )


def _imports_evil(event: str, args: tuple) -> bool:
    return event == "import" and args[0].partition(".")[0] == "evil"


def _opens_to_write(event: str, args: tuple) -> bool:
    return event == "open" and isinstance(args[2], int) and bool(args[2] & (os.O_WRONLY | os.O_RDWR | os.O_CREAT))
