"""Where samples of a batch meet: several images on one canvas, or one image over another.

`Tiles` belong to a warp: later maps join it, and each output pixel shows one image. A `Blend` begins a pass, which
reads two images for each output pixel.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import Literal

import torch
from torch import Tensor

from gpuaug.geometry import matrix as mat
from gpuaug.geometry.canvas import Canvas
from gpuaug.render.settings import Reading

Kind = Literal["lattice", "axis", "warp"]

__all__ = ["Blend", "Tiles", "blended", "covers", "inside", "tiled"]


@dataclass
class Tiles:
    """Images of a batch side by side on one canvas: rectangles, of which each shows one image."""

    index: Tensor | None
    """(B, K) int64: which row of the source each rectangle shows; None is each sample's own."""
    matrix: Tensor
    """(B, K, 3, 3): positions in that row -> positions on the canvas; they are scaled and shifted only."""
    rectangle: Tensor
    """(B, K, 4): x0, y0, x1, y1 on the canvas; they do not overlap. One without area shows nothing."""

    def of(self, sample: int) -> Tiles:
        """Return the tiles of one sample."""
        rows = slice(sample, sample + 1)
        index = None if self.index is None else self.index[rows]
        return Tiles(index, self.matrix[rows], self.rectangle[rows])

    def within(self, *windows: Tensor | None) -> tuple[Tensor, Tensor]:
        """Return the rectangles (B, K, 4), cut at windows (B, 4) of the canvas, and what they are in their source."""
        rectangle = self.rectangle.to(self.matrix.dtype)
        for window in windows:
            if window is not None:
                low = torch.maximum(rectangle[..., :2], window[:, None, :2])
                rectangle = torch.cat((low, torch.minimum(rectangle[..., 2:], window[:, None, 2:])), dim=-1)
        scale = torch.diagonal(self.matrix[..., :2, :2], dim1=-2, dim2=-1)[..., None, :]
        corners = (rectangle.unflatten(-1, (2, 2)) - self.matrix[..., None, :2, 2]) / scale
        return rectangle, corners.flatten(-2)


@dataclass
class Blend:
    """Another sample's image over each sample's own."""

    index: Tensor
    """(B,) int64: whose image."""
    share: Tensor
    """(B,) 0..1: how much of it is seen; 0 leaves a sample as it is, whatever the other one holds."""
    rectangle: Tensor | None = None
    """(B, 4) on the canvas: where it is seen, which is where a pixel's centre is inside; None is everywhere."""
    matrix: Tensor | None = None
    """(B, 3, 3): positions in the other image -> positions on the canvas; None is the identity."""
    alpha: Tensor | None = None
    """(B, H, W) 0..1 on the canvas: how much of it is seen at each pixel."""
    whole: bool = False
    """Whether every share is 0 or 1 and `alpha` too: pixels are chosen, not blended."""
    kind: Kind = "warp"
    """Of the matrix: "axis" where axes stay axes."""
    shrink: float = 4.0
    """Static bound on how many pixels of the other image a pixel spans along an axis."""
    reading: Reading | None = None
    """How the other image is read where there is a matrix; None is bilinear."""

    def of(self, sample: int) -> Blend:
        """Return the blend of one sample."""
        rows = slice(sample, sample + 1)
        rectangle, matrix, alpha = (None if v is None else v[rows] for v in (self.rectangle, self.matrix, self.alpha))
        return replace(
            self, index=self.index[rows], share=self.share[rows], rectangle=rectangle, matrix=matrix, alpha=alpha
        )


def inside(rectangle: Tensor, x: Tensor, y: Tensor) -> Tensor:
    """Tell which positions x, y (B, ..., ...) lie in rectangles (B, 4)."""
    x0, y0, x1, y1 = rectangle[:, :, None, None].unbind(1)
    within: Tensor = (x >= x0) & (x < x1) & (y >= y0) & (y < y1)
    return within


def covers(blend: Blend, gx: Tensor, gy: Tensor, work: torch.dtype) -> Tensor:
    """Return how much of the other image is seen (B, 1 or h, 1 or w) at pixels whose centres are gx (w), gy (h)."""
    share = blend.share.to(work)[:, None, None]
    if blend.rectangle is not None:
        rectangle = blend.rectangle.to(gx.dtype)
        share = share * inside(rectangle, gx[None, None, :], gy[None, :, None])
    if blend.alpha is None:
        return share
    alpha, size = blend.alpha[:, None].to(work), (gy.shape[0], gx.shape[0])
    if tuple(alpha.shape[2:]) != size:
        alpha = torch.nn.functional.interpolate(alpha, size, mode="nearest-exact")
    return share * alpha[:, 0]


def blended(own: Tensor, other: Tensor, share: Tensor, whole: bool) -> Tensor:
    """Return own (B, ..., h, w) with a share (B, ..., h, w) of other; where it is 0 own is kept, even beside NaN."""
    if whole:
        return torch.where(share > 0.5, other, own)
    mixed = own * (1 - share) + other * share
    return torch.where(share > 0, torch.where(share < 1, mixed, other), own)


def tiled(
    tiles: Tiles,
    matrix: Tensor,
    canvas: Canvas,
    windows: tuple[Tensor | None, ...],
    read: Callable[[Tensor | None, Tensor, Tensor], list[Tensor]],
    start: list[Tensor],
    centres: tuple[Tensor, Tensor] | None = None,
) -> list[Tensor]:
    """Return planes (B, h, w): each pixel of a tile in whose rectangle its centre is, the others as they `start`.

    Args:
        tiles: the tiles.
        matrix: (B, 3, 3), their canvas -> the output.
        canvas: of the output.
        windows: rectangles (B, 4) of the tiles' canvas outside which nothing is seen.
        read: index (B,) or None, matrix (B, 3, 3) to the output and rectangle of the source (B, 4) -> planes.
        start: what is seen where no tile is.
        centres: positions x (w) and y (h) of the output's pixels, where they are not those of the canvas.
    """
    back = mat.inverse(matrix)[:, :, :, None, None]
    if centres is None:
        gx, gy = (torch.arange(n, device=matrix.device, dtype=matrix.dtype) + 0.5 for n in (canvas[1], canvas[0]))
    else:
        gx, gy = centres
    gy = gy.view(-1, 1)
    depth = back[:, 2, 0] * gx + back[:, 2, 1] * gy + back[:, 2, 2]
    depth = torch.where(depth > 1e-6, depth, torch.full_like(depth, torch.nan))
    x = (back[:, 0, 0] * gx + back[:, 0, 1] * gy + back[:, 0, 2]) / depth
    y = (back[:, 1, 0] * gx + back[:, 1, 1] * gy + back[:, 1, 2]) / depth
    planes = start
    rectangles, sources = tiles.within(*windows)
    for k in range(tiles.matrix.shape[1]):
        seen = inside(rectangles[:, k], x, y)
        index = None if tiles.index is None else tiles.index[:, k]
        found = read(index, matrix @ tiles.matrix[:, k], sources[:, k])
        planes = [torch.where(seen, new, old) for new, old in zip(found, planes, strict=True)]
    return planes
