"""The geometry of a pass."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Literal

from torch import Tensor

from gpuaug.render.mixes import Tiles
from gpuaug.render.settings import Reading

__all__ = ["MAX_HALF_WIDTH", "RANKS", "Kind", "Warp"]

Kind = Literal["lattice", "axis", "warp"]
RANKS: dict[Kind, int] = {"lattice": 0, "axis": 1, "warp": 2}
MAX_HALF_WIDTH = 4.0
"""Bound on the half-width of the reading filter, in source pixels, where the local scale has no bound of its own."""


@dataclass
class Warp:
    """The geometry of a pass."""

    matrix: Tensor
    """(B, 3, 3), source -> output."""
    kind: Kind
    reading: Reading
    shrink: float = 1.0
    """Static bound on how many source pixels an output pixel spans along a source axis."""
    projective: bool = False
    transposes: bool = False
    soft: Tensor | None = None
    """(B, 4) source rectangle beyond which everything is fill."""
    field: Tensor | None = None
    """(B, 2, h, w) displacement: what the matrix gives, plus this, is the source position (x, y in pixels)."""
    hard: Tensor | None = None
    """(B, 4) source rectangle at whose border the filter is cut and normalised; positions outside are fill."""
    tiles: Tiles | None = None
    """What the source is made of, where it is no image but a canvas of several, which is never made."""

    def of(self, sample: int) -> Warp:
        """Return the warp of one sample."""
        soft, hard, field = (
            None if value is None else value[sample : sample + 1] for value in (self.soft, self.hard, self.field)
        )
        tiles = None if self.tiles is None else self.tiles.of(sample)
        matrix = self.matrix[sample : sample + 1]
        return replace(self, matrix=matrix, soft=soft, hard=hard, field=field, tiles=tiles)
