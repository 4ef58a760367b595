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
    shape: tuple[int, ...] = (3, 23, 17)
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
    Case(lambda: ga.ResizeMix(scale=(0.3, 0.8), p=0.5), shown=lambda: ga.ResizeMix(scale=(0.4, 0.6))),
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
    Case(lambda: ga.AugMix(5, mixture_width=2, chain_depth=2), shown=lambda: ga.AugMix(5)),
    Case(lambda: ga.ThreeAugment()),
    Case(lambda: ga.SelectiveChannelTransform(ga.ColorJitter(0.3, 0.3, 0.3, 0.1), (3, 1, 0)), (5, 23, 17)),
    # Tone and colour of the catalogue.
    Case(lambda: ga.RandomToneCurve(0.3, per_channel=True, p=0.5)),
    Case(lambda: ga.RGBShift((-60, 60), 0.3, p=0.5), shown=lambda: ga.RGBShift(60, 60, 60)),
    Case(lambda: ga.PlanckianJitter("cied", p=0.5), shown=lambda: ga.PlanckianJitter(temperature_limit=3500.0)),
    Case(lambda: ga.ToSepia(p=0.5)),
    Case(lambda: ga.CLAHE((2.0, 6.0), (2, 3), p=0.5), shown=lambda: ga.CLAHE((4.0, 4.0))),
    Case(lambda: ga.FancyPCA(3.0, p=0.5), shown=lambda: ga.FancyPCA(1.0)),
    Case(lambda: ga.RandomHSV(p=0.5)),
    Case(lambda: ga.HEStain("macenko", p=0.5), shown=lambda: ga.HEStain("preset", "standard")),
    Case(lambda: ga.RandScaleIntensity(0.4, p=0.5, channel_wise=True), shown=lambda: ga.RandScaleIntensity((0.4, 0.5))),
    Case(lambda: ga.RandShiftIntensity(0.2, p=0.5), shown=lambda: ga.RandShiftIntensity(0.4, channel_wise=True)),
    Case(
        lambda: ga.LinearTransformation(torch.eye(3) * 1.5 - 0.2, torch.tensor([0.1, 0.2, 0.0])),
        shown=lambda: ga.LinearTransformation(torch.eye(3) * 1.4 - 0.3, torch.zeros(3)),
    ),
    # Light and weather.
    Case(lambda: ga.FlickerBanding((0.2, 0.4), angle_range=10, p=0.5), shown=lambda: ga.FlickerBanding((0.3, 0.4))),
    Case(lambda: ga.Illumination("gaussian", p=0.5), shown=lambda: ga.Illumination("gaussian", 0.9, "darken")),
    Case(lambda: ga.Vignetting(p=0.5), shown=lambda: ga.Vignetting((0.8, 0.9))),
    Case(lambda: ga.RandomBiasField(0.3, p=0.5), shown=lambda: ga.RandomBiasField(0.6)),
    Case(lambda: ga.PlasmaBrightnessContrast(p=0.5), shown=lambda: ga.PlasmaBrightnessContrast((-0.6, -0.5), 0.3)),
    Case(lambda: ga.PlasmaShadow(plasma_size=16, p=0.5), shown=lambda: ga.PlasmaShadow((0.8, 0.9))),
    Case(lambda: ga.AtmosphericFog(depth_mode="radial", p=0.5), shown=lambda: ga.AtmosphericFog()),
    Case(lambda: ga.RandomFog(p=0.5), shown=lambda: ga.RandomFog(0.1, (0.8, 1.0))),
    Case(lambda: ga.RandomClouds(plasma_size=16, p=0.5), shown=lambda: ga.RandomClouds(coverage_range=0.5)),
    Case(
        lambda: ga.RandomShadow((0, 0, 1, 1), shadow_intensity_range=(0.3, 0.6), p=0.5),
        shown=lambda: ga.RandomShadow((0, 0, 1, 1)),
    ),
    Case(lambda: ga.RandomPageShadow(p=0.5), shown=lambda: ga.RandomPageShadow(0.6, 0.1)),
    Case(lambda: ga.RandomPaperCreases(p=0.5), shown=lambda: ga.RandomPaperCreases((3, 4), 0.35)),
    Case(lambda: ga.RandomRain(drop_length=5, p=0.5), shown=lambda: ga.RandomRain(blur_value=3, rain_type="heavy")),
    Case(lambda: ga.RandomSnow(method="texture", p=0.5), shown=lambda: ga.RandomSnow(1.5, (0.1, 0.15), "texture")),
    Case(
        lambda: ga.RandomSunFlare(src_radius=9, num_flare_circles_range=(1, 3), p=0.5),
        shown=lambda: ga.RandomSunFlare((0.3, 0.2, 0.7, 0.5), 25, method="physics_based"),
    ),
    # Blur and lens.
    Case(lambda: ga.Blur((3, 7), p=0.5), shown=lambda: ga.Blur((7, 9), p=1.0)),
    Case(lambda: ga.MotionBlur((3, 9), p=0.5), shown=lambda: ga.MotionBlur((13, 15), p=1.0)),
    Case(lambda: ga.Defocus((1, 9), p=0.5), shown=lambda: ga.Defocus((4, 5), p=1.0)),
    Case(lambda: ga.AdvancedBlur((3, 5), p=0.5), shown=lambda: ga.AdvancedBlur((9, 11), (3, 5), (0.5, 1), p=1.0)),
    Case(lambda: ga.MedianBlur((3, 5), p=0.5), shown=lambda: ga.MedianBlur((5, 7), p=1.0)),
    Case(lambda: ga.Sharpen(p=0.5), shown=lambda: ga.Sharpen((0.5, 0.8), (0.9, 1.0), p=1.0)),
    Case(lambda: ga.Emboss(p=0.5), shown=lambda: ga.Emboss((0.6, 0.9), (0.8, 1.2), p=1.0)),
    Case(lambda: ga.UnsharpMask((3, 5), p=0.5), shown=lambda: ga.UnsharpMask((9, 11), 0.0, (0.9, 1.0), p=1.0)),
    Case(lambda: ga.ZoomBlur((1.05, 1.2), (0.05, 0.06), p=0.5), shown=lambda: ga.ZoomBlur((1.2, 1.3), p=1.0)),
    Case(lambda: ga.GlassBlur(0.5, 2, p=0.5), shown=lambda: ga.GlassBlur(0.7, 2, p=1.0)),
    Case(
        lambda: ga.ChromaticAberration(0.1, 0.2, p=0.5),
        shown=lambda: ga.ChromaticAberration((0.1, 0.2), (0.1, 0.2), "red_blue", p=1.0),
    ),
    Case(
        lambda: ga.Downscale((0.25, 0.7), {"downscale": "area", "upscale": "bilinear"}, p=0.5),
        shown=lambda: ga.Downscale(p=1.0),
    ),
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
    Case(lambda: ga.RandomPatchMask((4, 5), (0.3, 0.8), p=0.5), (3, 24, 20), lambda: ga.RandomPatchMask((8, 8))),
    Case(
        lambda: ga.RandomBlockMask((4, 5), (0.3, 0.8), (2, None), p=0.5),
        (3, 24, 20),
        lambda: ga.RandomBlockMask((8, 8)),
    ),
    Case(lambda: ga.RandomJEPAMask((4, 5), p=0.5), (3, 24, 20), lambda: ga.RandomJEPAMask((8, 8))),
    Case(lambda: ga.MaskDropout(2, 0.5, p=0.5), shown=lambda: ga.MaskDropout()),
    Case(lambda: ga.GridMask(fill=0.5, p=0.5), shown=lambda: ga.GridMask((0.3, 0.5))),
    # Sizes and crops.
    Case(
        lambda: ga.WaterRefraction((0.02, 0.04), (0.3, 0.5), (2, 3), p=0.5),
        shown=lambda: ga.WaterRefraction((0.02, 0.03), (0.15, 0.3)),
    ),
    Case(lambda: ga.RandomGridShuffle((2, 3), p=0.5), shown=lambda: ga.RandomGridShuffle()),
    Case(lambda: ga.SafeRotate(40, fill=0.5, p=0.5), shown=lambda: ga.SafeRotate(60, p=1.0)),
    Case(lambda: ga.CropAndPad((-4, 5), fill=0.5, p=0.5), shown=lambda: ga.CropAndPad((-40, 30), fill=60)),
    Case(lambda: ga.RandomScale(0.4, fill=0.5), shown=lambda: ga.RandomScale((-0.5, 0.5), fill=60, p=1.0)),
    Case(lambda: ga.RandomSizedCrop((5, 16), (14, 20)), shown=lambda: ga.RandomSizedCrop((40, 100), (120, 160), 1.3)),
    Case(lambda: ga.PadIfNeeded(30, None, None, 8, "random", 0.25), shown=lambda: ga.PadIfNeeded(160, 200, fill=60)),
    # Domain.
    Case(lambda: ga.FDA(beta_limit=(0.1, 0.3), p=0.5), shown=lambda: ga.FDA(beta_limit=0.05)),
    Case(lambda: ga.HistogramMatching(p=0.5), shown=lambda: ga.HistogramMatching(blend_ratio=1.0)),
    Case(
        lambda: ga.PixelDistributionAdaptation(p=0.5),
        shown=lambda: ga.PixelDistributionAdaptation(blend_ratio=1.0, transform_type="standard"),
    ),
    # Pipelines.
    Case(
        lambda: ga.Compose(classification((14, 20), 5)),
        shown=lambda: ga.Compose(classification((120, 160), 9)),
    ),
]

CLIP = (4, 3, 13, 11)
ROWS = [
    Case(lambda: ga.Repeat(3)),
    Case(lambda: ga.FiveCrop((9, 8))),
    Case(lambda: ga.TenCrop((9, 8))),
    Case(lambda: ga.UniformTemporalSubsample(6), CLIP),
    Case(lambda: ga.CenterTemporalCrop(2), CLIP),
    Case(lambda: ga.RandomTemporalCrop(2), CLIP),
    Case(lambda: ga.RandomSpeed(3, (0.3, 1.5)), CLIP),
    Case(lambda: ga.RandomFrameDrop(0.5, p=0.5), CLIP),
]
"""Transforms after which there are other samples or other frames than before."""
