"""One line for each transform: it buys every contract test, the gallery tile, the table row and the benchmark row."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import torch
from torch import nn

import gpuaug as ga
from gpuaug.transforms.layer import Layer


@dataclass(frozen=True)
class Case:
    """A transform with its arguments, and the images it is tried on."""

    make: Callable[[], Layer]
    shape: tuple[int, int, int] = (3, 23, 17)
    shown: Callable[[], Layer] | None = None
    """The same for photographs of 120x160, for the gallery, where `make` has arguments for small images."""

    @property
    def name(self) -> str:
        """Name of the class."""
        return type(self.make()).__name__


SQUARE = (3, 19, 19)


def squared(images: torch.Tensor) -> torch.Tensor:
    """Return the squares: what a user might write."""
    return images * images


FUNCTIONS = {"squared": squared}


def classification(size: tuple[int, int], blur: int) -> list[nn.Module]:
    """Return the usual pipeline."""
    return [
        ga.RandomResizedCrop(size),
        ga.RandomHorizontalFlip(),
        ga.ColorJitter(0.4, 0.4, 0.4, 0.1),
        ga.RandomGrayscale(0.2),
        ga.RandomApply([ga.GaussianBlur(blur)], p=0.5),
        ga.Normalize(ga.IMAGENET_MEAN, ga.IMAGENET_STD),
        ga.RandomErasing(p=0.5),
    ]


CASES = [
    Case(lambda: ga.RandomHorizontalFlip(p=0.5)),
    Case(lambda: ga.RandomVerticalFlip(p=0.5)),
    Case(lambda: ga.RandomTranspose(p=0.5), SQUARE),
    Case(lambda: ga.RandomRotate90(p=0.5), SQUARE),
    Case(lambda: ga.SquareSymmetry(p=0.5), SQUARE),
    Case(lambda: ga.RandomRotation(30, fill=0.5, p=0.5), shown=lambda: ga.RandomRotation(30)),
    Case(lambda: ga.RandomAffine(15, (0.1, 0.2), (0.7, 1.3), (-10, 10, -5, 5), p=0.5)),
    Case(lambda: ga.RandomPerspective(0.4, p=0.5)),
    Case(lambda: ga.ElasticTransform(20.0, 3.0, p=0.5), shown=lambda: ga.ElasticTransform(150.0, 8.0)),
    Case(lambda: ga.GridDistortion(3, 0.3, p=0.5)),
    Case(lambda: ga.OpticalDistortion(0.2, p=0.5), shown=lambda: ga.OpticalDistortion((0.5, 0.9))),
    Case(lambda: ga.ThinPlateSpline((0.02, 0.05), 3, p=0.5)),
    Case(lambda: ga.Pad((1, 2, 3, 4), fill=0.25), shown=lambda: ga.Pad((20, 15), fill=60)),
    Case(lambda: ga.RandomCrop((15, 12), padding=2), shown=lambda: ga.RandomCrop((90, 120))),
    Case(lambda: ga.CenterCrop((15, 20)), shown=lambda: ga.CenterCrop((80, 80))),
    Case(lambda: ga.Resize((11, 30)), shown=lambda: ga.Resize((60, 160))),
    Case(lambda: ga.RandomShortestSize([11], 25), shown=lambda: ga.RandomShortestSize([60, 90])),
    Case(lambda: ga.RandomResize(9, 10), shown=lambda: ga.RandomResize(50, 120)),
    Case(lambda: ga.RandomResizedCrop((14, 20)), shown=lambda: ga.RandomResizedCrop((120, 160))),
    Case(lambda: ga.LongestMaxSize(30), shown=lambda: ga.LongestMaxSize(100)),
    Case(lambda: ga.SmallestMaxSize(11), shown=lambda: ga.SmallestMaxSize(60)),
    Case(lambda: ga.LetterBox((16, 28)), shown=lambda: ga.LetterBox((120, 120))),
    Case(lambda: ga.RandomZoomOut(fill=0.5, side_range=(1.0, 3.0)), shown=lambda: ga.RandomZoomOut(fill=60, p=1.0)),
    Case(lambda: ga.ScaleJitter((14, 20), (0.3, 2.0)), shown=lambda: ga.ScaleJitter((120, 160), (0.5, 2.0))),
    Case(lambda: ga.RandomIoUCrop(trials=8), shown=lambda: ga.RandomIoUCrop()),
    Case(lambda: ga.BBoxSafeRandomCrop(0.3, p=0.5), shown=lambda: ga.BBoxSafeRandomCrop()),
    Case(lambda: ga.AtLeastOneBBoxRandomCrop(11, 12, 0.2), shown=lambda: ga.AtLeastOneBBoxRandomCrop(80, 100)),
    Case(lambda: ga.CropNonEmptyMaskIfExists(12, 9), shown=lambda: ga.CropNonEmptyMaskIfExists(80, 100)),
    Case(
        lambda: ga.Mosaic(p=0.5),
        shown=lambda: ga.Mosaic(target_size=(120, 160), cell_shape=(80, 107), fill=60, p=1.0),
    ),
    Case(lambda: ga.ColorJitter(0.4, 0.4, 0.4, 0.1, p=0.5)),
    Case(lambda: ga.Grayscale(3)),
    Case(lambda: ga.RandomGrayscale(p=0.5)),
    Case(lambda: ga.RandomBrightnessContrast(p=0.5)),
    Case(lambda: ga.HueSaturationValue(p=0.5)),
    Case(lambda: ga.RandomGamma(p=0.5)),
    Case(lambda: ga.RandomInvert(p=0.5)),
    Case(lambda: ga.RandomSolarize((0.3, 0.9), p=0.5), shown=lambda: ga.RandomSolarize(128, p=1.0)),
    Case(lambda: ga.RandomPosterize(ga.Integers(2, 7), p=0.5)),
    Case(lambda: ga.RandomAutocontrast(p=0.5)),
    Case(lambda: ga.RandomEqualize(p=0.5)),
    Case(lambda: ga.Lambda(squared, "squared")),
    Case(lambda: ga.RandomChannelPermutation(p=0.5)),
    Case(lambda: ga.ChannelDropout(p=0.5)),
    Case(lambda: ga.RandomPhotometricDistort(p=0.5)),
    Case(lambda: ga.GaussianBlur(7, (0.1, 2.0), p=0.5), shown=lambda: ga.GaussianBlur(23, (1.0, 3.0))),
    Case(lambda: ga.RandomAdjustSharpness((0.0, 3.0), p=0.5)),
    Case(lambda: ga.GaussianNoise(0.0, (0.0, 0.2), p=0.5)),
    Case(lambda: ga.RandomErasing(p=0.5, value="random", max_count=3)),
    Case(lambda: ga.CoarseDropout((1, 4), fill=0.5, p=0.5), shown=lambda: ga.CoarseDropout((2, 6), p=1.0)),
    Case(lambda: ga.ConstrainedCoarseDropout((1, 2), (0.3, 0.8), (0.3, 0.8), 0.5, 7, p=0.5)),
    Case(lambda: ga.GridDropout(0.4, unit_size_range=(4, 8), p=0.5), shown=lambda: ga.GridDropout(0.4, p=1.0)),
    Case(lambda: ga.MixUp(p=0.5)),
    Case(lambda: ga.CutMix(p=0.5), shown=lambda: ga.CutMix(cutmix_minmax=(0.4, 0.6))),
    Case(lambda: ga.ResizeMix(p=0.5), shown=lambda: ga.ResizeMix(scale=(0.4, 0.6))),
    Case(lambda: ga.SaliencyMix(p=0.5), shown=lambda: ga.SaliencyMix(alpha=8.0)),
    Case(lambda: ga.CopyPaste(p=0.5), shown=lambda: ga.CopyPaste(0.8)),
    Case(lambda: ga.Normalize(ga.IMAGENET_MEAN, ga.IMAGENET_STD)),
    Case(lambda: ga.ToDtype(torch.float32)),
    Case(lambda: ga.SanitizeBoundingBoxes()),
    Case(lambda: ga.ClampBoundingBoxes()),
    Case(lambda: ga.ConvertBoundingBoxFormat("CXCYWH")),
    Case(lambda: ga.RandomApply([ga.ColorJitter(0.3), ga.RandomRotation(20)], p=0.5)),
    Case(
        lambda: ga.RandomChoice([ga.ColorJitter(0.3), ga.RandomRotation(20), ga.RandomInvert(p=0.5)], [2, 1, 1]),
        shown=lambda: ga.RandomChoice([ga.ColorJitter(0.5, hue=0.3), ga.RandomRotation(20), ga.RandomInvert(p=1.0)]),
    ),
    Case(
        lambda: ga.OneOf([ga.RandomSolarize(0.5), ga.GaussianBlur(3), ga.RandomAffine(20, p=0.3)], p=0.5),
        shown=lambda: ga.OneOf([ga.RandomSolarize(128), ga.GaussianBlur(23, 3.0), ga.RandomAffine((15, 30))]),
    ),
    Case(lambda: ga.SomeOf([ga.RandomAffine(20), ga.RandomPosterize(3, p=1.0), ga.GaussianBlur(3)], 2, p=0.5)),
    Case(lambda: ga.RandomOrder([ga.RandomGamma(p=1.0), ga.RandomRotation(9), ga.RandomSolarize(0.7, p=0.5)])),
    Case(lambda: ga.RandAugment(2, 9)),
    Case(lambda: ga.TrivialAugmentWide(interpolation="bilinear"), shown=lambda: ga.TrivialAugmentWide()),
    Case(lambda: ga.AutoAugment("svhn")),
    Case(lambda: ga.AugMix(5)),
    Case(lambda: ga.ThreeAugment()),
    Case(lambda: ga.SelectiveChannelTransform(ga.ColorJitter(0.3, 0.3, 0.3, 0.1), (3, 1, 0)), (5, 23, 17)),
    # Tone and colour of the catalogue.
    # Light and weather.
    # Blur and lens.
    # Noise, sensor and compression.
    Case(lambda: ga.JPEG((20, 90), p=0.5), shown=lambda: ga.JPEG((5, 15))),
    Case(lambda: ga.SaltAndPepper((0.05, 0.2), p=0.5)),
    Case(lambda: ga.MultiplicativeNoise((0.5, 1.5), True, True, p=0.5)),
    Case(lambda: ga.PixelDropout((0.1, 0.4), drop_value=None, p=0.5), shown=lambda: ga.PixelDropout(0.2)),
    Case(lambda: ga.ShotNoise((0.05, 0.3), p=0.5)),
    Case(lambda: ga.ISONoise((0.1, 0.3), (0.5, 1.5), p=0.5), shown=lambda: ga.ISONoise((0.1, 0.2), (0.8, 1.0))),
    Case(lambda: ga.BandingNoise((0.05, 0.2), per_channel=True, p=0.5), shown=lambda: ga.BandingNoise(0.1)),
    # Occlusion.
    Case(
        lambda: ga.XYMasking(2, (1, 2), (2, 4), 3, "random", p=0.5),
        shown=lambda: ga.XYMasking((2, 2), (1, 2), (10, 20), (10, 20)),
    ),
    Case(lambda: ga.RandomPatchMask((4, 5), (0.3, 0.8), p=0.5), (3, 24, 20)),
    Case(lambda: ga.RandomBlockMask((4, 5), (0.3, 0.8), (2, None), p=0.5), (3, 24, 20)),
    Case(lambda: ga.RandomJEPAMask((4, 5), p=0.5), (3, 24, 20)),
    Case(lambda: ga.GridMask(fill=0.5, p=0.5), shown=lambda: ga.GridMask((0.3, 0.5))),
    # Sizes and crops.
    # Domain.
    # Pipelines.
    Case(
        lambda: ga.Compose(classification((14, 20), 5)),
        shown=lambda: ga.Compose(classification((120, 160), 9)),
    ),
]
