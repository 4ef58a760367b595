"""The perturbations that people ask about first."""

from __future__ import annotations

import gpuaug as ga
from gpuaug.transforms.layer import Layer

__all__ = ["default_suite"]


def default_suite() -> dict[str, dict[str, Layer]]:
    """Build targeted perturbations, each at three strengths: what `robustness` shows a model.

    Noise, blur, less contrast, more and less brightness, turns, shifts, an occluding rectangle, and JPEG. Where a
    direction is free (brighter or darker, left or right) it is drawn for each sample; strengths are not. Print it,
    take parts of it, or write one like it.

    Returns:
        Pipelines for images as a loader gives them (uint8, or floats from 0 to 1), by perturbation and strength.

    Example:
        >>> suite = default_suite()
        >>> list(suite["noise"])
        ['0.05', '0.1', '0.2']
    """

    def either(first: Layer, second: Layer) -> Layer:
        return ga.RandomChoice([first, second])

    def factor(x: float) -> Layer:
        return ga.ColorJitter(brightness=(x, x))

    def occlusion(x: float) -> Layer:
        return ga.RandomErasing(p=1.0, scale=(x, x), ratio=(0.5, 2.0))

    return {
        "noise": {f"{x:g}": ga.GaussianNoise(sigma=x) for x in (0.05, 0.1, 0.2)},
        "blur": {f"{x:g} px": ga.GaussianBlur(2 * round(3 * x) + 1, (x, x)) for x in (0.5, 1.0, 2.0)},
        "contrast": {f"x {x:g}": ga.ColorJitter(contrast=(x, x)) for x in (0.7, 0.4, 0.2)},
        "brightness": {f"+- {x:.0%}": either(factor(1 + x), factor(1 - x)) for x in (0.2, 0.4, 0.6)},
        "rotation": {
            f"+- {x} deg": either(ga.RandomRotation((x, x)), ga.RandomRotation((-x, -x))) for x in (10, 20, 40)
        },
        "translation": {f"to {x:.0%}": ga.RandomAffine(0, (x, x)) for x in (0.05, 0.1, 0.2)},
        "occlusion": {f"{x:.0%}": occlusion(x) for x in (0.05, 0.15, 0.3)},
        "jpeg": {f"quality {x}": ga.JPEG((x, x)) for x in (50, 20, 8)},
    }
