"""How much predictions move when images are augmented."""

from __future__ import annotations

import copy as copying
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor

from gpuaug.diagnose.robustness import evaluating
from gpuaug.transforms.layer import Layer
from gpuaug.tta.merge import activated, check_activation

__all__ = ["Invariance", "invariance"]


@dataclass(frozen=True)
class Invariance:
    """How far the predictions of a model move under an augmentation, for each sample of a batch."""

    distance: Tensor
    """(n, B) half the sum of absolute differences of the probabilities: 0 is the same, 1 is another certainty."""
    changed: Tensor
    """(n, B) whether another class is the most likely one."""

    @property
    def mean(self) -> float:
        """Mean distance."""
        return float(self.distance.mean())

    @property
    def agreement(self) -> float:
        """Share of draws under which the most likely class stays."""
        return 1 - float(self.changed.double().mean())

    @property
    def per_sample(self) -> Tensor:
        """(B,) mean distance of each sample."""
        return self.distance.mean(0)

    def worst(self, n: int = 5) -> list[int]:
        """Return the samples whose predictions move most."""
        return self.per_sample.argsort(descending=True, stable=True)[:n].tolist()

    def __str__(self) -> str:
        """Say it in three lines."""
        draws, samples = self.distance.shape
        return (
            f"{samples} samples, {draws} draws each\n"
            f"the most likely class stays in {self.agreement:.1%} of the draws; probabilities move by {self.mean:.3f} "
            f"on average, {float(self.distance.max()):.3f} at most\n"
            f"samples that move most: {', '.join(map(str, self.worst()))}"
        )


def invariance(
    model: Callable[[Tensor], Tensor],
    images: Tensor,
    augment: Layer,
    *,
    n: int = 8,
    seed: int = 0,
    prepare: Callable[[Tensor], Tensor] | None = None,
    activation: Any = "softmax",
) -> Invariance:
    """Compare what a classifier says of images with what it says of augmentations of them.

    Args:
        model: returns logits (B, classes).
        images: (B, C, H, W), as `augment` takes them.
        augment: a pipeline; its own seed and clock are left alone.
        n: draws for each sample.
        seed: of the draws.
        prepare: what untouched images go through in place of `augment`; None is its validation preprocessing, as
            `augment.eval()` is.
        activation: what turns the output into probabilities: `softmax`, `sigmoid`, a function, or None.

    Returns:
        The distances.

    Raises:
        ValueError: for mixes of samples, and predictions of another shape.

    Example:
        >>> import torch, gpuaug as ga
        >>> from gpuaug.diagnose import invariance
        >>> mean = lambda images: torch.stack((images.mean((1, 2, 3)), 1 - images.mean((1, 2, 3))), 1)
        >>> found = invariance(mean, torch.rand(4, 3, 8, 8), ga.RandomHorizontalFlip(), activation=None)
        >>> found.agreement, found.mean < 1e-6
        (1.0, True)
    """
    check_activation(activation)
    if not isinstance(augment, Layer):
        raise TypeError(f"invariance: augment must be a gpuaug transform, got {type(augment).__name__}")
    if any(node.transform.mixes for node in augment.nodes):
        raise ValueError("invariance: augment mixes samples, whose predictions are of no one of them")
    if isinstance(n, bool) or not isinstance(n, int) or n < 1:
        raise ValueError(f"invariance: n must be a positive integer, got {n!r}")
    own = copying.deepcopy(augment).train()
    own.reseed(seed)
    with evaluating(model), torch.no_grad():

        def said(shown: Tensor) -> Tensor:
            prediction = model(shown)
            if not isinstance(prediction, Tensor) or prediction.dim() != 2 or len(prediction) != len(images):
                given = tuple(prediction.shape) if isinstance(prediction, Tensor) else type(prediction).__name__
                raise ValueError(f"invariance: the model must return (B, classes), got {given}")
            return activated(prediction.float(), activation)

        alone = said((own.eval_pipeline() if prepare is None else prepare)(images))
        distances, changed = [], []
        for copy in range(n):
            moved = said(own.replay(images, own.sample(images, copy=copy)))
            distances.append((moved - alone).abs().sum(1) / 2)
            changed.append(moved.argmax(1) != alone.argmax(1))
    return Invariance(torch.stack(distances).cpu(), torch.stack(changed).cpu())
