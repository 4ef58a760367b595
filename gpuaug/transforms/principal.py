"""Fancy PCA: colours along their principal axes."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import ClassVar

from gpuaug import functional as F
from gpuaug.render.plan import Choice, Plan
from gpuaug.sampling.distributions import Distribution, Normal
from gpuaug.sampling.law import Number
from gpuaug.sampling.varying import least
from gpuaug.transforms.base import MAX_CHANNELS, Drawn, Photometric, check_channels
from gpuaug.transforms.color import choice
from gpuaug.transforms.layer import Context

__all__ = ["FancyPCA"]


class FancyPCA(Photometric):
    """Add to the colours of each sample along their principal axes, by what is drawn for each axis.

    Args:
        alpha: standard deviation of what is drawn, or a distribution: along an axis of variance v (of values from 0 to
            1, a few hundredths in photographs) alpha * v is added. 0 is neutral.
        p: probability for each sample; 0 is neutral.
        channels: bands it is limited to.
        keys: inputs it is limited to, such as ("image",) or a key of `roles`; None is all images.

    Shape:
        (B, C, H, W) to the same, C at most 64. Gradients take what is added as given.

    Boxes and masks:
        Unchanged.

    Raises:
        ValueError: for a negative alpha.

    Source: Krizhevsky et al. 2012, with the axes of each image in place of a data set's, as albumentations.FancyPCA;
        that of 2.0 stretches the image by its unturned axes instead, which depend on the solver.

    Example:
        >>> import torch, gpuaug as ga
        >>> ga.FancyPCA(0.1, p=1.0)(torch.rand(2, 3, 8, 10)).shape
        torch.Size([2, 3, 8, 10])
    """

    neutral: ClassVar[Mapping[str, float]] = {"alpha": 0.0}

    single = True

    def __init__(
        self,
        alpha: float | Distribution = 0.1,
        p: Number = 0.5,
        *,
        channels: tuple[int, ...] | None = None,
        keys: Sequence[str] | None = None,
    ) -> None:
        """See the class."""
        super().__init__(p, channels, keys)
        if not isinstance(alpha, Distribution):
            if isinstance(alpha, bool) or least(alpha) < 0:
                raise ValueError(f"FancyPCA: alpha must not be negative, got {alpha!r}")
            alpha = Normal(0.0, alpha)
        self.declare(alpha=(alpha, MAX_CHANNELS))

    def parameters_for(self, raw: Drawn, context: Context) -> Drawn:
        """Return `alpha` (B, C), of the axis of the largest variance first."""
        check_channels(context.channels, "FancyPCA")
        return {"alpha": raw["alpha"][:, : context.channels]}

    def choices(self, values: Drawn, plan: Plan, context: Context) -> list[list[Choice]]:
        """Return the operation."""
        operation = choice(F.fancy_pca, values["alpha"])
        operation.measures = True
        return [[operation]]
