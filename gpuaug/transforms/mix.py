"""MixUp and CutMix: another sample's image over each sample's own."""

from __future__ import annotations

from typing import Any, ClassVar

import torch
from torch import Tensor

from gpuaug.functional.labels import mix_labels, soft_labels
from gpuaug.render.mixes import Blend
from gpuaug.render.plan import Plan
from gpuaug.sampling.distributions import Beta, Uniform
from gpuaug.transforms.base import Drawn
from gpuaug.transforms.batch_mix import BatchMix
from gpuaug.transforms.layer import Context, Node
from gpuaug.transforms.mixing import Group

__all__ = ["CutMix", "MixUp"]

MODES = ("elem", "pair", "batch")
PAIRINGS = ("perm", "roll", "flip")


def partners(pairing: str, u: Tensor) -> Tensor:
    """Return whom each sample meets (B,), given a number from [0, 1) for each."""
    place = torch.arange(u.shape[0], device=u.device)
    if pairing == "roll":
        return torch.roll(place, 1)
    if pairing == "flip":
        return place.flip(0)
    # The samples in a random circle, each with the one before it: nobody meets itself, unless it is alone.
    order = torch.argsort(u)
    return torch.scatter(torch.zeros_like(order), 0, order, torch.roll(order, 1))


def shared(mode: str, drawn: Tensor) -> Tensor:
    """Return what was drawn (B, ...) for each sample as all samples, or pairs from both ends, share it."""
    if mode == "elem" or drawn.shape[0] == 0:
        return drawn
    if mode == "batch":
        return drawn[:1].expand_as(drawn)
    place = torch.arange(drawn.shape[0], device=drawn.device)
    return drawn.index_select(0, torch.minimum(place, place.flip(0)))


class Mixing(BatchMix):
    """What MixUp and CutMix have in common: pairs, a share for each sample, and labels."""

    def __init__(
        self,
        alpha: float,
        num_classes: int | None,
        labels_getter: Any,
        mode: str,
        pairing: str,
        label_smoothing: float,
        multi_label: bool,
        return_pairs: bool,
        p: float,
    ) -> None:
        """Check the arguments."""
        owner = type(self).__name__
        super().__init__(p, labels_getter)
        if not alpha > 0:
            raise ValueError(f"{owner}: alpha must be positive, got {alpha!r}")
        if mode not in MODES:
            raise ValueError(f"{owner}: mode must be one of {', '.join(MODES)}, got {mode!r}")
        if pairing not in PAIRINGS:
            raise ValueError(f"{owner}: pairing must be one of {', '.join(PAIRINGS)}, got {pairing!r}")
        self.alpha, self.num_classes, self.mode, self.pairing = alpha, num_classes, mode, pairing
        self.label_smoothing, self.multi_label, self.return_pairs = label_smoothing, multi_label, return_pairs

    def mix_labels(self, labels: Tensor, values: Drawn, context: Context) -> Any:
        """Return soft labels (B, classes), or both labels and the share of the first."""
        other = labels.index_select(0, values["partner"])
        if self.return_pairs:
            return labels, other, values["lam"]
        soft = soft_labels(labels, self.num_classes, self.label_smoothing, self.multi_label, type(self).__name__)
        return mix_labels(soft, soft.index_select(0, values["partner"]), values["lam"])


class MixUp(Mixing):
    """Blend each sample with another one of the batch, by a share drawn for it."""

    def __init__(
        self,
        *,
        alpha: float = 1.0,
        num_classes: int | None = None,
        labels_getter: Any = "default",
        mode: str = "elem",
        pairing: str = "perm",
        label_smoothing: float = 0.0,
        multi_label: bool = False,
        return_pairs: bool = False,
        p: float = 1.0,
    ) -> None:
        """Check the arguments; see the class."""
        super().__init__(
            alpha, num_classes, labels_getter, mode, pairing, label_smoothing, multi_label, return_pairs, p
        )
        self.declare(lam=Beta(alpha, alpha), _pair=Uniform(0.0, 1.0))

    def parameters_for(self, raw: Drawn, context: Context) -> Drawn:
        """Return whom each sample meets, and the share of its own."""
        return {"partner": partners(self.pairing, raw["_pair"]), "lam": shared(self.mode, raw["lam"])}

    def settle(self, raw: Drawn, gate: Tensor | None, context: Context) -> Drawn:
        """Leave the samples alone that the gate leaves out."""
        values = super().settle(raw, gate, context)
        if gate is not None:
            gate = values["gate"] = shared(self.mode, gate)
            values["lam"] = torch.where(gate, values["lam"], torch.ones_like(values["lam"]))
        return values

    def contribute(self, plan: Plan, values: Drawn, context: Context, node: Node) -> None:
        """Begin a pass."""
        plan.blend(Blend(values["partner"], 1 - values["lam"]))

    def groups(self, values: Drawn, context: Context) -> list[Group]:
        """Return a sample's objects, and those of the other."""
        h, w = context.canvas
        on = (values["lam"] < 1).to(context.like.dtype)
        zero = torch.zeros_like(on)
        return [
            Group(),
            Group(values["partner"], within=torch.stack((zero, zero, on * w, on * h), -1), below=values["lam"] >= 0.5),
        ]


class CutMix(Mixing):
    """Paste a rectangle of another sample of the batch into each, its area drawn for it."""

    minmax: ClassVar[None] = None

    def __init__(
        self,
        *,
        alpha: float = 1.0,
        num_classes: int | None = None,
        labels_getter: Any = "default",
        mode: str = "elem",
        pairing: str = "perm",
        label_smoothing: float = 0.0,
        multi_label: bool = False,
        return_pairs: bool = False,
        p: float = 1.0,
    ) -> None:
        """Check the arguments; see the class."""
        super().__init__(
            alpha, num_classes, labels_getter, mode, pairing, label_smoothing, multi_label, return_pairs, p
        )
        self.declare(lam=Beta(alpha, alpha), _pair=Uniform(0.0, 1.0), _x=Uniform(0.0, 1.0), _y=Uniform(0.0, 1.0))

    def settle(self, raw: Drawn, gate: Tensor | None, context: Context) -> Drawn:
        """Return whom each sample meets, the rectangle, and the share of its own that is left."""
        h, w = context.canvas
        drawn = {key: shared(self.mode, value) for key, value in raw.items() if key != "_pair"}
        r = 0.5 * torch.sqrt(1 - drawn["lam"])
        cx, cy = torch.floor(drawn["_x"] * w), torch.floor(drawn["_y"] * h)
        dx, dy = torch.floor(r * w), torch.floor(r * h)
        if gate is not None:
            gate = shared(self.mode, gate)
            dx, dy = torch.where(gate, dx, torch.zeros_like(dx)), torch.where(gate, dy, torch.zeros_like(dy))
        x0, x1 = (cx - dx).clamp(0, w), (cx + dx).clamp(0, w)
        y0, y1 = (cy - dy).clamp(0, h), (cy + dy).clamp(0, h)
        lam = 1 - (x1 - x0) * (y1 - y0) / (h * w)
        values = {
            "partner": partners(self.pairing, raw["_pair"]),
            "lam": lam,
            "box": torch.stack((x0, y0, x1, y1), dim=-1),
        }
        if gate is not None:
            values["gate"] = gate
        return values

    def contribute(self, plan: Plan, values: Drawn, context: Context, node: Node) -> None:
        """Begin a pass."""
        on = (values["lam"] < 1).to(values["lam"].dtype)
        plan.blend(Blend(values["partner"], on, values["box"], whole=True))

    def groups(self, values: Drawn, context: Context) -> list[Group]:
        """Return a sample's objects outside the rectangle, and the other's inside."""
        box = values["box"].to(context.like.dtype)
        return [Group(hole=box), Group(values["partner"], within=box)]
