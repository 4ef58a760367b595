"""CLAHE: contrast limited adaptive histogram equalization."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from gpuaug import functional as F
from gpuaug.functional.lightness import clahe_one
from gpuaug.render.plan import Choice, Plan
from gpuaug.sampling.distributions import as_distribution
from gpuaug.sampling.law import Number, Range
from gpuaug.sampling.varying import is_number
from gpuaug.transforms.base import Drawn, Photometric
from gpuaug.transforms.color import choice
from gpuaug.transforms.layer import Context

__all__ = ["CLAHE"]

MOST = 255
"""Tiles along a side."""


class CLAHE(Photometric):
    """Equalize each sample's histogram tile by tile, with a limit to the contrast drawn for it.

    Of RGB the lightness L* is equalized, and a* and b* stay.

    Args:
        clip_limit: range of the limit, at least 1: how many times an even histogram's count a bin may have; a number x
            means 1 to x. Larger ones leave more contrast, and noise.
        tile_grid_size: (rows, columns) of tiles, each 1 to 255.
        p: probability for each sample; 0 is neutral.
        channels: bands that are the RGB, or the one, of a multi-band image.
        keys: inputs it is limited to, such as ("image",) or a key of `roles`; None is all images.

    Shape:
        (B, C, H, W) to the same, C 1 or 3; values, or the lightness, are cut to 256 levels.

    Boxes and masks:
        Unchanged.

    Raises:
        ValueError: for limits below 1, or another number of tiles.

    Source: albumentations.CLAHE, without its rounding of L*, a* and b* to 8 bits, which changes colours by up to 5
        levels (more in dark channels), and a tile by more where a count is just enough to be spread over each bin;
        cv2.createCLAHE to 1 level for one channel of uint8. kornia.augmentation.RandomClahe equalizes red,
        green and blue apart.

    Example:
        >>> import torch, gpuaug as ga
        >>> ga.CLAHE(p=1.0)(torch.rand(2, 3, 32, 40)).shape
        torch.Size([2, 3, 32, 40])
    """

    single = True

    def __init__(
        self,
        clip_limit: Range = 4.0,
        tile_grid_size: Sequence[int] = (8, 8),
        p: Number = 0.5,
        *,
        channels: tuple[int, ...] | None = None,
        keys: Sequence[str] | None = None,
    ) -> None:
        """See the class."""
        super().__init__(p, channels, keys)
        grid = tuple(tile_grid_size) if isinstance(tile_grid_size, (tuple, list)) else ()
        whole = all(isinstance(n, int) and not isinstance(n, bool) and 1 <= n <= MOST for n in grid)
        if len(grid) != 2 or not whole:
            raise ValueError(f"CLAHE: tile_grid_size must be (rows, columns) from 1 to {MOST}, got {tile_grid_size!r}")
        self.tile_grid_size = (grid[0], grid[1])
        given: Any = clip_limit
        if is_number(given):
            given = (min(1.0, given), given)
        self.declare(clip_limit=as_distribution(given, owner="CLAHE", name="clip_limit", low=1.0))

    def choices(self, values: Drawn, plan: Plan, context: Context) -> list[list[Choice]]:
        """Return the equalization."""
        operation = choice(F.clahe, values["clip_limit"], tile_grid_size=self.tile_grid_size)
        operation.apply_one, operation.measures = clahe_one, True
        return [[operation]]
