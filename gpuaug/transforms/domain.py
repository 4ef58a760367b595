"""Domain adaptation: samples take on what other images of the batch, or given ones, look like; labels stay."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import Any, ClassVar

import torch
from torch import Tensor
from torch._subclasses.fake_tensor import FakeTensor

from gpuaug import functional as F
from gpuaug.functional.adapt import FRAMES, adapt_one, match_one, shares
from gpuaug.geometry.canvas import Sizes
from gpuaug.render.derived import frames_from
from gpuaug.render.measured import by_kernels, measured
from gpuaug.render.plan import Choice, Plan
from gpuaug.sampling.distributions import Distribution, as_distribution, static_range
from gpuaug.sampling.law import Number, Range
from gpuaug.sampling.unit import Unit
from gpuaug.transforms.base import Drawn, Filter, Photometric, Transform
from gpuaug.transforms.color import choice
from gpuaug.transforms.layer import Context
from gpuaug.transforms.mix import partners

__all__ = ["FDA", "HistogramMatching", "PixelDistributionAdaptation", "unit_of"]

MOST_TOGETHER = 4
"""Channels whose products kernels measure."""


def as_references(images: Any, owner: str) -> Tensor | None:
    """Return images (N, C, h, w) on the scale 0..1, or raise; None stays None."""
    if images is None:
        return None
    if isinstance(images, (tuple, list)) and images and all(isinstance(i, Tensor) for i in images):
        shapes = {tuple(i.shape) for i in images}
        if len(shapes) > 1:
            raise ValueError(f"{owner}: reference_images must have one shape, got {sorted(shapes)}")
        images = torch.stack(tuple(images))
    if not isinstance(images, Tensor):
        raise TypeError(f"{owner}: reference_images must be a tensor (N, C, H, W) or None, got {type(images).__name__}")
    if images.dim() != 4 or not images.numel():
        raise ValueError(f"{owner}: reference_images must have shape (N, C, H, W), got {tuple(images.shape)}")
    if images.dtype != torch.uint8 and not images.is_floating_point():
        raise TypeError(f"{owner}: reference_images must be uint8 or floating point, got {images.dtype}")
    white = 255.0 if images.dtype == torch.uint8 else 1.0
    return images.detach().to(torch.float32) / white


class _Reference(Transform):
    """What adapts samples to other images: whose, and what of them is needed."""

    adapts: ClassVar[bool] = True
    sees: tuple[str, ...] = ("image",)
    _references: Tensor | None

    def refer_to(self, images: Any, **random: Distribution) -> None:
        """Remember the images that samples are adapted to, and name what is drawn."""
        self._references = as_references(images, type(self).__name__)
        if images is not None:
            self.sees = ()
        self.declare(**random, _source=Unit())

    def active(self, context: Context) -> bool:
        """Raise where samples differ in size, and would be references of one another."""
        if isinstance(context.canvas, Sizes) and (self._references is None or not isinstance(self, Photometric)):
            raise ValueError(
                f"{type(self).__name__}: images must have one size to be adapted to one another: put"
                " Resize((height, width)) or another transform to a fixed size before it; got a list or Ragged"
            )
        return True

    def measured(self, images: Tensor, context: Context) -> Tensor:
        """Return what is needed of reference images (N, C, H, W) on the scale 0..1, (N, ...)."""
        raise NotImplementedError  # pragma: no cover

    def settle(self, raw: Drawn, gate: Tensor | None, context: Context) -> Drawn:
        """Return `source` (B,), the reference's place in the batch or among those given, and what is needed of it."""
        u = raw.pop("_source")
        values = super().settle(raw, gate, context)
        if self._references is None:
            source, _ = partners("perm", u.shape[0], u, u.device)
            images = unit_of(context.image, context)
        else:
            if self._references.device != u.device:
                self._references = self._references.to(u.device)
            images = self._references
            source = (u * images.shape[0]).to(torch.int64).clamp(max=images.shape[0] - 1)
        if images.shape[1] != context.channels:
            raise ValueError(
                f"{type(self).__name__}: reference_images must have {context.channels} channels, as the images, got"
                f" {images.shape[1]}"
            )
        values["source"], values["reference"] = source, self._of(images, source, gate, context)
        return values

    def _of(self, images: Tensor, source: Tensor, gate: Tensor | None, context: Context) -> Tensor:
        """Return what is needed of the images at some places; on the CPU, for the samples that a gate lets through."""
        fake = torch.compiler.is_compiling() or isinstance(images, FakeTensor) or isinstance(source, FakeTensor)
        if images.device.type != "cpu" or fake or gate is None or not source.numel():
            return self.measured(images, context).index_select(0, source)
        rows = [n for n, on in zip(source.tolist(), gate.tolist(), strict=True) if on]
        found = {n: self.measured(images[n : n + 1], context) for n in dict.fromkeys(rows or [0])}
        blank = torch.zeros_like(next(iter(found.values())))
        order = iter(rows)
        return torch.cat([found[next(order)] if on else blank for on in gate.tolist()])


def unit_of(images: Any, context: Context) -> Tensor:
    """Return images as they are seen on the scale 0..1, without gradients."""
    black, white = context.values.black, context.values.white
    x: Tensor = images.detach().to(torch.float32)
    if len(black) == len(white) == 1:
        return (x - black[0]) / (white[0] - black[0]) if black[0] else x / white[0]
    planes = [(plane - b) / (w - b) for plane, b, w in zip(x.unbind(1), black, white, strict=True)]
    return torch.stack(planes, dim=1)


class HistogramMatching(_Reference, Photometric):
    """Give each sample the histogram of another image, channel by channel.

    To know it, it looks at the images as they are at its place: what comes before is rendered twice, once for drawing,
    unless references are given. At the head of a pipeline that costs nothing.

    Args:
        reference_images: (N, C, H, W) uint8 or float of the other domain, of which each sample takes one; None takes
            another sample of the batch.
        blend_ratio: range of the share of the result, 0 to 1; 0 is neutral.
        p: probability for each sample; 0 is neutral.
        channels: bands it is limited to.
        keys: inputs it is limited to, such as ("image",) or a key of `roles`; None is all images.

    Shape:
        (B, C, H, W) to the same; floats are cut to 256 levels. Of a clip the first frame is the reference.

    Boxes and masks:
        Unchanged, as labels.

    Raises:
        ValueError: for shares outside 0..1, references of other channels; for images of several sizes without
            references.

    Source: albumentations.HistogramMatching and skimage.exposure.match_histograms, without their cut to whole levels.

    Example:
        >>> import torch, gpuaug as ga
        >>> ga.HistogramMatching(p=1.0)(torch.rand(4, 3, 8, 10)).shape
        torch.Size([4, 3, 8, 10])
    """

    neutral: ClassVar[Mapping[str, float]] = {"blend_ratio": 0.0}
    single = True

    def __init__(
        self,
        reference_images: Any = None,
        blend_ratio: Range = (0.5, 1.0),
        p: Number = 0.5,
        *,
        channels: tuple[int, ...] | None = None,
        keys: Sequence[str] | None = None,
    ) -> None:
        """See the class."""
        super().__init__(p, channels, keys)
        law = as_distribution(blend_ratio, owner="HistogramMatching", name="blend_ratio", low=0.0, high=1.0)
        self.refer_to(reference_images, blend_ratio=law)

    def measured(self, images: Tensor, context: Context) -> Tensor:
        """Return which share of a channel is at each level or below."""
        if by_kernels(images):
            return shares(measured(images, "histogram")[0])
        return F.quantiles_of(images)

    def choices(self, values: Drawn, plan: Plan, context: Context) -> list[list[Choice]]:
        """Return the match."""
        operation = choice(F.match_histogram, values["reference"], values["blend_ratio"])
        operation.apply_one, operation.measures = match_one, True
        return [[operation]]


class PixelDistributionAdaptation(_Reference, Photometric):
    """Give the colours of each sample the distribution of those of another image, by a linear map.

    To know it, it looks at the images as they are at its place: what comes before is rendered twice, once for drawing,
    unless references are given. At the head of a pipeline that costs nothing.

    Args:
        reference_images: (N, C, H, W) uint8 or float of the other domain, of which each sample takes one; None takes
            another sample of the batch.
        blend_ratio: range of the share of the result, 0 to 1; 0 is neutral.
        transform_type: "pca" turns the principal axes of the colours into those of the other image, which keeps their
            variances; "standard" gives each channel its mean and deviation, "minmax" its extremes.
        p: probability for each sample; 0 is neutral.
        channels: bands it is limited to.
        keys: inputs it is limited to, such as ("image",) or a key of `roles`; None is all images.

    Shape:
        (B, C, H, W) to the same. Of a clip the first frame is the reference.

    Boxes and masks:
        Unchanged, as labels.

    Raises:
        ValueError: for shares outside 0..1, another type, references of other channels; for images of several sizes
            without references.

    Source: albumentations.PixelDistributionAdaptation, whose result is black in 2.0.8 (0..1 taken for 0..255); axes
        point the same way in both images here, where it leaves that to the solver.

    Example:
        >>> import torch, gpuaug as ga
        >>> ga.PixelDistributionAdaptation(p=1.0)(torch.rand(4, 3, 8, 10)).shape
        torch.Size([4, 3, 8, 10])
    """

    neutral: ClassVar[Mapping[str, float]] = {"blend_ratio": 0.0}
    single = True

    def __init__(
        self,
        reference_images: Any = None,
        blend_ratio: Range = (0.25, 1.0),
        transform_type: str = "pca",
        p: Number = 0.5,
        *,
        channels: tuple[int, ...] | None = None,
        keys: Sequence[str] | None = None,
    ) -> None:
        """See the class."""
        super().__init__(p, channels, keys)
        owner = "PixelDistributionAdaptation"
        if transform_type not in FRAMES:
            raise ValueError(f"{owner}: transform_type must be one of {', '.join(FRAMES)}, got {transform_type!r}")
        self.transform_type = transform_type
        law = as_distribution(blend_ratio, owner=owner, name="blend_ratio", low=0.0, high=1.0)
        self.refer_to(reference_images, blend_ratio=law)

    def measured(self, images: Tensor, context: Context) -> Tensor:
        """Return axes or scales, and the origin."""
        kind = self.transform_type
        if by_kernels(images) and (kind == "minmax" or images.shape[1] <= MOST_TOGETHER):
            found = measured(images, *(("extremes",) if kind == "minmax" else ("sums", "products")))
            return frames_from(kind, found, images.shape[2] * images.shape[3])
        return F.frame_of(images, kind)

    def choices(self, values: Drawn, plan: Plan, context: Context) -> list[list[Choice]]:
        """Return the map."""
        operation = choice(F.adapt_pixels, values["reference"], values["blend_ratio"], kind=self.transform_type)
        operation.apply_one, operation.measures = adapt_one, True
        return [[operation]]


class FDA(_Reference, Filter):
    """Give the low frequencies of each sample the amplitudes of another image, and keep their phases.

    Light, colour and contrast become those of the other image, shapes stay. To know it, it looks at the images as they
    are at its place: what comes before is rendered twice, once for drawing, unless references are given.

    Args:
        reference_images: (N, C, H, W) uint8 or float of the other domain, of which each sample takes one, resized
            to the samples' size; None takes another sample of the batch.
        beta_limit: range of beta, 0 to 0.5, a number x means 0 to x: frequencies up to beta * min(H, W) periods over
            the image are adapted, along either axis; 0 is neutral.
        p: probability for each sample; 0 is neutral.
        channels: bands it is limited to.
        keys: inputs it is limited to, such as ("image",) or a key of `roles`; None is all images.

    Shape:
        (B, C, H, W) to the same. Of a clip the first frame is the reference.

    Boxes and masks:
        Unchanged, as labels.

    Raises:
        ValueError: for betas outside 0..0.5, references of other channels, images of several sizes.

    Source: Yang and Soatto 2020, "FDA: Fourier Domain Adaptation for Semantic Segmentation"; albumentations.FDA, whose
        window of frequencies lies one beside the middle.

    Example:
        >>> import torch, gpuaug as ga
        >>> ga.FDA(p=1.0)(torch.rand(4, 3, 20, 30)).shape
        torch.Size([4, 3, 20, 30])
    """

    neutral: ClassVar[Mapping[str, float]] = {"beta": 0.0}

    def __init__(
        self,
        reference_images: Any = None,
        beta_limit: Range = (0.0, 0.1),
        p: Number = 0.5,
        *,
        channels: tuple[int, ...] | None = None,
        keys: Sequence[str] | None = None,
    ) -> None:
        """See the class."""
        super().__init__(p, channels, keys)
        limit = (0.0, beta_limit) if isinstance(beta_limit, (int, float)) else beta_limit
        law = as_distribution(limit, owner="FDA", name="beta_limit", low=0.0, high=0.5)
        self._most = static_range(law)[1]
        self.refer_to(reference_images, beta=law)

    def measured(self, images: Tensor, context: Context) -> Tensor:
        """Return the amplitudes of the frequencies that may be adapted."""
        h, w = context.canvas
        if tuple(images.shape[2:]) != (h, w):
            images = torch.nn.functional.interpolate(images, (h, w), mode="bilinear", antialias=True)
        return F.low_amplitude(images, min(math.floor(self._most * min(h, w) + 1e-4), (min(h, w) - 1) // 2))

    def choice(self, values: Drawn, plan: Plan, context: Context) -> Choice:
        """Return the adaptation."""
        return choice(F.adapt_spectrum, values["reference"], values["beta"])
