"""The same pipelines in four libraries."""

from __future__ import annotations

import importlib.util
from collections.abc import Callable
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn
from torchvision.transforms import InterpolationMode, v2

import gpuaug as ga

Run = Callable[[Tensor], Any]
MEAN, STD = ga.IMAGENET_MEAN, ga.IMAGENET_STD
NAMES = ("basic", "classification", "classification without blur", "geometry")


def gpuaug_pipeline(name: str, strength: float = 1.0, antialias: bool = True) -> nn.Module:
    """Build ours; `strength` scales every probability, `antialias` is about warps."""
    p = strength
    normalize = ga.Normalize(MEAN, STD)
    crop = [ga.RandomResizedCrop(224), ga.RandomHorizontalFlip(0.5 * p)]
    colour = [ga.RandomApply([ga.ColorJitter(0.4, 0.4, 0.4, 0.1)], p=0.8 * p), ga.RandomGrayscale(0.2 * p)]
    blur = [ga.RandomApply([ga.GaussianBlur(23, (0.1, 2.0))], p=0.5 * p)]
    steps: dict[str, list[nn.Module]] = {
        "basic": [*crop, normalize],
        "classification": [*crop, *colour, *blur, normalize],
        "classification without blur": [*crop, *colour, normalize],
        "geometry": [
            ga.RandomRotation(15, p=p),
            ga.RandomAffine(10, (0.1, 0.1), (0.9, 1.1), p=p),
            ga.RandomPerspective(0.5, p=0.5 * p),
        ],
    }
    return ga.Compose(steps[name], seed=0, antialias=antialias)


def torchvision_pipeline(name: str) -> nn.Module:
    """Build torchvision's: one draw for whatever it is given."""
    bilinear = InterpolationMode.BILINEAR
    ends = [v2.ToDtype(torch.float32, scale=True), v2.Normalize(MEAN, STD)]
    crop = [v2.RandomResizedCrop(224, antialias=True), v2.RandomHorizontalFlip()]
    colour = [v2.RandomApply([v2.ColorJitter(0.4, 0.4, 0.4, 0.1)], p=0.8), v2.RandomGrayscale(0.2)]
    blur = [v2.RandomApply([v2.GaussianBlur(23, (0.1, 2.0))], p=0.5)]
    steps: dict[str, list[nn.Module]] = {
        "basic": [*crop, *ends],
        "classification": [*crop, *colour, *blur, *ends],
        "classification without blur": [*crop, *colour, *ends],
        "geometry": [
            v2.RandomRotation(15, interpolation=bilinear),
            v2.RandomAffine(10, (0.1, 0.1), (0.9, 1.1), interpolation=bilinear),
            v2.RandomPerspective(0.5, p=0.5),
        ],
    }
    return v2.Compose(steps[name])


def kornia_pipeline(name: str) -> nn.Module:
    """Build Kornia's, which takes floats."""
    import kornia.augmentation as K

    normalize = K.Normalize(torch.tensor(MEAN), torch.tensor(STD))
    crop = [K.RandomResizedCrop((224, 224)), K.RandomHorizontalFlip()]
    colour = [K.ColorJitter(0.4, 0.4, 0.4, 0.1, p=0.8), K.RandomGrayscale(p=0.2)]
    blur = [K.RandomGaussianBlur((23, 23), (0.1, 2.0), p=0.5)]
    steps: dict[str, list[nn.Module]] = {
        "basic": [*crop, normalize],
        "classification": [*crop, *colour, *blur, normalize],
        "classification without blur": [*crop, *colour, normalize],
        "geometry": [
            K.RandomRotation(15.0, p=1.0),
            K.RandomAffine(10, (0.1, 0.1), (0.9, 1.1), p=1.0),
            K.RandomPerspective(0.5, p=0.5),
        ],
    }
    return nn.Sequential(*steps[name])


def albumentations_pipeline(name: str) -> Callable[[np.ndarray], np.ndarray]:
    """Build Albumentations', which takes one (H, W, C) uint8 array."""
    import albumentations as A

    normalize = A.Normalize(MEAN, STD)
    crop = [A.RandomResizedCrop((224, 224)), A.HorizontalFlip()]
    colour = [A.ColorJitter((0.6, 1.4), (0.6, 1.4), (0.6, 1.4), (-0.1, 0.1), p=0.8), A.ToGray(p=0.2)]
    blur = [A.GaussianBlur((23, 23), (0.1, 2.0), p=0.5)]
    steps: dict[str, list[Any]] = {
        "basic": [*crop, normalize],
        "classification": [*crop, *colour, *blur, normalize],
        "classification without blur": [*crop, *colour, normalize],
        "geometry": [
            A.Rotate(15, p=1.0),
            A.Affine(rotate=(-10, 10), translate_percent={"x": (-0.1, 0.1), "y": (-0.1, 0.1)}, scale=(0.9, 1.1), p=1.0),
            A.Perspective(p=0.5),
        ],
    }
    pipeline = A.Compose(steps[name], seed=0)
    return lambda image: pipeline(image=image)["image"]


def contenders(name: str, images: Tensor) -> dict[str, Run]:
    """Return what runs the pipeline on a batch, by the name of the row."""
    device = images.device
    ours = gpuaug_pipeline(name).to(device)
    whole = torchvision_pipeline(name)
    rows: dict[str, Run] = {"gpuaug": ours}
    if name == "geometry":  # the peers read warps without antialiasing
        rows["gpuaug, antialias=False, as the peers"] = gpuaug_pipeline(name, antialias=False).to(device)
    rows |= {
        "torchvision, one draw per batch": whole,
        "torchvision, image by image": lambda x: torch.stack([whole(image) for image in x]),
    }
    if importlib.util.find_spec("kornia"):
        theirs = kornia_pipeline(name).to(device)
        floats = images.dtype.is_floating_point
        rows["kornia"] = theirs if floats else lambda x: theirs(x.float() / 255)
    if importlib.util.find_spec("albumentations") and images.dtype == torch.uint8 and device.type == "cpu":
        single = albumentations_pipeline(name)

        def loop(x: Tensor) -> Tensor:
            arrays = [single(np.ascontiguousarray(image)) for image in x.permute(0, 2, 3, 1).numpy()]
            return torch.from_numpy(np.stack(arrays)).permute(0, 3, 1, 2)

        rows["albumentations, image by image"] = loop
    return rows


def single_transforms() -> dict[str, nn.Module]:
    """Return each of our transforms alone, applied to every sample."""
    return {
        name: ga.Compose([layer], seed=0)
        for name, layer in {
            "RandomHorizontalFlip": ga.RandomHorizontalFlip(p=1.0),
            "RandomRotate90": ga.RandomRotate90(p=1.0),
            "RandomRotation": ga.RandomRotation(30),
            "RandomAffine": ga.RandomAffine(15, (0.1, 0.1), (0.8, 1.2), 10),
            "RandomPerspective": ga.RandomPerspective(0.5, p=1.0),
            "RandomResizedCrop": ga.RandomResizedCrop(224),
            "Resize": ga.Resize(224),
            "ColorJitter": ga.ColorJitter(0.4, 0.4, 0.4, 0.1),
            "RandomGrayscale": ga.RandomGrayscale(1.0),
            "RandomGamma": ga.RandomGamma(p=1.0),
            "RandomPosterize": ga.RandomPosterize(4, p=1.0),
            "RandomAutocontrast": ga.RandomAutocontrast(p=1.0),
            "RandomEqualize": ga.RandomEqualize(p=1.0),
            "GaussianBlur": ga.GaussianBlur(23),
            "RandomAdjustSharpness": ga.RandomAdjustSharpness(2.0, p=1.0),
            "GaussianNoise": ga.GaussianNoise(),
            "RandomErasing": ga.RandomErasing(p=1.0),
            "Normalize": ga.Normalize(MEAN, STD),
        }.items()
    }
