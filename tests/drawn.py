"""What is painted on a picture: the pixels that are not black, those of a colour, of a frame, of a cell."""

from __future__ import annotations

import torch

from gpuaug._draw import colour

H, W = 30, 44


def painted(picture: torch.Tensor) -> torch.Tensor:
    """Return which pixels are not black."""
    return (picture != 0).any(0)


def of_colour(picture: torch.Tensor, number: int) -> torch.Tensor:
    return (picture == torch.tensor(colour(number), dtype=torch.uint8)[:, None, None]).all(0)


def frame(x0: int, y0: int, x1: int, y1: int, width: int = 1, size: tuple[int, int] = (H, W)) -> torch.Tensor:
    """Return the pixels inside a box that are at most `width` from its edge."""
    box = torch.zeros(size, dtype=torch.bool)
    box[y0:y1, x0:x1] = True
    box[y0 + width : y1 - width, x0 + width : x1 - width] = False
    return box


def cell(sheet: torch.Tensor, row: int, column: int, height: int, width: int, strip: int = 0) -> torch.Tensor:
    top, left = 2 + row * (height + strip + 2), 2 + column * (width + 2)
    return sheet[:, top : top + height, left : left + width]
