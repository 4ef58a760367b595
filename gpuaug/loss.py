"""The loss that goes with an augmentation."""

from __future__ import annotations

import math

import torch
from torch import Tensor

__all__ = ["jensen_shannon"]


def jensen_shannon(logits_clean: Tensor, logits_a: Tensor, logits_b: Tensor) -> Tensor:
    """Return how far apart three predictions for the same samples are: the Jensen-Shannon divergence, in nats.

    AugMix adds 12 times this to the cross entropy of the clean prediction.

    Args:
        logits_clean: (B, classes), for the images as they are.
        logits_a: for the images augmented.
        logits_b: for the images augmented once more.

    Shape:
        (B, classes) three times to a scalar, the mean over the batch; 0 where all agree, at most log 3.

    Source: AugMix (Hendrycks et al. 2020).

    Example:
        >>> import torch, gpuaug as ga
        >>> logits = torch.tensor([[2.0, -1.0, 0.5]])
        >>> ga.jensen_shannon(logits, logits, logits).item()
        0.0
    """
    logs = torch.log_softmax(torch.stack((logits_clean, logits_a, logits_b)).float(), dim=-1)
    mixture = torch.logsumexp(logs, dim=0) - math.log(3)
    return (logs.exp() * (logs - mixture)).sum(-1).mean().clamp(min=0)
