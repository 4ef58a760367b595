"""Look at a batch: contact sheets and PNG files."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import torch
from torch import Tensor

_GAP = 2  # pixels between two tiles
_PAPER = 255

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


def contact_sheet(
    images: Tensor,
    *,
    columns: int = 8,
    scale: int = 1,
    labels: Sequence[str] | None = None,
    mean: Sequence[float] | None = None,
    std: Sequence[float] | None = None,
) -> Tensor:
    """Lay a batch out as one picture, left to right and top to bottom.

    Args:
        images: uint8 in [0, 255], or float in [0, 1]; with ``mean`` and ``std``, normalized float.
        columns: tiles per row.
        scale: how many times larger to draw each pixel (nearest neighbour).
        labels: one caption per image, written below it and cut where the tile ends.
        mean: the mean per channel that ``Normalize`` subtracted; goes with ``std``.
        std: the standard deviation per channel that ``Normalize`` divided by.

    Shape:
        (B, 1, H, W) or (B, 3, H, W) -> uint8 (3, H', W') on the CPU.

    Raises:
        ValueError: an argument does not fit.

    Example:
        >>> contact_sheet(torch.zeros(5, 1, 8, 8), columns=3, scale=2).shape
        torch.Size([3, 38, 56])
    """
    if images.ndim != 4 or images.shape[1] not in (1, 3):
        raise ValueError(f"contact_sheet: images must be (B, 1 or 3, H, W), got {tuple(images.shape)}")
    if images.shape[0] == 0:
        raise ValueError("contact_sheet: images must hold at least one image, got none")
    if columns < 1 or scale < 1:
        raise ValueError(f"contact_sheet: columns and scale must be at least 1, got {columns} and {scale}")
    if labels is not None and len(labels) != len(images):
        raise ValueError(f"contact_sheet: labels must be one per image ({len(images)}), got {len(labels)}")
    if (mean is None) != (std is None):
        raise ValueError("contact_sheet: mean and std must be given together")

    tiles = _to_uint8(images.detach().cpu(), mean, std).expand(-1, 3, -1, -1)
    tiles = tiles.repeat_interleave(scale, dim=2).repeat_interleave(scale, dim=3)
    if labels is not None:
        width = tiles.shape[3]
        tiles = torch.cat([tiles, torch.stack([_caption(text, width) for text in labels])], dim=2)

    count, _, height, width = tiles.shape
    columns = min(columns, count)
    rows = -(-count // columns)
    step_y, step_x = height + _GAP, width + _GAP
    sheet = torch.full((3, rows * step_y + _GAP, columns * step_x + _GAP), _PAPER, dtype=torch.uint8)
    for i, tile in enumerate(tiles):
        top, left = _GAP + i // columns * step_y, _GAP + i % columns * step_x
        sheet[:, top : top + height, left : left + width] = tile
    return sheet


def save_png(image: Tensor, path: Path | str) -> None:
    """Write a picture as a PNG, and the folder it goes into if there is none.

    Args:
        image: uint8, (1, H, W) or (3, H, W).
        path: the file to write.
    """
    from PIL import Image  # an optional dependency: only pictures for people need it

    path = Path(path)
    path.parent.mkdir(parents=True, exist_ok=True)
    Image.fromarray(image.detach().cpu().permute(1, 2, 0).contiguous().numpy()).save(path)


def _to_uint8(images: Tensor, mean: Sequence[float] | None, std: Sequence[float] | None) -> Tensor:
    if images.dtype == torch.uint8:
        if mean is not None:
            raise ValueError("contact_sheet: mean and std go with normalized float images, got uint8")
        return images
    if not images.is_floating_point():
        raise ValueError(f"contact_sheet: images must be uint8 or float, got {images.dtype}")
    images = images.float()
    if mean is not None and std is not None:
        images = images * torch.tensor(std).view(-1, 1, 1) + torch.tensor(mean).view(-1, 1, 1)
    return images.nan_to_num(0.0).clamp(0, 1).mul(255).round().to(torch.uint8)


def _caption(text: str, width: int) -> Tensor:
    """Write black text on white, (3, 14, width): a 3x5 font at twice its size."""
    strip = torch.zeros(7, 4 * len(text) + 1)
    for i, letter in enumerate(text):
        rows = _GLYPHS.get(letter.upper(), _GLYPHS["?"])
        bits = [[int(row) >> (2 - k) & 1 for k in range(3)] for row in rows]
        strip[1:6, 1 + 4 * i : 4 + 4 * i] = torch.tensor(bits)
    ink = strip.repeat_interleave(2, dim=0).repeat_interleave(2, dim=1)[:, :width]
    caption = torch.full((3, 14, width), _PAPER, dtype=torch.uint8)
    caption[:, :, : ink.shape[1]] = ((1 - ink) * _PAPER).to(torch.uint8)
    return caption
