"""The kinds of transform: geometric, photometric, filter. A new transform gets everything else from its kind."""

from __future__ import annotations

import copy as copying
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace
from types import MappingProxyType
from typing import Any, ClassVar

import torch
from torch import Tensor

from gpuaug.data.kept import Kept
from gpuaug.geometry.canvas import Canvas, Sizes, following, hosts
from gpuaug.geometry.cells import Cells
from gpuaug.render.plan import Choice, Plan
from gpuaug.render.settings import Reading, as_fill, as_interpolation
from gpuaug.render.warp import Kind
from gpuaug.sampling.distributions import Distribution
from gpuaug.sampling.law import Number
from gpuaug.sampling.layout import Declaration
from gpuaug.sampling.varying import Times
from gpuaug.transforms.changing import check_p
from gpuaug.transforms.given import GIVEN, MADE
from gpuaug.transforms.layer import Context, Gate, Layer, Names, Node
from gpuaug.transforms.sizes import as_size

__all__ = ["MAX_CHANNELS", "Filter", "Geometric", "Photometric", "Reader", "Transform", "check_channels", "check_p"]

Drawn = dict[str, Tensor]
MAX_CHANNELS = 64
"""Bound of the channels among which a transform can draw: the columns are laid out before an image is seen."""


def check_channels(channels: int, owner: str) -> None:
    """Raise where an image has more channels than there are columns."""
    if channels > MAX_CHANNELS:
        raise ValueError(f"{owner}: images must have at most {MAX_CHANNELS} channels, got {channels}")


def as_channels(channels: Any, owner: str) -> tuple[int, ...] | None:
    """Return indices of bands, or raise; None stays None."""
    if channels is None:
        return None
    given = tuple(channels) if isinstance(channels, (tuple, list)) else ()
    if not given or any(isinstance(c, bool) or not isinstance(c, int) or c < 0 for c in given):
        raise ValueError(f"{owner}: channels must be indices of bands, got {channels!r}")
    if len(set(given)) < len(given):
        raise ValueError(f"{owner}: channels must be different bands, got {channels!r}")
    return given


def as_keys(keys: Any, owner: str) -> tuple[str, ...] | None:
    """Return names of inputs, or raise; None stays None."""
    if keys is None:
        return None
    given = tuple(keys) if isinstance(keys, (tuple, list)) else ()
    if not given or any(not isinstance(key, str) for key in given):
        raise TypeError(f"{owner}: keys must be names of inputs, such as ('image',), got {keys!r}")
    return given


class Transform(Layer):
    """One operation with the distributions of its parameters."""

    normalizes: ClassVar[bool] = False
    """Whether values leave 0..1 for good, so that operations that clamp may not follow."""
    clamps: ClassVar[bool] = False
    """Whether the operation needs values in 0..1."""
    changes_dtype: ClassVar[bool] = False
    selectable: ClassVar[bool] = False
    """Whether it can be limited to some bands."""
    keys: tuple[str, ...] | None = None
    """Inputs whose values it changes; None is all images."""
    draws_size: bool = False
    """Whether its output canvas is drawn, for the whole batch."""
    sees: tuple[str, ...] = ()
    """What of a batch its draws depend on: "objects", "masks" (with theirs), "mask", "image", "dense"."""
    dense: str | None = None
    """Name of the further input that it `sees`."""
    mixes: ClassVar[bool] = False
    """Whether samples of the batch meet in it: see `gpuaug.transforms.batch_mix`."""
    regroups: ClassVar[bool] = False
    """Whether parts of the image go different ways, so that objects come out in parts: it has `exchange`."""
    mixes_labels: ClassVar[bool] = False
    kept: Kept | None = None
    """For one that mixes: samples of earlier batches."""
    labels_getter: Any = None
    """For one that mixes: how labels are found in what a call is given."""
    treats_boxes: ClassVar[bool] = False
    """Whether it does something to boxes alone, at its place: see `gpuaug.transforms.boxes`."""
    box_format: str | None = None
    """What boxes are written as if this is the last transform that says."""
    mirrors: ClassVar[bool] = False
    """Whether it is there to exchange left and right, or up and down."""
    fill_mask: float | None = None
    """What masks become where the image is occluded; None where they stay."""
    hide_keypoints: bool = False
    """Whether keypoints are lost where the image is occluded."""
    labels: Mapping[str, tuple[str, ...]] = MappingProxyType({})
    """Names of what a parameter counts, by parameter."""
    blends: bool = False
    """Whether it shows an image in several places at once, so that no annotation has one."""
    neutral: ClassVar[Mapping[str, float]] = MappingProxyType({})
    """Drawn values at which nothing happens, by parameter: what `strength` scales towards."""
    outputs: Mapping[str, str] = MappingProxyType({})
    """Parameters (B, ...) that come out beside a dict's tensors, each under a key of its own."""
    mute: ClassVar[bool] = False
    """Whether it does nothing itself: a container's decision."""
    copies: int = 1
    """How many samples it makes of one: see `gpuaug.transforms.rows`."""
    retimes: ClassVar[bool] = False
    """Whether it says which frames of a clip are shown."""

    def __init__(self, p: Number = 1.0) -> None:
        """Remember the probability with which each sample is transformed."""
        super().__init__()
        self.p = check_p(p, type(self).__name__)
        self._declared: dict[str, tuple[Distribution, int]] = {}
        self._build()

    @property
    def enabled(self) -> bool:
        """Whether it is switched on; one in which samples meet can be switched off."""
        return True

    @enabled.setter
    def enabled(self, on: bool) -> None:
        raise AttributeError(
            f"{type(self).__name__}: enabled can be set where samples meet (MixUp, Mosaic, ...), got {on!r};"
            " set(p=0.0) leaves out every sample"
        )

    def declare(self, **random: Distribution | tuple[Distribution, int]) -> None:
        """Name the distributions that are drawn for each sample, with their number of columns where not one."""
        self._declared = {k: v if isinstance(v, tuple) else (v, 1) for k, v in random.items()}
        self._build()

    def written(self) -> dict[str, Any]:
        """Return the probability, where it was changed."""
        return {"p": self.p} if "p" in self.__dict__[GIVEN] and self.p != self.__dict__[MADE] else {}

    @property
    def deterministic(self) -> bool:
        """Whether every call does the same, so that `eval()` mode does it too."""
        return not self._declared and self.p == 1

    def flatten(self, names: Names, gates: tuple[Gate, ...], channels: tuple[int, ...] | None) -> Iterator[Node]:
        """Yield this transform, named."""
        name = names.take(type(self).__name__)
        p = self.p if self.p < 1 else None
        names.declarations.append(Declaration(name, self._declared, p, self.neutral, self._gateable()))
        own = getattr(self, "channels", None)
        yield Node(name, self, gates, own if own is not None else channels)

    def _gateable(self) -> bool:
        """Tell whether it can be applied to some samples only."""
        if "p" not in self.__dict__.get(GIVEN, ()):
            return False
        keeps = type(self).output_canvas is Transform.output_canvas
        return self.p < 1 or (keeps and type(self).output_channels is Transform.output_channels)

    def evaluation(self) -> Layer | None:
        """Return itself where it is deterministic, else None."""
        return self if self.deterministic else None

    def output_canvas(self, canvas: Canvas) -> Canvas:
        """Return the canvas after the transform."""
        return canvas

    def output_channels(self, channels: int) -> int:
        """Return the number of channels after the transform."""
        return channels

    def settle(self, raw: Drawn, gate: Tensor | None, context: Context) -> Drawn:
        """Turn what was drawn into parameters for this canvas."""
        # Draws are computed in float32, whether sizes are numbers or, in ragged batches, tensors.
        canvas = context.canvas
        narrow = replace(context, canvas=canvas.to(torch.float32)) if isinstance(canvas, Sizes) else context
        values = self.parameters_for(raw, narrow)
        if gate is not None:
            values["gate"] = gate
        return values

    def active(self, context: Context) -> bool:
        """Tell whether it does anything; a mix can be switched off."""
        return True

    def parameters_for(self, raw: Drawn, context: Context) -> Drawn:
        """Derive parameters from the draws; by default they are the draws."""
        return raw

    def occluded(self, values: Drawn, canvas: tuple[int, int]) -> Tensor:
        """Return where (B, H, W) the image is covered, for a transform with `fill_mask` or `hide_keypoints`."""
        raise NotImplementedError  # pragma: no cover

    def exchange(self, values: Drawn, canvas: Canvas) -> Cells:
        """Return which cells of a canvas go where, for a transform that `regroups`."""
        raise NotImplementedError  # pragma: no cover

    def contribute(self, plan: Plan, values: Drawn, context: Context, node: Node) -> None:
        """Join the plan."""
        raise NotImplementedError  # pragma: no cover  (each kind defines it)

    def frames_after(self, frames: int) -> int:
        """Return how many frames of a clip there are after the transform."""
        return frames

    def pick(self, u: float, times: Times) -> int:
        """Return the size for a number drawn from [0, 1) at a time, for a transform that `draws_size`."""
        raise NotImplementedError  # pragma: no cover

    def drawn(self, size: Any) -> Transform:
        """Return what stands in its place for a batch of that size."""
        made: Any = copying.copy(self)
        made.size = as_size(size, type(self).__name__)
        return made  # type: ignore[no-any-return]

    def extra_repr(self) -> str:
        """Show the arguments that were given."""
        shown = [f"{k}={v[0]}" for k, v in self._declared.items() if not k.startswith("_")]
        return ", ".join([*shown, f"p={self.p:g}"] if self.p < 1 else shown)


class Reader(Transform):
    """A transform that reads images at positions between pixels and outside them: it says how."""

    def __init__(
        self, p: Number = 1.0, interpolation: Any = None, fill: Any = None, antialias: bool | None = None
    ) -> None:
        """Remember how pixels are read; None takes the Compose's setting, and bilinear, 0 and True if it has none."""
        super().__init__(p)
        self.read_as(interpolation, fill, antialias)

    def read_as(self, interpolation: Any, fill: Any, antialias: bool | None = None) -> None:
        """Say how pixels are read."""
        owner = type(self).__name__
        self.interpolation = as_interpolation(interpolation, owner)
        self.fill = as_fill(fill, owner)
        self.antialias = None if antialias is None else bool(antialias)

    def default_fill(self, context: Context) -> tuple[float, ...]:
        """Return what is shown outside the image where nobody says, in the input's unit: black."""
        return context.values.black

    def reading(self, plan: Plan, context: Context) -> Reading:
        """Return interpolation, antialiasing and fill, in working units."""
        if plan.reading is not None:
            return plan.reading
        interpolation = self.interpolation or plan.interpolation or "bilinear"
        fill = self.fill if self.fill is not None else plan.fill
        if fill is None:
            fill = self.default_fill(context)
        if len(fill) not in (1, context.channels):
            raise ValueError(
                f"{type(self).__name__}: fill must be one number or {context.channels} numbers, got {fill}"
            )
        antialias = plan.antialias if self.antialias is None else self.antialias
        return Reading(interpolation, antialias, plan.working(fill))  # type: ignore[arg-type]


class Geometric(Reader):
    """A transform that moves pixels: it gives a matrix for each sample."""

    kind: ClassVar[Kind] = "warp"
    """`lattice`: pixels go to pixels; `axis`: axes stay axes; `warp`: anything."""
    reads: ClassVar[bool] = True
    """Whether interpolation and fill matter to it."""
    transposes: ClassVar[bool] = False
    projective: ClassVar[bool] = False
    pads: bool = False
    """Whether the next canvas may show places outside the present one."""
    only_pads: ClassVar[bool] = False
    """Whether interpolation and fill matter to it only where it does."""
    cuts: ClassVar[bool] = False
    """Whether parts of the present canvas are lost for good."""

    def matrix(self, values: Drawn, context: Context) -> Tensor:
        """Return (B, 3, 3), positions in the present canvas -> positions in the next one."""
        raise NotImplementedError  # pragma: no cover

    def window(self, values: Drawn, context: Context) -> Tensor | None:
        """Return the (B, 4) rectangle that is resized to the next canvas, for crops that resize."""
        return None

    def keeps(self, values: Drawn, context: Context) -> Tensor | None:
        """Return the (B, 4) rectangle of the present canvas outside which the centre of no object may lie."""
        return None

    def shrink(self, canvas: tuple[int, int]) -> float:
        """Return a static bound of source pixels for each output pixel."""
        return 1.0

    def settle(self, raw: Drawn, gate: Tensor | None, context: Context) -> Drawn:
        """Compute the matrix; samples that the gate leaves out get the identity."""
        values = super().settle(raw, gate, context)
        matrix = self.matrix(values, context)
        if gate is not None:
            identity = torch.eye(3, dtype=matrix.dtype, device=matrix.device)
            matrix = torch.where(gate[:, None, None], matrix, identity)
        values["matrix"] = matrix
        return values

    def shows_outside(self, canvas: Canvas) -> bool:
        """Tell whether the next canvas shows places outside this one."""
        return self.pads

    def contribute(self, plan: Plan, values: Drawn, context: Context, node: Node) -> None:
        """Multiply into the pending warp."""
        # Whether it pads may only depend on the size of a sample where every batch has one size there.
        pads = self.shows_outside(context.canvas) if plan.tiled else self.pads
        plan.warp(
            values["matrix"],
            following(context.canvas, self.output_canvas),
            self.kind,
            self.reading(plan, context) if self.reads and (pads or not self.only_pads) else None,
            shrink=max(self.shrink(size) for size in hosts(context.canvas)),
            projective=self.projective,
            transposes=self.transposes,
            window=self.window(values, context),
            pads=pads,
            cuts=self.cuts,
        )


class Photometric(Transform):
    """A transform that changes values in place: it gives pixel operations."""

    clamps: ClassVar[bool] = True
    selectable: ClassVar[bool] = True
    single: ClassVar[bool] = False
    """Whether it is always one operation, which then shares a place of the program with others chosen among."""

    def __init__(
        self, p: Number = 1.0, channels: tuple[int, ...] | None = None, keys: Sequence[str] | None = None
    ) -> None:
        """Remember the bands and the inputs it is limited to."""
        super().__init__(p)
        self.channels = as_channels(channels, type(self).__name__)
        self.keys = as_keys(keys, type(self).__name__)
        if self.channels is not None:
            self._build()  # what declares nothing is not built again

    def choices(self, values: Drawn, plan: Plan, context: Context) -> list[list[Choice]]:
        """Return, for each slot, the operations that may fill it."""
        raise NotImplementedError  # pragma: no cover

    def order(self, values: Drawn) -> Tensor | None:
        """Return (B, n), the order in which each sample takes all operations of a slot; None: it takes one of them."""
        return None

    def contribute(self, plan: Plan, values: Drawn, context: Context, node: Node) -> None:
        """Append to the program."""
        gate = values.get("gate")
        for choices in self.choices(values, plan, context):
            for choice in choices:
                if getattr(choice.apply, "needs_rgb", False) and context.channels not in (1, 3):
                    raise ValueError(
                        f"{type(self).__name__}: images must have 1 or 3 channels, or channels= must name 1 or 3 bands"
                        f" (channels=(0, 1, 2)), got {context.channels}"
                    )
                choice.channels = node.channels
                if gate is not None:
                    choice.on = gate if choice.on is None else choice.on & gate
            plan.slot(*choices, order=self.order(values))


class Filter(Transform):
    """A transform whose pixels depend on their neighbours: it gives the head of a pass."""

    clamps: ClassVar[bool] = True
    selectable: ClassVar[bool] = True

    def __init__(
        self, p: Number = 1.0, channels: tuple[int, ...] | None = None, keys: Sequence[str] | None = None
    ) -> None:
        """Remember the bands and the inputs it is limited to."""
        super().__init__(p)
        self.channels = as_channels(channels, type(self).__name__)
        self.keys = as_keys(keys, type(self).__name__)
        if self.channels is not None:
            self._build()  # what declares nothing is not built again

    def choice(self, values: Drawn, plan: Plan, context: Context) -> Choice:
        """Return the filter with its operands."""
        raise NotImplementedError  # pragma: no cover

    def contribute(self, plan: Plan, values: Drawn, context: Context, node: Node) -> None:
        """Begin a pass."""
        choice = self.choice(values, plan, context)
        choice.channels = node.channels
        choice.on = values.get("gate")
        plan.filter(choice)
