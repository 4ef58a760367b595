"""Where pixels come from, in plain float64 arithmetic: the maps that keep lines parallel, written down once more."""

from __future__ import annotations

import math
from fractions import Fraction
from types import SimpleNamespace
from typing import Any

import numpy as np
import numpy.typing as npt

Array = npt.NDArray[Any]
Size = tuple[int, int]


def move(sx: float = 1.0, sy: float = 1.0, tx: float = 0.0, ty: float = 0.0) -> Array:
    """Return the matrix of a scaling and a shift."""
    return np.array([[sx, 0.0, tx], [0.0, sy, ty], [0.0, 0.0, 1.0]])


def turn(degrees: float) -> Array:
    """Return the matrix of a clockwise turn as seen on a screen, whose y axis points down, about the origin."""
    c, s = math.cos(math.radians(degrees)), math.sin(math.radians(degrees))
    return np.array([[c, -s, 0.0], [s, c, 0.0], [0.0, 0.0, 1.0]])


def quarter(turns: int, h: float, w: float) -> Array:
    """Return the matrix of counter-clockwise quarter turns of an image: (x, y) goes to (y, w - x) each time."""
    out = np.eye(3)
    for _ in range(turns):
        out = np.array([[0.0, 1.0, 0.0], [-1.0, 0.0, w], [0.0, 0.0, 1.0]]) @ out
        h, w = w, h
    return out


def onto(size: Size, top: float, left: float, height: float, width: float) -> Array:
    """Return the matrix that takes a rectangle onto a whole canvas."""
    return move(size[1] / width, size[0] / height) @ move(tx=-left, ty=-top)


def map_of(layer: Any, d: SimpleNamespace, canvas: Size) -> tuple[Size, Array]:
    """Return the size of a layer's output and the matrix of one sample, from what was drawn for it (d)."""
    h, w = canvas
    name = type(layer).__name__
    middle, back = move(tx=w / 2, ty=h / 2), move(tx=-w / 2, ty=-h / 2)
    if not getattr(d, "gate", True):
        return canvas, np.eye(3)
    if name == "RandomHorizontalFlip":
        return canvas, move(sx=-1, tx=w)
    if name == "RandomVerticalFlip":
        return canvas, move(sy=-1, ty=h)
    if name == "RandomTranspose":
        return (w, h), np.array([[0.0, 1.0, 0.0], [1.0, 0.0, 0.0], [0.0, 0.0, 1.0]])
    if name == "RandomRotate90":
        return canvas, quarter(int(d.turns), h, w)
    if name == "SquareSymmetry":
        mirror = move(sx=-1, tx=w) if d.symmetry >= 4 else np.eye(3)
        return canvas, mirror @ quarter(int(d.symmetry) % 4, h, w)
    if name == "RandomRotation":
        to = canvas
        if layer.expand:  # of a range (-a, a) with a below 90 degrees: the largest, or where the diagonal lies flat
            top = max(abs(v) for v in layer.degrees.bounds)
            to = (math.ceil(reach(w, h, top) - 1e-6), math.ceil(reach(h, w, top) - 1e-6))
        return to, move(tx=to[1] / 2, ty=to[0] / 2) @ turn(-d.angle) @ back
    if name == "RandomAffine":
        shear = [math.tan(math.radians(getattr(d, f"shear_{axis}", 0.0))) for axis in "xy"]
        along_y = np.array([[1.0, 0.0, 0.0], [-shear[1], 1.0, 0.0], [0.0, 0.0, 1.0]])
        along_x = np.array([[1.0, -shear[0], 0.0], [0.0, 1.0, 0.0], [0.0, 0.0, 1.0]])
        shift = move(tx=getattr(d, "translate_x", 0.0) * w, ty=getattr(d, "translate_y", 0.0) * h)
        return canvas, shift @ middle @ turn(d.angle) @ along_y @ along_x @ move(d.scale, d.scale) @ back
    if name == "Pad":
        left, top, right, bottom = layer.padding
        return (h + top + bottom, w + left + right), move(tx=left, ty=top)
    if name == "CenterCrop":
        return layer.size, move(tx=-round((w - layer.size[1]) / 2), ty=-round((h - layer.size[0]) / 2))
    if name in ("RandomCrop", "AtLeastOneBBoxRandomCrop", "CropNonEmptyMaskIfExists"):
        return layer.size, move(tx=-d.left, ty=-d.top)
    if name in ("RandomResizedCrop", "RandomZoomOut", "RandomIoUCrop", "BBoxSafeRandomCrop"):
        size = layer.size if name == "RandomResizedCrop" else canvas
        return size, onto(size, d.top, d.left, d.height, d.width)
    if name == "ScaleJitter":
        fit = min(Fraction(layer.target_size[0], h), Fraction(layer.target_size[1], w))
        rows, cols = (math.floor(float(fit) * d.scale * n + 1e-6) for n in (h, w))
        return layer.target_size, move(tx=-d.left, ty=-d.top) @ onto((rows, cols), 0, 0, h, w)
    if name == "LetterBox":
        factor = min(Fraction(layer.size[0], h), Fraction(layer.size[1], w))
        rows, cols = round(factor * h), round(factor * w)
        place = move(tx=(layer.size[1] - cols) // 2, ty=(layer.size[0] - rows) // 2)
        return layer.size, place @ onto((rows, cols), 0, 0, h, w)
    size = resized(layer, d, canvas)
    return size, onto(size, 0, 0, h, w)


def reach(a: float, b: float, degrees: float) -> float:
    """Return the most that a rectangle with sides a, b extends along b, turned by up to so many degrees (below 90)."""
    peak = min(math.radians(degrees), math.atan2(a, b))
    return a * math.sin(peak) + b * math.cos(peak)


def resized(layer: Any, d: SimpleNamespace, canvas: Size) -> Size:
    """Return the size that a resize gives."""
    h, w = canvas
    name = type(layer).__name__
    if name == "Resize":
        size: Size = layer.size
        return size
    if name in ("LongestMaxSize", "SmallestMaxSize"):
        side = max(canvas) if name == "LongestMaxSize" else min(canvas)
        return round(Fraction(layer.max_size * h, side)), round(Fraction(layer.max_size * w, side))
    if name in ("RandomShortestSize", "RandomResize"):
        return d.size * h // min(canvas), d.size * w // min(canvas)
    raise NotImplementedError(name)


def chain_of(layers: list[Any], params: Any, sample: int, canvas: Size) -> tuple[Size, Array]:
    """Return the size of a pipeline's output and the matrix of one sample."""
    matrix = np.eye(3)
    for layer, name in zip(layers, params.names, strict=False):
        drawn = {k: v[sample].item() for k, v in vars(params[name]).items() if v.ndim == 1}
        drawn["size"] = params.sizes.get(name)
        canvas, step = map_of(layer, SimpleNamespace(**drawn), canvas)
        matrix = step @ matrix
    return canvas, matrix


def sources(matrix: Array, size: Size) -> tuple[Array, Array]:
    """Return the positions x, y (h, w) in the source of the centres of an output's pixels."""
    y, x = np.mgrid[: size[0], : size[1]] + 0.5
    places = np.linalg.inv(matrix) @ np.stack((x, y, np.ones_like(x))).reshape(3, -1)
    return places[0].reshape(size), places[1].reshape(size)


def floor_of(matrix: Array, radius: float) -> float:
    """Return how far, root mean square, a disc's centroid lies from its centre after nearest reading, in source pixels.

    Painting: along an axis the boundary's pixels count wrong with a variance of 1/12 each, so the centroid has the
    integral of (r cos)^2 / 12 along the boundary over the squared area, 1 / (12 pi r).
    Reading: an output pixel shows its position x to the nearest centre, off by a sawtooth of x, whose harmonic k is
    1 / (pi k) pixels high. Over the output's whole pixels it is a wave: k times a row of the inverse matrix, less the
    nearest whole numbers, is its frequency. The centroid moves by the mean of the wave over the boundary: all of it
    where the disc lies within one slow beat, as near the identity, and then by at most 2 J0(z), z the phase over a
    radius; the mean square of the Bessel function J0 is 1 / (pi z). No nearest reading comes closer.
    """
    linear = matrix[:2, :2]
    rows = np.arange(1, 33)[:, None, None] * np.linalg.inv(linear)  # (harmonic, axis, xy)
    beat = (rows - rows.round()) @ linear
    z = 2 * math.pi * radius * np.sqrt((beat**2).sum(2))
    share = np.minimum(1.0, 2 / np.sqrt(math.pi * np.maximum(z, 1e-9)))
    share[z < 1e-6] = 0.0  # always the same place in a pixel: its middle, or a tie
    height = 1 / (math.pi * np.arange(1, 33))[:, None]
    return math.sqrt(1 / (6 * math.pi * radius) + ((height * share) ** 2).sum() / 2)


def picked(mask: Array, x: Array, y: Array, fill: int = 0) -> Array:
    """Return the pixels of a mask (H, W) that hold positions x, y: their centres are the nearest."""
    column, row = np.floor(x).astype(np.int64), np.floor(y).astype(np.int64)
    inside = (column >= 0) & (column < mask.shape[1]) & (row >= 0) & (row < mask.shape[0])
    value = mask[row.clip(0, mask.shape[0] - 1), column.clip(0, mask.shape[1] - 1)]
    return np.where(inside, value, fill)
