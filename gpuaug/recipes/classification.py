"""Recipes for classification: basic ones, the published strong ones, and ones by the size of images."""

from __future__ import annotations

from typing import Any

from gpuaug.recipes.ends import CIFAR_MEAN, CIFAR_STD, IMAGENET_MEAN, IMAGENET_STD, Numbers, Size, kernel, normalized
from gpuaug.transforms.auto_augment import RandAugment, TrivialAugmentWide
from gpuaug.transforms.blur import GaussianBlur
from gpuaug.transforms.choice import RandomChoice
from gpuaug.transforms.color import ColorJitter, RandomGrayscale
from gpuaug.transforms.compose import Compose, RandomApply
from gpuaug.transforms.crop import RandomCrop
from gpuaug.transforms.cutmix import CutMix
from gpuaug.transforms.flip import RandomHorizontalFlip
from gpuaug.transforms.layer import Layer
from gpuaug.transforms.mix import MixUp
from gpuaug.transforms.occlude import RandomErasing
from gpuaug.transforms.resize import RandomResizedCrop, Resize
from gpuaug.transforms.timm import ThreeAugment, auto_augment

__all__ = [
    "cifar",
    "deit",
    "deit_3",
    "imagenet",
    "large_images",
    "medium_images",
    "small_images",
    "timm_a1",
    "timm_a2",
    "timm_a3",
    "torchvision_v2",
]

LEVELS = ("weak", "medium", "strong", "very_strong")


def _mixes(mixup: float, cutmix: float, num_classes: int | None, smoothing: float) -> list[Layer]:
    """Return MixUp or CutMix, each for half of the samples; nothing without a number of classes."""
    if num_classes is None:
        return []
    return [
        RandomChoice(
            [
                MixUp(alpha=mixup, num_classes=num_classes, label_smoothing=smoothing),
                CutMix(alpha=cutmix, num_classes=num_classes, label_smoothing=smoothing),
            ]
        )
    ]


def imagenet(
    size: Size = 224,
    *,
    jitter: float = 0.0,
    mean: Numbers = IMAGENET_MEAN,
    std: Numbers = IMAGENET_STD,
    seed: int | None = None,
) -> Compose:
    """Return the basic recipe for ImageNet: a crop and a flip.

    Args:
        size: of the output.
        jitter: of brightness, contrast and saturation; 0.4 is the extended recipe of older ResNets.
        mean: of the normalisation; None leaves it out.
        std: likewise.
        seed: of the draws.

    Source: torchvision's references (He et al. 2016): crop 0.08 to 1 with aspect 3/4 to 4/3, flip 0.5. In `eval()` mode
    resized to 256 of 224 and cut in the middle.
    """
    steps: list[Layer] = [RandomResizedCrop(size), RandomHorizontalFlip()]
    if jitter:
        steps.append(ColorJitter(jitter, jitter, jitter))
    return Compose([*steps, *normalized(mean, std)], seed=seed)


def torchvision_v2(
    size: Size = 176,
    num_classes: int | None = 1000,
    *,
    mean: Numbers = IMAGENET_MEAN,
    std: Numbers = IMAGENET_STD,
    seed: int | None = None,
) -> Compose:
    """Return the recipe of torchvision's second weights (`IMAGENET1K_V2`).

    Args:
        size: of the output; the recipe trains at 176 and tests at 224.
        num_classes: of the labels, for MixUp and CutMix; None leaves both out.
        mean: of the normalisation; None leaves it out.
        std: likewise.
        seed: of the draws.

    Source: torchvision's references for ResNet-50: TrivialAugment, erasing 0.1, MixUp 0.2 or CutMix 1.0, smoothing 0.1
    (in the loss there, which gives the same). It also repeats samples four times: `ga.Repeat` or a sampler.
    """
    steps: list[Layer] = [RandomResizedCrop(size), RandomHorizontalFlip(), TrivialAugmentWide(interpolation="bilinear")]
    steps += [*normalized(mean, std), RandomErasing(p=0.1)]
    return Compose([*steps, *_mixes(0.2, 1.0, num_classes, 0.1)], seed=seed)


def _timm(
    size: Size,
    policy: str,
    mixup: float,
    smoothing: float,
    num_classes: int | None,
    ends: tuple[Numbers, Numbers],
    seed: int | None,
    erase: float = 0.0,
    cutmix: float = 1.0,
) -> Compose:
    steps: list[Layer] = [RandomResizedCrop(size, interpolation="bicubic", eval_crop_pct=0.95 if not erase else 0.875)]
    steps += [RandomHorizontalFlip(), auto_augment(policy, "bicubic"), *normalized(*ends)]
    if erase:
        steps.append(RandomErasing(p=erase, scale=(0.02, 1 / 3), ratio=(0.3, 1 / 0.3), value="random"))
    return Compose([*steps, *_mixes(mixup, cutmix, num_classes, smoothing)], seed=seed)


def timm_a1(
    size: Size = 224,
    num_classes: int | None = 1000,
    *,
    mean: Numbers = IMAGENET_MEAN,
    std: Numbers = IMAGENET_STD,
    seed: int | None = None,
) -> Compose:
    """Return procedure A1 of timm, of 600 epochs.

    Args:
        size: of the output.
        num_classes: of the labels, for MixUp and CutMix; None leaves both out.
        mean: of the normalisation; None leaves it out.
        std: likewise.
        seed: of the draws.

    Source: Wightman et al. 2021 (ResNet strikes back), table 2: RandAugment 7 with deviation 0.5, MixUp 0.2, CutMix 1,
    label smoothing 0.1, a test crop of 0.95; crops and operations bicubic, as in timm. It also repeats samples three
    times: `ga.Repeat` or a sampler.
    """
    return _timm(size, "rand-m7-mstd0.5-inc1", 0.2, 0.1, num_classes, (mean, std), seed)


def timm_a2(
    size: Size = 224,
    num_classes: int | None = 1000,
    *,
    mean: Numbers = IMAGENET_MEAN,
    std: Numbers = IMAGENET_STD,
    seed: int | None = None,
) -> Compose:
    """Return procedure A2 of timm, of 300 epochs.

    Args:
        size: of the output.
        num_classes: of the labels, for MixUp and CutMix; None leaves both out.
        mean: of the normalisation; None leaves it out.
        std: likewise.
        seed: of the draws.

    Source: Wightman et al. 2021, table 2: RandAugment 7 with deviation 0.5, MixUp 0.1, CutMix 1, no smoothing. It also
    repeats samples three times.
    """
    return _timm(size, "rand-m7-mstd0.5-inc1", 0.1, 0.0, num_classes, (mean, std), seed)


def timm_a3(
    size: Size = 160,
    num_classes: int | None = 1000,
    *,
    mean: Numbers = IMAGENET_MEAN,
    std: Numbers = IMAGENET_STD,
    seed: int | None = None,
) -> Compose:
    """Return procedure A3 of timm, of 100 epochs at 160 pixels.

    Args:
        size: of the output; tested at 224.
        num_classes: of the labels, for MixUp and CutMix; None leaves both out.
        mean: of the normalisation; None leaves it out.
        std: likewise.
        seed: of the draws.

    Source: Wightman et al. 2021, table 2: RandAugment 6 with deviation 0.5, MixUp 0.1, CutMix 1, no smoothing.
    """
    return _timm(size, "rand-m6-mstd0.5-inc1", 0.1, 0.0, num_classes, (mean, std), seed)


def deit(
    size: Size = 224,
    num_classes: int | None = 1000,
    *,
    mean: Numbers = IMAGENET_MEAN,
    std: Numbers = IMAGENET_STD,
    seed: int | None = None,
) -> Compose:
    """Return the recipe of DeiT.

    Args:
        size: of the output.
        num_classes: of the labels, for MixUp and CutMix; None leaves both out.
        mean: of the normalisation; None leaves it out.
        std: likewise.
        seed: of the draws.

    Source: Touvron et al. 2021 (DeiT), table 9, and its code: RandAugment 9 with deviation 0.5, bicubic as the crop;
    erasing 0.25 by noise, MixUp 0.8 or CutMix 1, label smoothing 0.1. It also repeats samples three times.
    """
    return _timm(size, "rand-m9-mstd0.5-inc1", 0.8, 0.1, num_classes, (mean, std), seed, erase=0.25)


def deit_3(
    size: Size = 224,
    num_classes: int | None = 1000,
    *,
    simple_crop: bool = False,
    mean: Numbers = IMAGENET_MEAN,
    std: Numbers = IMAGENET_STD,
    seed: int | None = None,
) -> Compose:
    """Return the recipe of DeiT III.

    Args:
        size: of the output.
        num_classes: of the labels, for MixUp and CutMix; None leaves both out.
        simple_crop: resize and crop with a padding of 4, filled (reflected in the source), instead of a resized crop:
            the crop of the recipe for ImageNet-21k, which also leaves MixUp out and smooths labels by 0.1.
        mean: of the normalisation; None leaves it out.
        std: likewise.
        seed: of the draws.

    Source: Touvron et al. 2022 (DeiT III) and its commands for ImageNet-1k: 3-Augment with colours of 0.3, MixUp 0.8 or
    CutMix 1, no smoothing. It also repeats samples three times.
    """
    if simple_crop:  # Resize takes one number as the shorter side
        crop: list[Layer] = [Resize(size, interpolation="bicubic"), RandomCrop(size, padding=4)]
    else:
        crop = [RandomResizedCrop(size, interpolation="bicubic")]
    steps = [*crop, RandomHorizontalFlip(), ThreeAugment(0.3), *normalized(mean, std)]
    return Compose([*steps, *_mixes(0.8, 1.0, num_classes, 0.0)], seed=seed)


def cifar(
    size: Size = 32,
    *,
    policy: bool = False,
    mean: Numbers = CIFAR_MEAN,
    std: Numbers = CIFAR_STD,
    seed: int | None = None,
) -> Compose:
    """Return the basic recipe for CIFAR: a crop with a padding of 4, and a flip.

    Args:
        size: of images and output.
        policy: whether TrivialAugment follows, as in its paper.
        mean: of the normalisation; None leaves it out.
        std: likewise.
        seed: of the draws.

    Source: He et al. 2016, section 4.2; Müller and Hutter 2021 (TrivialAugment).
    """
    steps: list[Layer] = [RandomCrop(size, padding=4), RandomHorizontalFlip()]
    return Compose([*steps, *([TrivialAugmentWide()] if policy else []), *normalized(mean, std)], seed=seed)


def _by_level(crop: Layer, size: Size, level: str, ends: dict[str, Any]) -> Compose:
    if level not in LEVELS:
        raise ValueError(f"recipes: level must be one of {', '.join(LEVELS)}, got {level!r}")
    strength = LEVELS.index(level)
    steps: list[Layer] = [crop, RandomHorizontalFlip()]
    if strength:
        amount = (0.0, 0.2, 0.4, 0.4)[strength]
        steps.append(RandomApply([ColorJitter(amount, amount, amount, amount / 4)], p=0.8))
    if strength >= 2:
        steps += [RandomGrayscale(0.1), GaussianBlur(kernel(size), (0.1, 2.0), p=0.2)]
    if strength == 3:
        steps.append(RandAugment(2, 9))
    steps += normalized(ends.pop("mean", IMAGENET_MEAN), ends.pop("std", IMAGENET_STD))
    if strength >= 2:
        steps.append(RandomErasing(p=(0.25, 0.5)[strength - 2], value="random"))
    return Compose(steps, **ends)


def small_images(size: Size = 64, level: str = "medium", **ends: Any) -> Compose:
    """Return a recipe for natural images of up to about 96 pixels: a crop that keeps the scale.

    Args:
        size: of images and output.
        level: "weak" (crop and flip), "medium" (and colours), "strong" (and gray, blur, erasing) or "very_strong" (and
            RandAugment).
        ends: `mean`, `std`, `seed`.

    Source: none; a crop as for CIFAR (an eighth of the side), colours of half SimCLR's strength at most.
    """
    side = size if isinstance(size, int) else min(size)
    return _by_level(RandomCrop(size, padding=max(1, side // 8)), size, level, ends)


def medium_images(size: Size = 224, level: str = "medium", **ends: Any) -> Compose:
    """Return a recipe for natural images of about 224 pixels.

    Args:
        size: of the output.
        level: as in `small_images`.
        ends: `mean`, `std`, `seed`.

    Source: none; the crop of ImageNet (0.08 to 1, from 0.35 where it is weak), colours of half SimCLR's at most.
    """
    return _by_level(RandomResizedCrop(size, (0.35 if level == "weak" else 0.08, 1.0)), size, level, ends)


def large_images(size: Size = 448, level: str = "medium", **ends: Any) -> Compose:
    """Return a recipe for natural images of 384 pixels and more, where what is looked for may be small.

    Args:
        size: of the output.
        level: as in `small_images`.
        ends: `mean`, `std`, `seed`.

    Source: none; crops of 0.25 to 1 (from 0.5 where it is weak), bicubic.
    """
    least = 0.5 if level == "weak" else 0.25
    return _by_level(RandomResizedCrop(size, (least, 1.0), interpolation="bicubic"), size, level, ends)
