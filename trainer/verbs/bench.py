"""trainer bench: what makes a config faster on this machine."""

import copy
import multiprocessing
import shlex
from argparse import Namespace
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from trainer.config import compose
from trainer.diagnosis import bench
from trainer.diagnosis.bench import Measured
from trainer.errors import ConfigError, TrainerError
from trainer.processes.machine import num_cores
from trainer.verbs import arguments

DESCRIPTION = (
    "What pays for this config on this machine: its training steps measured eager, compiled, with autocast, other "
    "threads and loaders, each in a process of its own. Writes nothing."
)

WORTH = 1.05  # times the samples/s of the config as it is from which a change is worth typing

Change = dict[str, Any]  # dotted key -> value


def parser() -> arguments.Parser:
    """The words and flags of this verb."""
    parser = arguments.config_parser("bench", DESCRIPTION)
    parser.add_argument("--seconds", type=float, default=2.0, help="how long to measure each variant (2)")
    return parser


def run(args: Namespace) -> int:
    """Measure, print a table, and end with what to type. Returns the exit code."""
    if args.seconds <= 0:
        raise ConfigError("--seconds must be above 0", "--seconds 2")
    composed = compose.one_run("bench", args)
    print(f"{'':<26}{'samples/s':>10}{'ms a step':>11}{'peak MB':>9}{'compile s':>10}  pays after")
    own = _measure(composed.data, {}, args.seconds)
    if isinstance(own, str):
        raise TrainerError(f"this config does not train: {own}", shlex.join(["trainer", "train", *args.overrides]))
    _say("as it is", own, own)
    found: list[tuple[Change, Measured]] = []
    for change in variants(composed.data, own):
        measured = _measure(composed.data, change, args.seconds)
        _say(_words(change), measured, own)
        if not isinstance(measured, str) and not measured.note:
            found.append((change, measured))
    together = combine(found, own)
    if len(together) > 1 and together not in [change for change, _ in found]:
        measured = _measure(composed.data, together, args.seconds)
        _say("all that paid", measured, own)
        if not isinstance(measured, str) and not measured.note:
            found.append((together, measured))
    again = _measure(composed.data, {}, args.seconds)
    if isinstance(again, Measured):
        _say("as it is, again", again, own)
        own = max(own, again, key=lambda measured: measured.samples_per_second)
    for line in advice(found, own, args.overrides):
        print(line)
    return 0


def variants(data: Mapping[str, Any], own: Measured) -> Iterator[Change]:
    """One change each to what the config has: compile, autocast, threads, data in memory, workers."""
    yield from ({"compile": value} for value in ("none", "model", "step") if value != data["compile"])
    yield from ({"autocast": value} for value in ("none", "bf16") if value != data["autocast"])
    yield from ({"threads": count} for count in sorted({1, num_cores()}) if count != own.threads)
    workers = data["loader"]["num_workers"]
    yield {"loader.in_memory": not own.in_memory, **({"loader.num_workers": 0} if workers else {})}
    if not workers:
        yield {"loader.in_memory": "auto", "loader.num_workers": num_cores()}


def combine(found: Sequence[tuple[Change, Measured]], own: Measured) -> Change:
    """The best change of each kind that is worth typing, all of them at once."""
    together: Change = {}
    for change, measured in sorted(found, key=lambda pair: -pair[1].samples_per_second):
        kinds = {key.rpartition(".")[0] or key for key in change}
        taken = {key.rpartition(".")[0] or key for key in together}
        if worth(measured, own) and not kinds & taken:
            together |= change
    return together


def worth(measured: Measured, own: Measured) -> bool:
    """Whether a change pays within the length of this very run, its compile time included."""
    faster = measured.samples_per_second >= WORTH * own.samples_per_second
    return faster and measured.compile_seconds + own.num_steps * measured.step < own.num_steps * own.step


def advice(found: Sequence[tuple[Change, Measured]], own: Measured, overrides: Sequence[str]) -> Iterator[str]:
    """Where a step's time goes, and the command to type."""
    if own.parts:
        whole = sum(own.parts.values()) or 1.0
        shares = " · ".join(f"{name} {value / whole:.0%}" for name, value in own.parts.items())
        yield f"\na step  {shares}"
    paying = [(change, measured) for change, measured in found if worth(measured, own)]
    best = max(paying, key=lambda pair: pair[1].samples_per_second, default=None)
    if best is None:
        yield f"nothing pays over {own.num_steps:,} steps: the config is as fast as it gets here"
    change, measured = best or ({}, own)
    if change:
        ratio = measured.samples_per_second / own.samples_per_second
        yield f"{ratio:.2f} times the samples/s" + (", in less precise numbers" if "autocast" in change else "")
    yield "type    " + shlex.join(["trainer", "train", *overrides, *_words(change).split()])


def pays_after(measured: Measured, own: Measured) -> str:
    """'1,200 steps' until the compile time is won back, or 'never'."""
    gain = own.step - measured.step
    if not measured.compile_seconds:
        return ""
    return f"{measured.compile_seconds / gain:,.0f} steps" if gain > 0 else "never"


def _words(change: Change) -> str:
    return " ".join(f"{key}={str(value).lower()}" for key, value in change.items())


def _say(name: str, measured: Measured | str, own: Measured) -> None:
    name = name.replace("loader.in_memory=auto ", "")
    if isinstance(measured, str) or measured.note:
        print(f"{name:<26}{'-':>10}  {measured if isinstance(measured, str) else measured.note}", flush=True)
        return
    seconds = f"{measured.compile_seconds:.1f}" if measured.compile_seconds else ""
    numbers = f"{measured.samples_per_second:>10,.0f}{measured.step * 1e3:>11.3f}{measured.peak / 1e6:>9,.0f}"
    print(f"{name:<26}{numbers}{seconds:>10}  {pays_after(measured, own)}".rstrip(), flush=True)


def _measure(data: Mapping[str, Any], change: Change, seconds: float) -> Measured | str:
    """What a process of its own measured, or why it could not."""
    changed = copy.deepcopy(dict(data))
    for key, value in change.items():
        group, _, name = key.rpartition(".")
        (changed[group] if group else changed)[name] = value
    context = multiprocessing.get_context("spawn")
    receiver, sender = context.Pipe(duplex=False)
    process = context.Process(target=bench.main, args=(changed, seconds, sender))
    process.start()
    sender.close()
    try:
        answer: Measured | str = receiver.recv()
    except EOFError:
        answer = "its process was killed; perhaps memory ran out"
    process.join()
    return answer
