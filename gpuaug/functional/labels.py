"""Labels of mixed samples."""

from __future__ import annotations

import torch
from torch import Tensor

__all__ = ["mix_labels", "soft_labels"]


def soft_labels(
    labels: Tensor, num_classes: int | None, smoothing: float = 0.0, multi_label: bool = False, owner: str = "labels"
) -> Tensor:
    """Return labels (B,) of classes, or (B, classes), as numbers (B, classes) in float32."""
    if labels.dim() == 2:
        if num_classes is not None and labels.shape[1] != num_classes:
            raise ValueError(f"{owner}: num_classes must be that of the labels, {labels.shape[1]}, got {num_classes}")
        soft = labels.to(labels.dtype if labels.is_floating_point() else torch.float32)
    else:
        if num_classes is None:
            raise ValueError(f"{owner}: num_classes must be given for labels that are numbers of classes, got None")
        classes = torch.arange(num_classes, device=labels.device)
        soft = (labels[:, None] == classes).to(torch.float32)
    if smoothing:
        rest = 0.5 * smoothing if multi_label else smoothing / soft.shape[1]
        soft = soft * (1 - smoothing) + rest
    return soft


def mix_labels(own: Tensor, other: Tensor, lam: Tensor) -> Tensor:
    """Return own (B, classes) by a share lam (B,) and other by the rest."""
    share = lam.to(own.dtype)[:, None]
    return own * share + other * (1 - share)
