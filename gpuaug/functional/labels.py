"""Labels of mixed samples."""

from __future__ import annotations

import torch
from torch import Tensor

__all__ = ["mix_labels", "remix_share", "soft_labels"]

_UNSIGNED = (torch.uint16, torch.uint32, torch.uint64)
"""Of which torch compares nothing with int64."""


def soft_labels(
    labels: Tensor,
    num_classes: int | None = None,
    smoothing: float = 0.0,
    multi_label: bool = False,
    owner: str = "soft_labels",
) -> Tensor:
    """Return labels as one number for each class.

    Args:
        labels: (B,) integers of any dtype, or (B, classes); a number outside 0..num_classes - 1 becomes zeros.
        num_classes: for integers (B,).
        smoothing: share that is spread over all classes; 0 is neutral.
        multi_label: whether classes are independent: smoothing draws them to one half instead.
        owner: class named in errors.

    Shape:
        (B,) or (B, classes) to (B, classes), in float32 unless they are floating already.

    Raises:
        ValueError: for integers (B,) without `num_classes`.

    Source: torch.nn.functional.one_hot; timm's `mixup_target` for smoothing.

    Example:
        >>> import torch
        >>> from gpuaug.functional import soft_labels
        >>> soft_labels(torch.tensor([2, 0]), 3).tolist()
        [[0.0, 0.0, 1.0], [1.0, 0.0, 0.0]]
    """
    if labels.dim() == 2:
        soft = labels if labels.is_floating_point() else labels.to(torch.float32)
    elif num_classes is None:
        raise ValueError(f"{owner}: num_classes must be given for labels that are numbers of classes, got None")
    else:
        # Compared as int64: an 8-bit label does not reach the numbers of many classes.
        classes = torch.arange(num_classes, device=labels.device)
        given = labels.to(torch.int64) if labels.dtype in _UNSIGNED else labels
        soft = (given[:, None] == classes).to(torch.float32)
    if smoothing:
        soft = soft * (1 - smoothing) + (0.5 * smoothing if multi_label else smoothing / soft.shape[1])
    return soft


def mix_labels(labels: Tensor, partner: Tensor, lam: Tensor) -> Tensor:
    """Blend the soft labels of each sample with those of another one.

    Args:
        labels: (B, classes), floating.
        partner: (B,) int64: whose labels, by their place in the batch.
        lam: (B,) share of a sample's own; 1 is neutral.

    Shape:
        (B, classes) to the same.

    Source: torchvision.transforms.v2.MixUp.

    Example:
        >>> import torch
        >>> from gpuaug.functional import mix_labels, soft_labels
        >>> mix_labels(soft_labels(torch.tensor([0, 1]), 2), torch.tensor([1, 0]), torch.tensor([0.75, 0.5])).tolist()
        [[0.75, 0.25], [0.5, 0.5]]
    """
    # In single precision at least: a share is not rounded to half precision before it is used.
    wide = torch.float64 if torch.float64 in (labels.dtype, lam.dtype) else torch.float32
    own = labels.to(wide)
    mixed = torch.lerp(own.index_select(0, partner), own, lam.to(wide)[:, None])
    return mixed.to(labels.dtype)


def remix_share(lam: Tensor, count: Tensor, other_count: Tensor, kappa: float = 3.0, tau: float = 0.5) -> Tensor:
    """Return the share of a sample's own label where rare classes shall keep theirs.

    Args:
        lam: (B,) share of a sample's own pixels.
        count: (B,) how many samples of its class there are.
        other_count: (B,) how many of the class of whom it meets.
        kappa: how many times as frequent a class must be to give way, above 1.
        tau: the share of pixels below which it does, 0 to 1; 0 is neutral.

    Shape:
        (B,) to the same: 0 where a frequent class gives way to a rare one, 1 where the other one does, else `lam`.

    Source: Chou et al. 2020, "Remix: Rebalanced Mixup".

    Example:
        >>> import torch
        >>> from gpuaug.functional import remix_share
        >>> remix_share(torch.tensor([0.25, 0.75]), torch.tensor([90, 90]), torch.tensor([10, 10])).tolist()
        [0.0, 0.75]
    """
    own, other = count.to(lam.dtype), other_count.to(lam.dtype)
    gives_way = (own >= kappa * other) & (lam < tau)
    takes_all = (own * kappa <= other) & (1 - lam < tau)
    return torch.where(gives_way, torch.zeros_like(lam), torch.where(takes_all, torch.ones_like(lam), lam))
