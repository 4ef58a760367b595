"""RandAugment, TrivialAugmentWide and AutoAugment, as torchvision has them, with draws for each sample."""

from __future__ import annotations

from typing import Any

import torch

from gpuaug.sampling.distributions import Integers, Uniform
from gpuaug.sampling.law import Range
from gpuaug.transforms.base import Drawn
from gpuaug.transforms.layer import Context
from gpuaug.transforms.operations import Constants, Operation, Space, plain, ranged
from gpuaug.transforms.policy import Policy, levels, whole_number
from gpuaug.transforms.published import AUTO_AUGMENT, Step

__all__ = ["AutoAugment", "RandAugment", "SubPolicies", "TrivialAugmentWide"]

ENHANCE = ("Brightness", "Color", "Contrast", "Sharpness")
HALF = Uniform(0.0, 1.0)


def posterizing(start: float, end: float) -> Operation:
    """Return posterize from some bits to others."""
    return Operation("Posterize", 10, start, end, whole=2)


SOLARIZE = Operation("Solarize", 11, 1.0, 0.0)


def randaugment_space(bins: int) -> Space:
    """Return the operations of RandAugment, in torchvision's order."""
    shifts = ranged(150.0 / 331.0, "TranslateX", "TranslateY", of_canvas=True, whole=1)
    warps = (*ranged(0.3, "ShearX", "ShearY"), *shifts, *ranged(30.0, "Rotate"))
    rest = (posterizing(8, 4), SOLARIZE, *plain("AutoContrast", "Equalize"))
    return Space((*plain("Identity"), *warps, *ranged(0.9, *ENHANCE), *rest), bins)


def wide_space(bins: int) -> Space:
    """Return the operations of TrivialAugmentWide, in torchvision's order."""
    shifts = ranged(32.0, "TranslateX", "TranslateY", whole=1)
    warps = (*ranged(0.99, "ShearX", "ShearY"), *shifts, *ranged(135.0, "Rotate"))
    rest = (posterizing(8, 2), SOLARIZE, *plain("AutoContrast", "Equalize"))
    return Space((*plain("Identity"), *warps, *ranged(0.99, *ENHANCE), *rest), bins)


class RandAugment(Policy):
    """Apply `num_ops` operations of a set of 14, drawn for each sample, all at one magnitude.

    An operation costs at most a warp, a place of the program and a filter, whichever a sample takes. Integer images are
    rounded between operations, as in torchvision.

    Args:
        num_ops: operations for each sample, drawn with replacement; 0 is neutral.
        magnitude: 0 (weakest) to num_magnitude_bins - 1 (strongest): a level, which need not be whole, so that a
            schedule may raise it evenly; (low, high) draws a whole level for each operation, a distribution any.
        num_magnitude_bins: how many magnitudes there are.
        interpolation: "nearest" (default), "bilinear" or "bicubic"; without antialiasing, as torchvision's.
        fill: value outside the image, in the input's unit; None is the pipeline's, black if it says none.

    Shape:
        (B, C, H, W) to the same, C 1 or 3.

    Boxes and masks:
        Moved by the shears, shifts and rotations.

    Raises:
        ValueError: for a magnitude that is not one of the bins.

    Source: torchvision.transforms.v2.RandAugment; each operation equals torchvision's to 1 level of uint8
    (2 for Color of a factor below one half, for which torchvision cuts the gray to whole levels first).

    Example:
        >>> import torch, gpuaug as ga
        >>> ga.RandAugment(2, 9)(torch.zeros(4, 3, 8, 10, dtype=torch.uint8)).shape
        torch.Size([4, 3, 8, 10])
    """

    def __init__(
        self,
        num_ops: int = 2,
        magnitude: Range = 9,
        num_magnitude_bins: int = 31,
        interpolation: Any = "nearest",
        fill: Any = None,
    ) -> None:
        """See the class."""
        owner = "RandAugment"
        bins = whole_number(num_magnitude_bins, owner, "num_magnitude_bins", 2)
        super().__init__(randaugment_space(bins), whole_number(num_ops, owner, "num_ops", 0), interpolation, fill)
        self.magnitude = magnitude
        last = len(self.space.operations) - 1
        level = levels(magnitude, self.steps, owner, bins - 1)
        self.declare(op=(Integers(0, last), self.steps), _sign=(HALF, self.steps), level=level)

    def operations(self, raw: Drawn, context: Context) -> Drawn:
        """Return what was drawn."""
        return self.drawn_operations(raw["op"], raw["level"], raw, context)

    def extra_repr(self) -> str:
        """Show the arguments."""
        return f"num_ops={self.steps}, magnitude={self.magnitude}, num_magnitude_bins={self.space.bins}"


class TrivialAugmentWide(Policy):
    """Apply one operation of a set of 14, drawn for each sample, at a magnitude drawn for it.

    Args:
        num_magnitude_bins: how many magnitudes there are, each as likely.
        interpolation: "nearest" (default), "bilinear" or "bicubic"; without antialiasing, as torchvision's.
        fill: value outside the image, in the input's unit; None is the pipeline's, black if it says none.
        magnitude: levels to draw from, 0 to num_magnitude_bins - 1, as in `RandAugment`; None takes all.

    Shape:
        (B, C, H, W) to the same, C 1 or 3.

    Boxes and masks:
        Moved by the shears, shifts and rotations.

    Raises:
        ValueError: for fewer than two bins, or a magnitude that is not one of them.

    Source: torchvision.transforms.v2.TrivialAugmentWide; each operation equals torchvision's to 1 level of uint8
    (2 for Color of a factor below one half, for which torchvision cuts the gray to whole levels first).

    Example:
        >>> import torch, gpuaug as ga
        >>> ga.TrivialAugmentWide()(torch.zeros(4, 3, 8, 10, dtype=torch.uint8)).shape
        torch.Size([4, 3, 8, 10])
    """

    def __init__(
        self,
        num_magnitude_bins: int = 31,
        interpolation: Any = "nearest",
        fill: Any = None,
        *,
        magnitude: Range | None = None,
    ) -> None:
        """See the class."""
        owner = "TrivialAugmentWide"
        bins = whole_number(num_magnitude_bins, owner, "num_magnitude_bins", 2)
        super().__init__(wide_space(bins), 1, interpolation, fill)
        last = len(self.space.operations) - 1
        self.magnitude = (0, bins - 1) if magnitude is None else magnitude
        self.declare(op=Integers(0, last), _sign=HALF, level=levels(self.magnitude, 1, owner, bins - 1))

    def operations(self, raw: Drawn, context: Context) -> Drawn:
        """Return what was drawn."""
        return self.drawn_operations(raw["op"], raw["level"], raw, context)

    def extra_repr(self) -> str:
        """Show the arguments."""
        return f"num_magnitude_bins={self.space.bins}, magnitude={self.magnitude}"


class SubPolicies(Policy):
    """One of several sequences of operations, drawn for each sample, each operation with a probability and a level."""

    def __init__(self, space: Space, policies: tuple[tuple[Step, ...], ...], interpolation: Any, fill: Any) -> None:
        """Lay the sub-policies out in a table."""
        super().__init__(space, len(policies[0]), interpolation, fill)
        self.policies = policies
        rows = [[(space.names.index(name), p, level) for name, p, level in policy] for policy in policies]
        self._rows = Constants(rows)

    def drawn_policies(self, **more: Any) -> None:
        """Name what is drawn."""
        last = len(self.policies) - 1
        self.declare(policy=Integers(0, last), _apply=(HALF, self.steps), _sign=(HALF, self.steps), **more)

    def level(self, level: torch.Tensor, raw: Drawn) -> torch.Tensor:
        """Return the levels (B, n) that a sample gets, from those of its sub-policy."""
        return level

    def operations(self, raw: Drawn, context: Context) -> Drawn:
        """Return the operations of the sub-policy, those that apply."""
        policy = raw["policy"].to(torch.int64)
        number, p, level = self._rows.on(policy.device)[policy].unbind(-1)
        on = raw["_apply"].reshape(-1, self.steps) < p
        return {
            "policy": policy,
            "applied": on,
            **self.drawn_operations(number, self.level(level, raw), raw, context, on),
        }


class AutoAugment(SubPolicies):
    """Apply one of 25 pairs of operations, drawn for each sample, learned for a data set.

    Integer images are rounded between the two operations, as in torchvision. Probabilities and levels are what was
    learned, so that no schedule changes them; `strength` in the call does.

    Args:
        policy: "imagenet" (default), "cifar10" or "svhn", or torchvision's AutoAugmentPolicy.
        interpolation: "nearest" (default), "bilinear" or "bicubic"; without antialiasing, as torchvision's.
        fill: value outside the image, in the input's unit; None is the pipeline's, black if it says none.

    Shape:
        (B, C, H, W) to the same, C 1 or 3.

    Boxes and masks:
        Moved by the shears, shifts and rotations.

    Raises:
        ValueError: for another policy.

    Source: torchvision.transforms.v2.AutoAugment; each operation equals torchvision's to 1 level of uint8
    (2 for Color of a factor below one half, for which torchvision cuts the gray to whole levels first).

    Example:
        >>> import torch, gpuaug as ga
        >>> ga.AutoAugment("cifar10")(torch.zeros(4, 3, 8, 10, dtype=torch.uint8)).shape
        torch.Size([4, 3, 8, 10])
    """

    def __init__(self, policy: Any = "imagenet", interpolation: Any = "nearest", fill: Any = None) -> None:
        """See the class."""
        name = getattr(policy, "value", policy)
        if name not in AUTO_AUGMENT:
            raise ValueError(f"AutoAugment: policy must be one of {', '.join(AUTO_AUGMENT)}, got {policy!r}")
        everything = randaugment_space(10).operations
        space = Space((*everything[1:], *plain("Invert")), 10)
        super().__init__(space, AUTO_AUGMENT[name], interpolation, fill)
        self.policy = str(name)
        self.drawn_policies()

    def extra_repr(self) -> str:
        """Show the policy."""
        return f"policy={self.policy!r}"
