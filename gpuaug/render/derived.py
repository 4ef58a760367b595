"""What operations make of what was measured before them, for a few numbers of each sample."""

from __future__ import annotations

from torch import Tensor

from gpuaug.functional import adapt
from gpuaug.render.program import Choice

__all__ = ["frame_changes", "frames_from", "matching_tables", "principal_shifts"]


def _moments(found: list[Tensor], count: Tensor | int) -> tuple[Tensor, Tensor]:
    """Return means (B, C) and sums of products (B, C, C) from what parts of samples gave."""
    total, products = (parts.sum(dim=1) for parts in found)
    pixels = count[:, 0] if isinstance(count, Tensor) else max(count, 1)
    return total / pixels, products.unflatten(1, (total.shape[1], total.shape[1]))


def principal_shifts(choice: Choice, found: list[Tensor], count: Tensor | int) -> Tensor:
    """Return what `fancy_pca` adds, from sums and products."""
    return adapt.principal_shift(_moments(found, count)[1], count, choice.operands[0])


def frame_changes(choice: Choice, found: list[Tensor], count: Tensor | int) -> Tensor:
    """Return the matrices of `adapt_pixels`, from sums and products, or extremes."""
    kind = choice.static["kind"]
    return adapt.frame_change(kind, frames_from(kind, found, count), choice.operands[0])


def frames_from(kind: str, found: list[Tensor], count: Tensor | int) -> Tensor:
    """Return what colours are measured by, from sums and products, or extremes."""
    if kind == "minmax":
        low, high = found[0].unflatten(2, (2, -1)).unbind(2)
        return adapt.framed(kind, low.amin(dim=1), high.amax(dim=1))
    return adapt.framed(kind, *_moments(found, count), count)


def matching_tables(choice: Choice, found: list[Tensor], count: Tensor | int) -> Tensor:
    """Return the tables of `match_histogram`, from histograms."""
    return adapt.matching_table(found[0], choice.operands[0])
