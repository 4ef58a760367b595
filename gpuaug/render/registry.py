"""Which pixel operations and filters have a kernel, by the name of their choice, and what those must measure first."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from torch import Tensor

from gpuaug.functional.light import MODES as SHADES
from gpuaug.functional.light import PROFILES, order_of
from gpuaug.render import triton_lens
from gpuaug.render.derived import frame_changes, matching_tables, principal_shifts
from gpuaug.render.heads import unit_rows
from gpuaug.render.plan import Choice
from gpuaug.render.triton_jpeg import compressed

__all__ = [
    "CODES",
    "FILTERS",
    "HEADS",
    "MODES",
    "OPERATIONS",
    "TORCH_ONLY",
    "Operation",
    "crosses",
    "extra_of",
    "filter_of",
    "has_kernel",
    "statistics",
]

MODES = ("image", "image_per_channel", "min_max", "min_max_per_channel")
Numbers = tuple[float, ...]


def _nothing(choice: Choice) -> Numbers:
    return ()


def _by_mode(choice: Choice) -> tuple[str, ...]:
    mode = choice.static["mode"]
    if mode.startswith("min_max"):
        return ("extremes",)
    return ("sums", "squares" if mode.endswith("per_channel") else "squares_of_all")


def _by_max(choice: Choice) -> tuple[str, ...]:
    return () if choice.static["brightness_by_max"] else ("sums",)


def _by_kind(choice: Choice) -> tuple[str, ...]:
    return ("extremes",) if choice.static["kind"] == "minmax" else ("sums", "products")


def _rectangles(choice: Choice) -> int:
    return int(choice.operands[0].shape[1])


@dataclass(frozen=True)
class Operation:
    """A pixel operation that has a kernel, and what its kernel is told besides the operands."""

    code: int
    """In `kernels/`: below 32 `pixels.py`, below 64 `tints.py`, below 96 `light.py`, below 128 `grain.py`."""
    static: tuple[str, ...] = ()
    """Names of the static arguments that its kernel knows."""
    extra: Callable[[Choice], int] = lambda choice: 0
    """One whole number; -1 stands for the integer levels of the source."""
    constants: Callable[[Choice], Numbers] = _nothing
    measures: Callable[[Choice], tuple[str, ...]] = lambda choice: ()
    """Names of statistics of its input: see `launch.STATISTICS`."""
    derive: Callable[[Choice, list[Tensor], Tensor | int], Tensor] | None = None
    """What its kernel reads in place of what was measured, (B, ...): made of that and of the number of pixels."""
    crosses: bool = False
    """Whether its result in one channel depends on others, so that all must be in registers at once."""


def _measuring(*names: str) -> Callable[[Choice], tuple[str, ...]]:
    return lambda choice: names


def _length(name: str) -> Callable[[Choice], int]:
    return lambda choice: len(choice.static[name])


def _flag(name: str) -> Callable[[Choice], int]:
    return lambda choice: int(choice.static[name])


def _flags(*names: str) -> Callable[[Choice], int]:
    return lambda choice: sum(int(choice.static[name]) << n for n, name in enumerate(names))


def _listed(name: str) -> Callable[[Choice], Numbers]:
    return lambda choice: tuple(choice.static[name])


def _wide(choice: Choice) -> int:
    """Return, as bits, which operands have a number for each channel."""
    return sum(1 << n for n, operand in enumerate(choice.operands) if operand.dim() == 2)


def _grid(choice: Choice) -> int:
    rows, columns = choice.static["tile_grid_size"]
    return int(rows) * 256 + int(columns)


def _table_size(choice: Choice) -> int:
    table = choice.operands[0]
    return 2 * (int(table.shape[-1]) - 1) + int(table.dim() == 3)


def _scales(choice: Choice) -> Numbers:
    slope, shift = unit_rows(choice.static["values"])
    return (*slope, *shift)


_PIXELS = {
    "adjust_brightness": Operation(1),
    "adjust_contrast": Operation(2, measures=_measuring("gray"), crosses=True),
    "adjust_saturation": Operation(3, crosses=True),
    "adjust_hue": Operation(4, crosses=True),
    "adjust_hue_saturation_value": Operation(5, crosses=True),
    "rgb_to_grayscale": Operation(6, ("num_output_channels",), crosses=True),
    "brightness_contrast": Operation(7, ("brightness_by_max",), _flag("brightness_by_max"), measures=_by_max),
    "permute_channels": Operation(8, crosses=True),
    "drop_channels": Operation(9, ("fill",), constants=lambda choice: (choice.static["fill"],)),
    "adjust_gamma": Operation(10, constants=lambda choice: (1.0,)),
    "invert": Operation(11),
    "solarize": Operation(12),
    "posterize": Operation(13, extra=lambda choice: -1),
    "autocontrast": Operation(14, measures=_measuring("extremes")),
    "equalize": Operation(15, measures=_measuring("histogram")),
    "normalize": Operation(16, extra=_rectangles),
    "normalize_by_image": Operation(
        17, ("mode",), lambda choice: MODES.index(choice.static["mode"]), measures=_by_mode
    ),
    "gaussian_noise": Operation(18, ("clip",), _flag("clip")),
    "erase": Operation(
        19, ("value",), lambda choice: _rectangles(choice) * 64 + len(choice.static["value"]), _listed("value")
    ),
    "erase_noise": Operation(20, extra=_rectangles),
    "erase_color": Operation(21, extra=_rectangles),
    "grid_dropout": Operation(22, ("fill",), _length("fill"), _listed("fill")),
    "to_unit": Operation(23, ("values",), lambda choice: len(_scales(choice)) // 2, _scales),
    "solarize_add": Operation(24),
}

_TINTS = {
    "color_matrix": Operation(32, ("clip",), _flag("clip"), crosses=True),
    "look_up": Operation(33, extra=_table_size),
    "scale_shift": Operation(34, extra=_wide),
    "adjust_tone_curve": Operation(35, extra=_wide),
    "scale_hsv": Operation(36, crosses=True),
    "fancy_pca": Operation(37, measures=_measuring("sums", "products"), derive=principal_shifts, crosses=True),
    "adapt_pixels": Operation(38, ("kind",), measures=_by_kind, derive=frame_changes, crosses=True),
    "clahe": Operation(40, ("tile_grid_size",), _grid, measures=_measuring("tiles"), crosses=True),
    "restain": Operation(41, crosses=True),
    "match_histogram": Operation(39, measures=_measuring("histogram"), derive=matching_tables),
}
"""Tone and colour of the catalogue: codes from 32."""


def _colors(choice: Choice) -> Numbers:
    return tuple(choice.static["color"] or (1.0,) * (choice.static.get("mode") == "toward"))


def _map_size(field: Tensor) -> int:
    return int(field.shape[1] + (field.shape[2] << 13))


def _sizes(operand: Tensor, *dims: int) -> int:
    return sum(int(operand.shape[dim]) << (8 * place) for place, dim in enumerate(dims))


def _formula(choice: Choice) -> int:
    profile, clip = PROFILES.index(choice.static["profile"]), int(choice.static["clip"])
    return profile + (clip << 4) + (order_of(choice.operands[1].shape[1]) << 8) + (len(_colors(choice)) << 12)


def _map(choice: Choice) -> int:
    return SHADES.index(choice.static["mode"]) + (len(_colors(choice)) << 4) + (_map_size(choice.operands[0]) << 12)


def _rain(choice: Choice) -> int:
    return _sizes(choice.operands[0], 1, 2, 3) + (len(_colors(choice)) << 24)


def _wet(choice: Choice) -> Numbers:
    return (*(float(choice.static[name]) for name in ("width", "blur", "brightness")), *_colors(choice))


def _coefficient(choice: Choice) -> Numbers:
    return (choice.static["coefficient"],)


def _flare(choice: Choice) -> int:
    circles, colors, _, through = choice.operands
    return int(circles.shape[1] + (through.shape[1] << 8) + (colors.shape[2] << 16) + (len(_colors(choice)) << 24))


def _sun(choice: Choice) -> Numbers:
    return (float(choice.static["radius"]), *_colors(choice))


_LIGHT: dict[str, Operation] = {
    "shade": Operation(64, ("profile", "color", "clip"), _formula, _colors),
    "shade_by_map": Operation(65, ("mode", "color"), _map, _colors),
    "contrast_by_map": Operation(66, extra=lambda choice: _map_size(choice.operands[0]), measures=_measuring("sums")),
    "cast_shadows": Operation(67, extra=lambda choice: _sizes(choice.operands[0], 1, 2)),
    "crease": Operation(68, extra=_rectangles),
    "rain": Operation(69, ("width", "blur", "color", "brightness"), _rain, _wet),
    "snow_bleach": Operation(70, ("coefficient",), constants=_coefficient, crosses=True),
    "snow_texture": Operation(
        71, ("coefficient",), lambda choice: _map_size(choice.operands[1]), _coefficient, crosses=True
    ),
    "sun_flare": Operation(72, ("radius", "color"), _flare, _sun),
    "sun_halo": Operation(73, ("radius", "color"), lambda choice: len(_colors(choice)), _sun),
}
"""Light and weather: codes from 64."""

_GRAIN: dict[str, Operation] = {
    "salt_and_pepper": Operation(96),
    "multiplicative_noise": Operation(97, ("per_channel", "elementwise"), _flags("per_channel", "elementwise")),
    "pixel_dropout": Operation(
        98,
        ("per_channel", "value"),
        lambda choice: 64 * choice.static["per_channel"] + len(choice.static["value"]),
        _listed("value"),
    ),
    "shot_noise": Operation(99),
    "iso_noise": Operation(100, measures=_measuring("lightness", "lightness_squares"), crosses=True),
    "grid_mask": Operation(102, ("fill",), _length("fill"), _listed("fill")),
    "erase_mask": Operation(
        103,
        ("value",),
        lambda choice: int(choice.operands[0].shape[2]) * 64 + len(choice.static["value"]),
        _listed("value"),
    ),
    "line_noise": Operation(101, ("columns", "per_channel"), _flags("columns", "per_channel")),
}
"""Noise, sensor and occlusion: codes from 96."""

OPERATIONS = {**_PIXELS, **_TINTS, **_LIGHT, **_GRAIN}
CODES = {name: operation.code for name, operation in OPERATIONS.items()}
"""Pixel operations that have a kernel, by the name of their choice."""

FILTERS = {"gaussian_blur": 1, "adjust_sharpness": 2, "filter2d": 3, "median_blur": 5}
"""Neighbourhood filters that have a kernel (`kernels/filter.py`); the one after `filter2d` clamps its result."""
_FILTER_STATIC: dict[str, tuple[tuple[str, ...], ...]] = {
    "gaussian_blur": (("kernel_size",),),
    "adjust_sharpness": ((),),
    "filter2d": ((), ("clip",)),
    "median_blur": (("largest",),),
}

Head = Callable[[Tensor, float, Choice], Tensor]
HEADS: dict[str, Head] = {
    "unsharp_mask": triton_lens.mask,
    "zoom_blur": triton_lens.zoom,
    "chromatic_aberration": triton_lens.aberrate,
    "scatter": triton_lens.scatter,
    "downscale": triton_lens.coarsen,
    "jpeg": compressed,
}
"""Filters with an operator of their own, for what is more than a small neighbourhood.

Given images (B, C, H, W) of any dtype, what their values are divided by to get working units, and the choice, it
returns working float32 images, or uint8 ones of uint8, in which samples that `choice.on` leaves out are as they were.
The operator must register what it gives on fake tensors, and import its kernels at the first launch.
"""

TORCH_ONLY = frozenset({"adapt_spectrum", "linear_transformation", "lambda"})
"""Operations without a kernel, which take their torch definition on CUDA too."""


def has_kernel(choice: Choice) -> bool:
    """Tell whether a choice is one that its kernel knows, arguments and all."""
    if choice.name in CODES:
        return tuple(choice.static) == OPERATIONS[choice.name].static
    if choice.name in FILTERS and choice.values is None:
        return tuple(choice.static) in _FILTER_STATIC[choice.name]
    return choice.name in HEADS and choice.values is None and choice.channels is None


def filter_of(choice: Choice) -> tuple[int, int, int]:
    """Return the code of a filter, and how far it reaches along x and y."""
    wide, high = choice.static.get("kernel_size", (choice.static.get("largest", 3),) * 2)
    if choice.name == "filter2d":
        high, wide = choice.operands[0].shape[1:]
    return FILTERS[choice.name] + int(choice.static.get("clip", False)), wide // 2, high // 2


def statistics(choice: Choice) -> tuple[str, ...]:
    """Return what must be measured before an operation."""
    return OPERATIONS[choice.name].measures(choice) if choice.name in OPERATIONS else ()


def crosses(choice: Choice) -> bool:
    """Tell whether an operation needs all its channels at once."""
    return choice.name in OPERATIONS and OPERATIONS[choice.name].crosses


def extra_of(choice: Choice, levels: int | None) -> int:
    """Return the number that a kernel is told besides operands and constants."""
    extra = OPERATIONS[choice.name].extra(choice)
    return (levels or 0) if extra < 0 else extra
