"""JPEGs by the fast way against Pillow's: equal to the bit, and taken where it should be."""

import io
import itertools
import math
from collections.abc import Iterator
from fractions import Fraction
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image
from torch import Tensor

from trainer.data import jpeg, picture_file
from trainer.data.picture_file import PictureFormat, decoded
from trainer.errors import ConfigError

HOW = {"quality": (20, 75, 97), "subsampling": (0, 1, 2)}
MORE: list[dict[str, Any]] = [{}, {"progressive": True}, {"optimize": True}, {"restart_marker_blocks": 3}]
SHAPES = [
    (64, 64, 16),
    (64, 64, 32),
    (64, 64, 64),
    (99, 99, 99),
    (34, 34, 17),
    (63, 63, 21),
    (63, 63, 9),
    (4, 4, 1),
]  # and size
SLOW = [(64, 48, 16), (48, 64, 12), (64, 64, 8), (63, 63, 16), (99, 99, 11), (60, 60, 128), (64, 65, 64)]


def picture(draw: np.random.Generator, width: int, height: int) -> Image.Image:
    """A smooth picture, or noise, or black and white: in it ties are frequent."""
    kind = draw.integers(3)
    if kind == 0:
        return Image.fromarray(draw.integers(0, 256, (height, width, 3), dtype=np.uint8))
    if kind == 1:
        return Image.fromarray(draw.choice([0, 255], (height, width, 3)).astype(np.uint8))
    coarse = Image.fromarray(draw.integers(0, 256, (5, 5, 3), dtype=np.uint8))
    return coarse.resize((width, height), Image.Resampling.BICUBIC)


def saved(shown: Image.Image, **settings: Any) -> bytes:
    file = io.BytesIO()
    shown.save(file, "JPEG", **settings)
    return file.getvalue()


def outcome(data: bytes, how: PictureFormat) -> Any:
    """The pixels, or the message."""
    try:
        return decoded(data, "a.jpg", how).numpy()
    except ConfigError as error:
        return str(error)


class Ways:
    """Both ways, and how many pictures the fast one made."""

    def __init__(self, patch: pytest.MonkeyPatch) -> None:
        self.patch, self.fast, self.ours = patch, 0, jpeg.pixels

    def agree(self, data: bytes, how: PictureFormat) -> bool:
        """Hold both against each other; True if the fast way was taken."""
        before = self.fast
        self.patch.setattr(picture_file.jpeg, "pixels", self.counted)
        got = outcome(data, how)
        self.patch.setattr(picture_file.jpeg, "pixels", lambda *_: None)
        np.testing.assert_array_equal(got, outcome(data, how))
        return self.fast > before

    def counted(self, *given: Any) -> Tensor | None:
        made = self.ours(*given)
        self.fast += made is not None
        return made


@pytest.fixture
def ways(monkeypatch: pytest.MonkeyPatch) -> Ways:
    return Ways(monkeypatch)


def test_every_encoding_gives_pillows_pixels(ways: Ways) -> None:
    draw = np.random.default_rng(0)
    encodings = itertools.product(*HOW.values(), MORE)
    for (quality, subsampling, more), shape in itertools.product(encodings, SHAPES + SLOW):
        width, height, size = shape
        data = saved(picture(draw, width, height), quality=quality, subsampling=subsampling, **more)
        assert ways.agree(data, PictureFormat(size)) == (shape in SHAPES), (quality, subsampling, more, shape)


def test_grey_pictures_and_grey_rows(ways: Ways) -> None:
    shown = picture(np.random.default_rng(0), 64, 64)
    assert ways.agree(saved(shown.convert("L")), PictureFormat(16))
    assert ways.agree(saved(shown.convert("L")), PictureFormat(16, grey=True))
    assert not ways.agree(saved(shown), PictureFormat(16, grey=True))  # Pillow's grey is not the file's


def test_what_pillow_has_to_read(ways: Ways, capfd: pytest.CaptureFixture[str]) -> None:
    shown, how = picture(np.random.default_rng(1), 64, 64), PictureFormat(16)
    exif = Image.Exif()
    exif[jpeg.ORIENTATION] = 1
    assert ways.agree(saved(shown, exif=exif), how)
    for turned in range(2, 9):
        exif[jpeg.ORIENTATION] = turned
        assert not ways.agree(saved(shown, exif=exif), how)
    xmp = b'<x:xmpmeta xmlns:x="adobe:ns:meta/"><rdf:Description tiff:Orientation="6"/></x:xmpmeta>'
    data, plain = saved(shown, xmp=xmp), saved(shown)
    for other in [data, saved(shown.convert("CMYK")), saved(shown, keep_rgb=True), plain + b"\0", plain[:-2]]:
        assert not ways.agree(other, how)
    for end in range(0, len(plain), 97):
        assert not ways.agree(plain[:end], how)
    png = io.BytesIO()
    shown.save(png, "PNG")
    assert not ways.agree(png.getvalue(), how)
    ways.patch.setitem(picture_file.SQUARES, "torchvision", picture_file.square)  # whose import takes seconds
    assert not ways.agree(plain, PictureFormat(16, resize="torchvision"))
    assert capfd.readouterr().err == ""


@pytest.mark.parametrize("more", [{}, {"progressive": True}, {"restart_marker_blocks": 2}], ids=str)
def test_a_damaged_file_gives_what_pillow_makes_of_it(
    ways: Ways, more: dict[str, Any], capfd: pytest.CaptureFixture[str]
) -> None:
    draw, how = np.random.default_rng(2), PictureFormat(16)
    plain = saved(picture(draw, 64, 64), **more)
    for _ in range(150):
        damaged = bytearray(plain)
        for place in draw.integers(2, len(plain) - 2, draw.integers(1, 4)):
            damaged[place] ^= 1 << draw.integers(8)
        ways.agree(bytes(damaged), how)
    assert ways.fast > 50
    capfd.readouterr()  # libjpeg's lines, see trainer/data/jpeg.py


def test_without_torchvisions_library_pillow_reads(ways: Ways, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(jpeg, "find_spec", lambda _: None)
    monkeypatch.setattr(jpeg.torch.ops, "image", object())
    jpeg.decoder.cache_clear()
    assert not ways.agree(saved(Image.new("RGB", (8, 8), "red")), PictureFormat(4))
    jpeg.decoder.cache_clear()


def test_a_file_is_read_the_fast_way(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "a.jpg").write_bytes(saved(picture(np.random.default_rng(3), 32, 32)))
    monkeypatch.setattr(picture_file, "shown", None)
    assert picture_file.read(str(tmp_path / "a.jpg"), PictureFormat(8)).shape == (3, 8, 8)


def rows_of_weights(factor: int, size: int) -> Iterator[list[Fraction]]:
    """The weights of each pixel along one side: a triangle as wide as two pixels of the result, cut at the edges."""
    for place in range(size):
        middle = Fraction(2 * place + 1, 2) * factor
        inputs = range(max(0, int(middle) - factor), min(factor * size, int(middle + factor)) + 1)
        heights = [max(Fraction(0), 1 - abs(x + Fraction(1, 2) - middle) / factor) for x in inputs if x < factor * size]
        yield [height / sum(heights) for height in heights]


def round_alike(factor: int, size: int) -> bool:
    """If Pillow's weights of 22 bits and torch's of 16 (with their sign) give the same byte for any pixels."""
    rows = list(rows_of_weights(factor, size))
    largest, bits = max(max(row) for row in rows), 0
    while math.floor(largest * 2 ** (bits + 1) + Fraction(1, 2)) < 2**15:
        bits += 1
    for row in rows:
        by_pillow, by_torch = ([math.floor(w * 2**b + Fraction(1, 2)) - w * 2**b for w in row] for b in (22, bits))
        parts = math.lcm(*(weight.denominator for weight in row))  # a sum is a multiple of 1/parts
        nearest = Fraction(1, parts if parts % 2 == 0 else 2 * parts)  # to a half, unless it is one
        if max(255 * sum(map(abs, by_torch)) / 2**bits, 255 * sum(map(abs, by_pillow)) / 2**22) >= nearest:
            return False
        if parts % 2 == 0 and by_pillow != by_torch:  # a half is rounded by the errors of the weights
            return False
    return True


def test_torch_certainly_rounds_as_pillow_by_exactly_these_factors() -> None:
    certain = [factor for factor in range(1, 17) if all(round_alike(factor, size) for size in (1, 2, 3, 4, 17))]
    assert certain == list(jpeg.FACTORS)
