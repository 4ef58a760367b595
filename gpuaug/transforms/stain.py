"""Stains of histology: more or less of hematoxylin and eosin."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import torch

from gpuaug import functional as F
from gpuaug.functional._constants import Constants
from gpuaug.functional.stain import RUIFROK, lattice, restaining
from gpuaug.geometry.canvas import Sizes
from gpuaug.render.plan import Choice, Plan
from gpuaug.sampling.distributions import Integers, as_distribution
from gpuaug.sampling.law import Number, Range
from gpuaug.transforms.base import Drawn, Photometric
from gpuaug.transforms.color import choice
from gpuaug.transforms.domain import unit_of
from gpuaug.transforms.layer import Context
from gpuaug.transforms.tint import need_channels

__all__ = ["HEStain"]


PRESETS = {
    "ruifrok": RUIFROK,
    "macenko": ((0.5626, 0.7201, 0.4062), (0.2159, 0.8012, 0.5581)),
    "standard": ((0.65, 0.70, 0.29), (0.07, 0.99, 0.11)),
    "high_contrast": ((0.55, 0.88, 0.11), (0.12, 0.86, 0.49)),
    "h_heavy": ((0.75, 0.61, 0.32), (0.04, 0.93, 0.36)),
    "e_heavy": ((0.60, 0.75, 0.28), (0.17, 0.95, 0.25)),
    "dark": ((0.78, 0.55, 0.28), (0.09, 0.97, 0.21)),
    "light": ((0.57, 0.71, 0.38), (0.15, 0.89, 0.42)),
}
"""Optical density of red, green and blue of hematoxylin and of eosin."""
_FOUND = {"macenko": F.macenko_stains, "vahadane": F.vahadane_stains}
METHODS = ("preset", "random_preset", *_FOUND)


class HEStain(Photometric):
    """Change how much hematoxylin and eosin each sample of stained tissue has, by what is drawn for each stain.

    Args:
        method: which optical densities the stains have: those of a "preset", of a "random_preset" for each sample, or
            those found in the sample by "macenko" or "vahadane". To find them it looks at the images as they are at its
            place: what comes before is rendered twice, once for drawing.
        preset: "ruifrok", "macenko", "standard", "high_contrast", "h_heavy", "e_heavy", "dark" or "light", with
            method="preset"; None is "standard".
        intensity_scale_range: range of each stain's factor, not negative.
        intensity_shift_range: range of what is added to each stain, -1 to 1.
        augment_background: whether pixels without tissue, of a gray value of 0.85 or more, change too.
        p: probability for each sample; 0 is neutral.
        channels: bands that are the RGB, of a multi-band image.
        keys: inputs it is limited to, such as ("image",) or a key of `roles`; None is all images.

    Shape:
        (B, 3, H, W) to the same, made of the two stains alone: what has another colour loses it.

    Boxes and masks:
        Unchanged.

    Raises:
        ValueError: for another method or preset, a preset with another method, ranges out of bounds; when called on
            images of another number of channels, or of several sizes with stains that are to be found.

    Source: albumentations.HEStain; stains are found on a lattice of 64x64 pixels, by Macenko et al. 2009 and Vahadane
        et al. 2016.

    Example:
        >>> import torch, gpuaug as ga
        >>> ga.HEStain(p=1.0)(torch.rand(2, 3, 8, 10)).shape
        torch.Size([2, 3, 8, 10])
    """

    single = True

    def __init__(
        self,
        method: str = "random_preset",
        preset: str | None = None,
        intensity_scale_range: Range = (0.7, 1.3),
        intensity_shift_range: Range = (-0.2, 0.2),
        augment_background: bool = False,
        p: Number = 0.5,
        *,
        channels: tuple[int, ...] | None = None,
        keys: Sequence[str] | None = None,
    ) -> None:
        """See the class."""
        super().__init__(p, channels, keys)
        owner = "HEStain"
        if method not in METHODS:
            raise ValueError(f"{owner}: method must be one of {', '.join(METHODS)}, got {method!r}")
        if preset is not None and (method != "preset" or preset not in PRESETS):
            raise ValueError(
                f"{owner}: preset must be one of {', '.join(PRESETS)} with method='preset', got {preset!r}"
            )
        self.method, self.preset = method, preset
        self.augment_background = bool(augment_background)
        self.sees = ("image",) if method in _FOUND else ()
        given = [preset or "standard"] if method == "preset" else list(PRESETS)
        self._presets = Constants([PRESETS[name] for name in given])
        scale = as_distribution(intensity_scale_range, owner=owner, name="intensity_scale_range", low=0.0)
        shift = as_distribution(
            intensity_shift_range, owner=owner, name="intensity_shift_range", symmetric_about=0.0, low=-1.0, high=1.0
        )
        random: dict[str, Any] = {"scale": (scale, 2), "shift": (shift, 2)}
        if method == "random_preset":
            random["_preset"] = Integers(0, len(given) - 1)
        self.declare(**random)

    def active(self, context: Context) -> bool:
        """Raise where stains are to be found in images of several sizes."""
        if self.sees and isinstance(context.canvas, Sizes):
            raise ValueError(
                f"HEStain: images must have one size for method={self.method!r}: put Resize((height, width)) or another"
                " transform to a fixed size before it; got a list or Ragged"
            )
        return True

    def parameters_for(self, raw: Drawn, context: Context) -> Drawn:
        """Return `stain_matrix` (B, 2, 3), `scale` and `shift` (B, 2), of hematoxylin and eosin."""
        need_channels("HEStain", context.channels, 3)
        number = raw.pop("_preset", None)
        if self.method in _FOUND:
            matrix = _FOUND[self.method](unit_of(lattice(context.image), context))
        elif number is None:
            matrix = self._presets.on(context.like.device).expand(context.like.shape[0], -1, -1).clone()
        else:
            matrix = self._presets.on(context.like.device).index_select(0, number.to(torch.int64))
        return {"stain_matrix": matrix, **raw}

    def choices(self, values: Drawn, plan: Plan, context: Context) -> list[list[Choice]]:
        """Return the maps of tissue and of what is beside it."""
        stains, scale, shift = values["stain_matrix"], values["scale"], values["shift"]
        tissue = restaining(stains, scale, shift)
        beside = tissue
        if not self.augment_background:
            beside = restaining(stains, torch.ones_like(scale), torch.zeros_like(shift))
        return [[choice(F.restain, tissue, beside)]]
