"""Each operation against torchvision's own on 1,000 pictures, for the same numbers; and what is drawn for them."""

from collections.abc import Callable

import pytest
import torch
from torch import Tensor
from torchvision.transforms import v2
from torchvision.transforms.v2 import functional

from trainer.augment import beta, crop, cutout, draws, light, mix, operations, placement

NUM = 1000
GENERATOR = torch.Generator().manual_seed(0)
BYTES = torch.randint(0, 256, (NUM, 3, 12, 9), dtype=torch.uint8, generator=GENERATOR)
FLOATS = torch.rand(NUM, 3, 12, 9, generator=GENERATOR)


def whole(low: int, high: int) -> Tensor:
    """Numbers (NUM,) from low to high."""
    return torch.randint(low, high + 1, (NUM,), generator=GENERATOR)


def each(function: Callable[..., Tensor], x: Tensor, *numbers: Tensor) -> Tensor:
    """torchvision's function of each picture and its numbers."""
    rows = zip(x, *(some.tolist() for some in numbers), strict=True)
    return torch.stack([function(*row) for row in rows])


@pytest.mark.parametrize("x", [BYTES, FLOATS, FLOATS[:, :1].double()])
def test_what_moves_or_covers_pixels_equals_torchvision(x: Tensor) -> None:
    which = whole(0, 1).bool()
    mirrored = each(lambda x, flip: functional.horizontal_flip(x) if flip else x, x, which)
    assert torch.equal(placement.mirrored(x, which), mirrored)

    def padded(x: Tensor, top: int, left: int, by: int, mode: str) -> Tensor:
        return functional.crop(functional.pad(x, [by] * 4, padding_mode=mode), top, left, *x.shape[1:])

    down, right = whole(-5, 5), whole(-5, 5)
    moved = each(lambda x, down, right: padded(x, 5 - down, 5 - right, 5, "reflect"), x, down, right)
    assert torch.equal(placement.shifted(x, down, right), moved)
    top, left = whole(0, 8), whole(0, 8)
    cut = each(lambda x, top, left: padded(x, top, left, 4, "constant"), x, top, left)
    assert torch.equal(crop.cropped(x, top, left, 4), cut)

    def erased(x: Tensor, row: int, column: int, side: int) -> Tensor:
        first, before = row - side // 2, column - side // 2
        height, width = min(first + side, x.shape[1]) - max(first, 0), min(before + side, x.shape[2]) - max(before, 0)
        return functional.erase(x, max(first, 0), max(before, 0), height, width, torch.zeros((), dtype=x.dtype))

    row, column = whole(0, 11), whole(0, 8)
    for side in (1, 4, 5):
        black = each(lambda x, row, column, side=side: erased(x, row, column, side), x, row, column)
        assert torch.equal(cutout.cut_out(x, row, column, side), black)


@pytest.mark.parametrize("channels", [1, 3])
def test_brightness_and_contrast_equal_torchvision(channels: int) -> None:
    x, factor = FLOATS[:, :channels], 2 * torch.rand(NUM, generator=GENERATOR)
    for ours, theirs in (
        (light.brightened, functional.adjust_brightness),
        (light.contrasted, functional.adjust_contrast),
    ):
        expected = each(theirs, x, factor)
        assert (ours(x, factor, 1.0) - expected).abs().max() <= 1e-6
        assert (ours(255 * x, factor, 255.0) / 255 - expected).abs().max() <= 1e-6


def test_mixup_and_cutmix_equal_torchvision_for_the_same_share_and_box() -> None:
    """torchvision mixes row i with row i - 1 of its batch, so it gets the rows in the opposite order."""
    labels = whole(0, 9)
    for share in (0.0, 0.3, 0.71, 1.0):
        shares = torch.full((NUM,), share)
        theirs = v2.MixUp(num_classes=10)
        expected = theirs.transform(FLOATS.flip(0), {"lam": share, "labels": labels, "batch_size": NUM}).flip(0)
        assert (mix.blended(FLOATS, FLOATS.roll(-1, 0), shares) - expected).abs().max() <= 1e-6
        row, column = 7, 2
        edges = mix.box(shares, torch.tensor(row).expand(NUM), torch.tensor(column).expand(NUM), (12, 9))
        half = 0.5 * (1 - share) ** 0.5
        box = (max(column - int(half * 9), 0), max(row - int(half * 12), 0))
        box += (min(column + int(half * 9), 9), min(row + int(half * 12), 12))  # as v2.CutMix.make_params does
        params = {"box": box, "lam_adjusted": 0.0, "labels": labels, "batch_size": NUM}
        pasted, left = mix.pasted(FLOATS, FLOATS.roll(-1, 0), edges)
        assert torch.equal(pasted, v2.CutMix(num_classes=10).transform(FLOATS.flip(0), params).flip(0))
        area = (box[2] - box[0]) * (box[3] - box[1])
        assert left.tolist() == pytest.approx([1 - area / (12 * 9)] * NUM)


KEYS = torch.stack([torch.arange(NUM), torch.arange(NUM).roll(-1), torch.full((NUM,), 3), torch.zeros(NUM).long()], 1)
KEYS[:, 3] = torch.arange(NUM) // 10 * 10  # 100 batches


def mixture(mixup: float = 0.0, cutmix: float = 0.0) -> mix.Mix:
    return mix.Mix(2**62 + 7, mixup, cutmix, 10, -100, torch.float32, torch.device("cpu"))


def test_a_mixed_row_has_the_shares_of_its_pixels_and_an_ignored_one_stays() -> None:
    y = whole(0, 9)
    y[[3, 500]] = -100
    x = torch.where(y >= 0, y, 10)[:, None, None, None].expand(-1, 1, 8, 8).float()  # each pixel tells its class
    closed = torch.cat([x, x[:1]]), torch.cat([y, y[:1]])
    found, shares = mixture(cutmix=1.0)(*closed, KEYS)
    for row in range(NUM):
        counts = torch.bincount(found[row].flatten().long(), minlength=11)[:10] / 64
        assert torch.allclose(counts, shares[row], atol=1e-6), row
    for row in (2, 3, 499, 500):
        assert torch.equal(found[row], x[row])
    assert not shares[[3, 500]].any()
    assert shares[[2, 499]].max(1).values.tolist() == [1.0, 1.0]
    blend, shares = mixture(mixup=0.4)(*closed, KEYS)
    counted = (y >= 0) & (y.roll(-1) >= 0)
    expected = (shares * torch.arange(10)).sum(1)[counted]
    assert torch.allclose(blend[:, 0, 0, 0][counted], expected, atol=1e-5)
    assert torch.equal(mixture(mixup=0.4).targets(closed[1], KEYS, (8, 8)), shares)


def test_mixup_and_cutmix_take_turns_of_whole_batches_half_and_half() -> None:
    """2,000 batches of ten rows: a batch is of one kind, and the kinds are within 4 standard deviations of a half."""
    rows = torch.arange(20_000)
    keys = torch.stack([rows, rows, torch.full_like(rows, 8), rows // 10 * 10], 1)
    x, y = torch.rand(20_001, 1, 4, 4, generator=GENERATOR), torch.zeros(20_001, dtype=torch.int64)
    found, _ = mixture(0.3, 1.0)(x, y, keys)
    kept = ((found == x[:-1]) | (found == x[1:])).flatten(1).all(1)  # a box takes pixels as they are
    boxed = kept.reshape(-1, 10).all(1)
    blended = (found != x[:-1]).flatten(1).all(1).reshape(-1, 10).any(1)
    assert torch.equal(boxed, ~blended)
    assert abs(float(boxed.double().mean()) - 0.5) < 4 * (0.25 / 2000) ** 0.5


def chi_square(values: Tensor, count: int) -> float:
    """Of whole numbers that should be uniform below count, in standard deviations from its mean."""
    seen, expected = torch.bincount(values.flatten(), minlength=count).double(), values.numel() / count
    assert len(seen) == count
    return float(((seen - expected).square() / expected).sum() - (count - 1)) / (2 * (count - 1)) ** 0.5


def test_draws_are_uniform_and_do_not_depend_on_each_other() -> None:
    """200,000 rows in two epochs: chi-square within 4 standard deviations of its mean, correlations below 0.01."""
    rows = torch.arange(200_000)
    epochs = [torch.full_like(rows, epoch) for epoch in (0, 1)]
    u = torch.cat([draws.uniform(2**63 - 1, epoch, rows, 0, 9) for epoch in epochs])
    assert 0 <= float(u.min()) < float(u.max()) < 1
    for some in u:
        assert abs(chi_square(draws.below(some, 25), 25)) < 4
        assert abs(chi_square(draws.below(some, 5) * 5 + draws.below(some.roll(1), 5), 25)) < 4
    assert torch.corrcoef(torch.cat([u, u.roll(1, 1)])).fill_diagonal_(0).abs().max() < 0.01


def test_what_is_drawn_for_a_row_does_not_depend_on_its_batch() -> None:
    rows, epoch = torch.randperm(999, generator=GENERATOR), torch.full((999,), 5)
    together = draws.uniform(123, epoch, rows, 0, 9)
    parts = [draws.uniform(123, epoch[:size], part, 0, 9) for part in rows.split(7) for size in [len(part)]]
    assert torch.equal(together, torch.cat(parts, 1))
    assert torch.equal(together[3:5], draws.uniform(123, epoch, rows, 3, 2))


def test_operations_draw_what_they_say() -> None:
    """Of 20,000 rows: half are mirrored, all shifts and crops equally often, the factors uniform; and each draws the
    same alone as among others."""
    u = draws.uniform(99, torch.zeros(20_000, dtype=torch.int64), torch.arange(20_000), 0, operations.COUNT)
    x = torch.arange(1, 50.0).reshape(1, 1, 7, 7).expand(20_000, -1, -1, -1)  # each pixel tells where it was
    mirrored = operations.Mirror()(x, u)[:, 0, 0, 0] == 7
    assert abs(chi_square(mirrored.long(), 2)) < 4
    middle = operations.Shift(2)(x, u)[:, 0, 3, 3].long() - 1
    assert abs(chi_square((middle // 7 - 1) * 5 + middle % 7 - 1, 25)) < 4
    middle = operations.Crop(3)(x, u)[:, 0, 3, 3].long() - 1
    assert abs(chi_square(middle, 49)) < 4
    black = operations.Cutout(1)(x, u)[:, 0].flatten(1) == 0
    assert abs(chi_square(black.long().argmax(1), 49)) < 4
    factor = operations.Light(light.brightened, 0.4, 1e9, torch.float64, 7)(x[:, :, :1, :1], u).flatten()
    assert 0.6 <= float(factor.min()) < 0.601
    assert 1.399 < float(factor.max()) < 1.4
    assert abs(chi_square(((factor - 0.6) / 0.8 * 40).long(), 40)) < 4


@pytest.mark.parametrize("a", [0.1, 0.2, 0.5, 1.0, 5.0])  # the most is 5, see schema.py
def test_shares_have_the_beta_distribution(a: float) -> None:
    """The shares of 200,000 draws below 39 limits, those of 2 million draws of torch's, are within 0.005; mean and
    variance within 1%."""
    u = draws.uniform(7, torch.zeros(200_000, dtype=torch.int64), torch.arange(200_000), 0, 1)[0]
    found = beta.drawn(beta.quantiles(a), u).double()
    assert 0 <= float(found.min()) <= float(found.max()) <= 1
    assert float(found.mean()) == pytest.approx(0.5, rel=0.01)
    assert float(found.var()) == pytest.approx(1 / (4 * (2 * a + 1)), rel=0.01)
    torch.manual_seed(0)
    limits = torch.distributions.Beta(torch.tensor(a).double(), torch.tensor(a).double()).sample((2_000_000,))
    limits = limits.sort().values[torch.arange(1, 40) * 50_000]
    below = torch.stack([(found <= limit).double().mean() for limit in limits])
    expected = torch.where(limits < 1 - 1e-6, torch.arange(1, 40) / 40, below)  # float32 has few numbers near 1
    assert (below - expected).abs().max() < 0.005
