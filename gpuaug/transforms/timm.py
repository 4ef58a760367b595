"""timm's auto-augment strings: its operations and its levels, from 0 to 10, for each sample."""

from __future__ import annotations

import math
import re
from collections.abc import Collection, Sequence
from typing import Any, ClassVar

import torch
from torch import Tensor

from gpuaug.sampling.distributions import Distribution, Integers, Normal, Uniform
from gpuaug.sampling.law import Number, Range
from gpuaug.transforms.augmix import Mixture
from gpuaug.transforms.auto_augment import HALF, SubPolicies
from gpuaug.transforms.base import Drawn
from gpuaug.transforms.color import ColorJitter
from gpuaug.transforms.compose import Compose
from gpuaug.transforms.layer import Context, Layer
from gpuaug.transforms.operations import CODES, Operation, Space, plain, ranged
from gpuaug.transforms.policy import Policy, levels
from gpuaug.transforms.published import AUTO_AUGMENT, TIMM_V0, Step, sub_policies

__all__ = ["ThreeAugment", "auto_augment", "timm_operation"]

LEVELS = 11
"""Of timm's scale, 0 to 10; levels between are levels too."""
MOST = 10.0
ENHANCING = ("Color", "Contrast", "Brightness", "Sharpness")
LEVEL = 1 / 255
MEAN = (0.485, 0.456, 0.406)


def _fixed() -> dict[str, Operation]:
    """Return the operations whose law has no setting, by timm's names."""

    def one(name: str, code: str, start: float, end: float, **rest: Any) -> Operation:
        return Operation(name, CODES[code], start, end, **rest)

    found = [
        *plain("AutoContrast", "Equalize", "Invert"),
        *ranged(0.3, "ShearX", "ShearY"),
        *ranged(30.0, "Rotate"),
        one("Posterize", "Posterize", 0, 4, whole=1),
        one("PosterizeIncreasing", "Posterize", 4, 0, whole=1),
        one("PosterizeOriginal", "Posterize", 4, 8, whole=1),
        # Thresholds are levels of an image of 8 bits, 256 for none.
        one("Solarize", "Solarize", 0, 256, whole=1, scale=LEVEL, high=256),
        one("SolarizeIncreasing", "Solarize", 256, 0, whole=1, scale=LEVEL, low=0),
        one("SolarizeAdd", "SolarizeAdd", 0, 110, whole=1, scale=LEVEL, high=128),
        one("Desaturate", "Color", -0.5, -1.0, low=-1.0, high=-0.5),
        one("GaussianBlur", "GaussianBlur", 0.1, 2.0, low=0.1, high=2.0),
        one("GaussianBlurRand", "GaussianBlur", 0.0, 2.0, low=0.0, high=2.0),
    ]
    for name in ENHANCING:
        found.append(one(name, name, -0.9, 0.9))
        found.append(one(f"{name}Increasing", name, 0, 0.9, signed=True, low=-0.9))
    return {operation.name: operation for operation in found}


_FIXED = _fixed()


def timm_operation(name: str, translate_pct: float = 0.45) -> Operation:
    """Return an operation by timm's name; shifts are a fraction of the image, and no whole pixels."""
    if name in ("TranslateXRel", "TranslateYRel"):
        return Operation(name, CODES[name[:-3]], 0.0, translate_pct, signed=True, of_canvas=True)
    return _FIXED[name]


_PLAIN = ("AutoContrast", "Equalize", "Invert", "Rotate")
_MOVING = ("ShearX", "ShearY", "TranslateXRel", "TranslateYRel")
SETS: dict[str, dict[str, float]] = {
    "": dict.fromkeys((*_PLAIN, "Posterize", "Solarize", "SolarizeAdd", *ENHANCING, *_MOVING), 1.0),
    "inc": dict.fromkeys(
        (
            *_PLAIN,
            "PosterizeIncreasing",
            "SolarizeIncreasing",
            "SolarizeAdd",
            *(f"{name}Increasing" for name in ENHANCING),
            *_MOVING,
        ),
        1.0,
    ),
    "3a": dict.fromkeys(("SolarizeIncreasing", "Desaturate", "GaussianBlur"), 1.0),
    "3aw": {
        **dict.fromkeys(("SolarizeIncreasing", "Desaturate", "GaussianBlur"), 6.0),
        **{"Rotate": 3.0, "ShearX": 2.0, "ShearY": 2.0, "PosterizeIncreasing": 1.0, "AutoContrast": 1.0},
        **dict.fromkeys((*(f"{name}Increasing" for name in ENHANCING), "Equalize", "Invert"), 1.0),
    },
    "weights": {
        **{"Rotate": 3.0, "ShearX": 2.0, "ShearY": 2.0, "TranslateXRel": 1.0, "TranslateYRel": 1.0},
        **{"ColorIncreasing": 0.25, "SharpnessIncreasing": 0.25, "AutoContrast": 0.25, "SolarizeIncreasing": 0.05},
        **dict.fromkeys(("SolarizeAdd", "ContrastIncreasing", "BrightnessIncreasing", "Equalize"), 0.05),
        **{"PosterizeIncreasing": 0.05, "Invert": 0.05},
    },
}
"""Sets of operations by name, with their weights."""
WEIGHTED = ("3aw", "weights")
AUGMIX = (
    "AutoContrast",
    *(f"{name}Increasing" for name in ENHANCING),
    *("Equalize", "Rotate", "PosterizeIncreasing", "SolarizeIncreasing"),
    *_MOVING,
)


class _Timm:
    """Levels that are drawn about a magnitude, and the mean of ImageNet outside the image."""

    slack: ClassVar[float] = 1e-3
    mean: tuple[float, ...] | None = MEAN
    config: str
    std: float = 0.0
    most: float = MOST

    def noise(self, columns: int) -> dict[str, Any]:
        """Return what is drawn for the levels."""
        if self.std == 0:
            return {}
        law: Distribution = Uniform(0.0, 1.0) if math.isinf(self.std) else Normal(0.0, self.std)
        return {"_noise": (law, columns)}

    def noisy(self, level: Tensor, raw: Drawn, steps: int) -> Tensor:
        """Return levels (B, n): uniform up to the magnitude, or normal about it, within the scale."""
        level = level[:, None] if level.dim() == 1 else level
        if "_noise" in raw:
            noise = raw["_noise"].reshape(-1, steps)
            level = level * noise if math.isinf(self.std) else level + noise
        return level.clamp(0.0, self.most).expand(-1, steps)

    def extra_repr(self) -> str:
        """Show the string."""
        return repr(self.config)


class TimmRandAugment(_Timm, Policy):
    """timm's RandAugment: what `auto_augment("rand-...")` returns."""

    def __init__(
        self, config: str, interpolation: Any = "bilinear", fill: Any = None, magnitude: Range | None = None
    ) -> None:
        """Lay out the draws."""
        given = Sections(config, ("rand",), ("m", "n", "p", "mstd", "mmax", "inc", "t"))
        name = given.text("t") or ("inc" if given.whole("inc", 0) else "")
        if name not in SETS:
            raise ValueError(f"auto_augment: t must be one of weights, 3a, 3aw, got {name!r} in {config!r}")
        weights, layers = SETS[name], given.whole("n", 2)
        self.replace = name not in WEIGHTED
        if not self.replace and layers > len(weights):
            raise ValueError(f"auto_augment: n must be at most {len(weights)} with weights, got {layers}")
        super().__init__(Space(tuple(map(timm_operation, weights)), LEVELS), layers, interpolation, fill)
        self.config, self.weights = config, tuple(weights.values())
        self.std, self.most = given.number("mstd", 0.0), given.number("mmax", MOST)
        self.probability = min(given.number("p", 0.5), 1.0)
        chosen = (Integers(0, len(weights) - 1), layers) if self.replace else (Uniform(0.0, 1.0), len(weights))
        self.declare(
            **{"op" if self.replace else "_keys": chosen},
            _sign=(HALF, layers),
            _apply=(HALF, layers),
            level=levels(given.number("m", MOST) if magnitude is None else magnitude, layers, "auto_augment"),
            **self.noise(layers),
        )

    def operations(self, raw: Drawn, context: Context) -> Drawn:
        """Return what was drawn: by weights each at most once, in an order that is drawn with it."""
        if self.replace:
            number = raw["op"]
        else:
            keys = raw["_keys"].reshape(-1, len(self.weights))
            # The first to come of exponential clocks, each with a rate of its own.
            clocks = [-torch.log1p(-keys[:, i]) / weight for i, weight in enumerate(self.weights)]
            number = torch.argsort(torch.stack(clocks, dim=1), dim=1, stable=True)[:, : self.steps]
        level = self.noisy(raw["level"], raw, self.steps)
        on = raw["_apply"].reshape(-1, self.steps) < self.probability
        return {**self.drawn_operations(number, level, raw, context, on), "applied": on}


class TimmAutoAugment(_Timm, SubPolicies):
    """timm's AutoAugment: what `auto_augment("original")` and its like return."""

    def __init__(self, config: str, interpolation: Any = "bilinear", fill: Any = None) -> None:
        """Lay out the draws, of operations that go by other names."""
        given = Sections(config, _POLICIES, ("mstd",))
        policies, names = _POLICIES[given.kind]
        named = tuple(tuple((names.get(n, n), p, level) for n, p, level in policy) for policy in policies)
        used = list(dict.fromkeys(name for policy in named for name, _, _ in policy))
        super().__init__(Space(tuple(map(timm_operation, used)), LEVELS), named, interpolation, fill)
        self.config, self.std = config, given.number("mstd", 0.0)
        self.blurs = "GaussianBlurRand" in self.space.names
        sigma = {"_sigma": (HALF, self.steps)} if self.blurs else {}
        self.drawn_policies(**self.noise(self.steps), **sigma)

    def operations(self, raw: Drawn, context: Context) -> Drawn:
        """Return the operations; a blur's sigma is drawn up to its magnitude."""
        values = super().operations(raw, context)
        if self.blurs:
            blurred = values["op"] == self.space.names.index("GaussianBlurRand")
            sigma = 0.1 + raw["_sigma"].reshape(-1, self.steps) * (values["magnitude"] - 0.1)
            values["magnitude"] = torch.where(blurred, sigma, values["magnitude"])
        return values

    def level(self, level: Tensor, raw: Drawn) -> Tensor:
        """Return levels with their noise."""
        return self.noisy(level, raw, self.steps)


class TimmAugMix(_Timm, Mixture):
    """timm's AugMix: what `auto_augment("augmix-...")` returns."""

    def __init__(
        self, config: str, interpolation: Any = "bilinear", fill: Any = None, magnitude: Range | None = None
    ) -> None:
        """Lay out the draws."""
        given = Sections(config, ("augmix",), ("m", "w", "d", "a", "b", "mstd"))
        space = Space(tuple(timm_operation(name, 0.3) for name in AUGMIX), LEVELS)
        form = given.whole("w", 3), given.whole("d", 0), given.number("a", 1.0)
        super().__init__(space, *form, interpolation, fill, "auto_augment")
        self.config, self.std = config, given.number("mstd", math.inf)
        level = levels(given.number("m", 3) if magnitude is None else magnitude, self.steps, "auto_augment")
        self.declare(level=level, **self.noise(self.steps), **self.mixture_draws())

    def operations(self, raw: Drawn, context: Context) -> Drawn:
        """Return what was drawn."""
        return self.mixed(raw, self.noisy(raw["level"], raw, self.steps), context)


class ThreeAugment(Compose):
    """Solarize, turn gray or blur each sample, one of the three, and then jitter its colours: DeiT III's recipe.

    Args:
        color_jitter: brightness, contrast and saturation change by up to this share; 0 is neutral.

    Shape:
        (B, C, H, W) to the same, C 1 or 3, larger than 11 on both sides.

    Boxes and masks:
        Unchanged.

    Raises:
        ValueError: for a negative `color_jitter`.

    Source: 3-Augment (Touvron et al. 2022): threshold 128 of 255, sigma 0.1 to 2.

    Example:
        >>> import torch, gpuaug as ga
        >>> ga.ThreeAugment()(torch.zeros(4, 3, 24, 30, dtype=torch.uint8)).shape
        torch.Size([4, 3, 24, 30])
    """

    def __init__(self, color_jitter: Number = 0.3) -> None:
        """See the class."""
        self.__dict__["color_jitter"] = color_jitter
        super().__init__([TimmAutoAugment("3a"), ColorJitter(color_jitter, color_jitter, color_jitter)])

    def extra_repr(self) -> str:
        """Show the argument."""
        return f"color_jitter={self.color_jitter}"


_THREE_WAYS = sub_policies("Solarize 1 5 | Desaturate 1 10 | GaussianBlurRand 1 10")
_POLICIES: dict[str, tuple[tuple[tuple[Step, ...], ...], dict[str, str]]] = {
    "original": (AUTO_AUGMENT["imagenet"], {"Posterize": "PosterizeOriginal"}),
    "originalr": (AUTO_AUGMENT["imagenet"], {"Posterize": "PosterizeIncreasing"}),
    "v0": (TIMM_V0, {"TranslateY": "TranslateYRel"}),
    "v0r": (TIMM_V0, {"TranslateY": "TranslateYRel", "Posterize": "PosterizeIncreasing"}),
    "3a": (_THREE_WAYS, {}),
}


class Sections:
    """The sections of a string: what it is, and settings by key."""

    def __init__(self, config: Any, kinds: Collection[str], known: Sequence[str]) -> None:
        """Read them, or raise."""
        self.config, self.kind = config, _kind(config)
        if self.kind not in kinds:
            raise ValueError(f"auto_augment: config must begin with one of {', '.join(kinds)} here, got {config!r}")
        self.found: dict[str, str] = {}
        for section in config.split("-")[1:]:
            match = re.fullmatch(r"(t)(\w*)|([a-z]+)(inf|[\d.]+)", section)
            key, value = (match[1] or match[3], match[2] or match[4] or "") if match else ("", "")
            if key not in known or (key != "t" and not re.fullmatch(r"inf|\d+(\.\d*)?", value)):
                hint = "; weights are -tweights now" if section.startswith("w") and "w" not in known else ""
                raise ValueError(
                    f"auto_augment: config must have sections of {', '.join(known)} with a value, got {section!r}"
                    f" in {config!r}{hint}"
                )
            self.found[key] = value

    def text(self, key: str) -> str:
        """Return a setting as it stands."""
        return self.found.get(key, "")

    def number(self, key: str, default: float) -> float:
        """Return a setting as a number."""
        value = float(self.found.get(key, default))
        return math.inf if key == "mstd" and value > 100 else value

    def whole(self, key: str, default: int) -> int:
        """Return a setting as a whole number, or raise."""
        value = self.number(key, default)
        if value != int(value):
            raise ValueError(f"auto_augment: {key} must be a whole number, got {self.found[key]!r} in {self.config!r}")
        return int(value)


def _kind(config: Any) -> str:
    """Return what a string says that it is, or raise."""
    if not isinstance(config, str):
        raise TypeError(f"auto_augment: config must be a string such as 'rand-m9-mstd0.5-inc1', got {config!r}")
    kind = config.partition("-")[0]
    if kind not in ("rand", "augmix", *_POLICIES):
        raise ValueError(f"auto_augment: config must begin with rand, augmix, {', '.join(_POLICIES)}, got {config!r}")
    return kind


def auto_augment(
    config: str, interpolation: Any = "bilinear", fill: Any = None, *, magnitude: Range | None = None
) -> Layer:
    """Return the policy that timm's string describes, with draws for each sample.

    Args:
        config: sections between dashes, of which the first says what it is:

            "rand": RandAugment. m: magnitude, 0 to 10 (10); n: operations for each sample (2); p: probability of each
            (0.5); mstd: deviation of the magnitude, over 100 for uniform from 0 (0); mmax: largest magnitude (10);
            inc1: operations that grow with the magnitude; t: set of operations, "weights", "3a" or "3aw".

            "augmix": AugMix. m (3), w: width (3), d: depth, 1 to 3 drawn without it; a: alpha (1); mstd (inf); b is
            taken and changes nothing.

            "original", "originalr", "v0", "v0r", "3a": sub-policies of AutoAugment; mstd (0).
        interpolation: "bilinear" (default), "nearest" or "bicubic"; timm draws one of bilinear and bicubic.
        fill: value outside the image, in the input's unit; None is the pipeline's, and else the mean of ImageNet.
        magnitude: in place of m, for "rand" and "augmix": a number, which a schedule may change, or a range or
            distribution to draw from for each operation; None is m.

    Returns:
        A container, for images of 1 or 3 channels; boxes and masks move along, but AugMix takes none.

    Raises:
        ValueError: for a string that timm does not know.

    Source: timm 1.0's auto_augment, its operations and levels; shifts by "TranslateX" and "TranslateY" are relative.

    Example:
        >>> import torch, gpuaug as ga
        >>> ga.auto_augment("rand-m9-mstd0.5-inc1")(torch.zeros(4, 3, 24, 30, dtype=torch.uint8)).shape
        torch.Size([4, 3, 24, 30])
    """
    kind = _kind(config)
    if kind not in ("rand", "augmix"):
        if magnitude is not None:
            raise ValueError(f"auto_augment: magnitude must be None for {kind}, whose levels are its own")
        return TimmAutoAugment(config, interpolation, fill)
    return (TimmRandAugment if kind == "rand" else TimmAugMix)(config, interpolation, fill, magnitude)
