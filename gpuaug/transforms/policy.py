"""What the auto-augment policies share: operations drawn for each sample, taken one after another.

A policy is a decision, which draws all its operations, and parts that carry them out: for each of its operations in
turn a warp, one place of the program, and the filters, of which each sample takes one.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator
from typing import Any

import torch
from torch import Tensor

from gpuaug import functional as F
from gpuaug._arrays import arrays, tensor
from gpuaug.functional.blur import blur_one
from gpuaug.geometry import matrix as mat
from gpuaug.geometry.canvas import hosts
from gpuaug.render.plan import Choice, Plan
from gpuaug.render.settings import as_fill, as_interpolation
from gpuaug.sampling.distributions import Constant, Distribution, Uniform, as_distribution, within
from gpuaug.sampling.layout import STRENGTH, Declaration
from gpuaug.transforms.base import Drawn, Filter, Geometric, Photometric, Transform
from gpuaug.transforms.color import choice
from gpuaug.transforms.compose import Container
from gpuaug.transforms.layer import Context, Gate, Layer, Names, Node
from gpuaug.transforms.operations import CODES, Space

__all__ = ["Drawing", "Part", "Policy", "levels", "parts_of", "whole_number"]

CODE = "_code"
"""Parameter of a policy: (B, n) int64, what each sample does at each step; 0 for nothing."""
TONES: dict[str, Any] = {
    "Brightness": F.adjust_brightness,
    "Color": F.adjust_saturation,
    "Contrast": F.adjust_contrast,
    "Posterize": F.posterize,
    "Solarize": F.solarize,
    "SolarizeAdd": F.solarize_add,
    "AutoContrast": F.autocontrast,
    "Equalize": F.equalize,
    "Invert": F.invert,
}
FILTERS: dict[str, Any] = {"Sharpness": F.adjust_sharpness, "GaussianBlur": F.gaussian_blur}
BLUR = (23, 23)
"""Taps of a blur whose sigma is at most 2: what lies beyond weighs less than 1e-7."""

MOST_STEPS = 100
"""Each is a part of its own, so that a wrong number in a file could fill the memory."""


def whole_number(value: Any, owner: str, name: str, low: int) -> int:
    """Return a whole number, or raise."""
    if isinstance(value, bool) or not isinstance(value, int):
        raise TypeError(f"{owner}: {name} must be a whole number, got {value!r}")
    if value < low:
        raise ValueError(f"{owner}: {name} must be at least {low}, got {value!r}")
    return value


class Drawing(Transform):
    """What a policy draws for each sample; it stands before the parts and changes nothing itself."""

    mute = True

    def __init__(self, policy: Policy) -> None:
        """Take over the policy's rule."""
        super().__init__()
        self.rule: Callable[[Drawn, Context], Drawn] = policy.operations
        self.labels = {"op": policy.space.names}

    @property
    def deterministic(self) -> bool:
        """It never is."""
        return False

    def parameters_for(self, raw: Drawn, context: Context) -> Drawn:
        """Return operations and magnitudes (B, n)."""
        return self.rule(raw, context)

    def settle(self, raw: Drawn, gate: Tensor | None, context: Context) -> Drawn:
        """Draw; samples that the gate leaves out do nothing."""
        values = super().settle(raw, gate, context)
        if gate is not None:
            values[CODE] = torch.where(gate[:, None], values[CODE], 0)
        return values

    def contribute(self, plan: Plan, values: Drawn, context: Context, node: Node) -> None:
        """Contribute nothing."""


class Part(Transform):
    """One step of a policy, as far as it is of one kind."""

    step: int
    first: bool
    """Whether it begins its step."""
    kind_name: str

    def begin(self, plan: Plan) -> None:
        """End the step before, in a rounding as the published policies do; an annotation is moved once for all."""
        if self.first and self.step and plan.reading is None:
            plan.close("the next operation of a policy", rounds=True)

    def taken(self, raw: Drawn) -> tuple[Tensor, Tensor]:
        """Return what each sample does (B,), and how strongly."""
        return raw[CODE][:, self.step], raw["magnitude"][:, self.step]


class Warping(Part, Geometric):
    """The shears, shifts and rotations of a step: one matrix for each sample."""

    kind_name = "warp"

    def __init__(self, policy: Policy, step: int) -> None:
        """Read as the policy does."""
        super().__init__(1.0, policy.interpolation, policy.fill, antialias=False)  # as the published ones
        self.step, self.skew, self.mean = step, policy.space.skew, policy.mean

    def default_fill(self, context: Context) -> tuple[float, ...]:
        """Return the policy's mean in the input's unit, in whole levels; black without one."""
        if self.mean is None:
            return super().default_fill(context)
        shares = self.mean if context.channels == len(self.mean) else (sum(self.mean) / len(self.mean),)
        fill = context.values.at(shares)
        return tuple(float(round(v)) for v in fill) if context.values.white[0] > 1 else fill

    def shrink(self, canvas: tuple[int, int]) -> float:
        """Return what the steepest shear adds to a row's norm."""
        return math.hypot(1.0, self.skew)

    def settle(self, raw: Drawn, gate: Tensor | None, context: Context) -> Drawn:
        """Compute the matrix: the identity where a sample does something else."""
        code, magnitude = self.taken(raw)
        m = mat.wide(magnitude)
        library, (codes, amounts) = arrays(code, m)

        def of(name: str) -> Any:
            return library.where(codes == CODES[name], amounts, 0.0)

        h, w = context.canvas
        turn = mat.affine(tensor(-of("Rotate")), (0.0, 0.0), (1.0, 1.0), None, (w / 2, h / 2))
        rest = [tensor(t) for t in (-of("ShearX"), of("TranslateX"), -of("ShearY"), of("TranslateY"))]
        shift = mat.from_entries((1.0, rest[0], rest[1], rest[2], 1.0, rest[3], 0.0, 0.0, 1.0), m)
        return {"matrix": turn @ shift}

    def contribute(self, plan: Plan, values: Drawn, context: Context, node: Node) -> None:
        """Multiply into the warp of the step."""
        self.begin(plan)
        super().contribute(plan, values, context, node)


class Toning(Part, Photometric):
    """The pixel operations of a step: one place of the program."""

    kind_name = "tone"

    def __init__(self, policy: Policy, step: int) -> None:
        """Know the operations that may come."""
        super().__init__()
        self.step, self.slack, self.owner = step, policy.slack, type(policy).__name__
        self.names = [name for name in TONES if CODES[name] in policy.space.codes]

    def settle(self, raw: Drawn, gate: Tensor | None, context: Context) -> Drawn:
        """Pick the step."""
        code, magnitude = self.taken(raw)
        return {"code": code, "magnitude": magnitude}

    def _operands(self, name: str, magnitude: Tensor, factor: Tensor, plan: Plan) -> tuple[Tensor, ...]:
        if name in ("AutoContrast", "Equalize", "Invert"):
            return ()
        if name == "Solarize" and plan.levels:  # between two levels, where those of an image are whole
            return ((torch.ceil(magnitude * plan.levels - self.slack) - 0.5) / plan.levels,)
        return (factor if name in ("Brightness", "Color", "Contrast") else magnitude,)

    def choices(self, values: Drawn, plan: Plan, context: Context) -> list[list[Choice]]:
        """Return the operations, each for the samples that take it."""
        if context.channels not in (1, 3):
            raise ValueError(f"{self.owner}: images must have 1 or 3 channels, got {context.channels}")
        code, magnitude = values["code"], values["magnitude"]
        factor, found = 1 + magnitude, []
        for name in self.names:
            operands = self._operands(name, magnitude, factor, plan)
            found.append(choice(TONES[name], *operands, on=code == CODES[name], levels=name == "Posterize"))
        return [found]

    def contribute(self, plan: Plan, values: Drawn, context: Context, node: Node) -> None:
        """Append the place to the program."""
        self.begin(plan)
        super().contribute(plan, values, context, node)


class Filtering(Part, Filter):
    """One neighbourhood filter of a step."""

    def __init__(self, policy: Policy, step: int, name: str) -> None:
        """Know the filter."""
        super().__init__()
        self.step, self.filter, self.kind_name = step, name, name.lower()
        self.owner = type(policy).__name__

    def settle(self, raw: Drawn, gate: Tensor | None, context: Context) -> Drawn:
        """Pick the step; samples that do something else have a neutral parameter."""
        code, magnitude = self.taken(raw)
        on = code == CODES[self.filter]
        return {"strength": torch.where(on, magnitude, 0.0 if self.filter == "Sharpness" else 1.0), "gate": on}

    def choice(self, values: Drawn, plan: Plan, context: Context) -> Choice:
        """Return the filter."""
        if self.filter == "Sharpness":
            return choice(F.adjust_sharpness, 1 + values["strength"])
        for h, w in hosts(context.canvas):
            if min(h, w) <= BLUR[0] // 2:
                raise ValueError(f"{self.owner}: images must be larger than {BLUR[0] // 2} on both sides, got {h}x{w}")
        blur = choice(F.gaussian_blur, values["strength"], kernel_size=BLUR)
        blur.apply_one = blur_one
        return blur

    def contribute(self, plan: Plan, values: Drawn, context: Context, node: Node) -> None:
        """Begin a pass, or end in a filter the one of the step."""
        self.begin(plan)
        super().contribute(plan, values, context, node)


def levels(value: Any, steps: int, owner: str, most: float | None = None) -> tuple[Distribution, int]:
    """Return the law of levels and its columns: one number for all `steps`, or a draw for each of them.

    A pair is of whole levels where the scale has an end, `most`.
    """
    law = as_distribution(value, owner=owner, name="magnitude", low=0.0, high=most)
    if most is not None and isinstance(law, Uniform) and not isinstance(value, Distribution):
        law = within(law)
    return law, 1 if isinstance(law, Constant) else steps


def parts_of(policy: Policy, step: int) -> list[Part]:
    """Return what carries out one step of a policy."""
    codes = policy.space.codes
    parts: list[Part] = []
    if policy.space.moves:
        parts.append(Warping(policy, step))
    if any(CODES[name] in codes for name in TONES):
        parts.append(Toning(policy, step))
    parts += [Filtering(policy, step, name) for name in FILTERS if CODES[name] in codes]
    for part in parts:
        part.first = part is parts[0]
    return parts


class Policy(Container):
    """Operations drawn for each sample from a space, one after another."""

    drawing: type[Drawing] = Drawing
    mean: tuple[float, ...] | None = None
    """What is outside the image where nobody says, as shares of white; None is black."""
    slack = 0.0
    """How far above a whole level a threshold may come out of its arithmetic."""

    def __init__(self, space: Space, steps: int, interpolation: Any, fill: Any) -> None:
        """Build the parts; subclasses then say what they draw."""
        super().__init__([])
        owner = type(self).__name__
        if steps > MOST_STEPS:
            raise ValueError(f"{owner}: operations of a sample must be at most {MOST_STEPS}, got {steps}")
        self.space, self.steps = space, steps
        self.interpolation, self.fill = as_interpolation(interpolation, owner), as_fill(fill, owner)
        self.random: dict[str, tuple[Distribution, int]] = {}

    def declare(self, **random: Distribution | tuple[Distribution, int]) -> None:
        """Name the distributions that are drawn for each sample."""
        self.random = {k: v if isinstance(v, tuple) else (v, 1) for k, v in random.items()}
        self._build()

    def operations(self, raw: Drawn, context: Context) -> Drawn:
        """Return `op` and `magnitude` (B, n), and what is done, `_code`, from what was drawn."""
        raise NotImplementedError  # pragma: no cover

    def drawn_operations(
        self, number: Tensor, level: Tensor, raw: Drawn, context: Context, on: Tensor | None = None
    ) -> Drawn:
        """Return `op`, `magnitude` and `_code` for numbers of operations (B, n) at levels (B, n)."""
        number = number.reshape(-1, self.steps).to(torch.int64)
        level = level.reshape(-1, 1 if level.dim() == 1 and self.steps > 1 else self.steps)
        sign = raw["_sign"].reshape(-1, self.steps)
        if STRENGTH in raw:  # an operation that has a sign has a level 0, so that no uniform serves twice
            level, applied = self.space.weakened(number, level, sign, raw[STRENGTH])
            on = applied if on is None else on & applied
        magnitude = self.space.magnitudes(number, level, sign < 0.5, context.canvas)
        code = self.space.codes_of(number)
        return {"op": number, "magnitude": magnitude, CODE: code if on is None else torch.where(on, code, 0)}

    def flatten(self, names: Names, gates: tuple[Gate, ...], channels: tuple[int, ...] | None) -> Iterator[Node]:
        """Yield the decision, and the parts of each step."""
        if not self.steps:
            return
        name = names.take(type(self).__name__)
        names.declarations.append(Declaration(name, self.random, wants_strength=True))
        yield Node(name, self.drawing(self), gates, channels)
        for label, part in self.parts():
            yield Node(f"{name}.{label}", part, (), channels, of=name)

    def parts(self) -> Iterator[tuple[str, Transform]]:
        """Go over what carries the operations out, with labels."""
        for step in range(self.steps):
            for part in parts_of(self, step):
                yield f"{step + 1}.{part.kind_name}", part

    def evaluation(self) -> Layer | None:
        """Return None: the identity."""
        return None
