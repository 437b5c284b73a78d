"""What is measured of a config's training steps."""

from dataclasses import dataclass, field


@dataclass
class Measured:
    """step: seconds a step. parts: those of them in data, forward, backward and optimizer, where hooks can tell.
    peak: bytes beyond what the process had before the build; on CUDA, those that torch allocated there."""

    samples_per_second: float
    step: float
    compile_seconds: float
    peak: int
    num_steps: int
    threads: int
    in_memory: bool
    note: str = ""
    parts: dict[str, float] = field(default_factory=dict)
