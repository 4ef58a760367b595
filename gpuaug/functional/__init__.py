"""The operations as plain batched functions: images and one parameter for each sample in, images out."""

from gpuaug.functional.blur import adjust_sharpness, filter2d, gaussian_blur
from gpuaug.functional.color import (
    adjust_brightness,
    adjust_contrast,
    adjust_hue,
    adjust_hue_saturation_value,
    adjust_saturation,
    brightness_contrast,
    drop_channels,
    permute_channels,
    rgb_to_grayscale,
)
from gpuaug.functional.correlate import advanced_blur, box_blur, defocus, emboss, motion_blur, sharpen
from gpuaug.functional.crop import crop, horizontal_flip, resized_crop, rot90, transpose, vertical_flip
from gpuaug.functional.labels import mix_labels, soft_labels
from gpuaug.functional.light import contrast_by_map, shade, shade_by_map
from gpuaug.functional.mix import cutmix, mixup, resize_mix
from gpuaug.functional.occlude import erase, gaussian_noise, grid_dropout
from gpuaug.functional.paste import copy_paste
from gpuaug.functional.saliency import spectral_saliency
from gpuaug.functional.tint import adjust_tone_curve, color_matrix, look_up, scale_hsv, scale_shift
from gpuaug.functional.tone import (
    adjust_gamma,
    autocontrast,
    equalize,
    invert,
    normalize,
    normalize_by_image,
    posterize,
    solarize,
    solarize_add,
)
from gpuaug.functional.warp import affine, perspective, rotate, warp

__all__ = [
    "adjust_brightness",
    "adjust_contrast",
    "adjust_gamma",
    "adjust_hue",
    "adjust_hue_saturation_value",
    "adjust_saturation",
    "adjust_sharpness",
    "adjust_tone_curve",
    "advanced_blur",
    "affine",
    "autocontrast",
    "box_blur",
    "brightness_contrast",
    "color_matrix",
    "contrast_by_map",
    "copy_paste",
    "crop",
    "cutmix",
    "defocus",
    "drop_channels",
    "emboss",
    "equalize",
    "erase",
    "filter2d",
    "gaussian_blur",
    "gaussian_noise",
    "grid_dropout",
    "horizontal_flip",
    "invert",
    "look_up",
    "mix_labels",
    "mixup",
    "motion_blur",
    "normalize",
    "normalize_by_image",
    "permute_channels",
    "perspective",
    "posterize",
    "resize_mix",
    "resized_crop",
    "rgb_to_grayscale",
    "rot90",
    "rotate",
    "scale_hsv",
    "scale_shift",
    "shade",
    "shade_by_map",
    "sharpen",
    "soft_labels",
    "solarize",
    "solarize_add",
    "spectral_saliency",
    "transpose",
    "vertical_flip",
    "warp",
]
