"""Mixes of two samples, with who meets whom given."""

from __future__ import annotations

import torch
from torch import Tensor

from gpuaug.data.batch import Batch, open_door
from gpuaug.functional._moved import samples
from gpuaug.geometry import matrix as mat
from gpuaug.render.backend import render
from gpuaug.render.mixes import Blend
from gpuaug.render.plan import Plan

__all__ = ["cutmix", "mixup", "resize_mix", "shrunk"]


def mixup(image: Tensor, partner: Tensor, lam: Tensor | float) -> Tensor:
    """Blend each sample with another one of the batch.

    Args:
        image: (B, C, H, W).
        partner: (B,) int64: whom each sample meets, by its place in the batch.
        lam: (B,) or a number, the share of a sample's own; 1 is neutral.

    Shape:
        (B, C, H, W) to the same; uint8 is rounded once.

    Source: torchvision.transforms.v2.MixUp.

    Example:
        >>> import torch
        >>> from gpuaug.functional import mixup
        >>> images = torch.tensor([0.0, 1.0]).view(2, 1, 1, 1)
        >>> mixup(images, torch.tensor([1, 0]), torch.tensor([0.75, 1.0])).flatten().tolist()
        [0.25, 1.0]
    """
    name = "mixup"
    batch, index = _pairs(name, image, partner)
    like = torch.zeros(len(batch), dtype=mat.matrix_dtype(batch.image.device), device=batch.image.device)
    given = lam if isinstance(lam, Tensor) and lam.shape == like.shape else samples(lam, like, name, "lam")
    return _rendered(image, batch, Blend(index, 1 - given))


def cutmix(image: Tensor, partner: Tensor, boxes: Tensor) -> Tensor:
    """Paste a rectangle of another sample of the batch into each.

    Args:
        image: (B, C, H, W).
        partner: (B,) int64: whom each sample meets, by its place in the batch.
        boxes: (B, 4), x0, y0, x1, y1 in pixels; a pixel shows the other sample if its centre is inside; one without
            area is neutral.

    Shape:
        (B, C, H, W) to the same.

    Source: torchvision.transforms.v2.CutMix.

    Example:
        >>> import torch
        >>> from gpuaug.functional import cutmix
        >>> images = torch.tensor([0.0, 1.0]).view(2, 1, 1, 1).expand(2, 1, 1, 3)
        >>> cutmix(images, torch.tensor([1, 0]), torch.tensor([[0, 0, 2, 1], [0, 0, 0, 0]]))[0].flatten().tolist()
        [1.0, 1.0, 0.0]
    """
    batch, index = _pairs("cutmix", image, partner)
    box = _boxes("cutmix", boxes, batch)
    return _rendered(image, batch, Blend(index, torch.ones_like(box[:, 0]), box, whole=True))


def resize_mix(image: Tensor, partner: Tensor, boxes: Tensor) -> Tensor:
    """Paste the whole of another sample of the batch into a rectangle of each.

    Args:
        image: (B, C, H, W).
        partner: (B,) int64: whom each sample meets, by its place in the batch.
        boxes: (B, 4), x0, y0, x1, y1 in whole pixels; one without area is neutral.

    Shape:
        (B, C, H, W) to the same.

    Source: Qin et al. 2020, "ResizeMix: Mixing Data with Preserved Object Information and True Labels"; the patch
    equals torchvision's antialiased `resize` where its sides are at least a sixteenth of the canvas's.

    Example:
        >>> import torch
        >>> from gpuaug.functional import resize_mix
        >>> images = torch.tensor([0.0, 1.0]).view(2, 1, 1, 1).expand(2, 1, 4, 4)
        >>> boxes = torch.tensor([[0, 0, 2, 2], [0, 0, 0, 0]])
        >>> resize_mix(images, torch.tensor([1, 0]), boxes).sum((1, 2, 3)).round().tolist()
        [4.0, 16.0]
    """
    batch, index = _pairs("resize_mix", image, partner)
    box = _boxes("resize_mix", boxes, batch)
    share, matrix = torch.ones_like(box[:, 0]), shrunk(box, batch.image.shape[2], batch.image.shape[3])
    bound = min(max(batch.image.shape[2:]), _SHRINK)
    return _rendered(image, batch, Blend(index, share, box, matrix, whole=True, kind="axis", shrink=float(bound)))


_SHRINK = 16
"""Pixels of the other image for each pixel of a patch, at most, where nobody says how small patches are."""


def shrunk(box: Tensor, height: int, width: int) -> Tensor:
    """Return (B, 3, 3): positions on a canvas -> in boxes (B, 4) on it; an empty box has an inverse all the same."""
    x0, y0, x1, y1 = box.unbind(-1)
    return mat.scale_shift((x1 - x0).clamp(min=1) / width, x0, (y1 - y0).clamp(min=1) / height, y0, x0)


def _pairs(name: str, image: Tensor, partner: Tensor) -> tuple[Batch, Tensor]:
    """Return the images as they are rendered, and whom each meets."""
    if not isinstance(image, Tensor) or image.dim() != 4:
        got = str(tuple(image.shape)) if isinstance(image, Tensor) else type(image).__name__
        raise ValueError(f"{name}: image must have shape (B, C, H, W), got {got}")
    batch, _ = open_door((image,), name)
    if not isinstance(partner, Tensor) or partner.shape != (len(batch),) or partner.dtype != torch.int64:
        shown = f"{partner.dtype} {tuple(partner.shape)}" if isinstance(partner, Tensor) else type(partner).__name__
        raise ValueError(f"{name}: partner must be int64 ({len(batch)},), got {shown}")
    return batch, partner


def _boxes(name: str, boxes: Tensor, batch: Batch) -> Tensor:
    if not isinstance(boxes, Tensor) or boxes.shape != (len(batch), 4):
        shown = tuple(boxes.shape) if isinstance(boxes, Tensor) else type(boxes).__name__
        raise ValueError(f"{name}: boxes must have shape ({len(batch)}, 4), got {shown}")
    return boxes.to(mat.matrix_dtype(boxes.device))


def _rendered(image: Tensor, batch: Batch, blend: Blend) -> Tensor:
    plan = Plan(batch.canvas, batch.channels, image.dtype)
    if image.is_contiguous(memory_format=torch.channels_last) and not image.is_contiguous():
        plan.layout = torch.channels_last
    plan.blend(blend)
    return render(image, plan)
