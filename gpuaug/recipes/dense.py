"""Recipes for detection, segmentation and keypoints: annotations move along."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from gpuaug.data.instances import BboxParams, KeypointParams
from gpuaug.recipes.ends import IMAGENET_MEAN, IMAGENET_STD, Numbers, Size, normalized
from gpuaug.sampling.distributions import TruncatedNormal
from gpuaug.transforms.affine import RandomAffine, RandomRotation
from gpuaug.transforms.boxes import SanitizeBoundingBoxes
from gpuaug.transforms.channels import RandomPhotometricDistort
from gpuaug.transforms.compose import Compose
from gpuaug.transforms.crop import CenterCrop, RandomCrop
from gpuaug.transforms.drawn_size import RandomShortestSize
from gpuaug.transforms.flip import RandomHorizontalFlip
from gpuaug.transforms.layer import Layer
from gpuaug.transforms.mosaic import Mosaic
from gpuaug.transforms.object_crop import RandomIoUCrop
from gpuaug.transforms.random_scale import RandomScale
from gpuaug.transforms.tint import RandomHSV
from gpuaug.transforms.zoom import RandomZoomOut

__all__ = ["detr", "keypoints", "segmentation", "ssd", "yolo"]

COCO_PAIRS = ((1, 2), (3, 4), (5, 6), (7, 8), (9, 10), (11, 12), (13, 14), (15, 16))
"""Left and right of COCO's seventeen points of a person."""


def yolo(
    size: int = 640, *, white: float = 255, mosaic: float = 1.0, seed: int | None = None, **settings: Any
) -> Compose:
    """Return YOLO's recipe: mosaic, scale and shift, colours, flip.

    Args:
        size: of the square output; what images are fitted to.
        white: the largest value of the images.
        mosaic: probability; `augment[0].enabled = False` closes it for the last ten epochs.
        seed: of the draws.
        settings: of the Compose, such as `format="ultralytics"`.

    Source: Ultralytics' defaults: mosaic 1, translate 0.1 of the output, scale 0.5, HSV 0.015, 0.7 and 0.4, flip 0.5;
    borders 114; boxes above 2 pixels, with a tenth left, no more than a hundred times as long as wide.
    """
    # The warp moves on the mosaic's canvas, of twice the size: a tenth of the output is a twentieth of it.
    steps = [
        Mosaic(target_size=2 * size, cell_shape=size, center_range=(0.25, 0.75), p=mosaic),
        RandomAffine(0, (0.05, 0.05), (0.5, 1.5)),
        CenterCrop(size),
        RandomHSV(0.015, 0.7, 0.4),
        RandomHorizontalFlip(),
    ]
    given = {"fill": {"image": white * 114 / 255, "mask": 255}, "bbox_params": _yolo_boxes(), **settings}
    return Compose(steps, seed=seed, **given)


def _yolo_boxes() -> BboxParams:
    return BboxParams(min_size=2, min_visibility=0.1, max_aspect=100)


def ssd(
    size: Size = 300, *, white: float = 255, mean: Numbers = None, std: Numbers = None, seed: int | None = None
) -> Compose:
    """Return the recipe of SSD.

    Args:
        size: of the output.
        white: the largest value of the images.
        mean: of the normalisation; None leaves it to the model, as torchvision's do.
        std: likewise.
        seed: of the draws.

    Source: Liu et al. 2016 (SSD), as torchvision's references: colours p=0.5 each, zoom out by 1 to 4 with p=0.5 onto
    (123, 117, 104), a crop by overlap, flip 0.5.
    """
    steps: list[Layer] = [
        RandomPhotometricDistort(),
        RandomZoomOut(fill=[v * white / 255 for v in (123.0, 117.0, 104.0)]),
        RandomIoUCrop(size=size),
        RandomHorizontalFlip(),
        *normalized(mean, std),
        SanitizeBoundingBoxes(),
    ]
    return Compose(steps, seed=seed)


def detr(
    sizes: Sequence[int] = tuple(range(480, 801, 32)),
    max_size: int = 1333,
    *,
    crop: float = 0.5,
    mean: Numbers = IMAGENET_MEAN,
    std: Numbers = IMAGENET_STD,
    seed: int | None = None,
    **settings: Any,
) -> Compose:
    """Return the recipe of DETR: flip, a crop for half of the samples, and one of eleven sizes for the batch.

    Args:
        sizes: of the shorter side, drawn for each batch.
        max_size: of the longer side.
        crop: probability of the crop.
        mean: of the normalisation; None leaves it out.
        std: likewise.
        seed: of the draws.
        settings: of the Compose, such as `format="detr"`, and `pad_to` for images of several sizes.

    Source: Carion et al. 2020 (DETR) and its code, whose crop has 384 to 600 pixels each way, of an image of shorter
    side 400, 500 or 600: a side of 0.64 and more of it. Here it keeps the aspect, a part of 1 / 1.56 to 1 of both
    sides, so that a batch keeps one canvas.
    """
    steps: list[Layer] = [RandomHorizontalFlip()]
    if crop:
        steps.append(RandomScale((0.0, 0.56), p=crop))
    steps.append(RandomShortestSize(list(sizes), max_size))
    return Compose([*steps, *normalized(mean, std)], seed=seed, **settings)


def segmentation(
    size: Size = 512,
    *,
    scale: tuple[float, float] = (0.5, 2.0),
    ignore: int = 255,
    mean: Numbers = IMAGENET_MEAN,
    std: Numbers = IMAGENET_STD,
    seed: int | None = None,
) -> Compose:
    """Return the usual recipe for semantic segmentation: scale, crop, flip, colours.

    Args:
        size: of the crop.
        scale: range of the factor, drawn for each sample.
        ignore: class of the mask where there is no image.
        mean: of the normalisation; None leaves it out.
        std: likewise.
        seed: of the draws.

    Source: Chen et al. 2017 (DeepLab v3) and mmsegmentation's defaults: scale 0.5 to 2, crop of 512, flip 0.5,
    photometric distortion.
    """
    steps: list[Layer] = [
        RandomScale((scale[0] - 1, scale[1] - 1), p=1.0),
        RandomCrop(size, pad_if_needed=True),
        RandomHorizontalFlip(),
        RandomPhotometricDistort(),
        *normalized(mean, std),
    ]
    return Compose(steps, fill={"mask": ignore}, seed=seed)


def keypoints(
    *,
    flip_pairs: Sequence[Any] = COCO_PAIRS,
    mean: Numbers = IMAGENET_MEAN,
    std: Numbers = IMAGENET_STD,
    seed: int | None = None,
) -> Compose:
    """Return the recipe of top-down pose estimation, for crops of persons: flip, scale and rotation.

    Args:
        flip_pairs: points that a mirror exchanges; COCO's of a person.
        mean: of the normalisation; None leaves it out.
        std: likewise.
        seed: of the draws.

    Source: Sun et al. 2019 (HRNet) and its code for COCO: flip 0.5; scale normal about 1 with deviation 0.35, within
    one; rotation normal with deviation 45, within two, for 0.6 of the samples. Values outside are drawn anew here, set
    to the bound there; its scale is that of the crop, the inverse of the person's. Its crops of half bodies (0.3 of the
    samples with more than 8 points) need the annotations of the whole image, and are left out.
    """
    steps: list[Layer] = [
        RandomHorizontalFlip(),
        RandomAffine(0, scale=TruncatedNormal(1.0, 0.35, 0.65, 1.35)),
        RandomRotation(TruncatedNormal(0.0, 45.0, -90.0, 90.0), p=0.6),
        *normalized(mean, std),
    ]
    return Compose(steps, keypoint_params=KeypointParams(flip_pairs=tuple(flip_pairs)), seed=seed)
