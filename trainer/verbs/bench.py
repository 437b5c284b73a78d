"""Measure what makes this config faster on this machine: its training steps as they are, compiled, and with autocast,
other kernels, threads and loaders, each in a separate process. Nothing is written; with
--calibrate one number is, from how much work in a step threads=auto takes a second thread here."""

import copy
import multiprocessing
import shlex
import textwrap
from argparse import Namespace
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from trainer.config import compose
from trainer.diagnosis import bench
from trainer.diagnosis.measurement import Measured
from trainer.disk import second_thread as stored
from trainer.errors import ConfigError, StorageError, TrainerError
from trainer.processes import environment, signals
from trainer.processes.machine import num_cores
from trainer.processes.torch_import import uncollected
from trainer.text import counted, labelled
from trainer.verbs import arguments

WORTH = 1.05  # a change is worth typing from this many times the samples/s of the unchanged config

Change = dict[str, Any]  # dotted key -> value
Variants = Sequence[tuple[Change, Measured]]


def parser() -> arguments.Parser:
    parser = arguments.config_parser("bench", __doc__)
    parser.add_argument("--seconds", type=float, default=2.0, help="how long to measure each variant (2)")
    text = "measure for threads=auto when a second thread pays; nothing else"
    parser.add_argument("--calibrate", action="store_true", help=text)
    return parser


def run(args: Namespace) -> int:
    """Measure, print a table, and end with what to type. Returns the exit code."""
    if args.calibrate:
        return _calibrate(args.overrides)
    if args.seconds <= 0:
        raise ConfigError(
            "--seconds must be above 0", shlex.join(["trainer", "bench", *args.overrides, "--seconds", "2"])
        )
    data = compose.one_run("bench", args).data
    print(f"{'':<22}{'samples/s':>10}{'gain':>7}{'ms a step':>10}{'peak MB':>8}{'compile s':>10}  pays after")
    unchanged = _measure(data, {}, args.seconds)
    if isinstance(unchanged, str):
        command = shlex.join(["trainer", "train", *args.overrides])
        raise TrainerError(f"this config does not train: {unchanged}", command)
    _say("as it is", unchanged, unchanged)
    measured: list[tuple[Change, Measured]] = []
    for name, change in _named_changes(data, unchanged, measured):
        result = _measure(data, change, args.seconds)
        _say(name, result, unchanged)
        if isinstance(result, Measured) and not result.note:
            measured.append((change, result))
    again = _measure(data, {}, args.seconds)
    if isinstance(again, Measured):
        _say("as it is, again", again, unchanged)
        print("".join(f"{line}\n" for line in doubt(unchanged, again)), end="")
        unchanged = max(unchanged, again, key=lambda result: result.samples_per_second)
    print("\n".join(advice(measured, unchanged, args.overrides)))
    return 0


def _calibrate(overrides: Sequence[str]) -> int:
    """Measure from how much work in a step a second thread pays, and store it. Returns the exit code."""
    again = "trainer bench --calibrate"
    if overrides:
        raise ConfigError(f"--calibrate measures the machine, so it takes no settings such as {overrides[0]}", again)
    if num_cores() == 1:
        raise ConfigError("there is one usable core, so a second thread never pays", "trainer bench")
    with uncollected():
        from trainer.processes import second_thread, threads
    machine = threads.this_machine()
    if not stored.can_store(machine):
        raise StorageError("the user's cache folder cannot be written to", f"XDG_CACHE_HOME=/tmp/cache {again}")
    timed = second_thread.measure()
    if timed is None:
        text = "the machine is busy, which disturbs the timing, so nothing was stored: repeat it when it is quiet"
        raise TrainerError(text, again)
    print("MFLOP a step  ms with 1 thread  2 threads   gain")
    for steps in timed:
        print(f"{steps.flop / 1e6:>12.3g}{steps.one * 1e3:>18.3f}{steps.two * 1e3:>11.3f}{steps.gain:>6.2f}×")
    number = second_thread.pays_from(timed)
    stored.store(machine, number, replace=True)
    print(f"stored   a second thread pays from {number / 1e6:,.3g} MFLOP a step here")
    return 0


def _named_changes(data: Mapping[str, Any], unchanged: Measured, measured: Variants) -> Iterator[tuple[str, Change]]:
    """Yield (name, change) to measure: each variant, then the best of those measured by then, together."""
    yield from ((_words(change), change) for change in variants(data, unchanged))
    together = combine(measured, unchanged)
    if len(together) > 1 and together not in [change for change, _ in measured]:
        yield "all that paid", together


def variants(data: Mapping[str, Any], unchanged: Measured) -> Iterator[Change]:
    """Yield one change each to compile, autocast, kernels, threads, data in memory and workers."""
    yield from ({"compile": value} for value in ("none", "model", "step") if value != data["compile"])
    yield from ({"autocast": value} for value in ("none", "bf16") if value != data["autocast"])
    yield from kernels(data, unchanged)
    yield from ({"threads": count} for count in sorted({1, num_cores()}) if count != unchanged.threads)
    has_none = data["loader"]["num_workers"] in (0, "auto")
    yield {"loader.in_memory": not unchanged.in_memory, **({} if has_none else {"loader.num_workers": 0})}
    if has_none:
        yield {"loader.in_memory": False, "loader.num_workers": num_cores()}


def kernels(data: Mapping[str, Any], unchanged: Measured) -> Iterator[Change]:
    """Yield one change each to the kernels that this device and model have a choice of."""
    if unchanged.convolves:
        yield {"channels_last": not data["channels_last"]}
    if unchanged.on_cuda:
        yield from ({"matmul": value} for value in ("highest", "high") if value != data["matmul"])
        yield {"deterministic": not data["deterministic"]}
        yield from [{"graph": True}] * (not unchanged.recorded and data["graph"] is not True)


def combine(measured: Variants, unchanged: Measured) -> Change:
    """The best change of each kind that is worth typing, all of them at once."""
    together: Change = {}
    for change, result in sorted(measured, key=lambda pair: -pair[1].samples_per_second):
        kinds, taken = ({key.rpartition(".")[0] or key for key in keys} for keys in (change, together))
        if worth(result, unchanged) and not kinds & taken:
            together |= change
    return together


def worth(result: Measured, unchanged: Measured) -> bool:
    """Whether a change pays within the length of this run, its compile time included."""
    faster = result.samples_per_second >= WORTH * unchanged.samples_per_second
    num_steps = unchanged.num_steps
    return faster and result.compile_seconds + num_steps * result.step < num_steps * unchanged.step


def doubt(unchanged: Measured, again: Measured) -> Iterator[str]:
    """Yield lines that say so if the same config differs from itself by as much as a change has to gain."""
    low, high = sorted((unchanged.samples_per_second, again.samples_per_second))
    if high > WORTH * low:
        text = f"the same config differed by {high / low - 1:.0%}, so smaller gains mean nothing: the machine is busy"
        yield from labelled("warning ", [text, "try: trainer bench --seconds 10"])


def advice(measured: Variants, unchanged: Measured, overrides: Sequence[str]) -> Iterator[str]:
    """Yield where a step's time goes, and the command to type."""
    if unchanged.parts:
        total = sum(unchanged.parts.values()) or 1.0
        yield "\na step  " + " · ".join(f"{name} {value / total:.0%}" for name, value in unchanged.parts.items())
    paying = [(change, result) for change, result in measured if worth(result, unchanged)]
    change, best = max(paying, key=lambda pair: pair[1].samples_per_second, default=({}, unchanged))
    if change:
        ratio = best.samples_per_second / unchanged.samples_per_second
        price = ["at lower precision"] * (change.get("autocast", "none") != "none" or change.get("matmul") == "high")
        price += ["a resume may differ in its last bits"] * (change.get("deterministic") is False)
        yield ", ".join([f"{ratio:.2f} times the samples/s", *price])
    else:
        yield f"no change pays over {counted(unchanged.num_steps, 'step')}: the config is as fast as it gets here"
    yield from labelled("type    ", [shlex.join(["trainer", "train", *overrides, *_words(change).split()])])


def pays_after(result: Measured, unchanged: Measured) -> str:
    """'1,200 steps' until the compile time is won back, 'never', or '' without compile time."""
    gain = unchanged.step - result.step
    if not result.compile_seconds:
        return ""
    return counted(round(result.compile_seconds / gain), "step") if gain > 0 else "never"


def _words(change: Change) -> str:
    return " ".join(f"{key}={str(value).lower()}" for key, value in change.items())


def _say(name: str, result: Measured | str, unchanged: Measured) -> None:
    name = name.replace("loader.in_memory=false loader.num", "loader.num")
    note = result if isinstance(result, str) else result.note
    if isinstance(result, str) or note:
        for number, line in enumerate(textwrap.wrap(note, 80 - 34)):
            print(" " * 34 + line if number else f"{name:<22}{'-':>10}  {line}", flush=True)
        return
    seconds = f"{result.compile_seconds:.1f}" if result.compile_seconds else ""
    gain = f"{result.samples_per_second / unchanged.samples_per_second:.2f}×"
    numbers = f"{result.samples_per_second:>10,.0f}{gain:>7}{result.step * 1e3:>10.3f}{result.peak / 1e6:>8,.0f}"
    print(f"{name:<22}{numbers}{seconds:>10}  {pays_after(result, unchanged)}".rstrip(), flush=True)


def _measure(data: Mapping[str, Any], change: Change, seconds: float) -> Measured | str:
    """Measure a changed config in a separate process. Returns the measurement, or why it failed."""
    changed = copy.deepcopy(dict(data))
    for key, value in change.items():
        group, _, name = key.rpartition(".")
        (changed[group] if group else changed)[name] = value
    context = multiprocessing.get_context("spawn")
    receiver, sender = context.Pipe(duplex=False)
    process = context.Process(target=bench.main, args=(changed, seconds, sender))
    with signals.held(), environment.safe_path():
        process.start()
    sender.close()
    try:
        answer: Measured | str = receiver.recv()
    except EOFError:
        answer = "its process was killed; perhaps memory ran out"
    process.join()
    return answer
