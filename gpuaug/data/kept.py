"""Samples of earlier batches, kept in a ring on the batch's device."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from typing import Any, NamedTuple

import torch
from torch import Tensor
from torch._subclasses.fake_tensor import FakeTensor

from gpuaug.data.batch import Batch
from gpuaug.data.instances import Instances
from gpuaug.render.values import movable

__all__ = ["Kept", "Met", "among", "parts_of"]

Parts = dict[str, Tensor]
"""All tensors of a batch, by a name."""
_OBJECTS = ("valid", "boxes", "labels", "masks", "keypoints", "visible")


class Met(NamedTuple):
    """Where the samples of a batch stand in the ring, and how many can be met."""

    slots: Tensor
    """(B,) int64."""
    reach: Tensor
    """() int64: the batch itself, and as many before it as there are."""
    length: int
    """Of the ring."""

    def partner(self, u: Tensor) -> Tensor:
        """Return the slots of whom numbers from [0, 1) choose, each as often; 0 is the last sample of the batch."""
        back = torch.minimum((u * self.reach).to(torch.int64), self.reach - 1)
        return (self.slots[-1:].view(*[1] * u.dim()) - back) % self.length if self.slots.shape[0] else back


class Kept:
    """A ring of the last samples, as they came in: as many rows as are kept, and a batch more.

    What is copied or pickled has none: it starts anew, as it does where shapes, dtypes or the device change.
    """

    def __init__(self, samples: int) -> None:
        """Keep some samples beside those of a batch."""
        self.samples = samples
        self.parts: Parts = {}
        self.total: Tensor | None = None

    def __reduce__(self) -> Any:
        """Take no images along."""
        return Kept, (self.samples,)

    def forget(self) -> None:
        """Start anew."""
        self.parts, self.total = {}, None

    def meet(self, batch: Batch, owner: str, keep: bool) -> tuple[Batch, Met]:
        """Return a batch whose rows are the ring's, those of the given one among them, and where they are.

        Args:
            batch: samples as they come in.
            owner: name of the class, for messages.
            keep: whether they stay in the ring; else what is returned is a copy.
        """
        given = parts_of(batch, owner)
        count = given["image"].shape[0]
        parts, total = self._room(given)
        if total is None:
            parts = {name: t.new_zeros((self.samples + count, *t.shape[1:])) for name, t in given.items()}
            total = torch.zeros((), dtype=torch.int64, device=given["image"].device)
        given = _as_long(given, parts)
        length = parts["image"].shape[0]
        slots = (total + torch.arange(count, device=total.device)) % length
        met = Met(slots, (total + count).clamp(max=self.samples + count), length)
        if keep:
            self.parts, self.total = parts, total
            with torch.no_grad():
                for name, t in given.items():
                    movable(parts[name]).index_copy_(0, slots, movable(t.detach()))
                total.add_(count)
        return among(batch, parts, slots, given, copied=not keep), met

    def _room(self, given: Parts) -> tuple[Parts, Tensor | None]:
        """Return the ring, with rows for as many objects as are given; none where other samples were in it."""
        old = self.parts
        if self.total is None or old.keys() != given.keys():
            return {}, None
        rows = max(old["valid"].shape[1], given["valid"].shape[1]) if "valid" in old else 0
        old = {name: _with_rows(name, t, rows) for name, t in old.items()}
        for name, t in given.items():
            t = _with_rows(name, t, rows)
            same = (t.shape[1:], t.dtype, t.device) == (old[name].shape[1:], old[name].dtype, old[name].device)
            if not same or isinstance(t, FakeTensor) != isinstance(old[name], FakeTensor):
                return {}, None
        return (old, self.total) if given["image"].shape[0] + self.samples <= old["image"].shape[0] else ({}, None)


def parts_of(batch: Batch, owner: str) -> Parts:
    """Return the tensors of a batch, or raise where they are of several sizes, or of clips."""
    parts: dict[str, Any] = {"image": batch.image, "mask": batch.mask, "label": batch.label}
    parts |= {f"extra.{key}": value for key, (_, value) in batch.extra.items()}
    rows = batch.instances
    if rows is not None:
        parts |= {name: getattr(rows, name) for name in _OBJECTS}
        parts |= {f"columns.{key}": value for key, value in rows.columns.items()}
    parts = {name: value for name, value in parts.items() if value is not None}
    wrong = [name for name, value in parts.items() if not isinstance(value, Tensor)]
    if wrong or batch.frames > 1:
        what = "clips" if batch.frames > 1 else f"{wrong[0]} of several sizes"
        raise ValueError(f"{owner}: a buffer keeps images of one size, got {what}")
    return parts


def among(
    batch: Batch, ring: Mapping[str, Tensor], slots: Tensor, given: Parts | None = None, copied: bool = True
) -> Batch:
    """Return a batch whose rows are those of a ring, with its own samples in some slots.

    Where it is `copied`, or what is given needs gradients, the ring itself stays as it is.
    """
    if given is None:
        given = parts_of(batch, "replay")
        if given.keys() != ring.keys():
            raise ValueError(
                f"replay: params carry {', '.join(ring)} of earlier batches: inputs must have the same, got "
                + ", ".join(given)
            )
        given = _as_long(given, ring)
        for name, t in given.items():
            if (t.shape[1:], t.dtype, t.device) != (ring[name].shape[1:], ring[name].dtype, ring[name].device):
                raise ValueError(
                    f"replay: params carry {name} of earlier batches, {ring[name].dtype} {tuple(ring[name].shape[1:])}"
                    f" on {ring[name].device}: inputs must be alike, got {t.dtype} {tuple(t.shape[1:])} on {t.device}"
                )
    found = {
        name: _written(t, slots, given[name]) if copied or given[name].requires_grad else t for name, t in ring.items()
    }
    rows = batch.instances
    if rows is not None:
        columns = {key: found[f"columns.{key}"] for key in rows.columns}
        rows = Instances(**{name: found.get(name) for name in _OBJECTS}, columns=columns)  # type: ignore[arg-type]
    extra = {key: (role, found[f"extra.{key}"]) for key, (role, _) in batch.extra.items()}
    return replace(
        batch, image=found["image"], mask=found.get("mask"), label=found.get("label"), instances=rows, extra=extra
    )


def _written(ring: Tensor, slots: Tensor, given: Tensor) -> Tensor:
    """Return a part of a ring with what a batch has in some slots."""
    return movable(ring).index_copy(0, slots, movable(given)).view(ring.dtype)


def _as_long(given: Parts, ring: Mapping[str, Tensor]) -> Parts:
    """Return the parts of a batch with as many rows of objects as a ring has."""
    rows = ring["valid"].shape[1] if "valid" in ring else 0
    return {name: _with_rows(name, t, rows) for name, t in given.items()}


def _with_rows(name: str, t: Tensor, rows: int) -> Tensor:
    """Return a part with at least so many rows for objects: empty ones at the end."""
    own = name in _OBJECTS or name.startswith("columns.")
    if not own or (name == "masks" and t.dim() == 3) or t.shape[1] >= rows:
        return t
    return torch.cat((t, t.new_zeros((t.shape[0], rows - t.shape[1], *t.shape[2:]))), dim=1)
