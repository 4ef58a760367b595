"""The operations as plain batched functions: images and one parameter for each sample in, images out."""

from gpuaug.functional.adapt import adapt_pixels, fancy_pca, frame_of, match_histogram, quantiles_of
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
from gpuaug.functional.jpeg import jpeg
from gpuaug.functional.labels import mix_labels, remix_share, soft_labels
from gpuaug.functional.lens import chromatic_aberration, downscale, zoom_blur
from gpuaug.functional.light import contrast_by_map, shade, shade_by_map
from gpuaug.functional.lightness import clahe
from gpuaug.functional.median import median_blur
from gpuaug.functional.mix import cutmix, mixup, resize_mix
from gpuaug.functional.mosaic import mosaic
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
from gpuaug.functional.shadow import cast_shadows, crease
from gpuaug.functional.shuffle import grid_shuffle
from gpuaug.functional.spectrum import adapt_spectrum, low_amplitude
from gpuaug.functional.stain import he_stain, macenko_stains, restain, vahadane_stains
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
from gpuaug.functional.unsharp import unsharp_mask
from gpuaug.functional.warp import affine, perspective, rotate, warp
from gpuaug.functional.weather import (
    rain,
    snow_bleach,
    snow_texture,
    sun_flare,
    sun_halo,
)

__all__ = [
    "adapt_pixels",
    "adapt_spectrum",
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
    "cast_shadows",
    "chromatic_aberration",
    "clahe",
    "color_matrix",
    "contrast_by_map",
    "copy_paste",
    "crease",
    "crop",
    "cutmix",
    "defocus",
    "downscale",
    "drop_channels",
    "emboss",
    "equalize",
    "erase",
    "fancy_pca",
    "filter2d",
    "frame_of",
    "gaussian_blur",
    "gaussian_noise",
    "grid_dropout",
    "grid_mask",
    "grid_shuffle",
    "he_stain",
    "horizontal_flip",
    "invert",
    "iso_noise",
    "jpeg",
    "line_noise",
    "look_up",
    "low_amplitude",
    "macenko_stains",
    "match_histogram",
    "median_blur",
    "mix_labels",
    "mixup",
    "mosaic",
    "motion_blur",
    "multiplicative_noise",
    "normalize",
    "normalize_by_image",
    "permute_channels",
    "perspective",
    "pixel_dropout",
    "posterize",
    "quantiles_of",
    "rain",
    "remix_share",
    "resize_mix",
    "resized_crop",
    "restain",
    "rgb_to_grayscale",
    "rot90",
    "rotate",
    "salt_and_pepper",
    "scale_hsv",
    "scale_shift",
    "shade",
    "shade_by_map",
    "sharpen",
    "shot_noise",
    "snow_bleach",
    "snow_texture",
    "soft_labels",
    "solarize",
    "solarize_add",
    "spectral_saliency",
    "sun_flare",
    "sun_halo",
    "transpose",
    "unsharp_mask",
    "vahadane_stains",
    "vertical_flip",
    "warp",
    "zoom_blur",
]
