"""Transforms in their places of a pipeline, their names, and what decides for each sample whether they apply."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

import torch
from torch import Tensor

from gpuaug.data.instances import Instances
from gpuaug.data.kept import Met
from gpuaug.geometry.canvas import Canvas, numbers
from gpuaug.render.values import ValueRange
from gpuaug.sampling.layout import Declaration, Draws
from gpuaug.sampling.state import moved

if TYPE_CHECKING:
    from gpuaug.transforms.base import Transform

__all__ = ["TAKEN", "Context", "Gate", "Given", "Names", "Node", "which_copy"]

TAKEN = "_taken"
"""Parameter of a container that chooses: (B, branches) bool, which of its branches each sample takes."""


@dataclass(frozen=True)
class Context:
    """What a transform may know of the batch when it draws: values of pixels only where it says that it sees them."""

    canvas: Canvas
    """(height, width) at this point of the pipeline: integers, or tensors (B,) where samples differ in size."""
    channels: int
    """Of the image, or as many as the transform is limited to."""
    like: Tensor
    """(B,) zeros in the dtype of matrices, on the batch's device."""
    values: ValueRange
    """What black and white are in the unit of the user's numbers (fill, thresholds)."""
    objects: Instances | None = None
    """For a transform that `sees` objects (or their masks), in this canvas, and which of them are still there."""
    mask: Tensor | None = None
    """For a transform that `sees` the mask: (B, C, H, W) of this canvas."""
    image: Any = None
    """For a transform that `sees` the image, as it is here."""
    met: Met | None = None
    """For a mix that keeps samples of earlier batches: where those of this one are among them."""
    dense: Any = None
    """For a transform that `sees` a further input, `Transform.dense`: (B, H, W) of this canvas, of clips (B, T, H, W).
    """
    frames: int = 1
    """T of clips, for what says which frames are shown, and for a mix that `sees` objects: those of the frames, then,
    (B * T, N, ...)."""
    before: int = 0
    """How many samples there are at this point, of which there will be more."""


def which_copy(context: Context, copies: int) -> Tensor:
    """Return which of its copies (B,) each sample is, for a transform that makes some."""
    place = torch.arange(len(context.like), device=context.like.device)
    return torch.div(place, max(context.before, 1), rounding_mode="floor") % copies


@dataclass(frozen=True)
class Gate:
    """A container's decision for each sample: its own probability, or whether it takes one of its branches."""

    container: str
    branch: int | None = None


@dataclass
class Given:
    """Parameters of one sample that stand for those of all: nothing is drawn."""

    values: dict[str, Tensor]
    """(1, ...) each."""
    canvas: tuple[int, int] | None = None
    """What images must be there; None where that is known."""

    def of(self, canvas: Canvas, samples: int, device: torch.device, owner: str) -> dict[str, Tensor]:
        """Return the parameters of all samples of a batch."""
        sizes = numbers(canvas)
        found = set(sizes) if sizes and isinstance(sizes[0], tuple) else {sizes}
        if self.canvas is not None and found - {self.canvas}:
            raise ValueError(f"{owner}: images must be {self.canvas}, as those drawn for, got {canvas}")
        if any(t.device != device for t in self.values.values()):  # once
            self.values = {k: moved(t, device) for k, t in self.values.items()}
        return {key: t.expand(samples, *t.shape[1:]) for key, t in self.values.items()}


@dataclass
class Node:
    """A transform in its place in a pipeline."""

    name: str
    transform: Transform
    gates: tuple[Gate, ...] = ()
    """Of the containers that decide too."""
    channels: tuple[int, ...] | None = None
    drawn: str | None = None
    """Whose draws it takes, where not its own: a transform that stands in several places has one draw."""
    of: str | tuple[str, ...] | None = None
    """Whose parameters it takes, where it is a part of something; of several, each by its name and a dot."""
    given: Given | None = None
    """Its parameters, where they are not drawn."""

    def raw(self, draws: Draws, values: dict[str, dict[str, Tensor]]) -> tuple[dict[str, Tensor], Tensor | None]:
        """Return what was drawn for it, and the gate (B,); None where it always applies."""
        if isinstance(self.of, tuple):
            return {f"{name}.{key}": value for name in self.of for key, value in values[name].items()}, None
        raw = dict(values[self.of] if self.of is not None else draws.get(self.drawn or self.name, {}))
        gate = raw.pop("gate", None)
        for outer in self.gates:
            if outer.branch is None:
                decided = draws[outer.container]["gate"]
            else:
                decided = values[outer.container][TAKEN][:, outer.branch]
            gate = decided if gate is None else gate & decided
        return raw, gate


@dataclass
class Names:
    """Name transforms by class and occurrence, and collect what they draw."""

    seen: dict[str, int] = field(default_factory=dict)
    declarations: list[Declaration] = field(default_factory=list)

    def take(self, kind: str) -> str:
        """Return the next name of a class: RandomCrop, RandomCrop_2, ..."""
        self.seen[kind] = self.seen.get(kind, 0) + 1
        return kind if self.seen[kind] == 1 else f"{kind}_{self.seen[kind]}"
