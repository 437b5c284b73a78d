"""results.png: the curves on the left, the confusion matrix or the parity plot on the right.

Drawn with Pillow, at twice the size and then halved: matplotlib takes half a second to import, a tenth of a run.
"""

import io
import math
from collections.abc import Mapping

from PIL import Image, ImageDraw, ImageFont

from trainer.report.findings import Outcome
from trainer.report.scales import Points, Scale, fit, thinned

BLUE, ORANGE, INK, GREY, RULE = "#0072B2", "#D55E00", "#222222", "#666666", "#E4E4E4"  # Okabe and Ito's colours
WIDTH, HEIGHT, FINE = 1200, 500, 2  # pixels, and dots in a pixel while it is drawn
FONTS = ("DejaVuSans.ttf", "Arial.ttf", "Arial Unicode.ttf")  # where Pillow's own, which is ASCII, does not do
MOST_CLASSES = 25  # of which counts are written into the matrix


def draw(title: str, curves: Mapping[str, Points], outcome: Outcome | None) -> bytes:
    """A PNG of 1200 × 500. curves: train and val losses as (step, value)."""
    words = "".join([title, *(outcome.classes or [] if outcome else [])])
    sheet = _Sheet(ascii_only=words.isascii())
    sheet.text(WIDTH / 2, 26, title, size=15, anchor="mm")
    drawn = outcome is not None and bool(outcome.confusions or outcome.pairs)
    _losses(sheet, curves, right=660 if drawn else 1160)
    if outcome is not None and drawn:
        sheet.text(960, 52, f"{outcome.split} split", size=13, anchor="mm")
        (_matrix if outcome.classes is not None else _parity)(sheet, outcome)
    return sheet.png()


class _Sheet:
    """Lines, boxes and text in pixels, from the upper left. Text that no font has letters for shows as ?."""

    def __init__(self, *, ascii_only: bool) -> None:
        self.image = Image.new("RGB", (WIDTH * FINE, HEIGHT * FINE), "white")
        self.canvas = ImageDraw.Draw(self.image)
        self.fonts: dict[int, ImageFont.FreeTypeFont | ImageFont.ImageFont] = {}
        self.file = None if ascii_only else _font_file()

    def text(self, x: float, y: float, text: str, *, size: int = 12, colour: str = INK, anchor: str = "ls") -> None:
        if size not in self.fonts:
            scaled = size * FINE
            self.fonts[size] = ImageFont.truetype(self.file, scaled) if self.file else ImageFont.load_default(scaled)
        text = text if self.file else text.encode("ascii", "replace").decode()
        self.canvas.text((x * FINE, y * FINE), text, fill=colour, font=self.fonts[size], anchor=anchor)

    def line(self, points: Points, colour: str, width: float = 1.0) -> None:
        scaled = [(x * FINE, y * FINE) for x, y in points]
        self.canvas.line(scaled, fill=colour, width=round(width * FINE), joint="curve")

    def dot(self, x: float, y: float, colour: str, radius: float = 2.5) -> None:
        corners = ((x - radius) * FINE, (y - radius) * FINE, (x + radius) * FINE, (y + radius) * FINE)
        self.canvas.ellipse(corners, fill=colour)

    def box(self, left: float, top: float, right: float, bottom: float, colour: str) -> None:
        self.canvas.rectangle((left * FINE, top * FINE, right * FINE - 1, bottom * FINE - 1), fill=colour)

    def png(self) -> bytes:
        buffer = io.BytesIO()
        self.image.reduce(FINE).save(buffer, "PNG", compress_level=6)
        return buffer.getvalue()


def _font_file() -> str | None:
    for name in FONTS:
        try:
            ImageFont.truetype(name, 10)
        except OSError:
            continue
        return name
    return None


class _Plot:
    """A rectangle of the sheet with a scale on either side."""

    def __init__(
        self, sheet: _Sheet, box: tuple[int, int, int, int], x: Scale, y: Scale, names: tuple[str, str]
    ) -> None:
        self.left, self.top, self.right, self.bottom = box
        self.x, self.y = x, y
        for place, text in y.ticks():
            height = self.bottom - place * (self.bottom - self.top)
            sheet.line([(self.left, height), (self.right, height)], RULE)
            sheet.text(self.left - 8, height, text, colour=GREY, anchor="rm")
        for place, text in x.ticks(6):
            sheet.text(self.left + place * (self.right - self.left), self.bottom + 18, text, colour=GREY, anchor="ms")
        sheet.line([(self.left, self.bottom), (self.right, self.bottom)], GREY)
        sheet.text((self.left + self.right) / 2, self.bottom + 40, names[0], colour=GREY, anchor="ms")
        sheet.text(self.left, self.top - 10, names[1], colour=GREY)

    def at(self, x: float, y: float) -> tuple[float, float]:
        """Pixels of a point."""
        width, height = self.right - self.left, self.bottom - self.top
        return self.left + self.x.place(x) * width, self.bottom - self.y.place(y) * height


def _losses(sheet: _Sheet, curves: Mapping[str, Points], right: int) -> None:
    finite = {name: [p for p in points if math.isfinite(p[1])] for name, points in curves.items()}
    x = fit((step for points in finite.values() for step, _ in points), margin=0.01)
    y = fit((value for points in finite.values() for _, value in points), may_be_logarithmic=True)
    if x is None or y is None:
        return
    name = "loss (log scale)" if y.logarithmic else "loss"
    plot = _Plot(sheet, (90, 90, right, 430), x, y, ("step", name))
    at = right - 120
    for name, colour in (("train", BLUE), ("val", ORANGE)):
        points = [plot.at(*point) for point in thinned(finite.get(name, []), right - 90)]
        if not points:
            continue
        if len(points) > 1:
            sheet.line(points, colour, 1.5)
        for point in points if name == "val" and len(points) <= 120 else points[:1]:
            sheet.dot(*point, colour)
        sheet.line([(at, 75), (at + 18, 75)], colour, 1.5)
        sheet.text(at + 24, 75, name, colour=GREY, anchor="lm")
        at += 70


def _matrix(sheet: _Sheet, outcome: Outcome) -> None:
    classes = outcome.classes or []
    left, top, side = 790, 90, 340
    cell = side / len(classes)
    highest = max(outcome.confusions.values())
    sheet.box(left, top, left + side, top + side, "#F4F7FA")
    few = len(classes) <= MOST_CLASSES
    for (truth, guess), count in outcome.confusions.items():
        share = count / (highest or 1)
        colour = "#" + "".join(
            f"{round(a + (b - a) * share):02X}" for a, b in zip((222, 235, 247), (8, 81, 156), strict=True)
        )
        x, y = left + guess * cell, top + truth * cell
        sheet.box(x, y, x + cell, y + cell, colour)
        if few and count:
            ink = "white" if share > 0.5 else INK
            sheet.text(x + cell / 2, y + cell / 2, str(count), size=11, colour=ink, anchor="mm")
    short = max(map(len, classes)) * 7 < cell
    for index, name in enumerate(classes if few else []):
        centre = (index + 0.5) * cell
        sheet.text(left - 8, top + centre, _cut(name, 14), size=11, colour=GREY, anchor="rm")
        below = name if short else str(index + 1)
        sheet.text(left + centre, top + side + 16, below, size=11, colour=GREY, anchor="ms")
    sheet.text(left + side / 2, top + side + 40, "prediction", colour=GREY, anchor="ms")
    sheet.text(left - 8, top - 10, "truth", colour=GREY, anchor="rs")


def _parity(sheet: _Sheet, outcome: Outcome) -> None:
    scale = fit(value for pair in outcome.pairs for value in pair)
    if scale is None:
        return
    plot = _Plot(sheet, (790, 90, 1150, 430), scale, scale, ("truth", "prediction"))
    sheet.line([plot.at(scale.low, scale.low), plot.at(scale.high, scale.high)], GREY)
    for truth, guess in outcome.pairs:
        sheet.dot(*plot.at(truth, guess), BLUE, 2)


def _cut(text: str, most: int) -> str:
    return text if len(text) <= most else text[: most - 1] + "."
