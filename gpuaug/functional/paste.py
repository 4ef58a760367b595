"""Objects of one image on another."""

from __future__ import annotations

import torch
from torch import Tensor

from gpuaug.functional._door import pixelwise
from gpuaug.functional.blur import blur_axis, numbers

__all__ = ["copy_paste", "feather"]

SIGMA, KERNEL = 2.0, 5
"""Of the blur of an edge, in pixels."""


@pixelwise
def copy_paste(image: Tensor, paste_image: Tensor, masks: Tensor, blending: bool = True) -> Tensor:
    """Paste objects of one image, cut out by masks, onto another.

    Args:
        image: (B, C, H, W).
        paste_image: (B, C, H, W), of the same dtype: what is seen where the masks are.
        masks: (B, H, W), or (B, N, H, W) of several objects; what is not zero is pasted.
        blending: whether the edge is blended, over the mask blurred with a Gaussian of 5 pixels and sigma 2.

    Shape:
        (B, C, H, W) to the same.

    Source: torchvision's SimpleCopyPaste (references/detection), with the masks chosen.

    Example:
        >>> import torch
        >>> from gpuaug.functional import copy_paste
        >>> mask = torch.tensor([[[True, False]]])
        >>> copy_paste(torch.zeros(1, 1, 1, 2), torch.ones(1, 1, 1, 2), mask, blending=False).flatten().tolist()
        [1.0, 0.0]
    """
    where = (masks != 0) if masks.dim() == 3 else (masks != 0).any(1)
    if not blending:
        return torch.where(where[:, None], paste_image, image)
    alpha = feather(where).to(image.dtype)[:, None]
    return torch.where(alpha > 0, image * (1 - alpha) + paste_image * alpha, image)


def feather(where: Tensor) -> Tensor:
    """Return masks (B, H, W) with a soft edge, in float32; those of less than three pixels along an axis stay hard."""
    soft = where[:, None].to(torch.float32)
    if min(soft.shape[2:]) > KERNEL // 2:
        weights = numbers(SIGMA, KERNEL)
        soft = blur_axis(blur_axis(soft, weights, 2), weights, 3)
    return soft[:, 0].clamp(max=1)
