"""Which pixel operations and filters have a kernel, by the name of their choice, and what those must measure first."""

from __future__ import annotations

from gpuaug.render.plan import Choice

__all__ = ["CODES", "FILTERS", "MODES", "TORCH_ONLY", "has_kernel", "statistics"]

CODES = {
    "adjust_brightness": 1,
    "adjust_contrast": 2,
    "adjust_saturation": 3,
    "adjust_hue": 4,
    "adjust_hue_saturation_value": 5,
    "rgb_to_grayscale": 6,
    "brightness_contrast": 7,
    "permute_channels": 8,
    "drop_channels": 9,
    "adjust_gamma": 10,
    "invert": 11,
    "solarize": 12,
    "posterize": 13,
    "autocontrast": 14,
    "equalize": 15,
    "normalize": 16,
    "normalize_by_image": 17,
    "gaussian_noise": 18,
    "erase": 19,
    "erase_noise": 20,
    "erase_color": 21,
    "grid_dropout": 22,
    "to_unit": 23,
    "solarize_add": 24,
}
"""Pixel operations that have a kernel (`kernels/pixels.py`), by the name of their choice."""
FILTERS = {"gaussian_blur": 1, "adjust_sharpness": 2, "filter2d": 3}
TORCH_ONLY = frozenset({"lambda"})
"""Operations without a kernel, which take their torch definition on CUDA too."""

_STATIC: dict[str, tuple[str, ...]] = {
    "rgb_to_grayscale": ("num_output_channels",),
    "brightness_contrast": ("brightness_by_max",),
    "drop_channels": ("fill",),
    "normalize_by_image": ("mode",),
    "gaussian_noise": ("clip",),
    "erase": ("value",),
    "grid_dropout": ("fill",),
    "gaussian_blur": ("kernel_size",),
    "to_unit": ("values",),
}
MODES = ("image", "image_per_channel", "min_max", "min_max_per_channel")


def has_kernel(choice: Choice) -> bool:
    """Tell whether a choice is one that its kernel knows, arguments and all."""
    known = choice.name in CODES or (choice.name in FILTERS and choice.values is None)
    return known and tuple(choice.static) == _STATIC.get(choice.name, ())


def statistics(choice: Choice) -> tuple[str, ...]:
    """Return what must be measured before an operation."""
    if choice.name == "adjust_contrast":
        return ("gray",)
    if choice.name == "brightness_contrast" and not choice.static["brightness_by_max"]:
        return ("sums",)
    if choice.name == "autocontrast":
        return ("extremes",)
    if choice.name == "equalize":
        return ("histogram",)
    if choice.name == "normalize_by_image":
        mode = choice.static["mode"]
        if mode.startswith("min_max"):
            return ("extremes",)
        return ("sums", "squares" if mode.endswith("per_channel") else "squares_of_all")
    return ()
