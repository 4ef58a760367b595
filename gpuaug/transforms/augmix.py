"""AugMix: chains of operations, summed with the image itself by weights drawn for each sample."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import torch
from torch import Tensor

from gpuaug.render.plan import Plan
from gpuaug.sampling.distributions import Beta, Distribution, Integers
from gpuaug.sampling.law import Number
from gpuaug.sampling.layout import STRENGTH
from gpuaug.sampling.varying import Varying, is_number, least, mapped, most
from gpuaug.transforms.auto_augment import ENHANCE, HALF, SOLARIZE, posterizing
from gpuaug.transforms.base import Drawn, Transform
from gpuaug.transforms.layer import Context, Node
from gpuaug.transforms.operations import Space, plain, ranged
from gpuaug.transforms.policy import CODE, Drawing, Part, Policy, parts_of, whole_number

__all__ = ["AugMix", "Mixture"]

BINS = 10
DEEPEST = 3
"""Operations of a chain of random depth, at most."""


def augmix_space(all_ops: bool, geometric: bool) -> Space:
    """Return the operations of AugMix, in torchvision's order."""
    shifts = ranged(1 / 3, "TranslateX", "TranslateY", of_canvas=True, whole=1)
    warps = (*ranged(0.3, "ShearX", "ShearY"), *shifts, *ranged(30.0, "Rotate"))
    rest = (posterizing(4, 0), SOLARIZE, *plain("AutoContrast", "Equalize"))
    return Space((*(warps if geometric else ()), *rest, *(ranged(0.9, *ENHANCE) if all_ops else ())), BINS)


class Mixing(Transform):
    """Sum the chains of a mixture."""

    clamps = True

    def __init__(self, policy: Mixture) -> None:
        """Build what carries out the steps of each chain."""
        super().__init__()
        self.width, self.depth = policy.width, policy.depth
        self.blends = policy.space.moves
        self.steps: tuple[list[Part], ...] = tuple(parts_of(policy, step) for step in range(policy.steps))

    def settle(self, raw: Drawn, gate: Tensor | None, context: Context) -> Drawn:
        """Take over what was drawn."""
        return {key: raw[key] for key in (CODE, "magnitude", "weights")}

    def contribute(self, plan: Plan, values: Drawn, context: Context, node: Node) -> None:
        """Plan the chains, each from the image as it is here."""
        chains = []
        for chain in range(self.width):
            branch = plan.branch()
            for step in range(chain * self.depth, (chain + 1) * self.depth):
                for part in self.steps[step]:
                    part.contribute(branch, part.settle(values, None, context), context, node)
            chains.append(branch)
        plan.mix(chains, values["weights"])


class MixtureDrawing(Drawing):
    """What a mixture draws: also the weights, (B, 1 + width), the image's own first."""

    def settle(self, raw: Drawn, gate: Tensor | None, context: Context) -> Drawn:
        """Draw; samples that the gate leaves out are themselves alone."""
        values = super().settle(raw, gate, context)
        if gate is not None:
            weights = values["weights"]
            alone = torch.cat((torch.ones_like(weights[:, :1]), torch.zeros_like(weights[:, 1:])), dim=1)
            values["weights"] = torch.where(gate[:, None], weights, alone)
        return values


class Mixture(Policy):
    """Chains of operations, and weights with which they are summed with the image."""

    drawing = MixtureDrawing

    def __init__(
        self, space: Space, width: int, depth: int, alpha: Number, interpolation: Any, fill: Any, owner: str
    ) -> None:
        """Check the chains."""
        self_width = whole_number(width, owner, "mixture_width", 1)
        self_depth = depth if isinstance(depth, int) and depth > 0 else DEEPEST
        whole_number(depth, owner, "chain_depth", -1)
        super().__init__(space, self_width * self_depth, interpolation, fill)
        if not (is_number(alpha) or isinstance(alpha, Varying)):
            raise TypeError(f"{owner}: alpha must be a number, got {alpha!r}")
        self.width, self.depth, self.alpha = self_width, self_depth, alpha
        self.random_depth = depth <= 0
        if not 0 < least(alpha) <= most(alpha) <= 64 / max(self.width - 1, 1):
            raise ValueError(
                f"{owner}: alpha must be positive, and at most {64 / max(self.width - 1, 1):g} here, got {alpha!r}"
            )

    def mixture_draws(self) -> dict[str, Distribution | tuple[Distribution, int]]:
        """Return what is drawn besides levels: weights by breaking a stick, which is Dirichlet's law."""
        sticks: dict[str, Distribution | tuple[Distribution, int]] = {
            f"_stick{k}": Beta(self.alpha, mapped(self.alpha, self.width - 1.0 - k, 0.0)) for k in range(self.width - 1)
        }
        depth = {"_depth": (Integers(1, DEEPEST), self.width)} if self.random_depth else {}
        last = len(self.space.operations) - 1
        return {
            "op": (Integers(0, last), self.steps),
            "_sign": (HALF, self.steps),
            "_own": Beta(self.alpha, self.alpha),
            **sticks,
            **depth,
        }

    def mixed(self, raw: Drawn, level: Tensor, context: Context) -> Drawn:
        """Return the operations at some levels, and `weights`."""
        on = None
        if self.random_depth:
            place = torch.arange(self.depth, device=level.device)
            on = (place < raw["_depth"].view(-1, self.width, 1)).flatten(1)
        values = self.drawn_operations(raw["op"], level, raw, context, on)
        own = raw["_own"]
        if STRENGTH in raw:  # a sum of equal images is one of them but for rounding
            own = torch.where(raw[STRENGTH] > 0, own, 1.0)
        rest = 1 - own
        weights = [own]
        for k in range(self.width - 1):
            weights.append(rest * raw[f"_stick{k}"])
            rest = rest - weights[-1]
        values["weights"] = torch.stack([*weights, rest], dim=1)
        return values if on is None else {**values, "applied": on}

    def parts(self) -> Iterator[tuple[str, Transform]]:
        """Yield the sum."""
        yield "mix", Mixing(self)


class AugMix(Mixture):
    """Mix each sample with `mixture_width` chains of operations, all drawn for it.

    Chains are of one to three operations, rounded to whole levels after each where the image is of integers. For the
    loss that belongs to it see `jensen_shannon`.

    A mixture of chains that move an image shows an object in several places, and no box, mask or point is right for
    all of them. Where there are annotations, take `geometric=False`.

    Args:
        severity: 1 to 10: magnitudes are drawn from as many of the weakest of 10; a schedule is rounded.
        mixture_width: number of chains.
        chain_depth: operations of a chain; -1 draws 1 to 3 for each chain.
        alpha: shape of the laws of the weights (Dirichlet among chains, Beta for the image itself).
        all_ops: whether brightness, colour, contrast and sharpness are among the operations.
        interpolation: "bilinear" (default), "nearest" or "bicubic"; without antialiasing, as torchvision's.
        fill: value outside the image, in the input's unit; None is the pipeline's, black if it says none.
        geometric: whether shears, shifts and rotations are among the operations.

    Shape:
        (B, C, H, W) to the same, C 1 or 3.

    Boxes and masks:
        Unchanged with `geometric=False`, and else refused.

    Raises:
        ValueError: for a severity outside 1..10.
        TypeError: when called with boxes, masks or keypoints, unless `geometric=False`.

    Source: torchvision.transforms.v2.AugMix, with draws for each sample, and rounded where it cuts.

    Example:
        >>> import torch, gpuaug as ga
        >>> ga.AugMix()(torch.zeros(4, 3, 8, 10, dtype=torch.uint8)).shape
        torch.Size([4, 3, 8, 10])
    """

    def __init__(
        self,
        severity: Number = 3,
        mixture_width: int = 3,
        chain_depth: int = -1,
        alpha: Number = 1.0,
        all_ops: bool = True,
        interpolation: Any = "bilinear",
        fill: Any = None,
        *,
        geometric: bool = True,
    ) -> None:
        """See the class."""
        owner, space = "AugMix", augmix_space(all_ops, geometric)
        super().__init__(space, mixture_width, chain_depth, alpha, interpolation, fill, owner)
        self.severity = severity
        if not isinstance(severity, Varying):
            whole_number(severity, owner, "severity", 1)
        if least(severity) < 1 or most(severity) > BINS:
            raise ValueError(f"{owner}: severity must be at least 1 and at most {BINS}, got {severity!r}")
        self.declare(level=(Integers(0, mapped(severity, 1.0, -1.0)), self.steps), **self.mixture_draws())

    def operations(self, raw: Drawn, context: Context) -> Drawn:
        """Return what was drawn."""
        return self.mixed(raw, raw["level"], context)

    def extra_repr(self) -> str:
        """Show the arguments."""
        depth = -1 if self.random_depth else self.depth
        return f"severity={self.severity}, mixture_width={self.width}, chain_depth={depth}, alpha={self.alpha:g}"
