"""Pixels by the statistics of their own sample, and of another one: principal components, histograms, distributions."""

from __future__ import annotations

import torch
from torch import Tensor

from gpuaug.functional._axes import principal_axes
from gpuaug.functional._door import Pixels, beside, each, join, pixelwise, planar, split
from gpuaug.functional.tint import mix_one, mixed

__all__ = ["adapt_pixels", "fancy_pca", "frame_of", "match_histogram", "quantiles_of"]

FRAMES = ("pca", "standard", "minmax")
"""What colours are measured by: their principal axes, or mean and deviation, or extremes, of each channel."""
LEVELS = 256


def moments(image: Pixels) -> tuple[Tensor, Tensor]:
    """Return the mean colour (B, C) and the sums of products about it (B, C, C), of values without gradients."""
    flat = torch.stack([plane.detach().flatten(1) for plane in split(image)], dim=1)
    mean = flat.mean(dim=2)
    centred = flat - mean[:, :, None]
    # Sums of products, not a product of matrices, which autocast would round.
    rows = [(centred[:, c : c + 1] * centred).sum(dim=2) for c in range(flat.shape[1])]
    return mean, torch.stack(rows, dim=1)


def count_of(image: Pixels) -> int:
    """Return how many pixels an image has, at least one."""
    plane = split(image)[0]
    return max(plane.shape[-2] * plane.shape[-1], 1)


def principal_shift(products: Tensor, count: Tensor | int, alpha: Tensor) -> Tensor:
    """Return the sum (B, C) of alpha * variance along each principal axis.

    Args:
        products: (B, C, C), sums of products about the mean.
        count: of pixels, a number or (B, 1, 1).
        alpha: (B, C), that of the axis of the largest variance first.
    """
    less = count.clamp(min=2) - 1 if isinstance(count, Tensor) else max(count - 1, 1)
    values, axes = principal_axes(products / less)
    # An axis has two directions. The one in which the first channels grow is seldom in doubt in photographs.
    weight = torch.pow(0.25, torch.arange(axes.shape[1], device=axes.device)).to(axes.dtype)
    way = torch.where((axes * weight[:, None]).sum(dim=1) < 0, -1.0, 1.0).to(axes.dtype)
    return (axes * (way * alpha.to(axes.dtype) * values)[:, None]).sum(dim=2)


@pixelwise
@planar
def fancy_pca(image: Tensor, alpha: Tensor) -> Tensor:
    """Add to the colours of each sample along their principal axes.

    Args:
        image: (B, C, H, W).
        alpha: (B, C): along axis k, the one of the k-th largest variance v of values from 0 to 1, alpha * v is added.
            An axis points where the first channels grow. 0 is neutral.

    Shape:
        (B, C, H, W) to the same; clamped to black and white. Gradients take what is added as given.

    Source: Krizhevsky et al. 2012, with the axes of each image, as albumentations.FancyPCA before 2.0.

    Example:
        >>> import torch
        >>> from gpuaug.functional import fancy_pca
        >>> fancy_pca(torch.rand(2, 3, 4, 5), torch.full((2, 3), 0.1)).shape
        torch.Size([2, 3, 4, 5])
    """
    shift = principal_shift(moments(image)[1], count_of(image), alpha)
    return each(image, lambda value, more: (value + more).clamp(0, 1), shift)  # type: ignore[no-any-return]


def frame_of(image: Pixels, kind: str) -> Tensor:
    """Return what the colours of each sample are measured by, scales or axes and then their origin.

    Args:
        image: (B, C, H, W), working values between black 0 and white 1.
        kind: "pca", "standard" or "minmax".

    Shape:
        (B, C, C + 1): axes as columns, or scales on the diagonal; the last column is where they begin.

    Source: numpy.linalg.eigh of the covariance, the mean and deviation, or the extremes, to 1e-5.

    Example:
        >>> import torch
        >>> from gpuaug.functional import frame_of
        >>> frame_of(torch.tensor([[[[0.25, 0.75]]]]), "minmax").flatten().tolist()
        [0.5, 0.25]
    """
    if kind == "minmax":
        low = torch.stack([plane.detach().amin(dim=(1, 2)) for plane in split(image)], dim=1)
        high = torch.stack([plane.detach().amax(dim=(1, 2)) for plane in split(image)], dim=1)
        return framed(kind, low, high)
    return framed(kind, *moments(image), count_of(image))


def framed(kind: str, first: Tensor, second: Tensor, count: Tensor | int = 1) -> Tensor:
    """Return the same from extremes (B, C) each, or from means (B, C) and sums of products (B, C, C) of pixels."""
    if kind == "pca":
        scale = principal_axes(second / count)[1]
    elif kind == "standard":
        scale = torch.diag_embed(torch.sqrt(torch.diagonal(second / count, dim1=1, dim2=2)))
    else:
        scale = torch.diag_embed(second - first)
    return torch.cat((scale, first[:, :, None]), dim=2)


def frame_change(kind: str, own: Tensor, other: Tensor) -> Tensor:
    """Return the map (B, C, C + 1) that gives colours the same place in another frame as they have in their own."""
    other = other.to(own.dtype)
    (scale, origin), (scales, origins) = ((frame[:, :, :-1], frame[:, :, -1]) for frame in (own, other))
    if kind == "pca":
        # An axis has two directions: those of the other frame are turned the way that they go here.
        along = (scale * scales).sum(dim=1)
        back, scales = scale.transpose(1, 2), torch.where(along < 0, -1.0, 1.0).to(own.dtype)[:, None] * scales
    else:
        size = torch.diagonal(scale, dim1=1, dim2=2)
        back = torch.diag_embed(1 / torch.where(size > 0, size, torch.ones_like(size)))  # a constant channel is moved
    matrix = (scales[:, :, :, None] * back[:, None]).sum(dim=2)
    rest = origins - (matrix * origin[:, None]).sum(dim=2)
    return torch.cat((matrix, rest[:, :, None]), dim=2)


@pixelwise
@planar
def adapt_pixels(image: Tensor, frame: Tensor, blend: Tensor | float, kind: str = "pca") -> Tensor:
    """Give the colours of each sample the distribution of others.

    Args:
        image: (B, C, H, W).
        frame: (B, C, C + 1), what `frame_of` returns of the others.
        blend: (B,) or a number, 0 to 1: the share of the result; 0 is neutral.
        kind: "pca" turns the principal axes of the colours into those of the others, "standard" gives each channel
            their mean and deviation, "minmax" their extremes.

    Shape:
        (B, C, H, W) to the same; clamped to black and white. Gradients take the frames as given.

    Source: albumentations.PixelDistributionAdaptation.

    Example:
        >>> import torch
        >>> from gpuaug.functional import adapt_pixels, frame_of
        >>> adapt_pixels(torch.rand(2, 3, 4, 5), frame_of(torch.rand(2, 3, 6, 6), "standard"), 1.0, "standard").shape
        torch.Size([2, 3, 4, 5])
    """
    moved = mixed(image, frame_change(kind, frame_of(image, kind), frame))
    share = beside(blend, moved[0])  # type: ignore[arg-type]
    out = [torch.lerp(old, new.clamp(0, 1), share) for old, new in zip(split(image), moved, strict=True)]
    return join(out, image)  # type: ignore[no-any-return]


def adapt_one(image: Tensor, frame: Tensor, blend: Tensor, kind: str) -> Tensor:
    """Do so for one sample (1, C, H, W) on the CPU."""
    out = mix_one(image, frame_change(kind, frame_of(image, kind), frame))
    return torch.lerp(image, out, float(blend), out=out)


def level_of(image: Tensor) -> Tensor:
    """Return which of 256 levels values fall into, as `equalize` cuts them."""
    return torch.floor(torch.nan_to_num(image.detach()).clamp(0, 1) * 255.999).to(torch.int64)


def counted(level: Tensor) -> Tensor:
    """Return histograms (B, C, 256) of levels (B, C, H, W)."""
    b, c = level.shape[:2]
    flat = level.flatten(2)
    return torch.zeros((b, c, LEVELS), dtype=torch.int64, device=level.device).scatter_add_(
        2, flat, torch.ones_like(flat)
    )


def counted_one(level: Tensor) -> Tensor:
    """Return the histogram of one sample on the CPU, channel by channel."""
    return torch.stack([torch.bincount(channel, minlength=LEVELS) for channel in level[0].flatten(1)])[None]


def quantiles_of(image: Tensor) -> Tensor:
    """Return what share of each channel is at most as bright as each of 256 levels.

    Args:
        image: (B, C, H, W), working values between black 0 and white 1.

    Shape:
        (B, C, H, W) to (B, C, 256); the last is 1.

    Source: the cumulated numpy.histogram, to 1e-6.

    Example:
        >>> import torch
        >>> from gpuaug.functional import quantiles_of
        >>> quantiles_of(torch.tensor([[[[0.0, 1.0]]]]))[0, 0, [0, 254, 255]].tolist()
        [0.5, 0.5, 1.0]
    """
    return shares(counted(level_of(image)))


def shares(histogram: Tensor) -> Tensor:
    """Return what share of the values is at each level or below."""
    total = histogram.cumsum(dim=-1)
    return total.to(torch.float32) / total[..., -1:].clamp(min=1).to(torch.float32)


def matching_table(histogram: Tensor, reference: Tensor) -> Tensor:
    """Return what each level becomes (B, C, 256), in 0..1, so that its share below is that of the reference."""
    own, other = shares(histogram), reference.to(torch.float32).contiguous()
    after = torch.searchsorted(other, own).clamp(max=LEVELS - 1)
    before = (after - 1).clamp(min=0)
    high, low = other.gather(-1, after), other.gather(-1, before)
    low = torch.where(after > 0, low, torch.zeros_like(low))
    # A level where nothing is, is not met: the line goes from the last one where something is.
    grows = torch.diff(other, dim=-1, prepend=torch.zeros_like(other[..., :1])) > 0
    place = torch.arange(LEVELS, device=other.device).expand_as(other)
    occupied = torch.where(grows, place, -1).cummax(dim=-1).values
    start = torch.where(after > 0, occupied.gather(-1, before), -1)
    way = (own - low) / torch.where(high > low, high - low, torch.ones_like(high))
    end = after.to(torch.float32)
    met = torch.where(start < 0, end, start + way * (end - start))
    return met / (LEVELS - 1)


@pixelwise
def match_histogram(image: Tensor, reference: Tensor, blend: Tensor | float) -> Tensor:
    """Give each channel of each sample the histogram of another one.

    Args:
        image: (B, C, H, W); floats are cut to 256 levels.
        reference: (B, C, 256), what `quantiles_of` returns of the others.
        blend: (B,) or a number, 0 to 1: the share of the result; 0 is neutral.

    Shape:
        (B, C, H, W) to the same.

    Source: skimage.exposure.match_histograms and albumentations.HistogramMatching, without their cut to whole levels.

    Example:
        >>> import torch
        >>> from gpuaug.functional import match_histogram, quantiles_of
        >>> match_histogram(torch.tensor([[[[0.0, 1.0]]]]), quantiles_of(torch.tensor([[[[0.2, 0.6]]]])), 1.0).shape
        torch.Size([1, 1, 1, 2])
    """
    level = level_of(image)
    table = matching_table(counted(level), reference)
    return _matched(image, level, table, blend)


def _matched(image: Tensor, level: Tensor, table: Tensor, blend: Tensor | float) -> Tensor:
    found = table.to(image.dtype).gather(2, level.flatten(2)).view_as(image)
    out: Tensor = each(image, lambda v, share: torch.lerp(v, found, share), blend)
    return out


def match_one(image: Tensor, reference: Tensor, blend: Tensor) -> Tensor:
    """Do so for one sample (1, C, H, W) on the CPU."""
    level = level_of(image)
    return _matched(image, level, matching_table(counted_one(level), reference), blend)
