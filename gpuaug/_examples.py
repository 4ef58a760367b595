"""Images and annotations that transforms are tried on."""

from __future__ import annotations

import torch
from torch import Tensor

__all__ = ["annotated", "example"]


def example(batch: int, shape: tuple[int, ...] = (3, 23, 17), dtype: torch.dtype = torch.float32) -> Tensor:
    """Return distinct images (B, C, H, W), or clips (B, T, C, H, W): smooth, and noisy so that nothing repeats."""
    if len(shape) == 4:
        return example(batch * shape[0], shape[1:], dtype).view(batch, *shape)
    generator = torch.Generator().manual_seed(7)
    c, h, w = shape
    y = torch.linspace(0, 3, h)[:, None]
    x = torch.linspace(0, 2, w)[None]
    phase = torch.rand((batch, c, 1, 1), generator=generator) * 6
    images = (
        0.5
        + 0.3 * torch.sin(y + phase) * torch.cos(x - phase)
        + 0.1 * torch.rand((batch, c, h, w), generator=generator)
    )
    return (images * 255).round().to(torch.uint8) if dtype == torch.uint8 else images.to(dtype)


def annotated(images: Tensor, masks: bool = False) -> dict[str, Tensor]:
    """Return images (B, C, H, W) with a mask of three classes, and four boxes, of which one is not there.

    With `masks` the objects have masks too: what of their boxes is nearer to the middle than to a corner.

    Example:
        >>> import torch
        >>> from gpuaug.testing import annotated
        >>> sorted(annotated(torch.zeros(2, 3, 20, 30)))
        ['boxes', 'image', 'labels', 'mask', 'valid']
    """
    batch = images if images.dim() == 4 else images[None]
    (b, _, h, w), device = batch.shape, images.device
    number = torch.arange(b, device=device)
    shift = (number % 7).to(torch.float32)[:, None] / 20
    row = torch.arange(4, device=device)
    x0, y0 = shift + (row % 2) * 0.3 + 0.02, shift / 2 + (row // 2) * 0.4 + 0.05
    x1, y1 = x0 + 0.15 + row * 0.05, y0 + 0.3 - row * 0.04
    y, x = torch.arange(h, device=device)[:, None], torch.arange(w, device=device)
    data = {
        "image": images,
        "boxes": torch.stack((x0 * w, y0 * h, x1 * w, y1 * h), dim=-1),
        "labels": row.expand(b, 4),
        "valid": (row != 2).expand(b, 4),
        "mask": ((y // 4 + x // 5 + number.view(-1, 1, 1)) % 3).to(torch.uint8),
    }
    if masks:
        bx0, by0, bx1, by1 = data["boxes"][..., None, None].unbind(2)
        across = (2 * (x + 0.5) - bx0 - bx1).abs() / (bx1 - bx0)
        down = (2 * (y + 0.5) - by0 - by1).abs() / (by1 - by0)
        data["masks"] = (across < 1) & (down < 1) & (across + down < 1.5)
    return data if batch is images else {k: v if k == "image" else v[0] for k, v in data.items()}
