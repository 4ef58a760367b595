"""Draw on a picture: uint8 (3, H, W) on the CPU, changed in place. Positions are in pixels, edge-origin."""

from __future__ import annotations

import math
from collections.abc import Sequence

import torch
from torch import Tensor

from gpuaug.geometry import polygons

__all__ = ["PAPER", "Colour", "caption", "colour", "corners", "fill_polygon", "outline", "stroke", "tag", "tint"]

Colour = tuple[int, int, int]
Point = Sequence[float]

PAPER = 255
_PALETTE: tuple[Colour, ...] = (
    (86, 180, 233),
    (240, 228, 66),
    (213, 94, 0),
    (0, 158, 115),
    (204, 121, 167),
    (230, 159, 0),
    (0, 114, 178),
)
"""Okabe and Ito's colours, which people with any colour vision can tell apart."""

# A 3x5 font, each glyph five rows of three bits from the top. Small letters use the capitals.
_GLYPHS = {
    "A": "25755", "B": "65656", "C": "34443", "D": "65556", "E": "74647", "F": "74644", "G": "34553",
    "H": "55755", "I": "72227", "J": "11152", "K": "55655", "L": "44447", "M": "57755", "N": "65555",
    "O": "25552", "P": "65644", "Q": "25563", "R": "65655", "S": "34216", "T": "72222", "U": "55557",
    "V": "55522", "W": "55775", "X": "55255", "Y": "55222", "Z": "71247",
    "0": "75557", "1": "26227", "2": "61247", "3": "61216", "4": "55711", "5": "74616", "6": "34757",
    "7": "71222", "8": "75757", "9": "75716",
    " ": "00000", ".": "00002", ",": "00024", "-": "00700", "_": "00007", "+": "02720", "=": "07070",
    ":": "02020", "(": "12221", ")": "42224", "[": "32223", "]": "62226", "/": "11244", "%": "51245",
    "*": "05250", "'": "22000", "?": "61202",
}  # fmt: skip


def colour(number: int) -> Colour:
    """Return the colour of an object, a class or a keypoint."""
    return _PALETTE[number % len(_PALETTE)]


def tint(picture: Tensor, where: Tensor, ink: Colour, opacity: float) -> None:
    """Blend a colour over the pixels of a mask (H, W) bool."""
    paint = torch.tensor(ink, dtype=torch.float32)[:, None]
    picture[:, where] = torch.lerp(picture[:, where].float(), paint, opacity).round().to(torch.uint8)


def _span(a: float, b: float, radius: float, count: int) -> tuple[int, int]:
    return max(0, math.floor(min(a, b) - radius)), min(count, math.ceil(max(a, b) + radius))


def stroke(picture: Tensor, a: Point, b: Point, radius: float, ink: Colour, hole: float = 0.0) -> None:
    """Paint the pixels whose centre is at most `radius`, and at least `hole`, from the line from a to b."""
    (ax, ay), (bx, by) = a, b
    spans = []
    for low, high, count in (
        (min(ay, by), max(ay, by), picture.shape[1]),
        (min(ax, bx), max(ax, bx), picture.shape[2]),
    ):
        spans.append((max(0, math.floor(low - radius)), min(count, math.ceil(high + radius))))
    (top, bottom), (left, right) = spans
    if top >= bottom or left >= right:
        return
    y = torch.arange(top, bottom, dtype=torch.float64)[:, None] + 0.5 - ay
    x = torch.arange(left, right, dtype=torch.float64)[None] + 0.5 - ax
    dx, dy = bx - ax, by - ay
    length = dx * dx + dy * dy
    along = ((x * dx + y * dy) / length).clamp(0, 1) if length > 0 else torch.zeros(())
    distance = torch.hypot(x - along * dx, y - along * dy)
    near = (distance <= radius) & (distance >= hole)
    picture[:, top:bottom, left:right][:, near] = torch.tensor(ink, dtype=torch.uint8)[:, None]


def outline(picture: Tensor, quad: Tensor, width: int, ink: Colour) -> None:
    """Draw the sides of corners (4, 2), `width` pixels wide and inside them.

    Sides that follow the axes are put on whole pixels first.
    """
    quad = quad.to(torch.float64)
    step = quad.roll(-1, 0) - quad
    if bool(((step == 0).any(-1)).all()):
        quad = quad.round()
        step = quad.roll(-1, 0) - quad
    length = step.norm(dim=-1, keepdim=True)
    unit = step / length.clamp(min=1e-9)
    inset = (length / 2).clamp(max=width / 2)
    ahead, behind = unit * inset, (unit * inset).roll(1, 0)
    inner = (quad + ahead - behind).tolist()
    for a, b in zip(inner, inner[1:] + inner[:1], strict=True):
        stroke(picture, a, b, width / 2, ink)


def corners(boxes: Tensor) -> Tensor:
    """Return the corners (..., 4, 2) of boxes: xyxy, four corners, or cx, cy, w, h, angle.

    The angle is torchvision's: degrees, counter-clockwise as seen on the screen.
    """
    if boxes.shape[-1] == 8:
        return boxes.reshape(*boxes.shape[:-1], 4, 2)
    if boxes.shape[-1] == 4:
        x0, y0, x1, y1 = boxes.unbind(-1)
        return torch.stack((x0, y0, x1, y0, x1, y1, x0, y1), dim=-1).view(*boxes.shape[:-1], 4, 2)
    return polygons.corners(boxes)


def fill_polygon(points: Tensor, height: int, width: int) -> Tensor:
    """Return which pixels have their centre inside a polygon (P, 2): bool (height, width), even-odd."""
    a = points.to(torch.float64)
    b = a.roll(-1, 0)
    y = torch.arange(height, dtype=torch.float64)[:, None] + 0.5
    crosses = (a[:, 1] <= y) != (b[:, 1] <= y)
    slope = (b[:, 0] - a[:, 0]) / torch.where(a[:, 1] == b[:, 1], 1.0, b[:, 1] - a[:, 1])
    x = a[:, 0] + (y - a[:, 1]) * slope
    column = torch.ceil(x - 0.5).clamp(0, width).to(torch.int64)  # the first pixel to the right of the crossing
    turns = torch.zeros(height, width + 1, dtype=torch.int64).scatter_add_(1, column, crosses.to(torch.int64))
    return turns[:, :width].cumsum(1) % 2 == 1


def _ink(text: str) -> Tensor:
    """Return which pixels of a line of text are ink: bool (7, 4 n + 1), a margin of one pixel around it."""
    strip = torch.zeros(7, 4 * len(text) + 1, dtype=torch.bool)
    for i, letter in enumerate(text):
        rows = _GLYPHS.get(letter.upper(), _GLYPHS["?"])
        bits = [[bool(int(row) >> (2 - k) & 1) for k in range(3)] for row in rows]
        strip[1:6, 1 + 4 * i : 4 + 4 * i] = torch.tensor(bits)
    return strip


def _enlarged(plane: Tensor, scale: int) -> Tensor:
    return plane.repeat_interleave(scale, dim=-2).repeat_interleave(scale, dim=-1)


def caption(text: str, width: int) -> Tensor:
    """Return black text on white, (3, 14, width): the font at twice its size, cut where the width ends."""
    ink = _enlarged(_ink(text), 2)[:, :width]
    strip = torch.full((3, 14, width), PAPER, dtype=torch.uint8)
    strip[:, :, : ink.shape[1]][:, ink] = 0
    return strip


def tag(picture: Tensor, text: str, at: Point, scale: int, ground: Colour) -> None:
    """Write text on a ground of a colour, its lower left corner at a position; moved to where it can be seen."""
    letters = _enlarged(_ink(text), scale)
    height, width = letters.shape
    left = max(0, min(round(at[0]), picture.shape[2] - width))
    top = max(0, min(round(at[1]) - height, picture.shape[1] - height))
    place = picture[:, top : top + height, left : left + width]
    letters = letters[: place.shape[1], : place.shape[2]]
    dark = 0.3 * ground[0] + 0.6 * ground[1] + 0.1 * ground[2] > 128
    place[:] = torch.tensor(ground, dtype=torch.uint8)[:, None, None]
    place[:, letters] = 0 if dark else PAPER
