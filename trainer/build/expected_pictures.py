"""Whether a run's pictures are as those that published weights were trained on: their size, and how they are scaled."""

from collections.abc import Iterator, Sequence

import torch

from trainer.build.published import Published
from trainer.data.scaling import Standardize
from trainer.data.splits import Splits
from trainer.disk.weights_file import WeightsFile
from trainer.text import first_few

BYTES = 255  # the largest value of a pixel that is a byte


def warnings(published: Published, file: WeightsFile, splits: Splits) -> Iterator[list[str]]:
    """Yield what differs, in lines; of other inputs than pictures nothing. file: where the weights were."""
    shape, scale = splits.facts.input_shape, splits.preprocessing.x
    if len(shape) != 3:
        return
    if published.size and tuple(shape[1:]) != published.size:
        here, there = ("×".join(map(str, size)) for size in (shape[1:], published.size))
        remedy = [f"try: dataset.size={published.size[0]}"] if splits.preprocessing.pictures is not None else []
        yield [f"pictures of {here}; {published.name} was trained on {there}", *remedy]
    if published.mean and not _is_normalised(scale, published):
        wanted = f"mean {_numbers(published.mean)} and std {_numbers(published.std)}"
        yield [f"{published.name} expects pixels normalised by {wanted}", f"the run's are by {_normalisation(scale)}"]
    if not file.sha256.startswith(published.sha256):
        yield [f"{file.path.name} is not the published file, whose sha256 begins as its name ends"]


def _is_normalised(scale: object, published: Published) -> bool:
    if not isinstance(scale, Standardize):
        return False
    found = torch.cat([part.flatten().cpu() for part in scale.mean_and_std])
    wanted = torch.tensor([*published.mean, *published.std], dtype=found.dtype)
    return len(found) == len(wanted) and any(
        torch.allclose(found / unit, wanted, rtol=0, atol=1e-3) for unit in (1, BYTES)
    )


def _normalisation(scale: object) -> str:
    if not isinstance(scale, Standardize):
        return "nothing"
    unit = BYTES if float(scale.std.max()) > 1 else 1
    mean, std = ((part.flatten() / unit).tolist() for part in scale.mean_and_std)
    return f"mean {_numbers(mean)} and std {_numbers(std)}"


def _numbers(values: Sequence[float]) -> str:
    return first_few([f"{value:.3g}" for value in values], 3)
