"""What torch's profiler recorded of some marked steps, summed up: verbs, operators, modules and waits.

Times are seconds of an average step. On a GPU an operator only starts its kernels, so each sum has two times: of the
CPU, and of the kernels that were started there.
"""

from bisect import bisect_right
from collections import defaultdict
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from typing import Any

from trainer.diagnosis.marks import MODULE, VERBS

BACKWARD = "autograd::engine::evaluate_function: "
SYNCS = ("StreamSynchronize", "DeviceSynchronize", "EventSynchronize")  # of cuda and hip
REST = "the rest"


@dataclass
class Spent:
    """cpu, gpu: seconds a step. calls: a step."""

    cpu: float = 0.0
    gpu: float = 0.0
    calls: float = 0.0


@dataclass(frozen=True)
class Profiled:
    """verbs: by name, in the order of a step, and the rest of it. operators: each without those that it calls. modules:
    each without those in it, forward and backward. syncs: where the CPU waits for the GPU, by the operator that asks.
    step: seconds, of the device too; gpu_busy: of them, those in which a kernel runs."""

    step: float
    verbs: dict[str, Spent]
    operators: dict[str, Spent]
    modules: dict[str, Spent]
    syncs: dict[str, Spent] = field(default_factory=dict)
    gpu_busy: float = 0.0


def summed(events: Iterable[Any], num_steps: int) -> Profiled:
    """Sum up the events of `torch.profiler.profile.events()` over `num_steps` steps that `marks.mark` marked.

    A node of autograd has the sequence number of the operator whose gradient it computes: so backward is known by
    module, too.
    """
    everything = sorted(events, key=lambda event: event.time_range.start)
    on_cpu = [event for event in everything if _is_cpu(event) and not event.is_async]
    ranges = [event for event in on_cpu if event.is_user_annotation and event.name in VERBS]
    starts = [event.time_range.start for event in ranges]
    first, ended = starts[0], max(event.time_range.end for event in ranges)
    kernels = [event for event in everything if not _is_cpu(event) and not event.is_user_annotation]
    spans = [(event.time_range.start, event.time_range.end) for event in kernels]
    last = max([ended, *(end for _, end in spans)])  # a GPU works on after the CPU has started everything

    def verb(event: Any) -> str:
        number = bisect_right(starts, event.time_range.start) - 1
        found = ranges[number] if number >= 0 else None
        return found.name if found is not None and event.time_range.start < found.time_range.end else REST

    verbs, operators, modules, syncs = (defaultdict[str, Spent](Spent) for _ in range(4))
    module_of: dict[int, str] = {}  # by the event's id; '' outside of the model
    by_sequence: dict[int, str] = {}  # for backward
    for event in on_cpu:
        own = Spent(event.self_cpu_time_total, _kernels(event), 1)
        inherited = module_of.get(id(event.cpu_parent), "")
        if event.is_user_annotation and event.name.startswith(MODULE):
            inherited = event.name.removeprefix(MODULE)
        elif event.name.startswith(BACKWARD):
            inherited = by_sequence.get(event.sequence_nr, "")
        elif event.sequence_nr >= 0 and not _in_backward(event):
            by_sequence[event.sequence_nr] = inherited  # the last one with this number makes the node
        module_of[id(event)] = inherited
        if not first <= event.time_range.start <= ended:
            continue
        if inherited:
            _add(modules[inherited], own, calls=event.name.startswith(MODULE))
        verbs[verb(event)].gpu += own.gpu
        if event.is_user_annotation:
            if event.name in VERBS:
                _add(verbs[event.name], Spent(event.time_range.end - event.time_range.start), calls=True)
        elif event.name.endswith(SYNCS):
            _add(syncs[_asker(event)], Spent(event.time_range.end - event.time_range.start), calls=True)
        else:
            _add(operators[event.name], own, calls=True)
    verbs[REST].cpu = last - first - sum(verbs[name].cpu for name in VERBS)
    return Profiled(
        step=(last - first) / 1e6 / num_steps,
        verbs={name: _a_step(verbs[name], num_steps) for name in (*VERBS, REST)},
        operators={name: _a_step(spent, num_steps) for name, spent in operators.items()},
        modules={name: _a_step(spent, num_steps) for name, spent in modules.items()},
        syncs={name: _a_step(spent, num_steps) for name, spent in syncs.items()},
        gpu_busy=covered(spans, first, last) / 1e6 / num_steps,
    )


def covered(spans: Iterable[tuple[float, float]], first: float, last: float) -> float:
    """How much of first…last the spans cover; where they overlap, it counts once."""
    total, reached = 0.0, first
    for start, end in sorted(spans):
        start, end = max(start, reached), min(end, last)
        if end > start:
            total, reached = total + end - start, end
    return total


def most_expensive(spent: dict[str, Spent], most: int, *, on_gpu: bool) -> list[tuple[str, Spent]]:
    """The first by the time of the GPU's kernels, or of the CPU."""
    ordered = sorted(spent.items(), key=lambda item: -(item[1].gpu if on_gpu else item[1].cpu))
    return [item for item in ordered if item[1].cpu or item[1].gpu][:most]


def _is_cpu(event: Any) -> bool:
    return bool(event.device_type.name == "CPU")


def _kernels(event: Any) -> float:
    return 0.0 if event.is_user_annotation else sum(kernel.duration for kernel in event.kernels)


def _above(event: Any) -> Iterable[Any]:
    while (event := event.cpu_parent) is not None:
        yield event


def _in_backward(event: Any) -> bool:
    return any(above.name.startswith(BACKWARD) for above in _above(event))


def _asker(event: Any) -> str:
    names: Sequence[str] = [above.name for above in _above(event) if not above.is_user_annotation]
    return names[-1] if names else str(event.name)


def _add(total: Spent, own: Spent, *, calls: bool) -> None:
    total.cpu, total.gpu, total.calls = total.cpu + own.cpu, total.gpu + own.gpu, total.calls + calls


def _a_step(spent: Spent, num_steps: int) -> Spent:
    return Spent(spent.cpu / 1e6 / num_steps, spent.gpu / 1e6 / num_steps, spent.calls / num_steps)
