"""Stains of histology: optical density, and how much of two stains is in it."""

from __future__ import annotations

import torch
from torch import Tensor

from gpuaug.functional._axes import principal_axes
from gpuaug.functional._door import join, pixelwise, planar, split
from gpuaug.functional.tint import mixed_planes

__all__ = ["he_stain", "macenko_stains", "restain", "vahadane_stains"]

DARKEST = 1e-6
"""Least light that goes through."""
TISSUE = 0.85
"""Gray value below which there is tissue."""
GRAY = (0.299, 0.587, 0.114)
SIDE = 64
"""Pixels along a side among which stains are looked for: more tell the same."""
CLEAR = 0.15
"""Optical density below which a pixel says nothing of its stains."""
ROUNDS = 100
"""Of the factorisation."""
RUIFROK = ((0.644211, 0.716556, 0.266844), (0.092789, 0.954111, 0.283111))


def restaining(stain_matrix: Tensor, scale: Tensor, shift: Tensor) -> Tensor:
    """Return the map (B, 3, 4) of logarithms of light that changes how much of each stain there is.

    Args:
        stain_matrix: (B, 2, 3): optical density of red, green and blue that one unit of each stain has.
        scale: (B, 2), factor of each; 1 is neutral.
        shift: (B, 2), what is added to each; 0 is neutral.
    """
    m = stain_matrix.to(torch.float32)
    product = (m[:, :, None] * m[:, None]).sum(dim=3)
    a, b, d = product[:, 0, 0] + DARKEST, product[:, 0, 1], product[:, 1, 1] + DARKEST
    over = 1 / (a * d - b * b)
    solved = torch.stack((d[:, None] * m[:, 0] - b[:, None] * m[:, 1], a[:, None] * m[:, 1] - b[:, None] * m[:, 0]), 1)
    solved = solved * over[:, None, None]
    matrix = (m[:, :, :, None] * (scale[:, :, None] * solved)[:, :, None]).sum(dim=1)
    more = -(m * shift[:, :, None]).sum(dim=1)
    return torch.cat((matrix, more[:, :, None]), dim=2)


@pixelwise
@planar
def restain(image: Tensor, tissue: Tensor, background: Tensor) -> Tensor:
    """Map the logarithms of the light of each pixel, where there is tissue and where there is none.

    Args:
        image: (B, 3, H, W).
        tissue: (B, 3, 4): weights of the logarithms of red, green and blue, and what is added.
        background: likewise, where the gray value is 0.85 or more.

    Shape:
        (B, 3, H, W) to the same; clamped to black and white.

    Source: the Beer-Lambert law, as Ruifrok and Johnston 2001 use it.

    Example:
        >>> import torch
        >>> from gpuaug.functional import restain
        >>> squared = (2 * torch.eye(3, 4))[None]
        >>> restain(torch.full((1, 3, 1, 1), 0.5), squared, squared).flatten().tolist()
        [0.25, 0.25, 0.25]
    """
    planes = split(image)
    gray = torch.add(torch.add(planes[0] * GRAY[0], planes[1], alpha=GRAY[1]), planes[2], alpha=GRAY[2])
    there = gray < TISSUE
    logs = [torch.log(plane.clamp(min=DARKEST)) for plane in planes]
    inside, outside = mixed_planes(logs, tissue), mixed_planes(logs, background)
    out = [torch.exp(torch.where(there, a, b)).clamp(0, 1) for a, b in zip(inside, outside, strict=True)]
    return join(out, image)  # type: ignore[no-any-return]


def he_stain(
    image: Tensor, stain_matrix: Tensor, scale: Tensor, shift: Tensor, augment_background: bool = False
) -> Tensor:
    """Change how much of two stains each sample has.

    Args:
        image: (B, 3, H, W).
        stain_matrix: (B, 2, 3): optical density of red, green and blue that hematoxylin and eosin have.
        scale: (B, 2), factor of each; 1 is neutral.
        shift: (B, 2), what is added to each; 0 is neutral.
        augment_background: whether pixels without tissue change too.

    Shape:
        (B, 3, H, W) to the same, made of the two stains alone.

    Raises:
        ValueError: for images of another number of channels.

    Source: albumentations.HEStain; Ruifrok and Johnston 2001.

    Example:
        >>> import torch
        >>> from gpuaug.functional import he_stain
        >>> stains = torch.tensor([[[0.65, 0.70, 0.29], [0.07, 0.99, 0.11]]])
        >>> he_stain(torch.rand(1, 3, 4, 5), stains, torch.tensor([[1.2, 0.8]]), torch.zeros(1, 2)).shape
        torch.Size([1, 3, 4, 5])
    """
    if image.dim() == 4 and image.shape[1] != 3:
        raise ValueError(f"he_stain: images must have 3 channels, got {image.shape[1]}")
    tissue = restaining(stain_matrix, scale, shift)
    one, nothing = torch.ones_like(scale), torch.zeros_like(shift)
    background = tissue if augment_background else restaining(stain_matrix, one, nothing)
    return restain(image, tissue, background)


def lattice(image: Tensor) -> Tensor:
    """Return pixels on a lattice of an image (B, C, H, W), all of them where these are few."""
    x = image.detach()
    for axis in (2, 3):
        size = x.shape[axis]
        if size > SIDE:
            place = torch.arange(SIDE, device=x.device)
            x = x.index_select(axis, torch.div(place * size + size // 2, SIDE, rounding_mode="floor"))
    return x


def _densities(image: Tensor) -> Tensor:
    """Return optical densities (B, N, 3) of pixels on a lattice."""
    return -torch.log(lattice(image).clamp(min=DARKEST)).flatten(2).transpose(1, 2)


def _ordered(stains: Tensor) -> Tensor:
    """Return stains (B, 2, 3) of length one, hematoxylin first: the one that takes more of the red."""
    stains = stains / stains.square().sum(dim=2, keepdim=True).sqrt().clamp(min=1e-12)
    swapped = (stains[:, 0, 0] < stains[:, 1, 0]).view(-1, 1, 1)
    return torch.where(swapped, stains.flip(1), stains)


def macenko_stains(image: Tensor) -> Tensor:
    """Return the two stains of images: the extreme angles in the plane of their optical densities.

    Args:
        image: (B, 3, H, W), working values between black 0 and white 1.

    Shape:
        (B, 2, 3): optical density of red, green and blue, of length one; hematoxylin first. Where nothing is stained
        those of Ruifrok and Johnston.

    Source: Macenko et al. 2009, on a lattice of 64x64 pixels.

    Example:
        >>> import torch
        >>> from gpuaug.functional import macenko_stains
        >>> macenko_stains(torch.rand(2, 3, 20, 30)).shape
        torch.Size([2, 2, 3])
    """
    density = _densities(image)
    stained = (density >= CLEAR).all(dim=2)
    weight = stained.to(density.dtype)[:, :, None]
    count = weight.sum(dim=1)
    mean = (density * weight).sum(dim=1) / count.clamp(min=1)
    centred = (density - mean[:, None]) * weight
    products = torch.stack([(centred * centred[:, :, c : c + 1]).sum(dim=1) for c in range(3)], dim=1)
    axes = principal_axes(products / (count - 1).clamp(min=1)[:, :, None])[1][:, :, :2]
    axes = torch.where((axes * mean[:, :, None]).sum(dim=1, keepdim=True) < 0, -axes, axes)
    x, y = ((density * axes[:, None, :, k]).sum(dim=2) for k in (0, 1))
    angle = torch.where(stained, torch.atan2(y, x), torch.full_like(x, torch.inf)).sort(dim=1).values
    stains = []
    for share in (0.01, 0.99):
        place = ((count - 1) * share).clamp(min=0)
        low = place.floor()
        high = torch.minimum(low + 1, (count - 1).clamp(min=0))
        ends = [angle.gather(1, end.to(torch.int64)) for end in (low, high)]
        turn = torch.lerp(ends[0], ends[1], place - low)
        stains.append((axes[:, :, 0] * torch.cos(turn) + axes[:, :, 1] * torch.sin(turn)).abs())
    usual = _ruifrok(density)
    return torch.where((count >= 2).view(-1, 1, 1), _ordered(torch.stack(stains, dim=1)), usual)


def _ruifrok(like: Tensor) -> Tensor:
    rows = [torch.stack([torch.full_like(like[:, 0, 0], v) for v in row], dim=1) for row in RUIFROK]
    return torch.stack(rows, dim=1)


def vahadane_stains(image: Tensor) -> Tensor:
    """Return the two stains of images: factors of their optical densities that are not negative.

    Args:
        image: (B, 3, H, W), working values between black 0 and white 1.

    Shape:
        (B, 2, 3): optical density of red, green and blue, of length one; hematoxylin first.

    Source: Vahadane et al. 2016, by the multiplicative updates of albumentations' SimpleNMF from the stains of Ruifrok
        and Johnston, on a lattice of 64x64 pixels.

    Example:
        >>> import torch
        >>> from gpuaug.functional import vahadane_stains
        >>> vahadane_stains(torch.rand(2, 3, 20, 30)).shape
        torch.Size([2, 2, 3])
    """
    density = _densities(image)
    stains = _ruifrok(density)
    unit = stains / stains.square().sum(dim=2, keepdim=True).sqrt()

    def along(rows: Tensor) -> Tensor:
        return (density[:, :, None] * rows[:, None]).sum(dim=3)

    amount = along(unit).clamp(min=0)
    for _ in range(ROUNDS):
        alike = (stains[:, :, None] * stains[:, None]).sum(dim=3)
        amount = amount * (along(stains) / ((amount[:, :, :, None] * alike[:, None]).sum(dim=2) + DARKEST))
        found = (amount[:, :, :, None] * density[:, :, None]).sum(dim=1)
        shared = (amount[:, :, :, None] * amount[:, :, None]).sum(dim=1)
        stains = stains * (found / ((shared[:, :, :, None] * stains[:, None]).sum(dim=2) + DARKEST))
        stains = stains / stains.square().sum(dim=2, keepdim=True).sqrt().clamp(min=1e-12)
    return _ordered(stains)
