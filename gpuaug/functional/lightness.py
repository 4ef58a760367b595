"""Lightness of a colour (CIE L*a*b*), equalized in tiles: CLAHE."""

from __future__ import annotations

import torch
from torch import Tensor

from gpuaug.functional._door import join, pixelwise, planar, split
from gpuaug.functional.color import need_rgb, rgb

__all__ = ["clahe"]

LEVELS = 256
TO_X, TO_Y, TO_Z = (0.412453, 0.357580, 0.180423), (0.212671, 0.715160, 0.072169), (0.019334, 0.119193, 0.950227)
"""Weights of linear red, green and blue (sRGB, D65), as OpenCV's."""
WHITE_X, WHITE_Z = 0.950456, 1.088754
FROM_XYZ = ((3.240479, -1.53715, -0.498535), (-0.969256, 1.875991, 0.041556), (0.055648, -0.204043, 1.057311))
DARK, ROOT_OF_DARK, SLOPE, REST = 0.008856, 0.206893, 7.787, 16 / 116
"""Below `DARK` the cube root is a line."""
SMALL = 1e-3
"""Below all limits under which a line stands for a power: the logarithm of zero is slow."""


def _power(v: Tensor, exponent: float) -> Tensor:
    """Return a power of what is not small; `pow` and `exp2` depend on where in memory a value lies."""
    return torch.exp(torch.log(v.clamp(min=SMALL)) * exponent)


def _linear(v: Tensor) -> Tensor:
    return torch.where(v > 0.04045, _power((v + 0.055) / 1.055, 2.4), v / 12.92)


def _gamma(v: Tensor) -> Tensor:
    v = v.clamp(0, 1)
    return torch.where(v > 0.0031308, 1.055 * _power(v, 1 / 2.4) - 0.055, 12.92 * v)


def _root(v: Tensor) -> Tensor:
    return torch.where(v > DARK, _power(v, 1 / 3), SLOPE * v + REST)


def _cube(v: Tensor) -> Tensor:
    return torch.where(v > ROOT_OF_DARK, v * v * v, (v - REST) / SLOPE)


def _weighed(planes: list[Tensor], weights: tuple[float, float, float]) -> Tensor:
    first = planes[0] * weights[0]
    return torch.add(torch.add(first, planes[1], alpha=weights[1]), planes[2], alpha=weights[2])


def lightness(planes: list[Tensor]) -> tuple[Tensor, list[Tensor]]:
    """Return the lightness, 0 to 1, and the roots of X, Y and Z that it and the colour are made of."""
    straight = [_linear(plane) for plane in planes]
    x, y, z = (_weighed(straight, weights) for weights in (TO_X, TO_Y, TO_Z))
    roots = [_root(v) for v in (x / WHITE_X, y, z / WHITE_Z)]
    return torch.where(y > DARK, 1.16 * roots[1] - 0.16, 9.033 * y), roots


def relit(roots: list[Tensor], light: Tensor) -> list[Tensor]:
    """Return red, green and blue with another lightness (0 to 1) and the same a and b."""
    more = (light + 0.16) / 1.16 - roots[1]
    x, y, z = (_cube(root + more) for root in roots)
    xyz = [x * WHITE_X, torch.where(light > 0.08, y, light / 9.033), z * WHITE_Z]
    return [_gamma(_weighed(xyz, weights)) for weights in FROM_XYZ]


def tile_size(h: int, w: int, grid: tuple[int, int]) -> tuple[int, int]:
    """Return the size of a tile: where one side does not divide, both are one larger, as OpenCV has it."""
    more = 0 if h % grid[0] == 0 and w % grid[1] == 0 else 1
    return h // grid[0] + more, w // grid[1] + more


def _reflected(count: int, size: int, device: torch.device) -> Tensor:
    """Return which of `size` places `count` places show, where those beyond the end are reflected at the last."""
    place = torch.arange(count, device=device)
    if size == 1:
        return place * 0
    place = place % (2 * size - 2)
    return torch.minimum(place, 2 * size - 2 - place)


def _tiles_of(level: Tensor, grid: tuple[int, int]) -> tuple[Tensor, int]:
    """Return levels (B, tiles, pixels of a tile), and how many these are."""
    b, h, w = level.shape
    th, tw = tile_size(h, w, grid)
    if (th * grid[0], tw * grid[1]) != (h, w):
        level = level.index_select(1, _reflected(th * grid[0], h, level.device))
        level = level.index_select(2, _reflected(tw * grid[1], w, level.device))
    tiles = level.view(b, grid[0], th, grid[1], tw).transpose(2, 3)
    return tiles.reshape(b, grid[0] * grid[1], th * tw), th * tw


def limited(histogram: Tensor, pixels: int, clip_limit: Tensor) -> Tensor:
    """Return tables (B, tiles, 256) of whole levels from histograms, none of whose bins may count more than a limit.

    What is cut off is spread over all bins, and what is left of it over some, evenly.
    """
    limit = torch.floor(clip_limit.to(torch.float32) * pixels / LEVELS).clamp(min=1)
    limit = limit.to(histogram.dtype).view(-1, 1, 1)
    kept = torch.minimum(histogram, limit)
    cut = (histogram - kept).sum(dim=2, keepdim=True)
    share = torch.div(cut, LEVELS, rounding_mode="floor")
    left = cut - share * LEVELS
    step = torch.div(LEVELS, left.clamp(min=1), rounding_mode="floor").clamp(min=1)
    number = torch.arange(LEVELS, device=histogram.device)
    spread = (number % step == 0) & (torch.div(number, step, rounding_mode="floor") < left)
    total = (kept + share + spread.to(kept.dtype)).cumsum(dim=2)
    return torch.round(total.to(torch.float32) * ((LEVELS - 1) / pixels)).clamp(0, LEVELS - 1)


def _between(tables: Tensor, level: Tensor, grid: tuple[int, int]) -> Tensor:
    """Return what the tables of the four nearest tiles make of levels (B, H, W), by how near they are."""
    b, h, w = level.shape
    th, tw = tile_size(h, w, grid)
    rows, columns = (
        torch.arange(n, device=level.device, dtype=torch.float32) * (1 / side) - 0.5 for n, side in ((h, th), (w, tw))
    )
    top, left = rows.floor(), columns.floor()
    down, right = (rows - top).view(-1, 1), columns - left
    ends = [
        [v.to(torch.int64).clamp(0, count - 1) for v in (first, first + 1)]
        for first, count in ((top, grid[0]), (left, grid[1]))
    ]
    flat = tables.flatten(1)

    def read(row: Tensor, column: Tensor) -> Tensor:
        place = (row.view(-1, 1) * grid[1] + column) * LEVELS + level
        return flat.gather(1, place.flatten(1)).view(b, h, w)

    above, below = (torch.lerp(read(row, ends[1][0]), read(row, ends[1][1]), right) for row in ends[0])
    return torch.lerp(above, below, down)


def _level_of(light: Tensor) -> Tensor:
    """Return which of 256 levels a lightness is nearest to."""
    return torch.round(torch.nan_to_num(light) * (LEVELS - 1)).clamp_(0, LEVELS - 1).to(torch.int64)


@pixelwise
@planar
@rgb
def clahe(image: Tensor, clip_limit: Tensor | float, tile_grid_size: tuple[int, int] = (8, 8)) -> Tensor:
    """Equalize the histogram of each tile of each sample, with limited contrast; of RGB that of the lightness.

    Args:
        image: (B, C, H, W), C 1 or 3.
        clip_limit: (B,) or a number, positive: how many times an even histogram's count a bin may have.
        tile_grid_size: rows and columns of tiles.

    Shape:
        (B, C, H, W) to the same; values, or the lightness, are cut to 256 levels. It has no gradient.

    Raises:
        ValueError: for another number of channels.

    Source: Zuiderveld 1994; cv2.createCLAHE for one channel of uint8, but for ties of its rounding;
        albumentations.CLAHE for RGB, without its rounding of L*, a* and b* to 8 bits.

    Example:
        >>> import torch
        >>> from gpuaug.functional import clahe
        >>> clahe(torch.rand(2, 3, 16, 24), torch.tensor([2.0, 4.0]), (2, 3)).shape
        torch.Size([2, 3, 16, 24])
    """
    need_rgb(image, "clahe")
    planes = [plane.detach().clamp(0, 1).contiguous() for plane in split(image)]
    light, roots = (planes[0], []) if len(planes) == 1 else lightness(planes)
    level = _level_of(light)
    tiles, pixels = _tiles_of(level, tile_grid_size)
    histogram = torch.zeros((*tiles.shape[:2], LEVELS), dtype=torch.int64, device=level.device)
    histogram.scatter_add_(2, tiles, torch.ones_like(tiles))
    tables = limited(histogram, pixels, clip_limit)  # type: ignore[arg-type]
    light = _between(tables, level, tile_grid_size).to(light.dtype) / (LEVELS - 1)
    return join(relit(roots, light) if roots else [light], image)  # type: ignore[no-any-return]


def clahe_one(image: Tensor, clip_limit: Tensor, tile_grid_size: tuple[int, int]) -> Tensor:
    """Do so for one sample (1, C, H, W) on the CPU, in few images."""
    bright = image.detach().clamp(0, 1)[0].contiguous()
    roots = _roots_of(bright) if len(bright) == 3 else None
    light = bright[0] if roots is None else roots[1] * 1.16 - 0.16  # in the dark too, to 1e-6
    level = _level_of(light)[None]
    tiles, pixels = _tiles_of(level, tile_grid_size)
    count = tiles.shape[1]
    place = (tiles[0] + torch.arange(count)[:, None] * LEVELS).flatten()
    histogram = torch.bincount(place, minlength=count * LEVELS).view(1, count, LEVELS)
    new = _between(limited(histogram, pixels, clip_limit), level, tile_grid_size).to(image.dtype).div_(LEVELS - 1)
    return new[None] if roots is None else _relit_from(roots, new[0])[None]


def _bent_(v: Tensor, limit: float, slope: float, exponent: float) -> Tensor:
    """Raise values to a power in place; up to a limit they follow a line from there, which it meets to 1e-6."""
    low = v.clamp(max=limit).sub_(limit)
    return v.clamp_(min=limit).log_().mul_(exponent).exp_().add_(low, alpha=slope)


def _mixed_in(planes: Tensor, rows: tuple[tuple[float, ...], ...], unit: tuple[float, ...]) -> Tensor:
    """Return weighted sums of planes (3, H, W), each divided by a unit."""
    out = torch.empty_like(planes)
    for plane, weights, size in zip(out, rows, unit, strict=True):
        torch.mul(planes[0], weights[0] / size, out=plane)
        plane.add_(planes[1], alpha=weights[1] / size).add_(planes[2], alpha=weights[2] / size)
    return out


def _roots_of(bright: Tensor) -> Tensor:
    """Return the roots of X, Y and Z of a colour (3, H, W), whose memory is used."""
    raised = bright.add_(0.055).mul_(1 / 1.055)
    straight = _bent_(raised, (0.04045 + 0.055) / 1.055, 1.055 / 12.92, 2.4)
    return _bent_(_mixed_in(straight, (TO_X, TO_Y, TO_Z), (WHITE_X, 1.0, WHITE_Z)), DARK, SLOPE, 1 / 3)


def _relit_from(roots: Tensor, new: Tensor) -> Tensor:
    """Return the same colour in another light; in the dark, where L* is a line of Y, that of the roots is its own."""
    moved = roots + ((new + 0.16) / 1.16 - roots[1])
    low = moved.clamp(max=ROOT_OF_DARK).sub_(ROOT_OF_DARK)
    moved.clamp_(min=ROOT_OF_DARK)
    cubes = (moved * moved).mul_(moved).add_(low, alpha=1 / SLOPE)
    weights = tuple((a * WHITE_X, b, c * WHITE_Z) for a, b, c in FROM_XYZ)
    out = _mixed_in(cubes, weights, (1.0, 1.0, 1.0)).clamp_(0, 1)
    return _bent_(out, 0.0031308, 12.92 / 1.055, 1 / 2.4).mul_(1.055).sub_(0.055)
