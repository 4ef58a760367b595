"""Occlusion of whole objects, by their masks."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import torch
from torch import Tensor

from gpuaug.data.ragged import Ragged
from gpuaug.geometry import masks as msk
from gpuaug.geometry.canvas import largest
from gpuaug.render import ops
from gpuaug.render.plan import Choice, Plan
from gpuaug.render.settings import as_fill
from gpuaug.sampling.counts import as_counts
from gpuaug.sampling.generator import uniform
from gpuaug.sampling.law import Number, Range
from gpuaug.transforms.base import Drawn
from gpuaug.transforms.layer import Context
from gpuaug.transforms.noise import KEY, as_key
from gpuaug.transforms.occlude import Occluding

__all__ = ["MaskDropout"]

VALUES = 256
"""Values of a `mask` that are told apart: 1 to 255 are objects."""


class MaskDropout(Occluding):
    """Take whole objects out of each sample: the pixels of their masks are replaced, and the objects are gone.

    Objects are those of `masks`, beside boxes or not; of a batch without `masks` each value of `mask` from 1 to 255 is
    one.

    Args:
        max_objects: (low, high) number of objects that are taken out of a sample, or v for 1 to v; where fewer are
            there, all of them.
        fill: a number or one for each channel, in the input's unit (after `Normalize`, in its units).
        fill_mask: class that masks get there (masks of objects are cleared); None leaves masks as they are.
        p: probability for each sample; 0 is neutral.
        hide_keypoints: whether keypoints under what is replaced are no longer visible.
        channels: bands it is limited to.
        keys: inputs it is limited to, such as ("image",) or a key of `roles`; None is all images.

    Shape:
        (B, C, H, W) to the same; a batch without masks stays as it is.

    Boxes and masks:
        Objects of `masks` that are taken out are no longer `valid`; their row stays. Boxes over values of `mask` stay.

    Raises:
        ValueError: for numbers that are not whole or out of order.

    Source: albumentations.MaskDropout, whose objects are the connected parts of the mask, and which drops boxes by
    their area that is left.

    Example:
        >>> import torch, gpuaug as ga
        >>> mask = torch.tensor([[[0, 1, 1, 0], [0, 0, 0, 0]]])
        >>> out = ga.MaskDropout(p=1.0)({"image": torch.ones(1, 1, 2, 4), "mask": mask})
        >>> out["image"].flatten().tolist(), int(out["mask"].sum())
        ([1.0, 0.0, 0.0, 1.0, 1.0, 1.0, 1.0, 1.0], 0)
    """

    sees = ("masks", "mask")

    def __init__(
        self,
        max_objects: Range = (1, 1),
        fill: float | Sequence[float] = 0,
        fill_mask: float | None = 0,
        p: Number = 0.5,
        *,
        hide_keypoints: bool = True,
        channels: tuple[int, ...] | None = None,
        keys: Sequence[str] | None = None,
    ) -> None:
        """See the class."""
        super().__init__(p, channels, keys, fill_mask, hide_keypoints)
        pair: Any = (1, max_objects) if isinstance(max_objects, int) else max_objects
        self.value = as_fill(fill, "MaskDropout") or (0.0,)
        self.declare(count=as_counts(pair, "MaskDropout", "max_objects"), _objects=KEY)

    def settle(self, raw: Drawn, gate: Tensor | None, context: Context) -> Drawn:
        """Choose objects; samples that the gate leaves out keep theirs."""
        values = super().settle(raw, gate, context)
        if gate is not None and "taken_out" in values:
            values["taken_out"] = values["taken_out"] & gate[:, None]
        return values

    def parameters_for(self, raw: Drawn, context: Context) -> Drawn:
        """Return `count`, where pixels are replaced as `alpha` (B, H, W), or (B, T, H, W), and who is `taken_out`."""
        rows, frames, canvas = context.objects, context.frames, largest(context.canvas)
        values = {"count": raw["count"]}
        if rows is not None and rows.masks is not None:
            masks = rows.masks.padded(canvas) if isinstance(rows.masks, Ragged) else rows.masks
            there = rows.valid.unflatten(1, (frames, -1)).any(1)
            values["taken_out"] = chosen = self._chosen(raw, there)
            where = msk.union(_by_frame(masks, frames), chosen.repeat_interleave(frames, 0))
        elif context.mask is not None:
            known = _by_frame(context.mask, frames).to(torch.int64)
            known = torch.where((known > 0) & (known < VALUES), known, 0)
            flat = known.view(raw["count"].shape[0], -1)
            there = torch.zeros((flat.shape[0], VALUES), dtype=torch.bool, device=flat.device)
            there = there.scatter(1, flat, True) & (torch.arange(VALUES, device=flat.device) > 0)
            where = torch.gather(self._chosen(raw, there), 1, flat).view(known.shape).any(1)
        else:
            where = torch.zeros((raw["count"].shape[0] * frames, *canvas), dtype=torch.bool, device=raw["count"].device)
        where = msk.at_size(where, canvas)
        values["alpha"] = where.unflatten(0, (-1, frames)) if frames > 1 else where
        return values

    def _chosen(self, raw: Drawn, there: Tensor) -> Tensor:
        """Return which of the objects that are there (B, N) are taken out: each as likely."""
        key, count = as_key(raw["_objects"]), there.shape[1]
        blocks, lanes = (torch.arange(n, device=key.device) for n in (-(-count // 4), count))
        u = uniform(key.new_full((2,), 3), key, key >> 32, blocks, lanes)
        rank = torch.argsort(torch.argsort(torch.where(there, u, 2.0), dim=1), dim=1)
        return there & (rank < raw["count"][:, None])

    def covered(self, values: Drawn, canvas: tuple[int, int]) -> Tensor:
        """Return where objects are taken out."""
        return values["alpha"]

    def choices(self, values: Drawn, plan: Plan, context: Context) -> list[list[Choice]]:
        """Return the operation."""
        if len(self.value) not in (1, context.channels):
            raise ValueError(
                f"MaskDropout: fill must be one number or one for each of the {context.channels} channels, got "
                f"{self.value}"
            )
        static = {"value": context.values.working(self.value)}
        return [[Choice("erase_mask", ops.erase_by_mask, (values["alpha"],), static)]]


def _by_frame(planes: Tensor, frames: int) -> Tensor:
    """Return what a transform sees of clips, (B, T * N, ...), frame by frame, (B * T, N, ...)."""
    return planes if frames == 1 else planes.unflatten(1, (frames, -1)).flatten(0, 1)
