"""Picture files of every mode and orientation, against Pillow's own conversion."""

import io
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image, ImageOps

from trainer.data.picture_file import PictureFormat, read
from trainer.errors import ConfigError

SIZE = 10
CHANCE = np.random.default_rng(0)
RGB = CHANCE.integers(0, 256, (SIZE, SIZE, 3), dtype=np.uint8)
ALPHA = CHANCE.integers(0, 256, (SIZE, SIZE), dtype=np.uint8)
WIDE = CHANCE.integers(0, 65536, (SIZE, SIZE), dtype=np.uint16)
WIDE[0, :3] = 0, 32768, 65535
HERE, GREY = Image.fromarray(RGB), Image.fromarray(RGB[..., 0])
LA, RGBA = GREY.copy(), HERE.copy()
LA.putalpha(Image.fromarray(ALPHA))
RGBA.putalpha(Image.fromarray(ALPHA))
PALETTE = HERE.quantize(16)
FRAMES = [Image.fromarray(RGB[::-1].copy()), Image.fromarray(RGB.transpose(1, 0, 2).copy())]

UPRIGHT: dict[int, Callable[[Any], Any]] = {  # a stored array from the array that a viewer shows, by EXIF's table
    1: lambda a: a, 2: lambda a: a[:, ::-1], 3: lambda a: a[::-1, ::-1], 4: lambda a: a[::-1],
    5: lambda a: a.transpose(1, 0, 2), 6: lambda a: np.rot90(a), 7: lambda a: a[::-1, ::-1].transpose(1, 0, 2),
    8: lambda a: np.rot90(a, -1),
}  # fmt: skip


def turned(number: int) -> Image.Exif:
    exif = Image.Exif()
    exif[0x0112] = number
    return exif


def wide(values: Any, most: float) -> Any:
    """Values from 0 to most as bytes of three channels."""
    levels = np.floor(values.astype("float64") / most * 255 + 0.5).astype("uint8")
    return np.stack([levels] * 3, -1)


def hidden(pixels: Any, where: Any) -> Any:
    """The pixels, with white where a picture is transparent."""
    return np.where(where[..., None], 255, pixels).astype("uint8")


# name: (file, picture, how it is saved, what a viewer shows: None for Pillow's own conversion)
Case = tuple[str, Image.Image, dict[str, Any], Any]
CASES: dict[str, Case] = {
    **{f"orientation {n}": ("a.png", Image.fromarray(np.ascontiguousarray(turn(RGB))), {"exif": turned(n)}, RGB)
       for n, turn in UPRIGHT.items()},
    "jpeg, turned": ("a.jpg", HERE, {"exif": turned(6)}, None),
    "webp, turned": ("a.webp", HERE, {"exif": turned(8)}, None),
    "tiff, turned": ("a.tif", Image.fromarray(np.ascontiguousarray(np.rot90(RGB))), {"exif": turned(6)}, RGB),
    "16 bits": ("a.png", Image.fromarray(WIDE), {}, wide(WIDE, 65535)),
    "16 bits, turned": ("a.png", Image.fromarray(np.rot90(WIDE).copy()), {"exif": turned(6)}, wide(WIDE, 65535)),
    "16 bits, transparent": ("a.png", Image.fromarray(WIDE), {"transparency": int(WIDE[4, 4])},
                             hidden(wide(WIDE, 65535), WIDE[4, 4] == WIDE)),
    "16 bits, tiff": ("a.tif", Image.fromarray(WIDE), {}, wide(WIDE, 65535)),
    "16 bits, big-endian": ("a.tif", Image.frombytes("I;16B", (SIZE, SIZE), WIDE.astype(">u2").tobytes()), {},
                            wide(WIDE, 65535)),
    "32 bits": ("a.tif", Image.fromarray(WIDE.astype("int32")), {}, wide(WIDE, 65535)),
    "portable, 16 bits": ("a.pgm", Image.fromarray(WIDE.astype("int32")), {}, wide(WIDE, 65535)),
    "floats": ("a.tiff", Image.fromarray((ALPHA / 255).astype("float32")), {}, wide(ALPHA, 255)),
    "palette": ("a.png", PALETTE, {}, None),
    "palette, one transparent": ("a.png", PALETTE, {"transparency": 3}, None),
    "palette, alpha of each": ("a.png", PALETTE, {"transparency": bytes(range(0, 256, 16))}, None),
    "palette with alpha": ("a.tif", LA.convert("PA"), {}, None),
    "gif": ("a.gif", PALETTE, {"transparency": 2}, None),
    "grey": ("a.jfif", GREY, {"format": "JPEG"}, None),
    "grey with alpha": ("a.png", LA, {}, None),
    "grey, one transparent": ("a.png", GREY, {"transparency": int(RGB[2, 2, 0])},
                              hidden(np.stack([RGB[..., 0]] * 3, -1), RGB[..., 0] == RGB[2, 2, 0])),
    "alpha": ("a.png", RGBA, {}, None),
    "alpha, turned": ("a.webp", RGBA, {"lossless": True, "exif": turned(3)}, None),
    "one colour transparent": ("a.png", HERE, {"transparency": tuple(map(int, RGB[1, 1]))},
                               hidden(RGB, (RGB[1, 1] == RGB).all(-1))),
    "one bit": ("a.png", Image.fromarray(ALPHA > 128), {}, np.repeat((ALPHA > 128)[..., None], 3, -1) * 255),
    "cmyk": ("a.jpg", HERE.convert("CMYK"), {}, None),
    "cmyk, tiff": ("a.tif", HERE.convert("CMYK"), {}, None),
    "ycbcr": ("a.tif", HERE.convert("YCbCr"), {}, None),
    "lab": ("a.tif", Image.frombytes("LAB", (SIZE, SIZE), RGB.tobytes()), {}, None),
    "animated gif": ("a.gif", HERE, {"save_all": True, "append_images": FRAMES}, None),
    "animated webp": ("a.webp", HERE, {"save_all": True, "append_images": FRAMES, "lossless": True}, RGB),
    "animated png": ("a.png", HERE, {"save_all": True, "append_images": FRAMES}, RGB),
    "mpo of a phone": ("a.mpo", HERE, {"save_all": True, "append_images": FRAMES}, None),
}  # fmt: skip


def by_pillow(file: Path, background: str) -> Image.Image:
    with Image.open(file) as opened:
        picture = ImageOps.exif_transpose(opened)
    if picture.mode in ("LA", "PA", "RGBA") or "transparency" in picture.info:
        canvas = Image.new("RGBA", picture.size, background)
        return Image.alpha_composite(canvas, picture.convert("RGBA")).convert("RGB")
    return picture.convert("RGB")


def test_there_are_many() -> None:
    assert len(CASES) >= 30


@pytest.mark.parametrize("name", CASES)
def test_a_picture_is_read_as_a_viewer_shows_it(tmp_path: Path, name: str) -> None:
    file, picture, settings, expected = CASES[name]
    picture.save(tmp_path / file, **settings)
    got = read(str(tmp_path / file), PictureFormat(SIZE)).permute(1, 2, 0).numpy()
    shown = by_pillow(tmp_path / file, "white") if expected is None else Image.fromarray(expected.astype("uint8"))
    np.testing.assert_array_equal(got, np.asarray(shown))
    grey = read(str(tmp_path / file), PictureFormat(SIZE, grey=True))[0].numpy()
    np.testing.assert_array_equal(grey, np.asarray(shown.convert("L")))
    if expected is None:
        black = read(str(tmp_path / file), PictureFormat(SIZE, background="black")).permute(1, 2, 0).numpy()
        np.testing.assert_array_equal(black, np.asarray(by_pillow(tmp_path / file, "black")))


def test_the_square_in_the_middle_is_resized(tmp_path: Path) -> None:
    tall = np.pad(RGB[:6, :6].repeat(2, 0).repeat(2, 1), [(6, 6), (0, 0), (0, 0)])
    Image.fromarray(tall).save(tmp_path / "a.png")
    got = read(str(tmp_path / "a.png"), PictureFormat(12)).permute(1, 2, 0).numpy()
    np.testing.assert_array_equal(got, tall[6:18])
    half = read(str(tmp_path / "a.png"), PictureFormat(6)).permute(1, 2, 0).numpy()
    middle = Image.fromarray(tall).resize((6, 6), Image.Resampling.BILINEAR, box=(0, 6, 12, 18))
    np.testing.assert_array_equal(half, np.asarray(middle))


REFUSED = {
    "floats up to 255": (ALPHA.astype("float32"), "mode F: its values are .* but 0 is black and 1 is white"),
    "a float that is NaN": (np.full((SIZE, SIZE), np.nan, dtype="float32"), "mode F: its values are nan"),
    "32 bits": (WIDE.astype("int32") * 1000, "mode I: its values are .* but 0 is black and 65535 is white"),
    "below 0": (WIDE.astype("int32") - 40000, "mode I: its values are -"),
}


@pytest.mark.parametrize("name", REFUSED)
def test_what_no_viewer_could_show_is_refused_by_mode(tmp_path: Path, name: str) -> None:
    values, message = REFUSED[name]
    Image.fromarray(values).save(tmp_path / "a.tif")
    with pytest.raises(ConfigError, match=rf"a\.tif cannot be shown as a picture: {message}"):
        read(str(tmp_path / "a.tif"), PictureFormat(SIZE))


def test_a_broken_exif_block_is_ignored_and_a_program_is_never_run(tmp_path: Path) -> None:
    HERE.save(tmp_path / "a.png", exif=b"Exif\0\0MM\0\x2b\0\0\0\x08")
    got = read(str(tmp_path / "a.png"), PictureFormat(SIZE)).permute(1, 2, 0).numpy()
    np.testing.assert_array_equal(got, RGB)
    script = io.BytesIO()
    HERE.save(script, "EPS")  # Pillow would give it to Ghostscript
    (tmp_path / "b.png").write_bytes(script.getvalue())
    with pytest.raises(ConfigError, match="is not a picture"):
        read(str(tmp_path / "b.png"), PictureFormat(SIZE))
