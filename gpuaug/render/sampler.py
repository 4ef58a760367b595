"""Read one image through any warp on the CPU with torch's grid sampler, by the same tent rule as `reading`.

One call of the grid sampler blends two neighbouring taps along each axis, in any proportion: two taps of weights a
and b are one reading at the place b / (a + b) between them, times a + b. A tent of half-width r takes ceil(r) such
pairs along an axis, so most pixels of a warp take one reading, and only those that shrink take more.

The image is laid into a frame whose last index is a power of two: normalising a coordinate then changes nothing but
its exponent, and the sampler sees the float32 position itself. Positions are interleaved (N, 2), as the sampler takes
them; two numbers side by side are one complex number, which adds a pair of constants in one operation.
"""

from __future__ import annotations

import functools
import math
from dataclasses import dataclass

import torch
import torch.nn.functional as F
from torch import Tensor

from gpuaug.functional._door import store
from gpuaug.geometry import bend
from gpuaug.geometry.canvas import Canvas
from gpuaug.render.warp import MAX_HALF_WIDTH

__all__ = ["Frames", "nearest_pixels", "sample_image"]

Rows = list[list[float]]
_CHUNK, _WIDE, _CUT, _MANY = 65536, 24576, 12288, 4096
"""Positions that are read at a time: what a reading needs besides stays small, and in cache.

A widened filter needs more room for a position, so does one more plane, and many readings of one position the most.
"""
_EXACT = 1 << 24
"""Whole numbers below it are themselves in float32."""


@dataclass
class _Frame:
    """An image with room around it, kept for the next sample."""

    values: Tensor
    """(1, C, 2^n + 1, 2^m + 1)."""
    unit: tuple[float, float]
    """Pixels to the sampler's -1..1."""
    positions: int
    """How many are read at once at most."""

    @functools.cached_property
    def scale(self) -> Tensor:
        """(N, 2): the unit for each position, for those who do not have it in their positions already."""
        return torch.tensor(self.unit, dtype=self.values.dtype).repeat(self.positions, 1)


Frames = dict[tuple[int, ...], _Frame]


def sample_image(
    image: Tensor,
    m: Rows,
    canvas: Canvas,
    region: tuple[int, int, int, int],
    fill: tuple[float, ...],
    work: torch.dtype,
    widen: bool,
    frames: Frames,
    into: Tensor | None = None,
    cut: bool = False,
    field: Tensor | None = None,
    most: float = MAX_HALF_WIDTH,
) -> Tensor:
    """Return (1, C, h, w): the image (1, C, H, W) at the positions that `m` (output -> source) gives.

    Args:
        image: one image.
        m: rows of the homography.
        canvas: size of the output.
        region: x0, y0, x1, y1, the whole pixels of the source that are visible.
        fill: what is outside, in the image's units.
        work: working dtype.
        widen: whether the filter widens where the warp shrinks.
        frames: kept from sample to sample.
        into: where to write: of the working dtype, or of uint8, for which values are rounded; None makes a new one.
        cut: whether the filter is cut at the border of the region and normalised: there is no fill then, and what is
            farther outside means nothing.
        field: (1, 2, h, w), what is added to the positions of an affine `m`.
        most: bound of the filter's half-width under a field.
    """
    x0, y0, x1, y1 = region
    channels, (h, w) = image.shape[1], canvas
    chunk = _CUT if cut else _WIDE if widen else _CHUNK
    lines = max(1, min(h, chunk // w))
    frame = _framed(image[:, :, y0:y1, x0:x1], fill, work, max(chunk, w), frames, cut)
    straight = _Positions(m, canvas, (x0, y0), work, widen, None if field is not None else frame.unit)
    positions = straight if field is None else _Bent(straight, field.to(work), most if widen else 1.0)
    out = torch.empty((1, channels, h, w), dtype=work) if into is None and lines < h else into
    for start in range(0, h, lines):
        stop = min(h, start + lines)
        found = positions.of(start, stop)
        values = _flat(_sampled(frame, found[0])) if positions.normal else _tent(frame, *found)
        if cut:  # the last plane is what the filter covers
            values = values[:-1].div_(values[-1:].clamp_(min=1e-12))
        if any(fill):
            for c in range(channels):
                values[c].add_(fill[c if len(fill) > 1 else 0])
        if out is None:
            return values.view(1, channels, h, w)
        if out.dtype == torch.uint8:
            values.clamp_(0, 255).round_()
        store(out[0, :, start:stop], values.view(channels, stop - start, w))
    assert out is not None
    return out


def nearest_pixels(
    image: Tensor,
    m: Rows,
    canvas: Canvas,
    region: tuple[int, int, int, int],
    fill: tuple[float, ...],
    work: torch.dtype,
    into: Tensor | None = None,
) -> Tensor:
    """Return (1, C, h, w) in the image's dtype: the nearest pixel of an affine map's position, as `reading` finds it.

    The visible part gets a border of fill, to which every position outside is brought: nothing has to be chosen. It is
    written `into` an output of the same dtype and of ordinary strides; for others, and for None, it makes a new one.
    """
    x0, y0, x1, y1 = region
    channels, (h, w) = image.shape[1], canvas
    rows, cols = y1 - y0 + 2, x1 - x0 + 2
    gx, gy = torch.arange(w, dtype=work) + (0.5 - w / 2), torch.arange(h, dtype=work)[:, None] + (0.5 - h / 2)
    px, py = (
        torch.add(row[0] * gx, row[1] * gy).add_(row[2] + row[0] * (w / 2) + row[1] * (h / 2)).floor_() for row in m[:2]
    )
    py.sub_(y0 - 1).clamp_(0, rows - 1)
    px.sub_(x0 - 1).clamp_(0, cols - 1)
    if rows * cols < _EXACT:
        place = py.mul_(cols).add_(px).to(torch.int32).view(-1)
    else:
        place = px.to(torch.int64).add_(py.to(torch.int64), alpha=cols).view(-1)
    fits = into is not None and into.dtype == image.dtype and into.is_contiguous()
    out = into if fits and into is not None else image.new_empty((1, channels, h, w))
    plane = image.new_empty((rows, cols))  # one for all channels: it stays in the cache
    for c, found in enumerate(out.view(channels, -1)):
        if c == 0 or len(fill) > 1:
            value = fill[c if len(fill) > 1 else 0]
            plane.fill_(value if image.dtype.is_floating_point else round(value))
        plane[1:-1, 1:-1] = image[0, c, y0:y1, x0:x1]
        torch.index_select(plane.view(-1), 0, place, out=found)
    return out


def _framed(
    part: Tensor, fill: tuple[float, ...], work: torch.dtype, positions: int, frames: Frames, covered: bool
) -> _Frame:
    """Return an image laid into its frame; with a plane of ones as one more channel where it is `covered`."""
    channels, h, w = part.shape[1:]
    key = (channels + covered, h, w, positions)
    frame = frames.get(key)
    if frame is None:
        sides = tuple(1 << max(n - 1, 1).bit_length() for n in (h, w))
        values = torch.zeros((1, channels + covered, sides[0] + 1, sides[1] + 1), dtype=work)
        unit = (2.0 / sides[1], 2.0 / sides[0])
        frame = frames[key] = _Frame(values, unit, positions)
    if covered:
        frame.values[:, channels, :h, :w] = 1
    inner = frame.values[:, :channels, :h, :w]
    inner.copy_(part)
    if any(fill):  # sum w (v - fill) + fill: coverage needs no plane of its own
        for c in range(channels):
            inner[:, c].sub_(fill[c if len(fill) > 1 else 0])
    return frame


class _Positions:
    """Source positions of output pixels, as indices of pixels, and the filter's half-widths there.

    Where no width is needed and a `unit` is given, they are the sampler's own -1..1 at once: `normal`.
    """

    def __init__(
        self,
        m: Rows,
        canvas: Canvas,
        origin: tuple[int, int],
        work: torch.dtype,
        widen: bool,
        unit: tuple[float, float] | None,
    ) -> None:
        h, w = canvas
        # Coefficients about the middle of the output, where float32 is most precise.
        # Depth is one there, but its sign is kept: beyond a horizon nothing is seen.
        third = max(abs(m[2][0] * (w / 2) + m[2][1] * (h / 2) + m[2][2]), 1e-12)
        rows = [[row[0] / third, row[1] / third, (row[0] * (w / 2) + row[1] * (h / 2) + row[2]) / third] for row in m]
        self.ad, self.bd, depth = rows[2]
        self.affine = self.ad == 0 and self.bd == 0
        self.radii = [max(1.0, math.hypot(*row[:2])) if widen and self.affine else 1.0 for row in rows[:2]]
        self.widen = widen and (not self.affine or max(self.radii) > 1 + 1e-4)
        self.normal = unit is not None and not self.widen
        sx, sy = unit if unit is not None and self.normal else (1.0, 1.0)
        self.a, self.b, middle = (complex(x * sx, y * sy) for x, y in zip(*rows[:2], strict=True))
        self.shift = complex(sx * (origin[0] + 0.5) + self.normal, sy * (origin[1] + 0.5) + self.normal)
        gx, gy = _centres(w, work), _centres(h, work)[:, None]
        self.across, self.down = gx * self.a, gy * self.b + (middle - self.shift if self.affine else middle)
        if self.affine:
            return
        self.depth_across, self.depth_down = (
            gx * complex(self.ad, self.ad),
            gy * complex(self.bd, self.bd) + complex(depth, depth),
        )
        nearest = depth - (abs(self.ad) * (w - 1) + abs(self.bd) * (h - 1)) / 2
        self.passes_camera = nearest <= 1e-6

    def of(self, start: int, stop: int) -> tuple[Tensor, Tensor | None, tuple[int, int]]:
        """Return positions (N, 2), widths (N, 2), and how many pairs of taps an axis takes at most."""
        position = torch.view_as_real(self.across + self.down[start:stop]).view(-1, 2)
        if self.affine:
            if not self.widen:
                return position, None, (1, 1)
            counts = tuple(math.ceil(r - 1e-4) for r in self.radii)
            width = torch.full((position.shape[0],), complex(*self.radii), dtype=self.across.dtype)
            return position, torch.view_as_real(width), (counts[0], counts[1])
        depth = torch.view_as_real(self.depth_across + self.depth_down[start:stop]).view(-1, 2)
        if self.passes_camera:
            depth.masked_fill_(depth <= 1e-6, torch.nan)
        inverse = depth.reciprocal_()
        position.mul_(inverse)
        if not self.widen:
            return self._shifted(position), None, (1, 1)
        width = _plus(position * -self.ad, self.a).square_()
        width.add_(_plus(position * -self.bd, self.b).square_()).sqrt_().mul_(inverse)
        if self.passes_camera:
            width.nan_to_num_(1.0)
        width.clamp_(1.0, MAX_HALF_WIDTH)
        largest = width.view(stop - start, -1).amax(0).view(-1, 2).amax(0)  # row by row, which is how it lies
        most = [math.ceil(v - 1e-4) for v in largest.tolist()]
        return self._shifted(position), None if max(most) == 1 else width, (most[0], most[1])

    def _shifted(self, position: Tensor) -> Tensor:
        position = _plus(position, -self.shift)
        # A place behind the camera is put far outside the image.
        return position.nan_to_num_(-1e6) if self.passes_camera else position


@functools.lru_cache(maxsize=64)
def _centres(n: int, work: torch.dtype) -> Tensor:
    """Return the centres of n pixels about their middle, as complex numbers."""
    pair = torch.complex64 if work == torch.float32 else torch.complex128
    return torch.arange(n, dtype=work).add_(0.5 - n / 2).to(pair)


class _Bent:
    """The same where a displacement field is added."""

    normal = False

    def __init__(self, straight: _Positions, field: Tensor, most: float) -> None:
        h, w = field.shape[2:]
        position = straight.of(0, h)[0].view(h, w, 2).add_(field[0].permute(1, 2, 0))
        self.position, self.width = position, None
        if most > 1:
            px, py = position.permute(2, 0, 1)[:, None]
            width = torch.stack(bend.widths(px, py, most), dim=-1)[0]
            self.counts = [math.ceil(v - 1e-4) for v in width.amax((0, 1)).tolist()]
            self.width = width if max(self.counts) > 1 else None

    def of(self, start: int, stop: int) -> tuple[Tensor, Tensor | None, tuple[int, int]]:
        """Return positions (N, 2), widths (N, 2), and how many pairs of taps an axis takes at most."""
        position = self.position[start:stop].reshape(-1, 2).clone()
        if self.width is None:
            return position, None, (1, 1)
        return position, self.width[start:stop].reshape(-1, 2).clone(), (self.counts[0], self.counts[1])


def _plus(pairs: Tensor, constants: complex) -> Tensor:
    """Add a pair of constants to pairs (N, 2), in place."""
    torch.view_as_complex(pairs).add_(constants)
    return pairs


def _tent(frame: _Frame, position: Tensor, width: Tensor | None, most: tuple[int, int]) -> Tensor:
    """Return (C, N): the tent at positions (N, 2); positions and widths are overwritten."""
    if width is None or max(most) <= 2:
        return _read(frame, position, width, most)
    base = (min(most[0], 2), min(most[1], 2))
    more = (width > 2 + 1e-4).any(dim=1)
    index = more.nonzero().view(-1)
    if index.shape[0] * (most[0] * most[1] + 2) > position.shape[0] * (most[0] * most[1] - 2):
        return _read(frame, position, width, most)
    # All are read as most need it; the few that need more are read again.
    again = _read(frame, position[index], width[index], most)
    return _read(frame, position, width.clamp_(max=2.0), base).index_copy_(1, index, again)


def _read(frame: _Frame, position: Tensor, width: Tensor | None, counts: tuple[int, int]) -> Tensor:
    """Return (C, N): the tent at positions (N, 2), by counts[0] readings along x times counts[1] along y each."""
    n = position.shape[0]
    scale = frame.scale[:n]
    if width is None:
        return _flat(_sampled(frame, position.mul_(scale).sub_(1)))
    if max(counts) <= 2:
        return _flat(_read_pairs(frame, position, width, counts))
    out = torch.empty((frame.values.shape[1], n), dtype=position.dtype)
    for start in range(0, n, _MANY):
        some = slice(start, start + _MANY)
        out[:, some] = _read_many(frame, position[some], width[some], counts)
    return out


def _read_many(frame: _Frame, position: Tensor, width: Tensor, counts: tuple[int, int]) -> Tensor:
    """Return (C, N) by any number of readings."""
    scale = frame.scale[: position.shape[0]]
    nx, ny = counts
    pairs = max(counts)
    first = torch.floor(position - width).add_(1)
    start, inverse = first - position, width.reciprocal()
    places, shares, total = [], [], torch.zeros_like(position)
    for k in range(0, 2 * pairs, 2):
        near, far = (((start + (k + i)).mul_(inverse)).abs_().neg_().add_(1).clamp_(min=0) for i in (0, 1))
        both = near.add_(far)
        total += both
        places.append(far.div_(both.clamp(min=1e-20)).add_(first).add_(k).mul_(scale).sub_(1))
        shares.append(both)
    out: Tensor | None = None
    for y in range(ny):
        for x in range(nx):
            grid = torch.stack((places[x][:, 0], places[y][:, 1]), dim=1)
            weight = (shares[x][:, 0] * shares[y][:, 1]).div_(total[:, 0] * total[:, 1])
            value = _flat(_sampled(frame, grid)).mul_(weight)
            out = value if out is None else out.add_(value)
    assert out is not None
    return out


def _read_pairs(frame: _Frame, position: Tensor, width: Tensor, counts: tuple[int, int]) -> Tensor:
    """Return (parts, C, 1, N / parts), where an axis takes at most two readings: half-widths are at most 2.

    Position and width are overwritten.
    """
    scale = frame.scale[: position.shape[0]]
    first = torch.floor(position - width).add_(1)
    inverse = width.reciprocal_()
    t = position.sub_(first)  # from the first tap on, in r - 1..r
    weight_0 = (t * inverse).neg_().add_(1)
    weight_1 = t.sub(1).abs_().mul_(inverse).neg_().add_(1)
    weight_2 = t.sub(2).mul_(inverse).add_(1).clamp_(min=0)
    weight_3 = t.sub_(3).mul_(inverse).add_(1).clamp_(min=0)
    near, far = weight_0.add_(weight_1), weight_2.add_(weight_3)
    place = weight_1.div_(near).add_(first).mul_(scale).sub_(1)
    other = weight_3.div_(far.clamp(min=1e-20)).add_(first.add_(2)).mul_(scale).sub_(1)
    share = torch.div(far, near.add_(far), out=inverse)
    del weight_0, weight_2, near, far, first
    out = _sampled(frame, place)
    share_x, share_y = (share[:, axis].contiguous().view(out.shape[0], 1, 1, -1) for axis in (0, 1))
    if counts[0] == 2:
        left = place[:, 0].clone()
        place[:, 0] = other[:, 0]
        out.lerp_(_sampled(frame, place), share_x)
        other[:, 0] = left
    else:
        other[:, 0] = place[:, 0]
    if counts[1] == 2:
        below = _sampled(frame, other)
        if counts[0] == 2:
            other[:, 0] = place[:, 0]
            del place, weight_1
            below.lerp_(_sampled(frame, other), share_x)
        out.lerp_(below, share_y)
    return out


def _sampled(frame: _Frame, grid: Tensor) -> Tensor:
    """Return (parts, C, 1, N / parts): the sampler works in parallel over its first dimension only."""
    n = grid.shape[0]
    parts = next(p for p in range(min(torch.get_num_threads(), 16), 0, -1) if n % p == 0)
    source = frame.values.expand(parts, -1, -1, -1)
    return F.grid_sample(source, grid.view(parts, 1, -1, 2), mode="bilinear", padding_mode="zeros", align_corners=True)


def _flat(values: Tensor) -> Tensor:
    """Return (C, N) of (parts, C, 1, N / parts)."""
    return values.transpose(0, 1).reshape(values.shape[1], -1)
