"""Dead pixels."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import ClassVar

import torch
from torch import Tensor

from gpuaug.geometry.canvas import Sizes
from gpuaug.render import ops
from gpuaug.render.plan import Choice, Plan
from gpuaug.render.settings import as_fill
from gpuaug.sampling.distributions import as_distribution
from gpuaug.sampling.law import Number, Range
from gpuaug.sampling.noise import uniform_noise
from gpuaug.transforms.base import Drawn
from gpuaug.transforms.layer import Context
from gpuaug.transforms.noise import KEY, as_key
from gpuaug.transforms.occlude import Occluding

__all__ = ["PixelDropout"]


class PixelDropout(Occluding):
    """Replace single pixels of each sample, each with a probability drawn for the sample.

    Args:
        dropout_prob: share of the pixels that are replaced: a number, or a range to draw from; 0 is neutral.
        per_channel: whether each channel of a pixel is drawn for itself.
        drop_value: a number or one for each channel, in the input's unit (after `Normalize`, in its units); None for a
            colour drawn for each sample.
        mask_drop_value: class that masks get where a pixel is replaced (masks of objects are cleared there); None
            leaves masks as they are.
        p: probability for each sample; 0 is neutral.
        channels: bands it is limited to.
        keys: inputs it is limited to, such as ("image",) or a key of `roles`; None is all images.

    Shape:
        (B, C, H, W) to the same.

    Boxes and masks:
        Boxes and keypoints unchanged; masks too, unless `mask_drop_value` says otherwise.

    Raises:
        ValueError: for a share outside 0..1, or a `mask_drop_value` with `per_channel`; when called with a
            `mask_drop_value` on images of several sizes.

    Source: albumentations.PixelDropout, which also drops boxes of which too little is left.

    Example:
        >>> import torch, gpuaug as ga
        >>> ga.PixelDropout(0.1, p=1.0)(torch.ones(2, 3, 8, 10)).shape
        torch.Size([2, 3, 8, 10])
    """

    neutral: ClassVar[Mapping[str, float]] = {"dropout_prob": 0.0}

    single = True

    def __init__(
        self,
        dropout_prob: Range = 0.01,
        per_channel: bool = False,
        drop_value: float | Sequence[float] | None = 0,
        mask_drop_value: float | None = None,
        p: Number = 0.5,
        *,
        channels: tuple[int, ...] | None = None,
        keys: Sequence[str] | None = None,
    ) -> None:
        """See the class."""
        super().__init__(p, channels, keys, mask_drop_value, False)
        self.per_channel = bool(per_channel)
        if self.per_channel and mask_drop_value is not None:
            raise ValueError(
                "PixelDropout: mask_drop_value must be None with per_channel, as a mask has no channels of the image, "
                f"got {mask_drop_value!r}"
            )
        self.value = () if drop_value is None else as_fill(drop_value, "PixelDropout") or (0.0,)
        law = as_distribution(dropout_prob, owner="PixelDropout", name="dropout_prob", low=0.0, high=1.0)
        self.declare(dropout_prob=law, _key=KEY, _color=KEY)

    def parameters_for(self, raw: Drawn, context: Context) -> Drawn:
        """Return `dropout_prob`, the noise's `key` and the colour's."""
        if self.fill_mask is not None and isinstance(context.canvas, Sizes):
            raise ValueError("PixelDropout: images must have one size where mask_drop_value is given, got several")
        keys = {"key": as_key(raw["_key"]), "color_key": as_key(raw["_color"])}
        return {"dropout_prob": raw["dropout_prob"], **keys}

    def covered(self, values: Drawn, canvas: tuple[int, int]) -> Tensor:
        """Return which pixels are replaced."""
        noise = uniform_noise(values["key"], 1, *canvas)[:, 0]
        return torch.lt(noise, values["dropout_prob"].view(-1, 1, 1))

    def choices(self, values: Drawn, plan: Plan, context: Context) -> list[list[Choice]]:
        """Return the operation."""
        if len(self.value) not in (0, 1, context.channels):
            raise ValueError(
                f"PixelDropout: drop_value must be one number or one for each of the {context.channels} channels, got "
                f"{self.value}"
            )
        value = context.values.working(self.value) if self.value else ()
        operands = (values["dropout_prob"], values["key"], values["color_key"])
        static = {"per_channel": self.per_channel, "value": value}
        return [[Choice("pixel_dropout", ops.drop_pixels, operands, static)]]
