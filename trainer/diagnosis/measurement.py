"""The measurement of a config's training steps."""

from dataclasses import dataclass, field


@dataclass
class Measured:
    """step: seconds a step. parts: of them, the seconds in data, forward, backward and optimizer, where hooks can tell.
    peak: bytes beyond those that the process had before the build; on CUDA, the most that torch allocated there.
    on_cuda: where it was measured; recorded: whether the step is a CUDA graph; convolves: whether the model has 2-D
    convolutions, and pictures."""

    samples_per_second: float
    step: float
    compile_seconds: float
    peak: int
    num_steps: int
    threads: int
    in_memory: bool
    on_cuda: bool = False
    recorded: bool = False
    convolves: bool = False
    note: str = ""
    parts: dict[str, float] = field(default_factory=dict)
