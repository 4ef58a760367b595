"""The plan of a pipeline: which transforms join one pass, and why a pass ends.

A pass reads its source once and writes its output once: a head (a warp or a neighbourhood filter), then a program
of pixel operations. Which passes exist depends on the pipeline and the canvas alone, never on what was drawn.
"""

from __future__ import annotations

import copy as copying
from dataclasses import dataclass, field, replace
from typing import Any

import torch
from torch import Tensor

from gpuaug._compiling import product
from gpuaug.geometry import matrix as mat
from gpuaug.geometry.canvas import Canvas, Sizes, rectangle
from gpuaug.render.mixes import Blend, Tiles
from gpuaug.render.program import Choice, Slot
from gpuaug.render.settings import Reading
from gpuaug.render.values import ValueRange, default_range, in_range, quantize, to_unit
from gpuaug.render.warp import MAX_HALF_WIDTH, RANKS, Kind, Warp

__all__ = ["Choice", "Mix", "Pass", "Plan", "Slot"]


@dataclass
class Mix:
    """A weighted sum of the image and of what chains of passes make of it."""

    chains: list[list[Pass]]
    weights: Tensor
    """(B, 1 + chains), the image's own first."""

    def of(self, sample: int) -> Mix:
        """Return the sum for one sample."""
        chains = [[step.of(sample) for step in chain] for chain in self.chains]
        return Mix(chains, self.weights[sample : sample + 1])


@dataclass
class Pass:
    """One read and one write."""

    canvas: Canvas
    """Canvas after the pass."""
    warp: Warp | None = None
    filter: Choice | None = None
    blend: Blend | None = None
    mix: Mix | None = None
    program: list[Slot] = field(default_factory=list)
    index: Tensor | None = None
    """(B,) int64: the row of the source that each sample reads; None is its own."""
    joined: list[str] = field(default_factory=list)
    ended: str = "end of the pipeline"
    normalized: bool = False
    """Whether its values are no longer in 0..1."""
    own: bool = False
    """Whether they are on the image's own scale."""
    channels: int = 0
    """Of what it writes."""
    rounds: bool = False
    """Whether an integer image is rounded after it, as between the operations of a policy."""

    def of(self, sample: int) -> Pass:
        """Return the pass of one sample."""
        canvas = self.canvas.host[sample] if isinstance(self.canvas, Sizes) else self.canvas
        return replace(
            self,
            canvas=canvas,
            warp=None if self.warp is None else self.warp.of(sample),
            filter=None if self.filter is None else self.filter.of(sample),
            blend=None if self.blend is None else self.blend.of(sample),
            mix=None if self.mix is None else self.mix.of(sample),
            program=[slot.of(sample) for slot in self.program],
            index=None if self.index is None else self.index[sample : sample + 1],
        )

    @property
    def empty(self) -> bool:
        """Tell whether nothing has joined yet."""
        heads = (self.warp, self.filter, self.blend, self.mix)
        return all(head is None for head in heads) and not self.program

    @property
    def mixes(self) -> bool:
        """Tell whether a sample is made of several."""
        tiles = None if self.warp is None else self.warp.tiles
        return self.blend is not None or (tiles is not None and tiles.index is not None)

    @property
    def tiled(self) -> bool:
        """Tell whether its source is made of tiles, be they of one sample."""
        return self.warp is not None and self.warp.tiles is not None


class Plan:
    """Collect the contributions of transforms into passes."""

    def __init__(self, canvas: Canvas, channels: int, dtype: torch.dtype) -> None:
        """Start with an empty pass on `canvas`."""
        self.source = canvas
        self.canvas = canvas
        self.channels = channels
        self.dtype = dtype
        self.levels: int | None = 255 if dtype == torch.uint8 else None
        """Of uint8, which posterize and equalize are defined by."""
        self.scale = default_range(dtype).white[0]
        """What pixels are divided by when they are read."""
        self.values: ValueRange | None = None
        """Black and white where the image keeps its own scale and operations are wrapped."""
        self.normalized = False
        self.interpolation: Any = None
        self.fill: Any = None
        self.antialias = True
        self.reading: Reading | None = None
        """How a target that is not the image is read, whatever the transforms say; it takes geometry only."""
        """Settings of the pipeline, for transforms that have none of their own."""
        self.out_dtype = dtype
        self.out_channels = channels
        self.layout: torch.memory_format = torch.contiguous_format
        self.relaid = False
        """Whether the memory format was asked for, and is not the input's."""
        self.rounds = False
        """Whether every pass of an integer image ends in a rounding (unfused pipelines)."""
        self.backend: str | None = None
        """Which backend renders it: "torch" or "triton"; None for what suits the device."""
        self.passes: list[Pass] = []
        self._open = Pass(canvas)
        self._cut = False  # something of the source lies outside the present canvas, for good
        self._shows_outside = False
        self._group: Slot | None = None
        self._missing = 0

    def close(self, why: str, rounds: bool = False) -> None:
        """End the open pass, in a rounding where the image is of integers and that is asked for."""
        if self._group is not None:
            return
        self._cut = False
        if self._open.empty:
            return
        self._open.ended, self._open.rounds = why, rounds
        self._open.normalized, self._open.own = self.normalized, self.values is not None
        self._open.channels = self.out_channels
        self.passes.append(self._open)
        self._open = Pass(self.canvas)

    def of(self, sample: int) -> Plan:
        """Return the finished plan of one sample, its canvas and its place in the index."""
        one = copying.copy(self)
        one.passes = [step.of(sample) for step in self.passes]
        return one

    def finish(self) -> list[Pass]:
        """Return the passes."""
        self.close("end of the pipeline")
        if self._open.index is not None:  # rows are all that is asked for
            self.passes.append(self._open)
            self._open = Pass(self.canvas)
        return self.passes

    def index(self, rows: Tensor) -> None:
        """Let sample b read row `rows[b]` (int64) of the source; parameters and canvases are the samples'."""
        if self.passes or not self._open.empty:
            raise ValueError("Plan: index must be given before anything joins")
        self._open.index = rows

    def lay_out(self, memory_format: torch.memory_format | None) -> None:
        """Ask for a memory format of the output; None keeps the input's."""
        if memory_format is not None and memory_format != self.layout:
            self.layout, self.relaid = memory_format, True

    def joined(self, name: str) -> None:
        """Note that a transform has joined the open pass."""
        self._open.joined.append(name)

    def warp(
        self,
        matrix: Tensor,
        canvas: Canvas,
        kind: Kind,
        reading: Reading | None = None,
        *,
        shrink: float = 1.0,
        projective: bool = False,
        transposes: bool = False,
        window: Tensor | None = None,
        pads: bool = False,
        cuts: bool = False,
    ) -> None:
        """Let a geometric transform join.

        Args:
            matrix: (B, 3, 3) from the present canvas to the next.
            canvas: the next canvas.
            kind: `lattice` (pixels go to pixels), `axis` (axes stay axes), `warp` (anything).
            reading: None where the transform neither interpolates nor shows what is outside.
            shrink: static bound of source pixels for each output pixel.
            projective: whether the last row is not (0, 0, 1).
            transposes: whether axes may be exchanged.
            window: (B, 4) or (4,) rectangle of the present canvas that is resized to the next one.
            pads: whether the next canvas shows places outside the present one.
            cuts: whether parts of the present canvas are lost.
        """
        if self._open.program:
            self.close("a warp after pixel operations")
        elif self._open.filter is not None:
            self.close("a warp after a neighbourhood filter")
        elif self._open.blend is not None:
            self.close("a warp after a blend of samples")
        elif self._open.mix is not None:
            self.close("a warp after a mixture of chains")
        pending = self._open.warp
        if pending is not None and pending.field is not None:
            self.close("a map after a displacement field")
            pending = None
        if pending is not None and reading is not None:
            if pending.kind != "lattice" and reading != pending.reading:
                self.close("another interpolation, antialiasing or fill")
            elif pending.kind == "lattice" and pending.reading != reading and self._shows_outside:
                self.close("another fill")
            elif pending.kind == "warp" and (pads or (kind == "warp" and self._cut)):
                self.close("a crop of a rotated canvas, which cuts for good")
            pending = self._open.warp
        if pending is None:
            self._open = Pass(canvas, index=self._open.index)
            self._shows_outside = False
            pending = self._open.warp = Warp(torch.empty(0), "lattice", reading or Reading(), soft=None, hard=None)
            first = True
        else:
            first = False
        soft, hard = pending.soft, pending.hard
        looks_out = kind == "warp" or pads

        def to_source(rectangle: Tensor) -> Tensor:
            if first:
                return rectangle.expand(matrix.shape[0], 4)
            return mat.bounds_of(mat.inverse(pending.matrix), rectangle)

        if looks_out and self._cut and pending.kind != "warp":
            soft = _intersect(soft, to_source(rectangle(self.canvas, matrix)))
            self._cut = False
        if kind == "warp" and hard is not None:
            soft, hard = _intersect(soft, hard), None
        if window is not None:
            if pending.kind != "warp":
                soft = soft if hard is None else _intersect(soft, hard)
                hard = to_source(window)
                self._cut = False
            elif cuts:  # a window of a rotated canvas is no rectangle of the source: it is only remembered
                self._cut = True
        elif cuts:
            self._cut = True
        self._shows_outside = self._shows_outside or looks_out
        self._open.warp = Warp(
            matrix if first else product(matrix, pending.matrix),
            kind if RANKS[kind] > RANKS[pending.kind] else pending.kind,
            pending.reading if reading is None or (pending.kind != "lattice") else reading,
            shrink=pending.shrink * shrink,
            projective=pending.projective or projective,
            transposes=pending.transposes or transposes,
            soft=soft,
            hard=hard,
            tiles=pending.tiles,
        )
        self.canvas = self._open.canvas = canvas

    @property
    def tiled(self) -> bool:
        """Tell whether the open pass reads a canvas of several samples."""
        return self._open.mixes and self._open.warp is not None

    def cut(self) -> None:
        """Note that a transform whose window is larger than what is left of it has cut at the present canvas."""
        self._cut = True

    def bend(self, field: Tensor, reading: Reading) -> None:
        """Begin a pass whose head is a displacement field (B, 2, h, w) on the present canvas."""
        if not self._open.empty:
            self.close("a displacement field")
        like = torch.zeros_like(field[:, 0, 0, 0], dtype=mat.matrix_dtype(field.device))
        identity = mat.scale_shift(1.0, 0.0, 1.0, 0.0, like)
        self._open = Pass(self.canvas, index=self._open.index)
        self._open.warp = Warp(identity, "warp", reading, MAX_HALF_WIDTH if reading.antialias else 1.0, field=field)

    def tile(self, tiles: Tiles, canvas: Canvas, kind: Kind, reading: Reading, shrink: float = 1.0) -> None:
        """Begin a pass whose source is a canvas of several images, or of parts of one; later maps join it.

        Args:
            tiles: the images and their places.
            canvas: of the tiles.
            kind: `lattice` where pixels go to pixels, else `axis`.
            reading: how they are read; its fill is shown where no tile is.
            shrink: static bound of source pixels for each pixel of the canvas.
        """
        if not self._open.empty:
            self.close("a shuffle of cells" if tiles.index is None else "a canvas of several samples")
        identity = mat.scale_shift(1.0, 0.0, 1.0, 0.0, torch.zeros_like(tiles.matrix[:, 0, 0, 0]))
        self._open = Pass(canvas, index=self._open.index if tiles.index is None else None)
        self._open.warp = Warp(identity, kind, reading, shrink, tiles=tiles)
        self._shows_outside, self._cut = tiles.index is not None, False
        self.canvas = canvas

    def blend(self, blend: Blend) -> None:
        """Begin a pass that reads two samples for each pixel."""
        if not self._open.empty:
            self.close("a blend of samples")
        self._open.blend = blend

    def slot(self, *choices: Choice, order: Tensor | None = None) -> None:
        """Append a place to the program."""
        for choice in choices:
            self._wrap(choice)
        if self._group is None:
            self._open.program.append(Slot(list(choices), order))
            return
        self._group.choices.extend(choices)
        self._missing -= 1
        if not self._missing:
            self._open.program.append(self._group)
            self._group = None

    def group(self, count: int, order: Tensor | None = None) -> None:
        """Let the next `count` operations share a place of the program: one applies, or all in an order (B, n)."""
        self._group, self._missing = Slot([], order), count

    def branch(self) -> Plan:
        """Return an empty plan of the same image from here on, for a chain of a mixture."""
        one = Plan(self.canvas, self.channels, self.dtype)
        for name in _STATE:  # `copy.copy`, which Dynamo of torch 2.8 does not trace
            setattr(one, name, getattr(self, name))
        one.passes, one._open, one._cut, one._shows_outside = [], Pass(self.canvas), False, False
        return one

    def mix(self, chains: list[Plan], weights: Tensor) -> None:
        """Begin a pass with the weighted sum (B, 1 + chains) of the image and of chains, each rounded at its end."""
        self.close("a mixture of chains")
        for chain in chains:
            chain.close("the end of a chain", rounds=True)
        self._open.mix = Mix([chain.passes for chain in chains], weights)

    def rounds_after(self, step: Pass) -> bool:
        """Tell whether values are rounded after a pass."""
        return (self.rounds or step.rounds) and not self.dtype.is_floating_point and not step.normalized

    def filter(self, choice: Choice) -> None:
        """Begin a pass whose head is a neighbourhood filter."""
        if not self._open.empty:
            self.close("a neighbourhood filter")
        self._wrap(choice)
        self._open.filter = choice

    def _wrap(self, choice: Choice) -> None:
        if self.values is not None:
            values = choice.values = self.values.of(choice.channels)
            choice.apply = in_range(choice.apply, values)
            choice.write_one = choice.level_one = choice.move_one = choice.sum_one = None
            choice.apply_one = None if choice.apply_one is None else in_range(choice.apply_one, values)

    def own_range(self, values: ValueRange) -> None:
        """Let the image keep its own scale, of which operations see black as 0 and white as 1."""
        if self.channels != len(values.black) != 1:
            raise ValueError(
                f"Compose: value_range must have one number or {self.channels}, one for each channel, got {values}"
            )
        self.values, self.levels, self.scale = values, None, 1.0

    def to_unit(self) -> None:
        """Leave the image's own scale for 0..1, for good."""
        if self.values is not None:
            values, self.values = self.values, None
            self.slot(Choice("to_unit", to_unit, static={"values": values}))

    def encode(self, x: Tensor) -> Tensor:
        """Return working values in the output's dtype: the one rounding of integer images."""
        if not self.out_dtype.is_floating_point and not self.normalized:
            x = quantize(x, self.out_dtype, self.values is not None)
        return x.to(self.out_dtype)

    def working(self, values: tuple[float, ...]) -> tuple[float, ...]:
        """Return numbers in the input's unit as those in which pixels are read."""
        return values if self.normalized else tuple(v / self.scale for v in values)


def _intersect(a: Tensor | None, b: Tensor) -> Tensor:
    if a is None:
        return b
    return torch.where(torch.arange(4, device=a.device) < 2, torch.maximum(a, b), torch.minimum(a, b))


_STATE = tuple(vars(Plan((1, 1), 1, torch.uint8)))
"""The names of what a plan holds."""
