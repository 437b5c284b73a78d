"""A profiler's trace for Perfetto or chrome://tracing, and the memory timeline in it."""

import gzip
import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from trainer.diagnosis.marks import VERBS

CPU, CUDA = 0, 1  # of c10's DeviceType, as an event of the memory says it
PRIVATE = ("host_name", "traceName")


@dataclass(frozen=True)
class Timeline:
    """The memory of the device over the last step: (seconds since its start, bytes). On a GPU all that torch has
    allocated there; on a CPU what is allocated beyond the start of the step, which may fall below 0. verb: where it is
    highest."""

    points: list[tuple[float, float]]
    verb: str

    @property
    def peak(self) -> float:
        """The most, in bytes."""
        return max(value for _, value in self.points)


def timeline(trace: dict[str, Any], *, on_gpu: bool) -> Timeline | None:
    """The timeline of the last marked step; None if no memory was allocated in it."""
    ranges = [
        event for event in trace["traceEvents"] if event.get("cat") == "user_annotation" and event["name"] in VERBS
    ]
    ranges.sort(key=lambda event: event["ts"])
    first = max((event["ts"] for event in ranges if event["name"] == "zero_grad"), default=0.0)
    last = max((event["ts"] + event["dur"] for event in ranges), default=0.0)
    levels = [(time, level) for time, level in memory(trace, on_gpu=on_gpu) if time <= last]
    if not any(time >= first for time, _ in levels):
        return None
    start = next((level for time, level in reversed(levels) if time < first), 0.0)
    base = 0.0 if on_gpu else start
    points = [(0.0, start - base), *(((time - first) / 1e6, level - base) for time, level in levels if time >= first)]
    peak, _ = max(points, key=lambda point: point[1])
    begun = [event["name"] for event in ranges if first <= event["ts"] <= first + peak * 1e6]
    return Timeline(points, begun[-1])


def memory(trace: dict[str, Any], *, on_gpu: bool) -> list[tuple[float, float]]:
    """(microseconds, bytes) whenever memory of the device was allocated or freed; on a CPU beyond the first time."""
    kind = CUDA if on_gpu else CPU
    events = [event for event in trace["traceEvents"] if event["name"] == "[memory]"]
    events = sorted((event for event in events if event["args"]["Device Type"] == kind), key=lambda event: event["ts"])
    level, levels = 0.0, []
    for event in events:
        level = float(event["args"]["Total Allocated"]) if on_gpu else level + event["args"]["Bytes"]
        levels.append((float(event["ts"]), level))
    return levels


def packed(path: Path, *, on_gpu: bool) -> tuple[dict[str, Any], bytes]:
    """(the trace that the profiler wrote to a path, the same for Perfetto): with a track of the memory, without the
    name of this machine, and compressed."""
    trace: dict[str, Any] = json.loads(path.read_text(encoding="utf-8"))
    trace = {name: value for name, value in trace.items() if name not in PRIVATE}
    process = next((event["pid"] for event in trace["traceEvents"] if event.get("cat") == "user_annotation"), 0)
    known = {"ph": "C", "name": "memory of the GPU" if on_gpu else "memory", "pid": process}
    trace["traceEvents"] += [
        {**known, "ts": time, "args": {"bytes": level}} for time, level in memory(trace, on_gpu=on_gpu)
    ]
    return trace, gzip.compress(json.dumps(trace, separators=(",", ":")).encode(), mtime=0)
