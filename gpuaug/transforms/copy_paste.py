"""CopyPaste: objects of another sample, cut out by their masks, onto each sample."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import torch
from torch import Tensor

from gpuaug.data.instances import Instances
from gpuaug.functional.paste import feather
from gpuaug.geometry import masks as msk
from gpuaug.geometry import matrix as mat
from gpuaug.geometry.canvas import rectangle
from gpuaug.render.mixes import Blend
from gpuaug.render.plan import Plan
from gpuaug.render.settings import Reading
from gpuaug.sampling.counts import as_number, constants, drawn_number
from gpuaug.sampling.distributions import Uniform, as_distribution, static_range
from gpuaug.sampling.generator import uniform
from gpuaug.sampling.law import Number, Range
from gpuaug.transforms.base import Drawn
from gpuaug.transforms.batch_mix import BatchMix
from gpuaug.transforms.layer import Context, Node
from gpuaug.transforms.mix import PAIRINGS, partners
from gpuaug.transforms.mixing import Group, placed
from gpuaug.transforms.noise import KEY, as_key
from gpuaug.transforms.window import seen_boxes

__all__ = ["CopyPaste"]

MOST_CLASSES = 1_000_000


class CopyPaste(BatchMix):
    """Paste objects of another sample of the batch onto each, cut out by their masks, with a scale and flip of its own.

    The other image is scaled and mirrored as a whole, and placed as a random crop or padding would place it, but so
    that the chosen objects stay in view, as far as they fit. A scale of 1 without a flip leaves them where they were.

    Args:
        object_p: probability with which each object of the other sample is pasted.
        scale_range: range of the scale, drawn for each sample; 1 is neutral; (0.1, 2.0) is the paper's large jitter.
        flip_p: probability that what is pasted onto a sample is mirrored.
        blending: whether the edge of what is pasted is blended, over the mask blurred with a Gaussian of 5 pixels and
            sigma 2; annotations follow the mask itself.
        class_weights: factors of `object_p` by label, for classes that are rare: a dict, in which other labels have
            the factor 1, or one number for each class; what exceeds a probability of 1 counts as 1.
        max_ioa: an object is not pasted where it would cover this share of the box of one that is there, by its own
            box; None pastes it all the same. Ultralytics' rule is 0.3.
        pairing: whom each sample meets: "perm" a random other, "roll" the one before it, "flip" the one at the same
            place from the other end, "self" itself: with flip_p=1, what Ultralytics calls the mode "flip".
        p: probability for each sample; 0 is neutral.

    Shape:
        (B, C, H, W) to the same; N rows of objects become 2 N, a sample's own before the pasted ones.

    Boxes and masks:
        `masks` of the objects are needed: planes or an index map, of any resolution. Objects lose the part of their
        mask that is covered; boxes of these and of pasted ones are those around what their masks show, and an object
        of which nothing is left is no longer valid (`min_visibility` of BboxParams asks for more). Rotated boxes stay
        whole. Labels, keypoints and columns come along; keypoints under what is pasted become hidden, `visible` 1, and
        pasted ones keep theirs. `mask` and dense maps show the pasted pixels, without blending. Frames of a clip paste
        the same objects by the same map, each as they are in that frame.

    Raises:
        ValueError: for an argument out of range; when called without `masks`, or with images of several sizes.

    Source: Ghiasi et al. 2021, https://arxiv.org/abs/2012.07177; torchvision's SimpleCopyPaste (references), which
        chooses about 63 % of the objects, does not scale, and blurs a mask of booleans: it is wider then, and not soft.

    Example:
        >>> import torch, gpuaug as ga
        >>> data = {"image": torch.rand(2, 3, 8, 10), "boxes": torch.tensor([[[1.0, 2.0, 5.0, 6.0]]]).expand(2, 1, 4)}
        >>> data["masks"] = torch.zeros(2, 1, 8, 10, dtype=torch.bool)
        >>> data["masks"][:, :, 2:6, 1:5] = True
        >>> ga.CopyPaste(1.0)(data)["boxes"].shape
        torch.Size([2, 2, 4])
    """

    sees = ("masks",)

    def __init__(
        self,
        object_p: Number = 0.5,
        *,
        scale_range: Range = (0.8, 1.25),
        flip_p: Number = 0.5,
        blending: bool = True,
        class_weights: Mapping[int, float] | Sequence[float] | Tensor | None = None,
        max_ioa: float | None = None,
        pairing: str = "perm",
        p: Number = 1.0,
    ) -> None:
        """Check the arguments; see the class."""
        super().__init__(p, None)
        owner = "CopyPaste"
        self.object_p, self.flip_p = (
            as_number(value, owner, name) for name, value in (("object_p", object_p), ("flip_p", flip_p))
        )
        scale = as_distribution(scale_range, owner=owner, name="scale_range", low=0.01)
        self.shrink = max(1.0, 1 / static_range(scale)[0])
        if max_ioa is not None and as_number(max_ioa, owner, "max_ioa") == 0:
            raise ValueError(f"{owner}: max_ioa must be above 0 and at most 1, got {max_ioa!r}")
        if pairing not in (*PAIRINGS, "self"):
            raise ValueError(f"{owner}: pairing must be one of {', '.join((*PAIRINGS, 'self'))}, got {pairing!r}")
        self.max_ioa, self.pairing, self.blending = max_ioa, pairing, bool(blending)
        self._weights = self._table = _table(class_weights, owner)
        given = constants(object_p=self.object_p, flip_p=self.flip_p)
        pair: dict[str, Any] = {"_pair": Uniform(0.0, 1.0)} if pairing == "perm" else {}
        self.declare(scale=scale, _flip=Uniform(0.0, 1.0), _place=(Uniform(0.0, 1.0), 2), _objects=KEY, **pair, **given)

    # -- draws

    def settle(self, raw: Drawn, gate: Tensor | None, context: Context) -> Drawn:
        """Choose the objects, place them, and return which pixels they cover: `alpha` (B, H, W), or (B, T, H, W)."""
        rows = self._rows(context)
        like, frames, count = context.like, context.frames, rows.valid.shape[1]
        partner, apart = torch.arange(like.shape[0], device=like.device), None
        if self.pairing != "self":
            partner, apart = partners(self.pairing, like.shape[0], raw.get("_pair"), like.device)
        if apart is not None:  # who meets itself stays as it is
            gate = apart if gate is None else gate & apart
        other = partner
        if frames > 1:
            other = (partner[:, None] * frames + torch.arange(frames, device=like.device)).flatten()
        boxes, valid = self._boxes(rows, context)
        theirs, there = boxes.index_select(0, other), valid.index_select(0, other)
        flip = raw["_flip"] < drawn_number(raw, "flip_p", self.flip_p)
        chosen = there.unflatten(0, (-1, frames)).any(1)
        if count:
            chosen = chosen & (self._uniforms(raw, count) < self._chances(raw, rows, other, frames))
        if gate is not None:
            chosen = chosen & gate[:, None]
        values = {"partner": partner, "scale": mat.wide(raw["scale"]), "flip": flip}
        values["shift"] = self._shift(values, mat.wide(raw["_place"]), theirs, there, chosen, context)
        if self.max_ioa is not None and count:
            moved = _moved(values, theirs, context, frames)
            chosen = chosen & ~self._covers(moved, boxes, valid).unflatten(0, (-1, frames)).any(1)
        values["chosen"] = chosen
        # Whose objects are chosen knows the sample itself: its masks need not be copied to be cut out.
        each = chosen.repeat_interleave(frames, 0) if frames > 1 else chosen
        own = torch.zeros_like(each).index_copy(0, other, each & there)
        cut = msk.union(rows.masks, own)[:, None]
        group = Group(other, _matrix(values, context, frames))
        found = placed(cut, group, context.canvas, context.canvas, None)[:, 0]
        alpha = msk.at_size(found, context.canvas)
        values["alpha"] = alpha.unflatten(0, (-1, frames)) if frames > 1 else alpha
        if gate is not None:
            values["gate"] = gate
        return values

    def _rows(self, context: Context) -> Instances:
        """Return the objects, or raise where there are no masks to cut them out by."""
        rows = context.objects
        if rows is None or rows.masks is None:
            raise ValueError(
                "CopyPaste: masks of the objects must be given, `masks` (B, N, h, w) or an index map (B, h, w), got "
                + ("no objects" if rows is None else "boxes or keypoints alone")
            )
        return rows

    def _boxes(self, rows: Instances, context: Context) -> tuple[Tensor, Tensor]:
        """Return what of the objects' boxes (B, N, 4) lies in the canvas, and which of them (B, N) are there."""
        if rows.valid.shape[1] == 0:
            return mat.wide(rows.valid[..., None].expand(-1, -1, 4)), rows.valid
        if rows.boxes is None:
            boxes = mat.wide(msk.boxes(rows.masks, rows.valid.shape[1], context.canvas))
            return boxes, rows.valid & (boxes[..., 2] > boxes[..., 0])
        seen = seen_boxes(context)
        assert seen is not None
        return seen

    def _uniforms(self, raw: Drawn, count: int) -> Tensor:
        """Return a number from [0, 1) for each object (B, N), counted from a key: how many there are is not known."""
        key = as_key(raw["_objects"])
        blocks, lanes = (torch.arange(n, device=key.device) for n in ((count + 3) // 4, count))
        return uniform(key.new_full((2,), 1), key, key >> 32, blocks, lanes)

    def _chances(self, raw: Drawn, rows: Instances, other: Tensor, frames: int) -> Any:
        """Return the probability of each object (B, N) of the other samples, or one of all."""
        p = drawn_number(raw, "object_p", self.object_p, 1)
        if self._weights is None:
            return p
        if rows.labels is None or rows.labels.dim() != 2:
            raise ValueError(
                "CopyPaste: class_weights need labels (B, N) beside the boxes, got "
                + ("none" if rows.labels is None else str(tuple(rows.labels.shape)))
            )
        if self._table is None or self._table.device != other.device:  # moved once, and kept
            self._table = self._weights.to(other.device)
        table = self._table
        labels = rows.labels.index_select(0, other).to(torch.int64)
        known = (labels >= 0) & (labels < table.shape[0])
        weight = torch.where(known, table[labels.clamp(0, table.shape[0] - 1)], 1.0)
        if frames > 1:  # of the frames in which it is there
            there = rows.valid.index_select(0, other)
            weight = torch.where(there, weight, 0.0).unflatten(0, (-1, frames)).amax(1)
        return weight * p

    def _shift(
        self, values: Drawn, u: Tensor, boxes: Tensor, there: Tensor, chosen: Tensor, context: Context
    ) -> Tensor:
        """Return how the scaled image is shifted (B, 2): anywhere, but the chosen objects in view where they fit."""
        h, w = context.canvas
        size, scale = u.new_zeros(2), values["scale"]
        size[0].fill_(w)
        size[1].fill_(h)
        shift = u * (size - size * scale[:, None])
        if boxes.shape[1] == 0:
            return shift
        far = float(4 * max(h, w))
        seen = (there.unflatten(0, (-1, context.frames)) & chosen[:, None])[..., None]
        boxes = boxes.unflatten(0, (-1, context.frames))
        low = torch.where(seen, boxes[..., :2], far).flatten(1, 2).amin(1)
        high = torch.where(seen, boxes[..., 2:], -far).flatten(1, 2).amax(1)
        mirrored = torch.stack((values["flip"], torch.zeros_like(values["flip"])), dim=-1)
        low, high = torch.where(mirrored, size - high, low), torch.where(mirrored, size - low, high)
        ends = -low * scale[:, None], size - high * scale[:, None]
        held = torch.minimum(torch.maximum(shift, torch.minimum(*ends)), torch.maximum(*ends))
        return torch.where(chosen.any(1, keepdim=True), held, shift)

    def _covers(self, moved: Tensor, own: Tensor, valid: Tensor) -> Tensor:
        """Tell which boxes (B, N, 4) cover too much of one of a sample's own (B, M, 4)."""
        low = torch.maximum(moved[:, :, None, :2], own[:, None, :, :2])
        high = torch.minimum(moved[:, :, None, 2:], own[:, None, :, 2:])
        shared = (high - low).clamp(min=0).prod(-1)
        area = (own[..., 2:] - own[..., :2]).prod(-1)[:, None]
        return (valid[:, None] & (shared >= (self.max_ioa or 1.0) * area)).any(-1)

    # -- what becomes of the batch

    def contribute(self, plan: Plan, values: Drawn, context: Context, node: Node) -> None:
        """Begin a pass."""
        alpha, matrix = values["alpha"], _matrix(values, context)
        share = values["chosen"].any(1).to(torch.float32)
        within = None
        hard = not self.blending or plan.reading is not None  # classes and maps are not blended
        if not hard:
            alpha = feather(alpha)
            within = mat.bounds_of(matrix, rectangle(context.canvas, matrix))
        reading = plan.reading or Reading(plan.interpolation or "bilinear", plan.antialias)
        plan.blend(
            Blend(
                values["partner"],
                share,
                within,
                matrix,
                alpha,
                whole=hard,
                kind="axis",
                reading=reading,
                shrink=self.shrink,
            )
        )

    def groups(self, values: Drawn, context: Context) -> list[Group]:
        """Return a sample's objects under what is pasted, and the pasted ones."""
        matrix = _matrix(values, context)
        return [Group(hidden=values["alpha"]), Group(values["partner"], matrix, chosen=values["chosen"], tight=True)]

    def extra_repr(self) -> str:
        """Show the arguments."""
        shown = [f"object_p={self.object_p:g}", super().extra_repr(), f"flip_p={self.flip_p:g}"]
        if self.max_ioa is not None:
            shown.append(f"max_ioa={self.max_ioa:g}")
        return ", ".join([*shown, f"pairing={self.pairing!r}"])


def _matrix(values: Drawn, context: Context, frames: int = 1) -> Tensor:
    """Return the maps (B, 3, 3) of the other images onto the canvas."""
    scale, flip, shift = values["scale"], values["flip"], values["shift"]
    if frames > 1:
        scale, flip, shift = (v.repeat_interleave(frames, 0) for v in (scale, flip, shift))
    x, y = shift.unbind(-1)
    width = context.canvas[1]
    return mat.scale_shift(torch.where(flip, -scale, scale), torch.where(flip, x + scale * width, x), scale, y, scale)


def _moved(values: Drawn, boxes: Tensor, context: Context, frames: int) -> Tensor:
    """Return boxes (B, N, 4) of the other images on the canvas."""
    matrix = _matrix(values, context, frames)
    slope, shift = matrix.diagonal(dim1=1, dim2=2)[:, None, :2], matrix[:, None, :2, 2]
    a, b = boxes[..., :2] * slope + shift, boxes[..., 2:] * slope + shift
    return torch.cat((torch.minimum(a, b), torch.maximum(a, b)), dim=-1)


def _table(weights: Any, owner: str) -> Tensor | None:
    """Return the factors (classes,) of labels, on the host; None for none."""
    if weights is None:
        return None
    if isinstance(weights, Mapping):
        keys = list(weights)
        if not keys or any(isinstance(k, bool) or not isinstance(k, int) or not 0 <= k < MOST_CLASSES for k in keys):
            raise ValueError(
                f"{owner}: class_weights must have labels from 0 to {MOST_CLASSES - 1} as keys, got {weights!r}"
            )
        table = torch.ones(max(keys) + 1)
        for key, value in weights.items():
            table[key] = float(value)
    else:
        table = torch.as_tensor(weights, dtype=torch.float32).detach().clone()
    if table.dim() != 1 or table.numel() == 0 or not bool((torch.isfinite(table) & (table >= 0)).all()):
        raise ValueError(f"{owner}: class_weights must be finite and not negative, one for each class, got {weights!r}")
    return table
