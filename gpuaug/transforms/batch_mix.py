"""Operations in which samples of a batch meet."""

from __future__ import annotations

from typing import Any, ClassVar

import torch
from torch import Tensor

from gpuaug.geometry import matrix as mat
from gpuaug.geometry.canvas import Canvas, Sizes, rectangle
from gpuaug.render.mixes import Tiles
from gpuaug.render.plan import Plan
from gpuaug.render.settings import Reading
from gpuaug.sampling.law import Number
from gpuaug.transforms.base import Drawn, Transform
from gpuaug.transforms.layer import Context, Node
from gpuaug.transforms.mixing import Group

__all__ = ["BatchMix", "Branch"]


class BatchMix(Transform):
    """An operation in which samples of a batch meet: it says whose pixels are seen where, and whose objects.

    What is drawn for it holds `partner`, int64 (B,) or (B, K): whom each sample meets. `enabled` switches it off.
    """

    mixes: ClassVar[bool] = True
    mixes_labels: ClassVar[bool] = False
    """Whether the samples' labels change too."""
    takes_sizes: ClassVar[bool] = False
    """Whether samples of different sizes can meet."""
    return_pairs: bool = False
    """Whether labels come out as (labels, labels of the others, share of the first)."""

    def __init__(self, p: Number = 1.0, labels_getter: Any = "default") -> None:
        """Remember how labels are found in what a call is given."""
        owner = type(self).__name__
        if labels_getter is not None and labels_getter != "default" and not callable(labels_getter):
            raise TypeError(f"{owner}: labels_getter must be 'default', a function or None, got {labels_getter!r}")
        self.labels_getter = labels_getter
        self._on = True
        super().__init__(p)

    @property
    def enabled(self) -> bool:
        """Whether it is switched on."""
        return self._on

    @enabled.setter
    def enabled(self, on: bool) -> None:
        self._on = bool(on)

    def active(self, context: Context) -> bool:
        """Tell whether it is switched on; raise where samples differ in size, and cannot meet."""
        if isinstance(context.canvas, Sizes) and not self.takes_sizes:
            raise ValueError(
                f"{type(self).__name__}: images must have one size to meet: put Resize((height, width)),"
                " RandomResizedCrop or another transform to a fixed size before it, or stack them if they have one;"
                " got a list or Ragged"
            )
        return self.enabled

    def groups(self, values: Drawn, context: Context) -> list[Group]:
        """Return whose objects there are after the mix, in the order of their rows."""
        raise NotImplementedError  # pragma: no cover

    def check_labels(self, labels: Tensor) -> None:
        """Raise for labels (B,) or (B, classes) that cannot be mixed."""

    def smooth_labels(self, labels: Tensor) -> Tensor:
        """Return labels (B, classes) after the last mix of a pipeline as the first one wants them."""
        return labels

    def mix_labels(self, labels: Tensor, values: Drawn, context: Context) -> Any:
        """Return the labels (B,) or (B, classes) of the samples after the mix; it has no `values` where it is off."""
        return labels

    def branch(self, group: Group, canvas: Canvas) -> Any:
        """Return what stands in its place where one of its groups alone is looked at; `canvas` is that after it."""
        return Branch(self, group, canvas)


class Branch:
    """One group of a mix, in place of a transform: for masks of objects.

    Made in every call, where a compiler takes no module.
    """

    mixes = regroups = mute = normalizes = changes_dtype = treats_boxes = hide_keypoints = retimes = False
    copies = 1
    fill_mask = keys = None

    def __init__(self, mix: BatchMix, group: Group, canvas: Canvas) -> None:
        """Remember whose masks."""
        self.mix, self.group, self.canvas = mix, group, canvas

    def output_canvas(self, canvas: Canvas) -> Canvas:
        """Return the canvas after the mix."""
        return self.mix.output_canvas(canvas)

    def output_channels(self, channels: int) -> int:
        """Return the number of channels."""
        return channels

    def contribute(self, plan: Plan, values: Drawn, context: Context, node: Node) -> None:
        """Show one sample, where it is seen."""
        group, like = self.group, context.like
        index = torch.arange(like.shape[0], device=like.device) if group.index is None else group.index
        matrix = mat.scale_shift(1.0, 0.0, 1.0, 0.0, like) if group.matrix is None else group.matrix
        within = rectangle(self.canvas, like).expand(like.shape[0], 4) if group.within is None else group.within
        reading = plan.reading or Reading("nearest", False)
        plan.tile(Tiles(index[:, None], matrix[:, None], within[:, None]), self.canvas, "axis", reading)
