"""Other forms of the pixel operations for the CPU's walk, by name: the same results in less time."""

from __future__ import annotations

from typing import Any

from gpuaug.functional.blur import sharpen_one
from gpuaug.functional.color_one import (
    brightness_one,
    contrast_one,
    hsv_one,
    hue_one,
    level_gray,
    saturation_one,
    write_gray,
)
from gpuaug.functional.replace_one import (
    drop_channels_one,
    invert_bytes,
    level_dropped,
    level_inverted,
    level_permuted,
    permute_one,
    posterize_bytes,
    solarize_bytes,
    write_dropped,
    write_inverted,
    write_permuted,
)
from gpuaug.functional.tone import (
    autocontrast_one,
    equalize_one,
    gamma_one,
    posterize_one,
    solarize_one,
    write_equalized,
    write_gamma,
)

__all__ = ["MOVED", "OF_ONE", "WRITTEN"]

OF_ONE: dict[str, Any] = {
    "adjust_brightness": brightness_one,
    "adjust_contrast": contrast_one,
    "adjust_gamma": gamma_one,
    "adjust_hue": hue_one,
    "adjust_hue_saturation_value": hsv_one,
    "adjust_saturation": saturation_one,
    "adjust_sharpness": sharpen_one,
    "autocontrast": autocontrast_one,
    "equalize": equalize_one,
    "posterize": posterize_one,
    "solarize": solarize_one,
}
"""What does the same to one sample on the CPU, in less time."""
MOVED: dict[str, Any] = {
    "drop_channels": drop_channels_one,
    "invert": invert_bytes,
    "permute_channels": permute_one,
    "posterize": posterize_bytes,
    "solarize": solarize_bytes,
}
"""Likewise in the image's own dtype."""
WRITTEN: dict[str, tuple[Any, Any]] = {
    "adjust_gamma": (write_gamma, None),
    "drop_channels": (write_dropped, level_dropped),
    "equalize": (write_equalized, None),
    "invert": (write_inverted, level_inverted),
    "permute_channels": (write_permuted, level_permuted),
    "rgb_to_grayscale": (write_gray, level_gray),
}
"""Likewise into the output, of working values and of 8 bits; the latter take samples together."""
