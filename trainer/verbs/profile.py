"""Show what the time of a training step goes into: the five verbs, operators, modules, waits and memory. Some steps are
taken under torch's profiler and thrown away; their trace, for Perfetto, is the only file written."""

import os
import re
import shlex
from argparse import Namespace
from collections.abc import Iterator
from contextlib import suppress
from datetime import datetime
from pathlib import Path
from typing import TYPE_CHECKING

from trainer.config import compose
from trainer.errors import ConfigError
from trainer.processes.torch_import import uncollected
from trainer.text import WIDTH, clock, counted, cut
from trainer.verbs import arguments

if TYPE_CHECKING:
    from trainer.diagnosis.profile import Profile
    from trainer.diagnosis.profiled import Profiled, Spent

STEPS = 20
MOST = 10  # operators, modules
FOLDER = "profiles"  # in output_dir
SLOW = 0.1  # share of a step


def parser() -> arguments.Parser:
    parser = arguments.config_parser("profile", __doc__)
    parser.add_argument("--steps", type=_steps, default=STEPS, metavar="N", help=f"steps to profile (default: {STEPS})")
    return parser


def _steps(text: str) -> int:
    if not (text.isdecimal() and 0 < int(text) <= 1000):
        raise ConfigError(f"--steps {text} is not a number from 1 to 1,000", "trainer profile --steps 20")
    return int(text)


def run(args: Namespace) -> int:
    """Profile some steps and print where their time goes. Returns the exit code."""
    settings = compose.one_run("profile", args)
    for name, level in (("KINETO_LOG_LEVEL", "99"), ("TORCH_CPP_LOG_LEVEL", "ERROR")):
        os.environ.setdefault(name, level)  # torch's profiler tells of itself, and of a GPU that is not there
    with uncollected():
        from trainer.diagnosis import profile
        from trainer.run import header
    from trainer.disk import layout, storage
    from trainer.terminal.chart import chart
    from trainer.terminal.screen import Screen

    with Screen() as screen, settings.locating():
        state, setup = profile.prepare(settings, args.steps)
        root = Path(setup.config.output_dir).expanduser()
        layout.check_writable(str(root))
        header.show(screen, state, setup)
        screen.status("profiling")
        found = profile.take(state, args.steps)
        screen.clear()
        on_gpu = state.device.type == "cuda"
        screen.say("", *tables(found, on_gpu=on_gpu))
        if found.memory is not None:
            points = [(second * 1e3, size / 1e6) for second, size in found.memory.points]
            title, ends = "MB, over the last step", ("0 ms", f"{points[-1][0]:.3g} ms under the profiler")
            plain = screen.ascii_only
            drawn = chart({"memory": points}, title=title, width=WIDTH, may_be_log=False, ends=ends, ascii_only=plain)
            screen.say("", *drawn, "")
        for label, texts in entries(found, args.steps, on_gpu=on_gpu):
            screen.entry(label, texts)
        if (chosen := settings.data.get("compile", "none")) != "none":
            command = shlex.join(["trainer", "bench", *args.overrides])
            screen.entry("", [f"profiled without compile={chosen}, so that the verbs can be told apart: {command}"])
        label = re.sub(r"[^a-z0-9_-]+", "-", setup.splits.name.lower())
        path = root / FOLDER / f"{datetime.now():%Y-%m-%d/%H-%M-%S}-{label}.json.gz"
        with suppress(FileExistsError):
            storage.make_folder(path.parent)
        storage.write_file(path, found.content)
        screen.entry("trace", [f"{layout.relative(path)}: open it at https://ui.perfetto.dev"])
    return 0


def tables(found: "Profile", *, on_gpu: bool) -> Iterator[str]:
    """Yield three tables: the verbs in their order, and the most expensive operators and modules."""
    from trainer.diagnosis.profiled import most_expensive

    sums = found.sums
    operators, modules = (most_expensive(of, MOST, on_gpu=on_gpu) for of in (sums.operators, sums.modules))
    yield from lines("step", list(sums.verbs.items()), sums, on_gpu=on_gpu)
    yield ""
    yield from lines("operators, without those that they call", operators, sums, on_gpu=on_gpu)
    yield ""
    yield from lines("modules, without those in them", modules, sums, on_gpu=on_gpu)


def lines(title: str, spent: "list[tuple[str, Spent]]", sums: "Profiled", *, on_gpu: bool) -> Iterator[str]:
    """Yield a heading, and a line for each: its time in a step, the share of that, and its calls. On a GPU the time of
    its kernels too, and their share of all kernels."""
    width = WIDTH - (35 if on_gpu else 25)
    kernels = sum(one.gpu for one in sums.verbs.values()) or 1.0
    times = f"{'GPU':>9} {'CPU':>9}" if on_gpu else f"{'time':>9}"
    yield f"{cut(title, width):<{width}} {times} {'share':>6} {'calls':>7}"
    for name, one in spent:
        share = one.gpu / kernels if on_gpu else one.cpu / sums.step
        gpu = f"{clock(one.gpu):>9} " if on_gpu else ""
        yield f"{cut(name, width):<{width}} {gpu}{clock(one.cpu):>9} {share:>6.1%} {_calls(one.calls):>7}"


def entries(found: "Profile", num_steps: int, *, on_gpu: bool) -> Iterator[tuple[str, list[str]]]:
    """Yield (label, texts): the time of a step, where it waits, and its memory."""
    sums = found.sums
    under = f"{clock(sums.step)} under the profiler, which slows each call"
    yield "step", [f"{clock(found.plain)}; {under} (mean of {counted(num_steps, 'step')})"]
    data = sums.verbs["data"].cpu / sums.step
    waits = [f"{data:.1%} of a step for data{': trainer bench tries other loaders' if data > SLOW else ''}"]
    if on_gpu:
        busy = sums.gpu_busy / sums.step
        waits.append(f"the GPU computes {busy:.1%} of the time, and else waits for the CPU to start its kernels")
        for name, one in sorted(sums.syncs.items(), key=lambda item: -item[1].cpu)[:3]:
            waits.append(f"the CPU waits {clock(one.cpu)} a step for the GPU, in {cut(name, 40)}")
    yield "waits", waits
    if (memory := found.memory) is not None:
        what = "allocated on the GPU" if on_gpu else "beyond the start of a step"
        yield "memory", [f"up to {memory.peak / 1e6:,.2f} MB {what}, in {memory.verb}"]


def _calls(calls: float) -> str:
    return f"{calls:.0f}" if calls == round(calls) else f"{calls:.1f}"
