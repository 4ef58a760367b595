"""Every argument of every transform: what is drawn, or compared with a draw, takes a schedule and a class."""

from __future__ import annotations

import inspect
from collections.abc import Callable
from functools import lru_cache
from typing import Any

import pytest
import torch

import gpuaug as ga
from gpuaug.testing import annotated, example
from gpuaug.transforms.layer import Layer

B = 12
Make = Callable[[Any], Any]
TURNING = ("RandomTranspose", "RandomRotate90", "SquareSymmetry")


@lru_cache
def batch(width: int) -> dict[str, Any]:
    """Return images with boxes, masks and a camera each."""
    return {**annotated(example(B, (3, 26, width)), masks=True), "camera": torch.arange(B) % 2}


def choose(v: Any) -> Any:
    return ga.RandomChoice([ga.RandomInvert(1.0), ga.RandomGamma(p=1.0)], [v, 1.0])


def some(v: Any, replace: bool = False) -> Any:
    return ga.SomeOf([ga.RandomInvert(1.0), ga.RandomGamma(p=1.0), ga.RandomSolarize(0.5, p=1.0)], v, replace)


# By class and argument: what makes it of a number, and two numbers of it. Sums of them are exact in float32.
RANGES: dict[str, list[tuple[Make, float, float]]] = {
    "AdvancedBlur.blur_limit": [(lambda v: ga.AdvancedBlur((3, v)), 5, 9)],
    "AdvancedBlur.sigma_x_limit": [(lambda v: ga.AdvancedBlur(sigma_x_limit=(0.25, v)), 0.5, 1.5)],
    "AdvancedBlur.sigma_y_limit": [(lambda v: ga.AdvancedBlur(sigma_y_limit=(0.25, v)), 0.5, 1.5)],
    "AdvancedBlur.rotate_limit": [(lambda v: ga.AdvancedBlur(rotate_limit=(-8, v)), 8, 24)],
    "AdvancedBlur.beta_limit": [(lambda v: ga.AdvancedBlur(beta_limit=(0.5, v)), 1.5, 2.5)],
    "AdvancedBlur.noise_limit": [(lambda v: ga.AdvancedBlur(noise_limit=(0.5, v)), 1.0, 1.5)],
    "AtLeastOneBBoxRandomCrop.erosion_factor": [(lambda v: ga.AtLeastOneBBoxRandomCrop(9, 12, v), 0.0, 1.0)],
    "AugMix.severity": [(ga.AugMix, 2, 8)],
    "AugMix.alpha": [(lambda v: ga.AugMix(alpha=v), 0.5, 1.5)],
    "Blur.blur_limit": [(lambda v: ga.Blur((3, v)), 5, 9)],
    "BBoxSafeRandomCrop.erosion_rate": [(ga.BBoxSafeRandomCrop, 0.25, 1.0)],
    "ChannelDropout.channel_drop_range": [
        (lambda v: ga.ChannelDropout((1, v), p=1.0), 1, 2),
        (lambda v: ga.ChannelDropout((v, 2), p=1.0), 1, 2),
    ],
    "CoarseDropout.num_holes_range": [(lambda v: ga.CoarseDropout((1, v)), 1, 5), (ga.CoarseDropout, 1, 3)],
    "CoarseDropout.hole_height_range": [(lambda v: ga.CoarseDropout(hole_height_range=(0.125, v)), 0.25, 0.75)],
    "CoarseDropout.hole_width_range": [(lambda v: ga.CoarseDropout(hole_width_range=(2, v)), 4, 8)],
    "ColorJitter.brightness": [(ga.ColorJitter, 0.25, 0.75)],
    "ColorJitter.contrast": [(lambda v: ga.ColorJitter(contrast=(v, 2.0)), 0.25, 0.75)],
    "ColorJitter.saturation": [(lambda v: ga.ColorJitter(saturation=ga.Uniform(v, 2.0)), 0.25, 0.75)],
    "ColorJitter.hue": [(lambda v: ga.ColorJitter(hue=v), 0.125, 0.375)],
    "ConstrainedCoarseDropout.num_holes_range": [(lambda v: ga.ConstrainedCoarseDropout((1, v)), 1, 3)],
    "ConstrainedCoarseDropout.hole_height_range": [
        (lambda v: ga.ConstrainedCoarseDropout(hole_height_range=(0.25, v), p=1.0), 0.5, 1.0)
    ],
    "ConstrainedCoarseDropout.hole_width_range": [
        (lambda v: ga.ConstrainedCoarseDropout(hole_width_range=v, p=1.0), 0.25, 0.75)
    ],
    "CopyPaste.object_p": [(ga.CopyPaste, 0.25, 0.75), (lambda v: ga.CopyPaste(v, class_weights={0: 0.5}), 0.25, 1.0)],
    "CopyPaste.scale_range": [(lambda v: ga.CopyPaste(scale_range=(v, 2.0)), 0.5, 1.0)],
    "CopyPaste.flip_p": [(lambda v: ga.CopyPaste(flip_p=v), 0.25, 0.75)],
    "CutMix.alpha": [(lambda v: ga.CutMix(alpha=v, num_classes=9), 0.5, 2.5)],
    "CutMix.cutmix_minmax": [(lambda v: ga.CutMix(cutmix_minmax=(0.125, v), num_classes=9), 0.25, 0.75)],
    "CropAndPad.px": [(lambda v: ga.CropAndPad(px=(0, v)), 2, 6)],
    "CropAndPad.percent": [(lambda v: ga.CropAndPad(percent=(0.0, v)), 0.125, 0.375)],
    "Defocus.radius_range": [(lambda v: ga.Defocus((1, v)), 3, 5)],
    "Defocus.alias_blur_range": [(lambda v: ga.Defocus((1, 3), (0.125, v)), 0.25, 0.75)],
    "Emboss.alpha_range": [(lambda v: ga.Emboss((0.25, v)), 0.5, 1.0)],
    "Emboss.strength_range": [(lambda v: ga.Emboss(strength_range=(0.25, v)), 0.5, 1.0)],
    "Illumination.intensity_range": [(lambda v: ga.Illumination(intensity_range=(0.0625, v)), 0.125, 0.1875)],
    "Illumination.angle_range": [(lambda v: ga.Illumination(angle_range=(0, v)), 64, 128)],
    "Illumination.center_range": [(lambda v: ga.Illumination("gaussian", center_range=(0.25, v)), 0.5, 0.75)],
    "Illumination.sigma_range": [(lambda v: ga.Illumination("gaussian", sigma_range=(0.25, v)), 0.5, 1.0)],
    "MotionBlur.blur_limit": [(lambda v: ga.MotionBlur((3, v)), 5, 9)],
    "MotionBlur.angle_range": [(lambda v: ga.MotionBlur(angle_range=(0, v)), 64, 128)],
    "MotionBlur.direction_range": [(lambda v: ga.MotionBlur(direction_range=(-0.5, v)), 0.25, 0.75)],
    "PlanckianJitter.temperature_limit": [(lambda v: ga.PlanckianJitter(temperature_limit=(4096, v)), 7168, 9216)],
    "PlasmaBrightnessContrast.brightness_range": [(lambda v: ga.PlasmaBrightnessContrast((0.0, v)), 0.25, 0.75)],
    "PlasmaBrightnessContrast.contrast_range": [(lambda v: ga.PlasmaBrightnessContrast((0, 0), (0.0, v)), 0.25, 0.75)],
    "PlasmaBrightnessContrast.roughness": [(lambda v: ga.PlasmaBrightnessContrast(roughness=v), 0.25, 0.75)],
    "PlasmaShadow.shadow_intensity_range": [(lambda v: ga.PlasmaShadow((0.0, v)), 0.25, 0.75)],
    "PlasmaShadow.roughness": [(lambda v: ga.PlasmaShadow(roughness=v), 0.25, 0.75)],
    "RGBShift.r_shift_limit": [(ga.RGBShift, 8, 24)],
    "RGBShift.g_shift_limit": [(lambda v: ga.RGBShift(g_shift_limit=v), 8, 24)],
    "RGBShift.b_shift_limit": [(lambda v: ga.RGBShift(b_shift_limit=(-4, v)), 8, 24)],
    "RandScaleIntensity.factors": [(ga.RandScaleIntensity, 0.25, 0.75)],
    "RandShiftIntensity.offsets": [(ga.RandShiftIntensity, 0.25, 0.75)],
    "RandomBiasField.coefficients": [(ga.RandomBiasField, 0.25, 0.75)],
    "RandomHSV.hgain": [(ga.RandomHSV, 0.25, 0.75)],
    "RandomHSV.sgain": [(lambda v: ga.RandomHSV(sgain=v), 0.25, 0.75)],
    "RandomHSV.vgain": [(lambda v: ga.RandomHSV(vgain=v), 0.25, 0.75)],
    "FDA.beta_limit": [(lambda v: ga.FDA(beta_limit=(0.0, v)), 0.0625, 0.125)],
    "JPEG.quality": [(lambda v: ga.JPEG((10, v)), 30, 50)],
    "Downscale.scale_range": [(lambda v: ga.Downscale((0.25, v)), 0.5, 0.75)],
    "GlassBlur.sigma": [(ga.GlassBlur, 0.5, 1.0)],
    "GridMask.ratio": [(lambda v: ga.GridMask(ratio=v), 0.25, 0.75)],
    "MedianBlur.blur_limit": [(lambda v: ga.MedianBlur((3, v)), 5, 9)],
    "PixelDropout.dropout_prob": [(ga.PixelDropout, 0.25, 0.75)],
    "RandomClouds.roughness": [(lambda v: ga.RandomClouds(roughness=v), 0.25, 0.75)],
    "RandomSunFlare.angle_range": [(lambda v: ga.RandomSunFlare(angle_range=(0.25, v)), 0.5, 1.0)],
    "UnsharpMask.blur_limit": [(lambda v: ga.UnsharpMask((3, v)), 5, 9)],
    "UnsharpMask.sigma_limit": [(lambda v: ga.UnsharpMask(sigma_limit=(0.5, v)), 1.0, 2.0)],
    "RandomToneCurve.scale": [(ga.RandomToneCurve, 0.125, 0.375)],
    "RandomScale.scale_limit": [(ga.RandomScale, 0.125, 0.375), (lambda v: ga.RandomScale((v, 0.5)), 0.125, 0.375)],
    "RandomSizedCrop.min_max_height": [(lambda v: ga.RandomSizedCrop((4, v), 12), 8, 16)],
    "SafeRotate.limit": [(ga.SafeRotate, 8, 24), (lambda v: ga.SafeRotate((v, 32)), 8, 24)],
    "Sharpen.alpha_range": [(lambda v: ga.Sharpen((0.25, v)), 0.5, 1.0)],
    "Sharpen.lightness_range": [(lambda v: ga.Sharpen(lightness_range=(0.25, v)), 0.5, 1.0)],
    "WaterRefraction.num_waves_range": [(lambda v: ga.WaterRefraction(num_waves_range=(1, v)), 3, 5)],
    "FlickerBanding.angle_range": [(lambda v: ga.FlickerBanding(angle_range=(-8, v)), 8, 24)],
    "Vignetting.intensity_range": [(lambda v: ga.Vignetting((0.125, v)), 0.25, 0.75)],
    "Vignetting.center_range": [(lambda v: ga.Vignetting(center_range=(0.25, v)), 0.5, 0.75)],
    "ElasticTransform.alpha": [
        (ga.ElasticTransform, 8.0, 24.0),
        (lambda v: ga.ElasticTransform((v, 4.0)), 8.0, 24.0),
        (lambda v: ga.ElasticTransform(ga.Uniform(4.0, v)), 8.0, 24.0),
    ],
    "ElasticTransform.sigma": [(lambda v: ga.ElasticTransform(sigma=(3.0, v)), 2.0, 2.0)],
    "GaussianBlur.sigma": [(lambda v: ga.GaussianBlur(5, (0.25, v)), 0.5, 1.5)],
    "GaussianNoise.mean": [(ga.GaussianNoise, 0.0, 0.5)],
    "GaussianNoise.sigma": [(lambda v: ga.GaussianNoise(sigma=(0.0, v)), 0.25, 0.75)],
    "GridDistortion.distort_limit": [(lambda v: ga.GridDistortion(3, v), 0.125, 0.375)],
    "GridDropout.ratio": [
        (lambda v: ga.GridDropout(v, unit_size_range=(8, 9)), 0.25, 0.75),
        (lambda v: ga.GridDropout((0.125, v), unit_size_range=(8, 9)), 0.25, 0.75),
    ],
    "GridDropout.unit_size_range": [(lambda v: ga.GridDropout(unit_size_range=(3, v)), 4, 8)],
    "GridDropout.holes_number_xy": [(lambda v: ga.GridDropout(holes_number_xy=(v, 3)), 2, 4)],
    "HueSaturationValue.hue_shift_range": [(ga.HueSaturationValue, 8, 24)],
    "HueSaturationValue.sat_shift_range": [(lambda v: ga.HueSaturationValue(sat_shift_range=v), 8, 24)],
    "HueSaturationValue.val_shift_range": [(lambda v: ga.HueSaturationValue(val_shift_range=(-4, v)), 8, 24)],
    "MixUp.alpha": [(lambda v: ga.MixUp(alpha=v, num_classes=9), 0.5, 1.5)],
    "Mosaic.center_range": [(lambda v: ga.Mosaic(center_range=(v, 0.75), num_classes=9), 0.25, 0.5)],
    "OpticalDistortion.distort_limit": [(ga.OpticalDistortion, 0.125, 0.25)],
    "RandAugment.magnitude": [(lambda v: ga.RandAugment(2, v), 4, 12), (lambda v: ga.RandAugment(2, (2, v)), 4, 12)],
    "RandomAdjustSharpness.sharpness_factor": [(ga.RandomAdjustSharpness, 0.5, 1.5)],
    "RandomAffine.degrees": [(ga.RandomAffine, 8, 24)],
    "RandomAffine.translate": [(lambda v: ga.RandomAffine(0, (v, 0.25)), 0.125, 0.375)],
    "RandomAffine.scale": [(lambda v: ga.RandomAffine(0, scale=(v, 2.0), balanced_scale=True), 0.5, 1.5)],
    "RandomAffine.shear": [(lambda v: ga.RandomAffine(0, shear=(-4, v, 0, 2)), 8, 24)],
    "RandomBrightnessContrast.brightness_range": [(ga.RandomBrightnessContrast, 0.125, 0.375)],
    "RandomBrightnessContrast.contrast_range": [(lambda v: ga.RandomBrightnessContrast(0.1, v), 0.125, 0.375)],
    "RandomErasing.scale": [(lambda v: ga.RandomErasing(scale=(0.125, v)), 0.25, 0.5)],
    "RandomErasing.ratio": [(lambda v: ga.RandomErasing(ratio=(v, 2.0)), 0.25, 0.75)],
    "RandomErasing.min_count": [(lambda v: ga.RandomErasing(min_count=v, max_count=5), 1, 5)],
    "RandomErasing.max_count": [(lambda v: ga.RandomErasing(max_count=v), 1, 5)],
    "RandomGamma.gamma_range": [(lambda v: ga.RandomGamma((80, v)), 96, 160)],
    "RandomIoUCrop.min_scale": [(lambda v: ga.RandomIoUCrop(v, trials=9), 0.25, 0.75)],
    "RandomIoUCrop.max_scale": [(lambda v: ga.RandomIoUCrop(0.25, v, trials=9), 0.5, 1.0)],
    "RandomIoUCrop.min_aspect_ratio": [(lambda v: ga.RandomIoUCrop(min_aspect_ratio=v, trials=9), 0.5, 1.5)],
    "RandomIoUCrop.max_aspect_ratio": [(lambda v: ga.RandomIoUCrop(max_aspect_ratio=v, trials=9), 1.0, 2.0)],
    "RandomPerspective.distortion_scale": [(ga.RandomPerspective, 0.25, 0.75)],
    "RandomPhotometricDistort.brightness": [(lambda v: ga.RandomPhotometricDistort((v, 2.0)), 0.5, 1.0)],
    "RandomPhotometricDistort.contrast": [(lambda v: ga.RandomPhotometricDistort(contrast=(v, 2.0)), 0.5, 1.0)],
    "RandomPhotometricDistort.saturation": [(lambda v: ga.RandomPhotometricDistort(saturation=(v, 2.0)), 0.5, 1.0)],
    "RandomPhotometricDistort.hue": [(lambda v: ga.RandomPhotometricDistort(hue=(0.0, v)), 0.125, 0.25)],
    "RandomPosterize.bits": [(lambda v: ga.RandomPosterize((2, v)), 3, 7), (ga.RandomPosterize, 3, 7)],
    "RandomResizedCrop.scale": [(lambda v: ga.RandomResizedCrop(12, scale=(v, 1.0)), 0.25, 0.75)],
    "RandomResizedCrop.ratio": [(lambda v: ga.RandomResizedCrop(12, ratio=(v, 2.0)), 0.5, 1.0)],
    "RandomRotation.degrees": [(ga.RandomRotation, 8, 24), (lambda v: ga.RandomRotation((v, 32)), 8, 24)],
    "RandomSolarize.threshold": [(lambda v: ga.RandomSolarize((v, 1.0)), 0.25, 0.75)],
    "RandomZoomOut.side_range": [(lambda v: ga.RandomZoomOut(side_range=(1.0, v)), 1.5, 2.5)],
    "ResizeMix.scale": [(lambda v: ga.ResizeMix(scale=(0.125, v), num_classes=9), 0.25, 0.75)],
    "SaliencyMix.alpha": [(lambda v: ga.SaliencyMix(alpha=v, num_classes=9), 0.5, 1.5)],
    "ScaleJitter.scale_range": [(lambda v: ga.ScaleJitter((20, 28), (v, 2.0)), 0.5, 1.5)],
    "SomeOf.n": [(some, 1, 3), (lambda v: some((0, v)), 1, 3), (lambda v: some(v, True), 1, 3)],
    "RandomChoice.p": [(choose, 0.5, 1.5)],
    "CLAHE.clip_limit": [(lambda v: ga.CLAHE((1.0, v), p=1.0), 2.0, 4.0)],
    "RandomBlockMask.aspect_range": [(lambda v: ga.RandomBlockMask(2, aspect_range=(0.3, v)), 1.0, 3.0)],
    "RandomJEPAMask.target_scale": [(lambda v: ga.RandomJEPAMask(2, target_scale=(0.15, v)), 0.2, 0.3)],
    "RandomJEPAMask.target_aspect": [(lambda v: ga.RandomJEPAMask(2, target_aspect=(0.75, v)), 1.0, 1.5)],
    "RandomJEPAMask.context_scale": [(lambda v: ga.RandomJEPAMask(2, context_scale=(0.7, v)), 0.8, 1.0)],
    "RandomPatchMask.ratio": [(lambda v: ga.RandomPatchMask(2, ratio=v), 0.25, 0.75)],
    "RandomBlockMask.ratio": [(lambda v: ga.RandomBlockMask(2, ratio=v, num_patches_range=(4, None)), 0.25, 0.75)],
    "ThinPlateSpline.scale_range": [(lambda v: ga.ThinPlateSpline((0.0, v)), 0.0625, 0.125)],
    "ThreeAugment.color_jitter": [(ga.ThreeAugment, 0.25, 0.75)],
    "TrivialAugmentWide.magnitude": [(lambda v: ga.TrivialAugmentWide(magnitude=(v, 20)), 4, 12)],
}
COUNTED = {
    "ChannelDropout.channel_drop_range", "CoarseDropout.num_holes_range", "ConstrainedCoarseDropout.num_holes_range",
    "RandomErasing.max_count", "SomeOf.n", "AdvancedBlur.blur_limit", "Blur.blur_limit", "MotionBlur.blur_limit",
    "FDA.beta_limit", "MedianBlur.blur_limit", "UnsharpMask.blur_limit", "WaterRefraction.num_waves_range",
}  # fmt: skip
"""Of which the largest number lays out the columns: they are compared where the schedule is at that."""
P: dict[str, Make] = {
    "RandomApply": lambda p: ga.RandomApply([ga.RandomInvert(1.0)], p),
    "OneOf": lambda p: ga.OneOf([ga.RandomInvert(0.5), ga.RandomGamma()], p),
    "SomeOf": lambda p: ga.SomeOf([ga.RandomInvert(1.0), ga.RandomGamma()], p=p),
    "JPEG": lambda p: ga.JPEG(50, p=p),
    "RandomPatchMask": lambda p: ga.RandomPatchMask(2, p=p),
    "RandomBlockMask": lambda p: ga.RandomBlockMask(2, num_patches_range=(4, None), p=p),
    "RandomJEPAMask": lambda p: ga.RandomJEPAMask(2, p=p),
    "XYMasking": lambda p: ga.XYMasking(1, 1, 3, 3, p=p),
    "CropAndPad": lambda p: ga.CropAndPad(3, p=p),
    "RandScaleIntensity": lambda p: ga.RandScaleIntensity(0.5, p=p),
    "RandShiftIntensity": lambda p: ga.RandShiftIntensity(0.5, p=p),
    "RandomSizedCrop": lambda p: ga.RandomSizedCrop((8, 16), 12, p=p),
    "ElasticTransform": lambda p: ga.ElasticTransform(p=p),
    "RandomAffine": lambda p: ga.RandomAffine(9, p=p),
    "RandomRotation": lambda p: ga.RandomRotation(9, p=p),
    "RandomSolarize": lambda p: ga.RandomSolarize(0.5, p),
    "RandomPosterize": lambda p: ga.RandomPosterize(4, p),
    "RandomAdjustSharpness": lambda p: ga.RandomAdjustSharpness(2.0, p),
    "GaussianBlur": lambda p: ga.GaussianBlur(5, p=p),
    **{name: lambda p, name=name: getattr(ga, name)(num_classes=9, p=p) for name in ("CutMix", "MixUp", "ResizeMix")},
    **{name: lambda p, name=name: getattr(ga, name)(num_classes=9, p=p) for name in ("Mosaic", "SaliencyMix")},
}
OTHER = {
    "the size of the canvas, which is the batch's: schedules and drawn sizes, no classes": (
        "size", "target_size", "cell_shape", "height", "width", "min_size", "max_size", "padding", "pad_if_needed",
        "pad_to", "pad_divisor", "eval_crop_pct", "min_height", "min_width", "pad_height_divisor", "pad_width_divisor",
        "position", "keep_size", "w2h_ratio",
    ),
    "how much is planned or compiled: operations, taps, knots, tries": (
        "num_ops", "num_magnitude_bins", "mixture_width", "chain_depth", "num_steps", "num_control_points",
        "kernel_size", "trials", "replace", "num_output_channels", "plasma_size", "RandomBiasField.order", "buffer",
        "fit_output", "tile_grid_size", "patch_size", "num_patches_range", "num_targets", "max_objects",
        "sample_independently", "grid",
    ),
    "what is chosen among, or a table by class already": (
        "transforms", "policy", "sampler_options", "class_weights", "ignore_values", "ignore_channels", "mask_indices",
        "bbox_labels", "function", "name", "saliency", "all_ops", "geometric", "random_offset", "max_ioa",
        "effect_type", "allow_shifted", "sampling_method", "method", "channel_wise", "per_channel", "Sharpen.sigma",
        "preset", "augment_background", "transformation_matrix", "mean_vector", "allow_overlap", "mask_key",
        "context_key", "targets_key",
    ),
    "how it is read, written or labelled": (
        "interpolation", "fill", "antialias", "channels", "keys", "expand", "center", "labels_getter", "padding_mode",
        "value", "fill_mask", "hide_keypoints", "clip", "blending", "pairing", "mode", "num_classes", "correct_lam",
        "label_smoothing", "multi_label", "return_pairs", "fit_mode", "balanced_scale", "brightness_by_max", "format",
        "Normalize.mean", "Normalize.std", "normalization", "dtype", "ToDtype.scale", "memory_format", "clamping_mode",
    ),
    "a rule about rows": ("min_area",),
    "of clips, which the batch here is not": (
        "num_frames", "stride", "num_samples", "Repeat.n", "RandomFrameDrop.rate", "RandomSpeed.speed_range",
        "RandomFrameDrop.p", "RandomSpeed.p",
    ),
    "a setting of the picture that is one for all samples": (
        "reference_images", "subsampling", "fog_color", "depth_mode", "depth", "direction", "interpolation_pair",
        "max_delta", "iterations", "class_counts", "kappa", "tau", "elementwise", "transform_type", "drop_value",
        "mask_drop_value", "softness", "cloud_color", "alpha_coef", "num_creases_range", "drop_length", "drop_width",
        "drop_color", "blur_value", "brightness_coefficient", "rain_type", "shadow_roi", "num_shadows_limit",
        "shadow_dimension", "brightness_coeff", "flare_roi", "src_radius", "src_color", "num_flare_circles_range",
        "vertical_flip", "threshold", "num_masks_x", "num_masks_y", "mask_x_length", "mask_y_length", "FancyPCA.alpha",
    ),
    "of the pipeline": (
        "eval", "seed", "fuse", "bbox_params", "keypoint_params", "mirror_labels", "roles", "value_range", "backend",
        "rank", "save_state",
    ),
}  # fmt: skip


def layers() -> dict[str, type]:
    found = {name: getattr(ga, name) for name in ga.__all__}
    return {name: cls for name, cls in found.items() if isinstance(cls, type) and issubclass(cls, Layer)}


def automatic() -> list[tuple[str, Make, float, float]]:
    """Return the ranges that no row above names: those whose default is a pair, of which the upper end varies."""
    found = []
    for name, cls in layers().items():
        arguments = inspect.signature(cls).parameters
        other = {n for names in OTHER.values() for n in names}
        for argument, given in arguments.items():
            place, pair = f"{name}.{argument}", given.default
            if place in RANGES or {argument, place} & other or given.annotation != "Range":
                continue
            assert isinstance(pair, tuple) and len(pair) == 2, f"{place} needs a row of its own"
            step = (pair[1] - pair[0]) // 4 * 2 if isinstance(pair[1], int) else (pair[1] - pair[0]) / 2
            more = {"p": 1.0} if "p" in arguments else {}

            def make(v: Any, cls: Any = cls, argument: str = argument, low: Any = pair[0], more: Any = more) -> Any:
                return cls(**{argument: (low, v)}, **more)

            found.append((place, make, pair[1] - step, pair[1]))
    return found


def test_every_argument_is_accounted_for() -> None:
    """A new range argument fails here until it is among those that are tried below."""
    other = {name for names in OTHER.values() for name in names}
    other |= {place.rpartition("-")[0] or place for place, *_ in automatic()}
    taken = set()
    for name, cls in layers().items():
        for argument in inspect.signature(cls).parameters:
            known = f"{name}.{argument}" in RANGES or (argument == "p" and name != "RandomChoice")
            taken.add(f"{name}.{argument}")
            assert known or {argument, f"{name}.{argument}"} & other, f"{name}.{argument}"
    assert set(RANGES) <= taken and set(P) <= set(layers())


def values_of(layer: Any, given: dict[str, Any], epoch: int = 0) -> dict[str, dict[str, torch.Tensor]]:
    layer.reseed(5)
    layer.set_epoch(epoch)
    found: dict[str, dict[str, torch.Tensor]] = layer.sample(given).values
    return found


def same(ours: dict[str, Any], theirs: dict[str, Any], rows: torch.Tensor) -> bool:
    """Tell whether all parameters of some samples are the same; those of a gate that is not there are applied."""
    for name in theirs:
        gates = [values[name].get("gate", torch.ones(B, dtype=torch.bool)) for values in (ours, theirs)]
        if not torch.equal(gates[0][rows], gates[1][rows]):
            return False
        for key, value in theirs[name].items():
            a, b = ours[name][key][rows].double(), value[rows].double()
            if key != "gate" and not torch.allclose(a, b, atol=1e-6, rtol=1e-6):
                return False
    return True


ONE_BY_ONE = [
    *((f"{name}-{i}", *one) for name, makers in RANGES.items() for i, one in enumerate(makers)),
    *(
        (f"{name}.p", P.get(name, lambda p, cls=cls: cls(p=p)), 0.25, 0.75)
        for name, cls in layers().items()
        if "p" in inspect.signature(cls).parameters and name not in ("RandomChoice", "RandomFrameDrop", "RandomSpeed")
    ),
    *automatic(),
]


@pytest.mark.parametrize(("name", "make", "low", "high"), ONE_BY_ONE, ids=[one[0] for one in ONE_BY_ONE])
def test_a_schedule_and_a_class_are_the_numbers_they_stand_for(name: str, make: Make, low: Any, high: Any) -> None:
    """Of the epoch, and of each sample's camera: every parameter is the one of a layer that was built with them."""
    given = batch(26 if name.startswith(TURNING) else 34)
    everything = torch.ones(B, dtype=torch.bool)
    counted = name.rpartition("-")[0] in COUNTED
    scheduled, there = make(ga.Linear(low, high, over=2)), high if counted else (low + high) / 2
    there = int(there) if isinstance(low, int) else there
    assert same(values_of(scheduled, given, 2 if counted else 1), values_of(make(there), given), everything)
    by_class = values_of(make(ga.PerClass({1: low}, default=high, key="camera")), given)
    ends = [values_of(make(value), given) for value in (high, low)]
    assert same(by_class, ends[0], given["camera"] == 0)
    if counted:
        assert not same(by_class, ends[0], everything) and not same(values_of(scheduled, given), ends[0], everything)
        return
    assert same(by_class, ends[1], given["camera"] == 1)
    assert low == high or not same(*ends, everything)  # it matters


@pytest.mark.parametrize(
    "make",
    [
        lambda n: ga.CoarseDropout(n, (2, 3), (2, 3), p=1.0),
        lambda n: ga.RandomErasing(1.0, (0.02, 0.05), min_count=n[0], max_count=n[1]),
    ],
)
def test_as_many_holes_as_the_schedule_says(make: Make) -> None:
    layer, x = ga.Compose([make((ga.Linear(1, 3, 2), ga.Linear(2, 6, 2)))], seed=1), torch.zeros(300, 1, 40, 50)
    for epoch, counts in ((0, {1, 2}), (1, {2, 3, 4}), (2, {3, 4, 5, 6})):
        layer.set_epoch(epoch)
        drawn = next(iter(layer.sample(x).values.values()))
        assert set(drawn["count"].int().tolist()) == counts
        assert torch.equal((drawn["boxes"][..., 2] > 0).sum(1), drawn["count"].long())


def test_as_many_transforms_as_are_drawn() -> None:
    """Every number as often, and among those of a number every subset."""
    x = torch.zeros(6000, 1, 2, 3)
    for replace in (False, True):
        layer = ga.Compose([some((0, 2), replace)], seed=3)
        drawn = layer.sample(x)["SomeOf"]
        taken = drawn.times if replace else drawn.chosen.long()
        shares = taken.sum(1).bincount(minlength=4) / 6000
        assert (shares - torch.tensor([1.0, 1.0, 1.0, 0.0]) / 3).abs().max() < 0.03
        one = taken[taken.sum(1) == 1].double().mean(0)
        assert (one - 1 / 3).abs().max() < 0.06
        two = (taken[taken.sum(1) == 2] * torch.tensor([1, 4, 16])).sum(1).unique(return_counts=True)[1] / 2000
        expected = [1, 2, 1, 2, 2, 1] if replace else [1, 1, 1]
        assert (two - torch.tensor(expected) / sum(expected)).abs().max() < 0.05
        with pytest.raises(ValueError, match="SomeOf: n must be integers with 0 <= low <= high, or a distribution"):
            some(ga.Normal(2, 0.1), replace)


def test_compiled_calls_take_them_without_compiling_again() -> None:
    """Those of the numbers that are not drawn but compared: by class and by epoch."""
    torch._dynamo.reset()

    def make() -> ga.Compose:
        number = ga.PerClass({1: ga.Linear(0.25, 0.75, over=1)}, default=0.5, key="camera")
        return ga.Compose([ga.GridDropout(number, holes_number_xy=(ga.Linear(2, 6, over=1), 3), p=1.0)], seed=4)

    layer, eager = make(), make()
    compiled = torch.compile(layer, fullgraph=True, backend="eager")
    given = {"image": example(4, (3, 26, 34)), "camera": torch.tensor([0, 1, 1, 0])}
    for epoch in range(2):
        layer.set_epoch(epoch), eager.set_epoch(epoch)
        with torch._dynamo.config.patch(error_on_recompile=epoch > 0):
            assert torch.allclose(compiled(given)["image"], eager(given)["image"], atol=1e-5)
    torch._dynamo.reset()
