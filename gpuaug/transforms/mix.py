"""Mixes of two samples, their labels with them; MixUp."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any, ClassVar

import torch
from torch import Tensor

from gpuaug.functional._constants import Constants
from gpuaug.functional.labels import mix_labels, remix_share, soft_labels
from gpuaug.geometry.canvas import rectangle
from gpuaug.render.mixes import Blend
from gpuaug.render.plan import Plan
from gpuaug.render.values import rows_of
from gpuaug.sampling.distributions import Beta, Constant, Distribution
from gpuaug.sampling.law import Number
from gpuaug.sampling.unit import Unit
from gpuaug.sampling.varying import Varying, is_number, least, most
from gpuaug.transforms.base import Drawn
from gpuaug.transforms.batch_mix import BatchMix
from gpuaug.transforms.layer import Context, Node
from gpuaug.transforms.mixing import Group

__all__ = ["MixUp", "Mixing", "as_share", "partners", "shared"]

MODES = ("elem", "pair", "batch")
PAIRINGS = ("perm", "roll", "flip")
SHOWN: dict[str, Any] = {
    "alpha": 1.0,
    "cutmix_minmax": None,
    "correct_lam": True,
    "scale": None,
    "class_counts": None,
    "num_classes": None,
    "mode": "elem",
    "pairing": "perm",
    "label_smoothing": 0.0,
    "multi_label": False,
    "return_pairs": False,
}
LARGEST = 64
"""Of alpha, as of the shapes of `Beta`."""


def partners(pairing: str, batch: int, u: Tensor | None, device: torch.device) -> tuple[Tensor, Tensor | None]:
    """Return whom each sample meets (B,), and whether that is another sample; None where it is for all.

    Args:
        pairing: one of `PAIRINGS`.
        batch: number of samples.
        u: (B,) from [0, 1), for "perm".
        device: of the result.
    """
    if pairing == "perm" and u is not None:
        # The samples in a random circle, each with the one before it: nobody meets itself, unless it is alone.
        order = torch.argsort(u)
        met = torch.empty_like(order).scatter_(0, order, torch.roll(order, 1))
    else:
        place = torch.arange(batch, device=device)
        met = torch.roll(place, 1) if pairing == "roll" else place.flip(0)
    if batch == 1:
        return met, met != met
    return met, (met != met.flip(0) if pairing == "flip" and batch % 2 else None)


def shared(mode: str, drawn: Tensor) -> Tensor:
    """Return what was drawn (B, ...) for each sample as all samples, or pairs from both ends, share it."""
    if mode == "elem" or drawn.shape[0] == 0:
        return drawn
    if mode == "batch":
        return drawn[:1].expand_as(drawn)
    place = torch.arange(drawn.shape[0], device=drawn.device)
    return drawn.index_select(0, torch.minimum(place, place.flip(0)))


def as_share(alpha: Number, owner: str) -> Distribution:
    """Return the law Beta(alpha, alpha), or raise."""
    if not (is_number(alpha) or isinstance(alpha, Varying)) or not 0 < least(alpha) <= most(alpha) <= LARGEST:
        raise ValueError(f"{owner}: alpha must be a number above 0 and at most {LARGEST}, got {alpha!r}")
    return Unit() if alpha == 1 else Beta(alpha, alpha)  # the same law for 1, and cheaper


def _counts(given: Any, num_classes: int | None, multi_label: bool) -> Constants:
    """Return how many samples each class has, at least one, or raise."""
    numbers = given.tolist() if isinstance(given, Tensor) else given
    flat = isinstance(numbers, (tuple, list)) and all(is_number(n) for n in numbers)
    if not flat or not numbers or not all(0 <= n < math.inf for n in numbers):
        raise ValueError(f"MixUp: class_counts must be finite and not negative, one for each class, got {given!r:.80}")
    if num_classes not in (None, len(numbers)):
        raise ValueError(f"MixUp: class_counts must have {num_classes} numbers, as num_classes, got {len(numbers)}")
    if multi_label:
        raise ValueError("MixUp: class_counts must be None with multi_label, because a sample has one class in Remix")
    return Constants([max(float(n), 1.0) for n in numbers])


class Mixing(BatchMix):
    """A mix of two samples: who meets whom, the share `lam` of a sample's own, and labels by it."""

    mixes_labels: ClassVar[bool] = True
    shrinks: ClassVar[bool] = False
    """Whether the other image is made smaller."""

    def __init__(
        self,
        p: Number,
        num_classes: int | None,
        labels_getter: Any,
        mode: str,
        pairing: str | None,
        label_smoothing: float,
        multi_label: bool,
        return_pairs: bool,
    ) -> None:
        """Check the arguments."""
        owner = type(self).__name__
        super().__init__(p, labels_getter)
        if mode not in MODES:
            raise ValueError(f"{owner}: mode must be one of {', '.join(MODES)}, got {mode!r}")
        if pairing not in (None, *PAIRINGS):
            raise ValueError(f"{owner}: pairing must be one of {', '.join(PAIRINGS)} or None, got {pairing!r}")
        if mode == "pair" and pairing not in (None, "flip"):
            raise ValueError(f"{owner}: pairing must be 'flip' or None with mode='pair', got {pairing!r}")
        whole = isinstance(num_classes, int) and not isinstance(num_classes, bool) and num_classes > 0
        if num_classes is not None and not whole:
            raise ValueError(f"{owner}: num_classes must be a positive integer or None, got {num_classes!r}")
        if not 0 <= label_smoothing < 1:
            raise ValueError(f"{owner}: label_smoothing must be in [0, 1), got {label_smoothing!r}")
        self.num_classes, self.mode, self.label_smoothing = num_classes, mode, float(label_smoothing)
        self.pairing = pairing or ("flip" if mode == "pair" else "perm")
        self.multi_label, self.return_pairs = bool(multi_label), bool(return_pairs)

    def declare_mix(self, **random: Any) -> None:
        """Name the distributions that are drawn for each sample, and for who meets whom."""
        fixed = {name: random.pop(name) for name in list(random) if isinstance(random[name], Constant)}
        if self.pairing == "perm":
            random["_pair"] = Unit()
        self.declare(**random, **fixed)  # whose columns are not read, so that the others are where they are without

    def settle(self, raw: Drawn, gate: Tensor | None, context: Context) -> Drawn:
        """Return `partner` (B,), `lam` (B,), and what else says how they are mixed; a gate is shared as draws are."""
        u = raw.pop("_pair", None)
        partner, apart = partners(self.pairing, context.like.shape[0], u, context.like.device)
        gate = None if gate is None else shared(self.mode, gate)
        if apart is not None:  # who meets itself stays as it is
            gate = apart if gate is None else gate & apart
        drawn = {key: shared(self.mode, value) for key, value in raw.items()}
        values = {"partner": partner, **self.mixed({**drawn, "partner": partner}, gate, context)}
        if gate is not None:
            values["gate"] = gate
        return values

    def mixed(self, drawn: Drawn, gate: Tensor | None, context: Context) -> Drawn:
        """Return `lam` (B,), 1 for those that the gate leaves out, and what else was drawn."""
        raise NotImplementedError  # pragma: no cover

    def blend(self, values: Drawn, context: Context) -> Blend:
        """Return what is seen of the other image."""
        raise NotImplementedError  # pragma: no cover

    def most_shrunk(self, context: Context) -> float:
        """Return a static bound on how many pixels of the other image a pixel spans along an axis."""
        return 1.0

    def contribute(self, plan: Plan, values: Drawn, context: Context, node: Node) -> None:
        """Begin a pass."""
        plan.blend(self.blend(values, context))

    def check_labels(self, labels: Tensor) -> None:
        """Raise for labels that cannot be mixed."""
        owner = type(self).__name__
        if self.return_pairs:
            return
        if labels.dim() == 1 and self.multi_label:
            raise ValueError(f"{owner}: multi_label needs labels (B, classes), got {tuple(labels.shape)}")
        if labels.dim() == 1 and self.num_classes is None:
            raise ValueError(f"{owner}: num_classes must be given for labels that are numbers of classes, got None")
        if labels.dim() == 2 and self.num_classes not in (None, labels.shape[1]):
            raise ValueError(
                f"{owner}: num_classes must be {labels.shape[1]}, as the labels have, got {self.num_classes}"
            )

    def mix_labels(self, labels: Tensor, values: Drawn, context: Context) -> Any:
        """Return soft labels (B, classes), or both labels and the share of the first."""
        partner, lam = values.get("partner"), values.get("lam")
        if partner is not None and lam is not None:
            lam = self.label_share(labels, partner, lam)
        if self.return_pairs:
            if partner is None or lam is None:
                return labels, labels, torch.ones_like(context.like, dtype=torch.float32)
            return labels, rows_of(labels, partner), lam
        soft = soft_labels(labels, self.num_classes)
        return soft if partner is None or lam is None else mix_labels(soft, partner, lam)

    def label_share(self, labels: Tensor, partner: Tensor, lam: Tensor) -> Tensor:
        """Return the share (B,) of a sample's own label: that of its pixels."""
        return lam

    def smooth_labels(self, labels: Tensor) -> Tensor:
        """Return soft labels drawn to all classes alike."""
        return soft_labels(labels, None, self.label_smoothing, self.multi_label)

    def extra_repr(self) -> str:
        """Show the arguments that differ from their defaults."""
        values = {name: getattr(self, name, usual) for name, usual in SHOWN.items()}
        given = [f"{name}={value!r}" for name, value in values.items() if value != SHOWN[name]]
        return ", ".join([*given, f"p={self.p:g}"] if self.p < 1 else given)


class MixUp(Mixing):
    """Blend each sample with another one of the batch, by a share drawn for it.

    Args:
        alpha: of the law Beta(alpha, alpha) of `lam`, the share of a sample's own; up to 64. Small ones leave samples
            nearly as they are; detectors take 32, near one half.
        num_classes: for integer labels; None for labels (B, classes).
        labels_getter: "default" takes the second of several inputs, or the key `label`, or (where there are no
            objects) `labels`; a function of what a call is given returns a tensor of it; None looks for none.
        mode: "elem" draws for each sample, "pair" for pairs from both ends of the batch, "batch" once for all.
        pairing: whom samples meet: "perm" the one before in a random circle, "roll" the one before in the batch (the
            first meets the last), "flip" the one as far from the other end; None is "perm", and "flip" with
            mode="pair". Nobody meets itself: where nobody else is left, a sample stays as it is.
        label_smoothing: share of the labels that is spread over all classes, 0 to 1; 0 is neutral.
        multi_label: labels (B, classes) are independent, so that smoothing draws them to one half.
        return_pairs: give (labels, labels of the others, lam) in place of soft labels.
        p: probability for each sample (or pair, or batch); 0 is neutral.
        class_counts: how many samples each class has, for Remix: where a class meets one that is `kappa` times rarer,
            and has a smaller share of the pixels than `tau`, the label is the rare class's alone. Pixels are blended as
            ever. A label (B, classes) counts as its largest class. None is plain MixUp.
            Not in a choice among mixes, whose labels are mixed as one.
        kappa: how many times rarer, above 1.
        tau: share of the pixels, 0 to 1; 0 is neutral.

    Shape:
        (B, C, H, W) to the same; labels (B,) or (B, classes) to (B, classes), in float32 if they were integers. A
        label outside 0..num_classes - 1 becomes zeros. `enabled = False` switches it off between calls, also its
        labels' mixing, not their form.

    Boxes and masks:
        Objects of both, the other's after its own: N rows become 2 N. In a semantic mask, and an index map, the class
        of the sample of larger share; a floating mask of several channels is blended, as probabilities.

    Raises:
        ValueError: for arguments out of range; for integer labels without `num_classes`; for images of several sizes.

    Source: torchvision.transforms.v2.MixUp, with draws for each sample; modes and smoothing as timm's `Mixup`; Chou et
        al. 2020, "Remix: Rebalanced Mixup".

    Example:
        >>> import torch, gpuaug as ga
        >>> images, labels = ga.MixUp(alpha=0.2, num_classes=10)(torch.zeros(4, 3, 8, 10), torch.arange(4))
        >>> images.shape, labels.shape
        (torch.Size([4, 3, 8, 10]), torch.Size([4, 10]))
    """

    def __init__(
        self,
        *,
        alpha: Number = 1.0,
        num_classes: int | None = None,
        labels_getter: Any = "default",
        mode: str = "elem",
        pairing: str | None = None,
        label_smoothing: float = 0.0,
        multi_label: bool = False,
        return_pairs: bool = False,
        p: Number = 1.0,
        class_counts: Sequence[float] | Tensor | None = None,
        kappa: float = 3.0,
        tau: float = 0.5,
    ) -> None:
        """See the class."""
        super().__init__(p, num_classes, labels_getter, mode, pairing, label_smoothing, multi_label, return_pairs)
        self.alpha = alpha
        if not kappa > 1:
            raise ValueError(f"MixUp: kappa must be above 1, got {kappa!r}")
        if not 0 <= tau <= 1:
            raise ValueError(f"MixUp: tau must be between 0 and 1, got {tau!r}")
        self.kappa, self.tau = float(kappa), float(tau)
        self.class_counts = None if class_counts is None else _counts(class_counts, num_classes, multi_label)
        self.declare_mix(lam=as_share(alpha, "MixUp"))

    def mixed(self, drawn: Drawn, gate: Tensor | None, context: Context) -> Drawn:
        """Return the share."""
        lam = drawn["lam"]
        return {"lam": lam if gate is None else torch.where(gate, lam, 1.0)}

    def blend(self, values: Drawn, context: Context) -> Blend:
        """Return the other's share, everywhere."""
        return Blend(values["partner"], 1 - values["lam"])

    def check_labels(self, labels: Tensor) -> None:
        """Raise for labels that cannot be mixed, or have other classes than are counted."""
        super().check_labels(labels)
        if self.class_counts is not None and labels.dim() == 2 and labels.shape[1] != self.class_counts.count:
            raise ValueError(
                f"MixUp: class_counts must have {labels.shape[1]} numbers, one for each class of the labels, got"
                f" {self.class_counts.count}"
            )

    def label_share(self, labels: Tensor, partner: Tensor, lam: Tensor) -> Tensor:
        """Return the share (B,) of a sample's own label: less where it is frequent and the other one rare."""
        if self.class_counts is None:
            return lam
        counts = self.class_counts.on(labels.device)
        number = labels.argmax(dim=1) if labels.dim() == 2 else labels.to(torch.int64).clamp(0, len(counts) - 1)
        own = counts.index_select(0, number)
        return remix_share(lam, own, own.index_select(0, partner), self.kappa, self.tau)

    def groups(self, values: Drawn, context: Context) -> list[Group]:
        """Return a sample's objects, and those of the other."""
        lam = values["lam"]
        everywhere = rectangle(context.canvas, context.like)
        return [
            Group(),
            Group(values["partner"], within=(lam < 1)[:, None] * everywhere, below=lam >= 0.5),
        ]
