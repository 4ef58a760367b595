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
from gpuaug.functional.crop import crop, horizontal_flip, resized_crop, rot90, transpose, vertical_flip
from gpuaug.functional.jpeg import jpeg
from gpuaug.functional.labels import mix_labels, soft_labels
from gpuaug.functional.mix import cutmix, mixup, resize_mix
from gpuaug.functional.noise import (
    iso_noise,
    line_noise,
    multiplicative_noise,
    pixel_dropout,
    salt_and_pepper,
    shot_noise,
)
from gpuaug.functional.occlude import erase, gaussian_noise, grid_dropout, grid_mask
from gpuaug.functional.paste import copy_paste
from gpuaug.functional.saliency import spectral_saliency
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
    "affine",
    "autocontrast",
    "brightness_contrast",
    "copy_paste",
    "crop",
    "cutmix",
    "drop_channels",
    "equalize",
    "erase",
    "filter2d",
    "gaussian_blur",
    "gaussian_noise",
    "grid_dropout",
    "grid_mask",
    "horizontal_flip",
    "invert",
    "iso_noise",
    "jpeg",
    "line_noise",
    "mix_labels",
    "mixup",
    "multiplicative_noise",
    "normalize",
    "normalize_by_image",
    "permute_channels",
    "perspective",
    "pixel_dropout",
    "posterize",
    "resize_mix",
    "resized_crop",
    "rgb_to_grayscale",
    "rot90",
    "rotate",
    "salt_and_pepper",
    "shot_noise",
    "soft_labels",
    "solarize",
    "solarize_add",
    "spectral_saliency",
    "transpose",
    "vertical_flip",
    "warp",
]
