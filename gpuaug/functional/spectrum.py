"""Low frequencies of other images: Fourier domain adaptation."""

from __future__ import annotations

import torch
from torch import Tensor

from gpuaug.functional._door import pixelwise

__all__ = ["adapt_spectrum", "low_amplitude"]


def _low(waves: Tensor, reach: int) -> Tensor:
    """Return low frequencies of half a spectrum: rows from -reach to reach, columns from 0 to reach."""
    h = waves.shape[2]
    return torch.cat((waves[:, :, h - reach :, : reach + 1], waves[:, :, : reach + 1, : reach + 1]), dim=2)


def low_amplitude(image: Tensor, reach: int) -> Tensor:
    """Return how large the low frequencies of images are.

    Args:
        image: (B, C, H, W), working values between black 0 and white 1.
        reach: the highest frequency, in periods over the image; 2 reach + 1 may not exceed H nor W.

    Shape:
        (B, C, 2 reach + 1, reach + 1): rows from -reach to reach, columns from 0.

    Source: the absolute values of numpy.fft.fft2, to 1e-5.

    Example:
        >>> import torch
        >>> from gpuaug.functional import low_amplitude
        >>> low_amplitude(torch.full((1, 1, 4, 5), 0.5), 0).item()
        10.0
    """
    if image.shape[0] == 0:  # of which MKL makes an error
        return image.new_zeros((0, image.shape[1], 2 * reach + 1, reach + 1))
    return _low(torch.fft.rfft2(image), reach).abs()


@pixelwise
def adapt_spectrum(image: Tensor, amplitude: Tensor, beta: Tensor | float) -> Tensor:
    """Give the low frequencies of each sample the amplitudes of another image; their phases stay.

    Args:
        image: (B, C, H, W).
        amplitude: (B, C, 2 reach + 1, reach + 1), what `low_amplitude` returns of the others.
        beta: (B,) or a number: frequencies up to beta * min(H, W) periods over the image, along either axis, are
            adapted, as far as there are amplitudes; 0 is neutral.

    Shape:
        (B, C, H, W) to the same; clamped to black and white.

    Raises:
        ValueError: for amplitudes of frequencies that the image does not have.

    Source: Yang and Soatto 2020, "FDA: Fourier Domain Adaptation for Semantic Segmentation".

    Example:
        >>> import torch
        >>> from gpuaug.functional import adapt_spectrum, low_amplitude
        >>> adapt_spectrum(torch.rand(2, 3, 8, 9), low_amplitude(torch.rand(2, 3, 8, 9), 2), 0.2).shape
        torch.Size([2, 3, 8, 9])
    """
    h, w = image.shape[2:]
    reach = amplitude.shape[3] - 1
    if amplitude.shape[2] != 2 * reach + 1 or 2 * reach + 1 > min(h, w):
        raise ValueError(
            f"adapt_spectrum: amplitude must have shape (B, C, 2 n + 1, n + 1), 2 n + 1 at most {min(h, w)}, got"
            f" {tuple(amplitude.shape)}"
        )
    if image.shape[0] == 0:
        return image.clone()
    waves = torch.fft.rfft2(image)
    low = _low(waves, reach)
    size = low.abs()
    share = beta.to(size.dtype).view(-1, 1, 1, 1)  # type: ignore[union-attr]
    row = torch.arange(-reach, reach + 1, device=image.device).abs().view(1, 1, -1, 1)
    column = torch.arange(reach + 1, device=image.device).view(1, 1, 1, -1)
    taken = (torch.maximum(row, column) <= torch.floor(share * min(h, w) + 1e-4)) & (share > 0)
    there = size > 0
    phase = torch.where(there, low / torch.where(there, size, torch.ones_like(size)), torch.ones_like(low))
    new = torch.where(taken, phase * amplitude.to(size.dtype), low)
    left = torch.cat((new[:, :, reach:], waves[:, :, reach + 1 : h - reach, : reach + 1], new[:, :, :reach]), dim=2)
    out: Tensor = torch.fft.irfft2(torch.cat((left, waves[:, :, :, reach + 1 :]), dim=3), s=(h, w))
    return out.clamp(0, 1)
