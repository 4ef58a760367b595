"""Views for learning without labels, and pairs for learning with few."""

from __future__ import annotations

from typing import Any

from gpuaug.recipes.ends import (
    CIFAR_MEAN,
    CIFAR_STD,
    IMAGENET_MEAN,
    IMAGENET_STD,
    Numbers,
    Size,
    kernel,
    normalized,
    shorter,
)
from gpuaug.transforms.blur import GaussianBlur
from gpuaug.transforms.color import ColorJitter, RandomGrayscale
from gpuaug.transforms.compose import Compose, RandomApply
from gpuaug.transforms.crop import RandomCrop
from gpuaug.transforms.flip import RandomHorizontalFlip
from gpuaug.transforms.layer import Layer
from gpuaug.transforms.occlude import CoarseDropout
from gpuaug.transforms.resize import RandomResizedCrop
from gpuaug.transforms.timm import auto_augment
from gpuaug.transforms.tone import RandomSolarize
from gpuaug.views import MultiView, TwoViews

__all__ = [
    "barlow_twins",
    "byol",
    "dino",
    "dinov2",
    "fixmatch",
    "mae",
    "moco_v1",
    "moco_v2",
    "moco_v3",
    "simclr",
    "simsiam",
    "swav",
    "uda",
    "vicreg",
]

BYOL = (0.4, 0.4, 0.2, 0.1)
"""Brightness, contrast, saturation and hue of BYOL, which most later methods took over."""


def _view(
    size: Size,
    scale: tuple[float, float],
    jitter: tuple[float, float, float, float],
    blur: float,
    solarize: float = 0.0,
    *,
    jitter_p: float = 0.8,
    kernel_size: int | None = None,
    interpolation: str = "bilinear",
    white: float = 255,
    mean: Numbers = IMAGENET_MEAN,
    std: Numbers = IMAGENET_STD,
) -> Compose:
    """Return the pipeline that all of these methods have, with their numbers."""
    steps: list[Layer] = [RandomResizedCrop(size, scale, interpolation=interpolation), RandomHorizontalFlip()]
    colors = ColorJitter(*jitter)
    steps += [colors if jitter_p == 1 else RandomApply([colors], p=jitter_p), RandomGrayscale(0.2)]
    if blur:
        steps.append(GaussianBlur(kernel_size or kernel(size), (0.1, 2.0), p=blur))
    if solarize:
        steps.append(RandomSolarize(white * 128 / 255, p=solarize))
    return Compose([*steps, *normalized(mean, std)])


def simclr(size: Size = 224, jitter_strength: float = 1.0, *, seed: int | None = None, **ends: Any) -> TwoViews:
    """Return the two views of SimCLR.

    Args:
        size: of the views.
        jitter_strength: of the colours; 0.5 for CIFAR, without blur there.
        seed: of the draws.
        ends: `white`, `mean`, `std`.

    Source: Chen et al. 2020 (SimCLR), appendix A: crop 0.08 to 1; colours 0.8, 0.8, 0.8, 0.2, p=0.8; gray 0.2; blur
    0.5 with sigma 0.1 to 2.
    """
    s = jitter_strength
    return TwoViews(_view(size, (0.08, 1.0), (0.8 * s, 0.8 * s, 0.8 * s, 0.2 * s), 0.5, **ends), seed=seed)


def moco_v1(size: Size = 224, *, seed: int | None = None, **ends: Any) -> TwoViews:
    """Return the two views of MoCo.

    Args:
        size: of the views.
        seed: of the draws.
        ends: `white`, `mean`, `std`.

    Source: He et al. 2020 (MoCo): crop 0.2 to 1; colours 0.4, 0.4, 0.4, 0.4, always; gray 0.2 (before the colours in
    the released code; grays stay grays either way); no blur.
    """
    return TwoViews(_view(size, (0.2, 1.0), (0.4,) * 4, 0.0, jitter_p=1.0, **ends), seed=seed)


def moco_v2(size: Size = 224, *, seed: int | None = None, **ends: Any) -> TwoViews:
    """Return the two views of MoCo v2.

    Args:
        size: of the views.
        seed: of the draws.
        ends: `white`, `mean`, `std`.

    Source: Chen et al. 2020 (Improved baselines with momentum contrastive learning) and its code: crop 0.2 to 1;
    colours 0.4, 0.4, 0.4, 0.1, p=0.8; gray 0.2; blur 0.5.
    """
    return TwoViews(_view(size, (0.2, 1.0), (0.4, 0.4, 0.4, 0.1), 0.5, **ends), seed=seed)


def simsiam(size: Size = 224, *, seed: int | None = None, **ends: Any) -> TwoViews:
    """Return the two views of SimSiam: those of MoCo v2.

    Args:
        size: of the views.
        seed: of the draws.
        ends: `white`, `mean`, `std`.

    Source: Chen and He 2021 (SimSiam).
    """
    return moco_v2(size, seed=seed, **ends)


def _asymmetric(size: Size, least: float, seed: int | None, ends: dict[str, Any]) -> TwoViews:
    first = _view(size, (least, 1.0), BYOL, 1.0, **ends)
    return TwoViews(first, _view(size, (least, 1.0), BYOL, 0.1, 0.2, **ends), seed=seed)


def byol(size: Size = 224, *, seed: int | None = None, **ends: Any) -> TwoViews:
    """Return the two views of BYOL, which differ in blur and solarisation.

    Args:
        size: of the views.
        seed: of the draws.
        ends: `white`, `mean`, `std`.

    Source: Grill et al. 2020 (BYOL), table 6: crop 0.08 to 1, bicubic; colours 0.4, 0.4, 0.2, 0.1, p=0.8; gray 0.2;
    blur 1.0 and 0.1; solarised 0 and 0.2, at 128.
    """
    return _asymmetric(size, 0.08, seed, {"interpolation": "bicubic", **ends})


def moco_v3(size: Size = 224, crop_min: float = 0.08, *, seed: int | None = None, **ends: Any) -> TwoViews:
    """Return the two views of MoCo v3: those of BYOL.

    Args:
        size: of the views.
        crop_min: least area of the crop; the released commands for ResNet-50 say 0.2.
        seed: of the draws.
        ends: `white`, `mean`, `std`.

    Source: Chen et al. 2021 (MoCo v3) and its code, bilinear.
    """
    return _asymmetric(size, crop_min, seed, ends)


def barlow_twins(size: Size = 224, *, seed: int | None = None, **ends: Any) -> TwoViews:
    """Return the two views of Barlow Twins: those of BYOL.

    Args:
        size: of the views.
        seed: of the draws.
        ends: `white`, `mean`, `std`.

    Source: Zbontar et al. 2021 (Barlow Twins) and its code.
    """
    return byol(size, seed=seed, **ends)


def vicreg(size: Size = 224, as_written: bool = False, *, seed: int | None = None, **ends: Any) -> TwoViews:
    """Return the two views of VICReg.

    Args:
        size: of the views.
        as_written: the symmetric views of the paper (blur 0.5, solarised 0.1) instead of the released code's, BYOL's.
        seed: of the draws.
        ends: `white`, `mean`, `std`.

    Source: Bardes et al. 2022 (VICReg), appendix C.1, and its code.
    """
    if as_written:
        return TwoViews(_view(size, (0.08, 1.0), BYOL, 0.5, 0.1, **{"interpolation": "bicubic", **ends}), seed=seed)
    return byol(size, seed=seed, **ends)


def swav(
    global_size: Size = 224, local_size: Size = 96, locals: int = 6, *, seed: int | None = None, **ends: Any
) -> MultiView:
    """Return the multi-crop of SwAV: `global`, two large crops, and `local`, small ones.

    Args:
        global_size: of the large crops.
        local_size: of the small ones.
        locals: how many of these.
        seed: of the draws.
        ends: `white`, `mean`, `std`.

    Source: Caron et al. 2020 (SwAV) and its code: crops 0.14 to 1 and 0.05 to 0.14; colours 0.8, 0.8, 0.8, 0.2, p=0.8;
    gray 0.2; blur 0.5. The code's standard deviation of green is 0.228; here it is ImageNet's 0.224.
    """
    jitter = (0.8, 0.8, 0.8, 0.2)
    large, small = (
        _view(global_size, (0.14, 1.0), jitter, 0.5, **ends),
        _view(local_size, (0.05, 0.14), jitter, 0.5, **ends),
    )
    return MultiView({"global": (large, 2), "local": (small, locals)}, seed=seed)


def _distilled(
    sizes: tuple[Size, Size],
    border: float,
    least: float,
    locals: int,
    blurs: tuple[float, float, float],
    seed: int | None,
    ends: dict[str, Any],
) -> MultiView:
    ends = {"interpolation": "bicubic", **ends}
    views: dict[str, Any] = {
        "global_1": _view(sizes[0], (border, 1.0), BYOL, blurs[0], **ends),
        "global_2": _view(sizes[0], (border, 1.0), BYOL, blurs[1], 0.2, **ends),
    }
    if locals:
        views["local"] = (_view(sizes[1], (least, border), BYOL, blurs[2], **ends), locals)
    return MultiView(views, seed=seed)


def dino(
    global_size: Size = 224,
    local_size: Size = 96,
    locals: int = 8,
    border: float = 0.4,
    *,
    seed: int | None = None,
    **ends: Any,
) -> MultiView:
    """Return the multi-crop of DINO: `global_1`, `global_2` and `local`.

    Args:
        global_size: of the large crops.
        local_size: of the small ones.
        locals: how many of these.
        border: area that divides large from small crops; 0.25 with 10 local ones in the long schedules and in iBOT.
        seed: of the draws.
        ends: `white`, `mean`, `std`, `kernel_size`.

    Source: Caron et al. 2021 (DINO) and its code: crops 0.4 to 1 and 0.05 to 0.4, bicubic; colours 0.4, 0.4, 0.2, 0.1,
    p=0.8; gray 0.2; blur 1.0, 0.1 and 0.5; the second solarised 0.2.
    """
    return _distilled((global_size, local_size), border, 0.05, locals, (1.0, 0.1, 0.5), seed, ends)


def dinov2(
    global_size: Size = 224,
    local_size: Size = 96,
    locals: int = 8,
    as_written: bool = False,
    *,
    seed: int | None = None,
    **ends: Any,
) -> MultiView:
    """Return the multi-crop of DINOv2: `global_1`, `global_2` and `local`.

    Args:
        global_size: of the large crops.
        local_size: of the small ones.
        locals: how many of these.
        as_written: the blur that the paper states and the code means, 1.0 and 0.1, instead of the one that the code
            does and the published weights were trained with: its probability is inverted, which makes it 0 and 0.9.
        seed: of the draws.
        ends: `white`, `mean`, `std`.

    Source: Oquab et al. 2023 (DINOv2) and its code: crops 0.32 to 1 and 0.05 to 0.32, bicubic; colours, gray and
    solarisation of DINO; a kernel of 9. On the inverted blur: issue 286 of facebookresearch/dinov3.
    """
    blurs = (1.0, 0.1, 0.5) if as_written else (0.0, 0.9, 0.5)
    return _distilled((global_size, local_size), 0.32, 0.05, locals, blurs, seed, {"kernel_size": 9, **ends})


def mae(
    size: Size = 224, *, mean: Numbers = IMAGENET_MEAN, std: Numbers = IMAGENET_STD, seed: int | None = None
) -> Compose:
    """Return the crop and flip of a masked autoencoder.

    Args:
        size: of the output.
        mean: of the normalisation; None leaves it out.
        std: likewise.
        seed: of the draws.

    Source: He et al. 2022 (MAE) and its code: crop 0.2 to 1, bicubic, and flip.
    """
    steps = [RandomResizedCrop(size, (0.2, 1.0), interpolation="bicubic"), RandomHorizontalFlip()]
    return Compose([*steps, *normalized(mean, std)], seed=seed)


def _weak(size: Size) -> list[Layer]:
    """Return flip and shift by up to an eighth, mirrored edges left out: they are filled."""
    return [RandomHorizontalFlip(), RandomCrop(size, padding=shorter(size) // 8)]


def fixmatch(
    size: Size = 32,
    *,
    white: float = 255,
    mean: Numbers = CIFAR_MEAN,
    std: Numbers = CIFAR_STD,
    seed: int | None = None,
) -> TwoViews:
    """Return the weak and the strong view of FixMatch, of images of that size.

    Args:
        size: of images and views.
        white: the largest value of the images.
        mean: of the normalisation; None leaves it out.
        std: likewise.
        seed: of the draws.

    Source: Sohn et al. 2020 (FixMatch): weak is a flip and a shift by up to 12.5 %; strong the same, two operations of
    RandAugment, each for half of the samples and of a magnitude drawn from its range (timm's fifteen operations), and
    cutout of half the side. Edges are filled, not reflected.
    """
    cut = CoarseDropout((1, 1), (0.5, 0.5), (0.5, 0.5), fill=white * 127 / 255, p=1.0)
    strong = [*_weak(size), auto_augment("rand-m10-n2-mstd101-inc1"), cut]
    return TwoViews(
        Compose([*_weak(size), *normalized(mean, std)]), Compose([*strong, *normalized(mean, std)]), seed=seed
    )


def uda(
    size: Size = 32,
    *,
    white: float = 255,
    mean: Numbers = CIFAR_MEAN,
    std: Numbers = CIFAR_STD,
    seed: int | None = None,
) -> TwoViews:
    """Return the pair of UDA, of images of that size: as it is but for flip and crop, and strongly augmented.

    Args:
        size: of images and views.
        white: the largest value of the images.
        mean: of the normalisation; None leaves it out.
        std: likewise.
        seed: of the draws.

    Source: Xie et al. 2020 (UDA) for CIFAR-10 and its code: flip and crop of 4 pixels; two operations of RandAugment,
    p=0.5 each, of a magnitude drawn from its range (timm's fifteen here, cutout among fifteen there), and cutout of
    half the side.
    """
    return fixmatch(size, white=white, mean=mean, std=std, seed=seed)
