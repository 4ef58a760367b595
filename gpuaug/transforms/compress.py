"""Compression."""

from __future__ import annotations

from collections.abc import Sequence

from gpuaug import functional as F
from gpuaug.functional.jpeg import FACTORS
from gpuaug.render.plan import Choice, Plan
from gpuaug.sampling.distributions import Uniform, as_distribution, within
from gpuaug.sampling.law import Number, Range
from gpuaug.transforms.base import Drawn, Filter
from gpuaug.transforms.color import choice
from gpuaug.transforms.layer import Context

__all__ = ["JPEG"]


class JPEG(Filter):
    """Compress each sample as a JPEG file of a quality drawn for it, on the device.

    Args:
        quality: 1, the coarsest, to 100: a number, a range of whole numbers with both ends, or a distribution.
        subsampling: "4:2:0" (chroma at half the width and height), "4:2:2" (at half the width) or "4:4:4".
        p: probability for each sample; 0 is neutral.
        channels: bands that are the RGB, of a multi-band image.
        keys: inputs it is limited to, such as ("image",) or a key of `roles`; None is all images.

    Shape:
        (B, C, H, W) to the same, C 1 or 3; floats become multiples of 1/255.

    Boxes and masks:
        Unchanged.

    Raises:
        ValueError: for qualities outside 1..100, or another subsampling; when called on other than 1 or 3 channels.

    Source: torchvision.transforms.v2.JPEG; equals libjpeg-turbo's "islow" codec, so Pillow, OpenCV and torchvision, to
    the last bit. albumentations.ImageCompression (type "jpeg") is the same with red taken for blue.

    Example:
        >>> import torch, gpuaug as ga
        >>> ga.JPEG((30, 70))(torch.zeros(2, 3, 8, 10)).shape
        torch.Size([2, 3, 8, 10])
    """

    def __init__(
        self,
        quality: Range,
        subsampling: str = "4:2:0",
        *,
        p: Number = 1.0,
        channels: tuple[int, ...] | None = None,
        keys: Sequence[str] | None = None,
    ) -> None:
        """See the class."""
        super().__init__(p, channels, keys)
        if subsampling not in FACTORS:
            raise ValueError(f"JPEG: subsampling must be one of {', '.join(FACTORS)}, got {subsampling!r}")
        self.subsampling = subsampling
        law = as_distribution(quality, owner="JPEG", name="quality", low=1.0, high=100.0)
        self.declare(quality=within(law) if isinstance(law, Uniform) else law)

    def choice(self, values: Drawn, plan: Plan, context: Context) -> Choice:
        """Return the filter."""
        if context.channels not in (1, 3):
            raise ValueError(
                "JPEG: images must have 1 or 3 channels, or channels= must name 1 or 3 bands (channels=(0, 1, 2)),"
                f" got {context.channels}"
            )
        return choice(F.jpeg, values["quality"], subsampling=self.subsampling)
