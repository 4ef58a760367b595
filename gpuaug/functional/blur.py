"""Neighbourhoods of each sample: Gaussian blur, sharpness, any kernel."""

from __future__ import annotations

import math
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor

from gpuaug._compiling import exact
from gpuaug.functional._bags import blurred, correlated
from gpuaug.functional._door import pixelwise

__all__ = ["adjust_sharpness", "filter2d", "gaussian_blur"]

NEGLIGIBLE = 5.2
"""In standard deviations: all taps beyond weigh less than 1e-6 together."""

SPARSE = 48
"""Taps up to which images of 8 bits are added as whole numbers."""
ALIKE = 1e-5
"""Part of a weight by which others may differ from it and still count as the same."""
DENSE = 80
"""Taps up to which sums of lines are quicker than the way through the spectrum."""


def _weights(sigma: Tensor, size: int) -> list[Any]:
    """Return the weights of the middle tap and of its neighbours on one side, each (B, 1, 1, 1)."""
    raw = [torch.exp(-0.5 * (k / sigma).square()) for k in range(size // 2 + 1)]
    total = raw[0] + 2 * sum(raw[1:], torch.zeros_like(sigma))
    return [(w / total).view(-1, 1, 1, 1) for w in raw]


def numbers(sigma: float, size: int) -> list[Any]:
    """Return the same as numbers, and no more than matter."""
    reach = min(size // 2, math.ceil(NEGLIGIBLE * sigma))
    raw = [math.exp(-0.5 * (k / sigma) ** 2) for k in range(reach + 1)]
    return [w / (2 * sum(raw) - raw[0]) for w in raw]


def blur_axis(x: Tensor, weights: list[Any], axis: int) -> Tensor:
    """Blur images (B, C, H, W) along an axis, tap by tap, by weights that are numbers or (B, 1, 1, 1)."""
    reach = len(weights) - 1
    if reach == 0:
        return x
    pad = (reach, reach, 0, 0) if axis == 3 else (0, 0, reach, reach)
    padded = F.pad(x, pad, mode="reflect")
    n = x.shape[axis]
    out: Tensor = padded.narrow(axis, reach, n) * weights[0]
    for k in range(1, reach + 1):
        pair = padded.narrow(axis, reach - k, n) + padded.narrow(axis, reach + k, n)
        out = out + pair * weights[k] if isinstance(weights[k], float) else out.addcmul(pair, weights[k])
    return out


@pixelwise
def gaussian_blur(image: Tensor, sigma: Tensor | float, kernel_size: int | tuple[int, int] = (23, 23)) -> Tensor:
    """Blur each sample with a Gaussian of its own width.

    Args:
        image: (B, C, H, W).
        sigma: (B,) or a number: standard deviation in pixels, positive.
        kernel_size: odd number of taps, or two, horizontal and vertical.

    Shape:
        (B, C, H, W) to the same; the border is reflected.

    Source: torchvision.transforms.v2.functional.gaussian_blur, to 1e-5.

    Example:
        >>> import torch
        >>> from gpuaug.functional import gaussian_blur
        >>> gaussian_blur(torch.rand(2, 3, 8, 9), torch.tensor([0.5, 1.0]), kernel_size=(5, 3)).shape
        torch.Size([2, 3, 8, 9])
    """
    s = sigma.to(image.dtype)  # type: ignore[union-attr]
    kx, ky = (kernel_size, kernel_size) if isinstance(kernel_size, int) else kernel_size
    return blur_axis(blur_axis(image, _weights(s, ky), 2), _weights(s, kx), 3)


def blur_one(image: Tensor, sigma: Tensor, kernel_size: tuple[int, int]) -> Tensor:
    """Blur one sample (1, C, H, W) whose `sigma` (1,) may be read: on the CPU, without gradients."""
    kx, ky = kernel_size
    return blurred(image, numbers(float(sigma), ky), numbers(float(sigma), kx))


@pixelwise
def filter2d(image: Tensor, kernel: Tensor, clip: bool = False) -> Tensor:
    """Correlate each sample with a kernel of its own.

    Args:
        image: (B, C, H, W).
        kernel: (B, kh, kw), kh and kw odd, at most 2 H - 1 and 2 W - 1; all zeros but a one in the middle is neutral.
        clip: whether floats are clamped to black and white.

    Shape:
        (B, C, H, W) to the same; the border is reflected.

    Raises:
        ValueError: for a kernel of another shape.

    Source: cv2.filter2D, kornia.filters.filter2d (border_type "reflect"), to 1e-5.

    Example:
        >>> import torch
        >>> from gpuaug.functional import filter2d
        >>> filter2d(torch.rand(2, 3, 8, 9), torch.full((2, 3, 5), 1 / 15)).shape
        torch.Size([2, 3, 8, 9])
    """
    batch, channels, h, w = image.shape
    if kernel.dim() != 3 or kernel.shape[0] != batch or kernel.shape[1] % 2 == 0 or kernel.shape[2] % 2 == 0:
        raise ValueError(
            f"filter2d: kernel must have shape ({batch}, kh, kw), kh and kw odd, got {tuple(kernel.shape)}"
        )
    if batch == 0:
        return image.clone()
    down, across = kernel.shape[1] // 2, kernel.shape[2] // 2
    weight = kernel.to(image.dtype)[:, None].expand(-1, channels, -1, -1).flatten(0, 1)[:, None]
    padded = F.pad(image, (across, across, down, down), mode="reflect")
    out = _convolved(padded.flatten(0, 1)[None], weight).view(batch, channels, h, w)
    return out.clamp(0, 1) if clip else out


def _convolved(planes: Tensor, weight: Tensor) -> Tensor:
    """Return planes (1, N, H, W), each under its kernel (N, 1, kh, kw), in their own precision."""
    with exact(planes.device):
        return F.conv2d(planes, weight, groups=weight.shape[0])


def filter_one(image: Tensor, kernel: Tensor, clip: bool = False) -> Tensor:
    """Correlate one sample (1, C, H, W) with a kernel that may be read, in the way that suits the taps that it has."""
    h, w = image.shape[2:]
    padded, taps, weights, kernel = _reaching(image, kernel)
    if not taps:
        return torch.zeros_like(image, memory_format=torch.contiguous_format)
    columns = len({j for _, j in taps})
    if len(taps) <= 3 * columns + 5:  # a pass for each tap, or a copy for each column of them
        total = _added(padded, taps, weights, h, w)
    elif len(taps) <= DENSE:
        total = correlated(padded, taps, weights, h, w)
    else:
        total = _by_spectrum(padded, kernel, h, w)
    return total.clamp_(0, 1) if clip else total


def filter_sums_one(image: Tensor, kernel: Tensor, clip: bool = False) -> tuple[Tensor, float] | None:
    """Return sums of one sample of 8 bits over the taps of a kernel that has few, all alike, and how many they are."""
    weights = [number for row in kernel[0].tolist() for number in row if number != 0]
    if not 1 <= len(weights) <= SPARSE or max(weights) - min(weights) > ALIKE * abs(weights[0]) or weights[0] <= 0:
        return None
    padded, taps, _, _ = _reaching(image, kernel)
    return _added(padded.to(torch.int16), taps, None, *image.shape[2:]), 1 / weights[0]


def _reaching(image: Tensor, kernel: Tensor) -> tuple[Tensor, list[tuple[int, int]], list[float], Tensor]:
    """Return an image padded as far as a kernel (1, kh, kw) reaches; its taps, weights, and what of it is not zero."""
    entries = [(i, j, v) for i, row in enumerate(kernel[0].tolist()) for j, v in enumerate(row) if v != 0]
    middle = kernel.shape[1] // 2, kernel.shape[2] // 2
    down, across = (max((abs(tap[axis] - middle[axis]) for tap in entries), default=0) for axis in (0, 1))
    top, left = middle[0] - down, middle[1] - across
    padded = F.pad(image, (across, across, down, down), mode="reflect").contiguous()
    inner = kernel[0, top : top + 2 * down + 1, left : left + 2 * across + 1]
    return padded, [(i - top, j - left) for i, j, _ in entries], [v for _, _, v in entries], inner


def _added(padded: Tensor, taps: list[tuple[int, int]], weights: list[float] | None, h: int, w: int) -> Tensor:
    """Return (1, C, h, w): sums of a padded image moved by taps, each a pass over its whole memory as one line.

    The last pass alone leaves out the border.
    """
    flat, wide = padded.view(-1), padded.shape[3]
    shares = [1] * len(taps) if weights is None else weights
    starts = [i * wide + j for i, j in taps]
    count = flat.numel() - max(starts)
    *_, (top, left) = taps
    last = padded[:, :, top : top + h, left : left + w]
    if len(taps) == 1:
        return last * shares[0]
    total = torch.empty_like(padded)
    lines = total.view(-1)[:count]
    parts = [flat[start : start + count] for start in starts[:-1]]
    if weights is None:
        lines.copy_(parts[0])
    else:
        torch.mul(parts[0], weights[0], out=lines)
    for part, share in zip(parts[1:], shares[1:-1], strict=True):
        lines.add_(part, alpha=share)
    return torch.add(total[:, :, :h, :w], last, alpha=shares[-1])


def box_sums_one(image: Tensor, kernel: Tensor) -> tuple[Tensor, float] | None:
    """Return sums of one sample of 8 bits over a square, and of how many values they are."""
    size = int((kernel[0, kernel.shape[1] // 2] > 0).sum())
    if size * size * 255 > torch.iinfo(torch.int16).max:
        return None
    padded = F.pad(image, (size // 2,) * 4, mode="reflect").to(torch.int16)
    return _window_sums(_window_sums(padded, size, 2), size, 3), float(size * size)


def _by_spectrum(padded: Tensor, kernel: Tensor, h: int, w: int) -> Tensor:
    """Correlate by way of the Fourier transform, of lengths that it is quick for."""
    size = (_smooth(padded.shape[2]), _smooth(padded.shape[3]))
    taps = torch.fft.rfft2(kernel.to(padded.dtype), s=size).conj()
    out: Tensor = torch.fft.irfft2(torch.fft.rfft2(padded, s=size).mul_(taps), s=size)
    return out[:, :, :h, :w]


def _smooth(n: int) -> int:
    """Return the least length from n on that has no prime factor over 5."""
    while True:
        rest = n
        for prime in (2, 3, 5):
            while rest % prime == 0:
                rest //= prime
        if rest == 1:
            return n
        n += 1


def box_one(image: Tensor, kernel: Tensor) -> Tensor:
    """Correlate one sample (1, C, H, W) with a square of equal weights, by few sums."""
    row = [weight for weight in kernel[0, kernel.shape[1] // 2].tolist() if weight > 0]
    size = len(row)
    padded = F.pad(image, (size // 2,) * 4, mode="reflect")
    out: Tensor = _window_sums(_window_sums(padded, size, 2), size, 3) * row[0]
    return out


def _window_sums(x: Tensor, size: int, axis: int) -> Tensor:
    """Return the sums of all windows of `size` values, an odd number: of windows of 1, 2, 4, ... that make it up."""
    count = x.shape[axis] - size + 1
    total, run, wide, start = x.narrow(axis, 0, count), x, 1, 1
    while 2 * wide <= size:
        length = run.shape[axis] - wide
        run = run.narrow(axis, 0, length) + run.narrow(axis, wide, length)
        wide *= 2
        if size & wide:
            part = run.narrow(axis, start, count)
            total = total + part if start == 1 else total.add_(part)  # at first it is the image's own memory
            start += wide
    return total


@pixelwise
def adjust_sharpness(image: Tensor, factor: Tensor | float) -> Tensor:
    """Blend each sample with a smoothed copy of itself, or away from it.

    Args:
        image: (B, C, H, W).
        factor: (B,) or a number: 0 smooths, 1 is neutral, 2 sharpens.

    Shape:
        (B, C, H, W) to the same; the outermost pixels stay; clamped to black and white.

    Source: torchvision.transforms.v2.functional.adjust_sharpness, to 1e-5.

    Example:
        >>> import torch
        >>> from gpuaug.functional import adjust_sharpness
        >>> adjust_sharpness(torch.rand(2, 3, 8, 9), torch.tensor([0.5, 2.0])).shape
        torch.Size([2, 3, 8, 9])
    """
    h, w = image.shape[2:]
    if h <= 2 or w <= 2:
        return image
    rows = image[:, :, :-2] + image[:, :, 1:-1] + image[:, :, 2:]
    box = rows[..., :-2] + rows[..., 1:-1] + rows[..., 2:]
    inner = image[:, :, 1:-1, 1:-1]
    f = factor.to(image.dtype).view(-1, 1, 1, 1)  # type: ignore[union-attr]
    smooth = (box + 4 * inner) / 13
    changed = smooth + f * (inner - smooth)
    middle = torch.cat((image[:, :, 1:-1, :1], changed, image[:, :, 1:-1, -1:]), dim=3)
    return torch.cat((image[:, :, :1], middle, image[:, :, -1:]), dim=2).clamp(0, 1)


def sharpen_one(image: Tensor, factor: Tensor) -> Tensor:
    """Sharpen one sample (1, C, H, W) whose `factor` (1,) may be read, with fewer images in between: on the CPU."""
    if image.shape[2] <= 2 or image.shape[3] <= 2:
        return image.clone()
    inner = image[:, :, 1:-1, 1:-1]
    sharp = float(factor)
    share = (1 - sharp) / 13
    rows = (image[:, :, :-2] + image[:, :, 1:-1]).add_(image[:, :, 2:])
    box = (rows[..., :-2] + rows[..., 1:-1]).add_(rows[..., 2:])
    out = torch.empty_like(image, memory_format=torch.contiguous_format)
    torch.add(box.mul_(share), inner, alpha=4 * share + sharp, out=out[:, :, 1:-1, 1:-1])
    for axis, n in ((2, image.shape[2]), (3, image.shape[3])):
        for edge in (0, n - 1):
            out.select(axis, edge).copy_(image.select(axis, edge))
    return out.clamp_(0, 1)
