"""CutMix and ResizeMix: a rectangle of each sample shows another one."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, ClassVar

import torch
from torch import Tensor

from gpuaug.functional.mix import shrunk
from gpuaug.geometry.canvas import spans
from gpuaug.render.mixes import Blend
from gpuaug.sampling.counts import as_number, constants, drawn_number
from gpuaug.sampling.distributions import as_distribution, static_range
from gpuaug.sampling.law import Number, Range
from gpuaug.sampling.unit import Unit
from gpuaug.transforms.base import Drawn
from gpuaug.transforms.layer import Context
from gpuaug.transforms.mix import Mixing, as_share
from gpuaug.transforms.mixing import Group

__all__ = ["CutMix", "Pasting", "ResizeMix"]


class Pasting(Mixing):
    """A mix whose `box` (B, 4), x0, y0, x1, y1 of whole pixels, shows the other sample."""

    def left(self, box: Tensor, context: Context) -> Tensor:
        """Return the share of a sample's own that a box (B, 4) leaves: pixels over pixels."""
        h, w = context.canvas
        covered = (box[:, 2:] - box[:, :2]).prod(-1)
        share: Tensor = (h * w - covered) / (h * w)
        return share

    def blend(self, values: Drawn, context: Context) -> Blend:
        """Return the rectangle."""
        return Blend(values["partner"], torch.ones_like(values["lam"]), values["box"], whole=True)

    def groups(self, values: Drawn, context: Context) -> list[Group]:
        """Return a sample's objects outside the rectangle, and the other's inside."""
        box = values["box"].to(context.like.dtype)
        return [Group(hole=box), Group(values["partner"], within=box)]


class CutMix(Pasting):
    """Paste a rectangle of another sample of the batch into each, its area drawn for it.

    The rectangle has the canvas's aspect and covers 1 - lam of it; its centre is anywhere on the canvas, and what
    lies outside is cut. Labels go by the pixels that are left.

    Args:
        alpha: of the law Beta(alpha, alpha) of `lam`, the share of a sample's own before the cut; up to 64.
        num_classes: for integer labels; None for labels (B, classes).
        labels_getter: "default" takes the second of several inputs, or the key `label`, or (where there are no
            objects) `labels`; a function of what a call is given returns a tensor of it; None looks for none.
        mode: "elem" draws for each sample, "pair" for pairs from both ends of the batch, "batch" once for all.
        pairing: whom samples meet: "perm" the one before in a random circle, "roll" the one before in the batch (the
            first meets the last), "flip" the one as far from the other end; None is "perm", and "flip" with
            mode="pair". Nobody meets itself: where nobody else is left, a sample stays as it is.
        cutmix_minmax: (low, high) fractions of the canvas, of which height and width are drawn instead, each for
            itself; such a rectangle lies inside the canvas, and `alpha` is not used.
        correct_lam: whether labels go by the pixels that are left (True) or by `lam` as it was drawn.
        label_smoothing: share of the labels that is spread over all classes, 0 to 1; 0 is neutral.
        multi_label: labels (B, classes) are independent, so that smoothing draws them to one half.
        return_pairs: give (labels, labels of the others, lam) in place of soft labels.
        p: probability for each sample (or pair, or batch); 0 is neutral.

    Shape:
        (B, C, H, W) to the same; labels (B,) or (B, classes) to (B, classes), in float32 if they were integers. A
        label outside 0..num_classes - 1 becomes zeros. `enabled = False` switches it off between calls, also its
        labels' mixing, not their form.

    Boxes and masks:
        Masks are pasted as the image is. Objects of both, the other's after its own, N rows become 2 N: a sample's own
        boxes are cut where the rectangle covers a whole side, the other's at the rectangle; what is left of an object
        counts for `min_visibility`, and points that are covered are no longer visible.

    Raises:
        ValueError: for arguments out of range; for integer labels without `num_classes`; for images of several sizes.

    Source: torchvision.transforms.v2.CutMix, with draws for each sample, for the same rectangle; as in timm's `Mixup`
    sides have any number of pixels, where torchvision's are even before they are cut.

    Example:
        >>> import torch, gpuaug as ga
        >>> images, labels = ga.CutMix(num_classes=10)(torch.zeros(4, 3, 8, 10), torch.arange(4))
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
        cutmix_minmax: Sequence[Number] | None = None,
        correct_lam: bool = True,
        label_smoothing: float = 0.0,
        multi_label: bool = False,
        return_pairs: bool = False,
        p: Number = 1.0,
    ) -> None:
        """See the class."""
        super().__init__(p, num_classes, labels_getter, mode, pairing, label_smoothing, multi_label, return_pairs)
        self.alpha, self.correct_lam = alpha, bool(correct_lam)
        share = as_share(alpha, "CutMix")
        self.cutmix_minmax = None
        if cutmix_minmax is not None:
            self.cutmix_minmax = tuple(as_number(v, "CutMix", "cutmix_minmax") for v in cutmix_minmax)
        if self.cutmix_minmax is None:
            self.declare_mix(lam=share, _place=(Unit(), 2))
            return
        if len(self.cutmix_minmax) != 2:
            raise ValueError(f"CutMix: cutmix_minmax must be (low, high), got {cutmix_minmax!r}")
        low, high = self.cutmix_minmax
        as_distribution((low, high), owner="CutMix", name="cutmix_minmax")  # which says what is wrong
        self.declare_mix(_size=(Unit(), 2), _place=(Unit(), 2), **constants(low=low, high=high))

    def mixed(self, drawn: Drawn, gate: Tensor | None, context: Context) -> Drawn:
        """Return `box`, and the share that it leaves."""
        span = spans(context.canvas, context.like.new_empty(0, dtype=torch.float32))
        if self.cutmix_minmax is not None:
            given = zip(("low", "high"), self.cutmix_minmax, strict=True)
            low, high = (torch.floor(span * drawn_number(drawn, k, v, 1)) for k, v in given)
            size = torch.minimum(low + torch.floor(drawn["_size"] * (high - low + 1)), high)
            size = size if gate is None else size * gate[:, None]
            start = torch.minimum(torch.floor(drawn["_place"] * (span - size + 1)), span - size)
            box = torch.cat((start, start + size), dim=-1)
            return {"lam": self.left(box, context), "box": box}
        size = torch.floor(torch.sqrt(1 - drawn["lam"])[:, None] * span)
        size = size if gate is None else size * gate[:, None]
        start = torch.round(torch.sub(self.centre(drawn, span, context), size, alpha=0.5))
        ends = torch.stack((start, start + size), dim=1)
        box = torch.minimum(ends.clamp(min=0), span).flatten(1)
        if self.correct_lam:
            return {"lam": self.left(box, context), "box": box}
        return {"lam": drawn["lam"] if gate is None else torch.where(gate, drawn["lam"], 1.0), "box": box}

    def centre(self, drawn: Drawn, span: Tensor, context: Context) -> Tensor:
        """Return the centre (B, 2) of the rectangle, x and y, on a canvas of a `span`: anywhere."""
        return drawn["_place"] * span


class ResizeMix(Pasting):
    """Paste the whole of another sample of the batch, made smaller, into each.

    Args:
        scale: range of the sides of what is pasted, as a fraction of the canvas's, the same for both, above 0 and up to
            1.
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

    Shape:
        (B, C, H, W) to the same; labels (B,) or (B, classes) to (B, classes), in float32 if they were integers. A
        label outside 0..num_classes - 1 becomes zeros. `enabled = False` switches it off between calls, also its
        labels' mixing, not their form.

    Boxes and masks:
        Masks are pasted as the image is, by nearest pixel. Objects of both, the other's after its own, N rows become
        2 N: a sample's own boxes are cut where the rectangle covers a whole side; the other's are all there, smaller.
        What is left of an object counts for `min_visibility`, and points that are covered are no longer visible.

    Raises:
        ValueError: for arguments out of range; for integer labels without `num_classes`; for images of several sizes.

    Source: Qin et al. 2020, "ResizeMix: Mixing Data with Preserved Object Information and True Labels"; the patch
    equals torchvision's antialiased `resize` to 1e-5.

    Example:
        >>> import torch, gpuaug as ga
        >>> images, labels = ga.ResizeMix(num_classes=10)(torch.zeros(4, 3, 8, 10), torch.arange(4))
        >>> images.shape, labels.shape
        (torch.Size([4, 3, 8, 10]), torch.Size([4, 10]))
    """

    shrinks: ClassVar[bool] = True

    def __init__(
        self,
        *,
        scale: Range = (0.1, 0.8),
        num_classes: int | None = None,
        labels_getter: Any = "default",
        mode: str = "elem",
        pairing: str | None = None,
        label_smoothing: float = 0.0,
        multi_label: bool = False,
        return_pairs: bool = False,
        p: Number = 1.0,
    ) -> None:
        """See the class."""
        super().__init__(p, num_classes, labels_getter, mode, pairing, label_smoothing, multi_label, return_pairs)
        law = as_distribution(scale, owner="ResizeMix", name="scale", low=0.0, high=1.0)
        self.scale, self.least = law, static_range(law)[0]
        if not self.least > 0:
            raise ValueError(f"ResizeMix: scale must be above 0 and up to 1, got {scale!r}")
        self.declare_mix(scale=law, _place=(Unit(), 2))

    def mixed(self, drawn: Drawn, gate: Tensor | None, context: Context) -> Drawn:
        """Return `box`, and the share that it leaves."""
        span = spans(context.canvas, context.like.new_empty(0, dtype=torch.float32))
        size = torch.floor(drawn["scale"][:, None] * span).clamp(min=1)
        size = size if gate is None else size * gate[:, None]
        start = torch.minimum(torch.floor(drawn["_place"] * (span - size + 1)), span - size)
        box = torch.cat((start, start + size), dim=-1)
        return {"lam": self.left(box, context), "box": box}

    def matrix(self, box: Tensor, context: Context) -> Tensor:
        """Return (B, 3, 3), positions in the other sample -> on the canvas."""
        h, w = context.canvas
        return shrunk(box.to(context.like.dtype), int(h), int(w))

    def most_shrunk(self, context: Context) -> float:
        """Return the bound of the smallest patch."""
        bound: float = max(n / max(1, int(n * self.least - 1e-6)) for n in context.canvas)
        return bound

    def blend(self, values: Drawn, context: Context) -> Blend:
        """Return the rectangle, and the map onto it."""
        box, share, shrink = values["box"], torch.ones_like(values["lam"]), self.most_shrunk(context)
        matrix = self.matrix(box, context)
        return Blend(values["partner"], share, box, matrix, whole=True, kind="axis", shrink=shrink)

    def groups(self, values: Drawn, context: Context) -> list[Group]:
        """Return a sample's objects outside the rectangle, and the other's inside."""
        box = values["box"].to(context.like.dtype)
        return [Group(hole=box), Group(values["partner"], self.matrix(box, context), within=box)]
