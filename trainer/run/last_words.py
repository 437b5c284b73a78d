"""What a rank died of: each leaves its error in a folder shared with the parent, which makes one error of them all."""

import json
import traceback
from contextlib import suppress
from pathlib import Path
from typing import Any

from trainer import errors
from trainer.disk import layout, reading, storage
from trainer.errors import ConfigError, Diverged, Interrupted, StorageError, TrainerError
from trainer.processes.signals import exit_reason

KINDS = {kind.exit_code: kind for kind in (ConfigError, Diverged, StorageError)}


def leave(error: Exception, rank: int, scratch: Path) -> int:
    """Called in a rank, within `except`. Returns the exit code to end with."""
    known = errors.failed(error)
    said = {"code": known.exit_code, "message": known.message, "hint": known.hint}
    if known is not error:
        said |= {"hint": None, "traceback": traceback.format_exc()}
    (scratch / f"{rank}.json").write_text(json.dumps(said), encoding="utf-8")
    return known.exit_code


def read(rank: int, process: int, code: int, scratch: Path, folder: Path | None) -> TrainerError:
    """What a rank died of, as an error. The run's log and summary get it too, since nobody else can write them now."""
    said = {int(path.stem): reading.read_json(path) for path in scratch.glob("*.json")}
    found = said.get(rank) or next(iter(said.values()), None) if code >= 0 else None
    if found is not None and "traceback" not in found:
        return _known(found)
    hint = "trainer resume " + str(layout.relative(folder)) if folder is not None else None
    if found is not None:
        rank = next(number for number, words in said.items() if words is found)
        text = f"rank {rank}: {found['message']}"
        hint = f"the traceback is in {layout.log_name(folder)}" if folder is not None else None
    else:
        text = f"rank {rank} (process {process}): {exit_reason(code)}; {_last_line(rank, scratch, folder)}"
    if folder is not None:
        with suppress(TrainerError):
            log = storage.AppendFile(folder / layout.LOG)
            log.write(f"\n{(found or {}).get('traceback', '')}error: {text}\n")
            log.close()
            summary = layout.read_summary(folder) | {"status": "failed", "error": text}
            storage.write_json(folder / layout.SUMMARY, summary)
    error = TrainerError(text, hint)
    error.add_note((found or {}).get("traceback", ""))  # what --debug shows
    return error


def _known(said: dict[str, Any]) -> TrainerError:
    """An error of trainer's own, as the rank raised it."""
    code, message, hint = said["code"], said["message"], said["hint"]
    if code > 128:
        return Interrupted(code - 128, message, hint)
    return KINDS.get(code, TrainerError)(message, hint)


def _last_line(rank: int, scratch: Path, folder: Path | None) -> str:
    """The last line that a rank wrote; where it wrote none, the run's last line."""
    own = scratch / f"{rank}.txt" if rank else folder and folder / layout.LOG
    for path, words in ((own, "its last words"), (folder and folder / layout.LOG, "it said nothing, the run last")):
        if path and path.exists():
            written = [line for line in path.read_text(encoding="utf-8", errors="replace").splitlines() if line.strip()]
            if written:
                return f"{words}: {written[-1].strip()[:200]}"
    return "it said nothing"
