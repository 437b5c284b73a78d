"""The errors of ranks: each rank leaves its error in a shared folder, and the parent makes one error of them all."""

import json
import traceback
from contextlib import suppress
from pathlib import Path

from trainer import errors
from trainer.disk import layout, reading, storage
from trainer.errors import BadRow, ConfigError, Diverged, Interrupted, Killed, StorageError, TrainerError
from trainer.processes.signals import INTERRUPTED, exit_reason, is_kill
from trainer.text import cleaned_lines

MOST = 2**30  # bytes of a log that are read
KINDS = {kind.exit_code: kind for kind in (ConfigError, Diverged, StorageError)}


def leave(error: Exception, rank: int, scratch: Path) -> int:
    """Write a rank's error for the parent. Call it in the rank, within `except`. Returns the exit code."""
    known = errors.failed(error)
    report = {"code": known.exit_code, "message": known.message, "hint": known.hint}
    if known is not error or isinstance(error, BadRow):
        report["traceback"] = traceback.format_exc()
    (scratch / f"{rank}.json").write_text(json.dumps(report), encoding="utf-8")
    return known.exit_code


def read(rank: int, process: int, code: int, scratch: Path, folder: Path | None) -> TrainerError:
    """The error that ended a rank. It is added to the run's log and summary, since no rank can write them now."""
    reports = {int(path.stem): reading.read_json(path) for path in scratch.glob("*.json")}
    rank = next(iter(reports), rank) if rank not in reports and code >= 0 else rank
    if rank not in reports and code in INTERRUPTED:  # it was ended by this signal before its run began
        code = 128 - code
    report = reports.get(rank, {}) if code >= 0 else {}
    stack = report.get("traceback", "")
    if report and not stack and report["code"] > 128:
        return Interrupted(report["code"] - 128, report["message"], report["hint"])
    if report and not stack:
        return KINDS.get(report["code"], TrainerError)(report["message"], report["hint"])
    if report:
        text = f"rank {rank}: {report['message']}"
        hint = report["hint"] or (f"the traceback is in {layout.log_name(folder)}" if folder is not None else None)
    else:
        text = f"rank {rank} (process {process}): {exit_reason(code)}; {_last_line(rank, scratch, folder)}"
        hint = f"trainer resume {layout.relative(folder)}" if folder is not None else None
        if folder is None and not is_kill(code):  # the script that it imports starts processes itself
            hint = 'in a script: if __name__ == "__main__": before what it runs'
    if folder is not None:
        with suppress(TrainerError):
            log = storage.AppendFile(folder / layout.LOG)
            log.write(cleaned_lines(f"\n{stack}error: {text}\n"))
            log.close()
            status = "interrupted" if is_kill(code) else "failed"
            summary = layout.read_summary(folder) | {"status": status, "error": text}
            storage.write_json(folder / layout.SUMMARY, summary)
    error = Killed(text, hint) if is_kill(code) else TrainerError(text, hint)
    error.add_note(stack)  # shown by --debug
    return error


def _last_line(rank: int, scratch: Path, folder: Path | None) -> str:
    """The last line that a rank wrote, or else the last line of the run."""
    log = folder / layout.LOG if folder is not None else None
    for path, words in ((scratch / f"{rank}.txt" if rank else log, "its last line"), (log, "the run's last line")):
        with suppress(FileNotFoundError, reading.Damaged):
            written = reading.read_file(path, MOST).decode("utf-8", "replace").splitlines() if path is not None else []
            if line := next(filter(None, map(str.strip, reversed(written))), None):
                return f"{words}: {line[:200]}"
    return "it wrote nothing"
