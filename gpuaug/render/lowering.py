"""From a plan to the operators of the Triton backend: which operation has which code, and what ends a kernel.

A program becomes rows of whole numbers, constants, and a list of operand tensors that the kernels read in place. What
has no kernel takes its torch definition, on an image that is written for it and read again.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

import torch
from torch import Tensor

from gpuaug.geometry.canvas import Canvas, Sizes, largest
from gpuaug.render import triton as ops
from gpuaug.render.backend import apply_choice, unrolled
from gpuaug.render.flat import Flat, front, table_of
from gpuaug.render.groups import channel_groups, in_group
from gpuaug.render.heads import bound, head_of, inner, own_rows, room_of, shrink_of, unit_rows
from gpuaug.render.launch import ROW, STATISTICS, parts_of
from gpuaug.render.meeting import blended, tiled
from gpuaug.render.mixes import Blend
from gpuaug.render.plan import Choice, Mix, Pass, Plan, Slot
from gpuaug.render.registry import CODES, HEADS, OPERATIONS, extra_of, filter_of, has_kernel, statistics
from gpuaug.render.triton_filter import filtered
from gpuaug.render.triton_tiles import tiles
from gpuaug.render.warp import Warp

__all__ = ["run"]

Numbers = tuple[float, ...]


@dataclass
class _Open:
    """An image with what is still to be done to it in one kernel."""

    image: Tensor
    """(B, C, H, W), or flat, with a table."""
    scale: float
    """What its values are divided by to get working units."""
    table: Tensor | None
    bands: int
    """Channels of the image."""
    canvas: Canvas
    index: Tensor | None = None
    warp: Warp | None = None
    operands: list[Tensor] = field(default_factory=list)
    constants: list[float] = field(default_factory=list)
    before: list[int] = field(default_factory=list)
    filter: list[int] | None = None
    after: list[int] = field(default_factory=list)
    channels: int = 0
    geo: Tensor | None = None
    blend: Blend | None = None

    @property
    def touched(self) -> bool:
        parts = (self.warp, self.filter, self.index, self.blend)
        return any(part is not None for part in parts) or bool(self.before)

    @property
    def meets(self) -> bool:
        """Whether samples meet in it; then it has no filter and measures nothing."""
        return self.blend is not None or (self.warp is not None and self.warp.tiles is not None)

    @property
    def size(self) -> tuple[int, int]:
        """The canvas, or the largest one."""
        return largest(self.canvas)

    @property
    def parts(self) -> int:
        return parts_of(self.size, isinstance(self.canvas, Sizes))


class _Run:
    """Go through the passes of a plan, writing an image only where a kernel must end."""

    def __init__(self, x: Tensor | Flat, plan: Plan, index: Tensor | None, groups: list[tuple[int, ...]]) -> None:
        self.plan = plan
        self.groups = groups
        """Of channels, where there are more than four."""
        self.lists: list[tuple[int, ...]] = []
        """Channels that operations are limited to."""
        self.tables: list[tuple[Sizes, int, Tensor]] = []
        if isinstance(x, Flat):
            self.open = _Open(x.values, plan.scale, x.table, x.channels, plan.source, channels=x.channels)
            if index is None and isinstance(plan.source, Sizes):
                self.tables.append((plan.source, x.channels, x.table))
        else:
            self.open = self._source(x, plan.scale, plan.source)
        self.open.index = None if index is None else index.contiguous()

    def _source(self, image: Tensor, scale: float, canvas: Canvas) -> _Open:
        """Return a batch that was written on a canvas, or given."""
        if image.dim() == 4:
            if not isinstance(canvas, Sizes):
                canvas = (image.shape[2], image.shape[3])
            return _Open(image, scale, None, image.shape[1], canvas, channels=image.shape[1])
        bands = self.open.channels
        return _Open(image, scale, self._table(canvas, bands), bands, canvas, channels=bands)

    def _table(self, canvas: Canvas, channels: int) -> Tensor | None:
        """Return where images lie whose sizes differ; None where they do not."""
        if not isinstance(canvas, Sizes):
            return None
        for sizes, bands, table in self.tables:
            if sizes.host == canvas.host and bands == channels:
                return table
        self.tables.append((canvas, channels, table_of(canvas, channels)))
        return self.tables[-1][2]

    def take(self, step: Pass, ends: bool = False) -> None:
        """Go through a pass; one that `ends` the image is rounded by its encoding."""
        if step.warp is not None:
            self.warp(step.warp, step.canvas)
        if step.mix is not None:
            self.mix(step.mix)
        if step.blend is not None:
            self.blend(step.blend)
        if step.filter is not None:
            self.filter(step.filter)
        for slot in step.program:
            self.slot(slot)
        if self.plan.rounds_after(step) and not ends:
            self.round(step.own)

    # -- what joins the open kernel

    def mix(self, mix: Mix) -> None:
        """Sum what chains make of the image, each in kernels of its own."""
        if self.open.touched:
            self._write()
        source, weights = self.open, mix.weights.to(torch.float32)[:, :, None, None, None].unbind(1)
        canvas = source.canvas
        total = source.image.to(torch.float32) * (weights[0] / source.scale)
        for chain, weight in zip(mix.chains, weights[1:], strict=True):
            self.open = self._source(source.image, source.scale, canvas)
            for step in chain:
                self.take(step)
            if self.open.touched:
                self._write()
            total = torch.addcmul(total, self.open.image, weight / self.open.scale)
        self.open = self._source(total, 1.0, canvas)

    def warp(self, warp: Warp, canvas: Canvas) -> None:
        o = self.open
        if o.warp is not None or o.before or o.filter is not None or o.blend is not None:
            self._write()
        if self.open.index is not None and warp.tiles is not None and warp.tiles.index is not None:
            self._write()
        o = self.open
        o.warp, o.canvas = warp, canvas
        if warp.tiles is not None:
            return
        sizes = self._table(canvas, o.bands)
        o.geo = ops.prepare(
            warp.matrix, warp.soft, warp.hard, list(o.size), sizes, shrink_of(warp), warp.projective, False
        )

    def blend(self, blend: Blend) -> None:
        if self.open.touched:
            self._write()
        self.open.blend = blend

    def filter(self, choice: Choice) -> None:
        if not has_kernel(choice):
            self._by_torch(choice)
            return
        if choice.name in HEADS:
            if self.open.touched:
                self._write()
            o = self.open
            made = HEADS[choice.name](o.image, o.scale, choice)
            self.open = self._source(made, o.scale if made.dtype == torch.uint8 else 1.0, o.canvas)
            return
        if self.open.filter is not None or self.open.meets:
            self._write()
        o = self.open
        channels = choice.channels or tuple(range(o.channels))
        code, across, down = filter_of(choice)
        on = -1 if choice.on is None else self._operand(choice.on)
        what = [code, on, self._operand(choice.operands[0]), across, down]
        groups = self.groups if len(self.groups) > 1 else [tuple(range(o.channels))]
        limited = [sum(1 << n for n, c in enumerate(group) if c in channels) for group in groups]
        o.filter = [n for group, bits in zip(groups, limited, strict=True) for n in (*what, bits, len(group))]

    def slot(self, slot: Slot) -> None:
        members = slot.choices
        if self.open.meets and any(statistics(choice) for choice in members):
            self._write()
        if slot.order is not None:
            measured = [len(statistics(c)) for c in members]
            if all(has_kernel(c) and c.values is None for c in members) and sum(measured) <= 1:
                self._group(slot)
                return
            members = unrolled(slot)
        for choice in members:
            if not has_kernel(choice):
                self._by_torch(choice)
                continue
            if statistics(choice) and self.open.filter is not None:
                self._write()  # what is measured must be read again, and a filter is too dear to run twice
            if choice.values is not None:
                self._append(self._affine(choice, unit_rows(choice.values)))
            self._append(self._row(choice, self._measured(choice, -1)))
            if choice.values is not None:
                self._append(self._affine(choice, own_rows(choice.values)))

    def round(self, own: bool) -> None:
        """Round an integer image, as pipelines that are not fused do after each pass."""
        dtype = self.plan.dtype
        self.open = self._source(self._rendered(dtype, False, 2 if own else 1), self.plan.scale, self.open.canvas)

    def finish(self) -> Tensor:
        """Return images, or, where they differ in size, the buffer of a `Ragged`."""
        plan, canvas = self.plan, self.open.canvas
        rounds = not plan.out_dtype.is_floating_point and not plan.normalized
        encode = 0 if not rounds else 1 if plan.values is None else 2
        if not isinstance(canvas, Sizes):
            return self._rendered(plan.out_dtype, plan.layout == torch.channels_last, encode)
        return bound(self._rendered(plan.out_dtype, False, encode, True), self._table(canvas, self.open.channels))

    # -- rows

    def _operand(self, t: Tensor) -> int:
        operands = self.open.operands
        for number, known in enumerate(operands):
            if known is t:
                return number
        operands.append(inner(t))
        return len(operands) - 1

    def _append(self, row: list[int]) -> None:
        (self.open.before if self.open.filter is None else self.open.after).extend(row)

    def _group(self, slot: Slot) -> None:
        """Append operations that each sample takes in an order of its own."""
        assert slot.order is not None
        o = self.open
        if self.open.filter is not None and any(statistics(c) for c in slot.choices):
            self._write()
            o = self.open
        order = self._operand(slot.order)
        rows = [self._row(choice, -1) for choice in slot.choices]
        for place, row in enumerate(rows):
            row[6:9] = [order, place, len(rows)]
        whole = [number for row in rows for number in row]
        for place, choice in enumerate(slot.choices):
            if statistics(choice):
                stat = self._measured(choice, place, [*o.before, *whole])
                whole[place * ROW + 3] = stat
        (o.before if o.filter is None else o.after).extend(whole)

    def _row(self, choice: Choice, stat: int) -> list[int]:
        """Return the row of an operation whose first measured operand is `stat`."""
        o = self.open
        name, static = choice.name, choice.static
        seen = len(choice.channels) if choice.channels is not None else o.channels
        first = len(o.constants)
        if name == "rgb_to_grayscale" and choice.channels is None:
            o_channels = static["num_output_channels"] or seen
        else:
            o_channels = o.channels
        o.constants.extend(OPERATIONS[name].constants(choice))
        # Operands of one operation stand side by side.
        at = len(o.operands)
        o.operands.extend(inner(t) for t in choice.operands)
        on = -1 if choice.on is None else self._operand(choice.on)
        extra = extra_of(choice, self.plan.levels)
        row = [CODES[name], on, at, stat, extra, first, -1, 0, 0, seen, self._limit(choice), o.parts, 0, 0]
        o.channels = o_channels
        return row

    def _affine(self, choice: Choice, rows: tuple[Numbers, Numbers]) -> list[int]:
        """Return the row of slope * x + shift, where a choice applies."""
        o = self.open
        first, count = len(o.constants), len(rows[0])
        o.constants.extend((*rows[0], *rows[1]))
        seen = len(choice.channels) if choice.channels is not None else o.channels
        on = -1 if choice.on is None else self._operand(choice.on)
        return [CODES["to_unit"], on, 0, -1, count, first, -1, 0, 0, seen, self._limit(choice), 1, 0, 0]

    def _limit(self, choice: Choice) -> int:
        """Return the number of the channels that an operation is limited to, or -1."""
        if choice.channels is None:
            return -1
        if choice.channels not in self.lists:
            self.lists.append(choice.channels)
        return self.lists.index(choice.channels)

    def _program(self, rows: list[int]) -> list[int]:
        """Return rows as operators take them: all of them for each group of channels."""
        groups = self._groups()
        return [n for group in groups for n in in_group(rows, self.lists, group, len(groups) == 1)]

    def _groups(self) -> list[tuple[int, ...]]:
        return self.groups if len(self.groups) > 1 else [tuple(range(self.open.bands))]

    def _measured(self, choice: Choice, stop: int, program: list[int] | None = None) -> int:
        """Measure what an operation needs of its input; return the number of the operand, or -1."""
        o = self.open
        found = -1
        seen = len(choice.channels) if choice.channels is not None else o.channels
        on = -1 if choice.on is None else self._operand(choice.on)
        # Of each group the planes that are measured, which they are, and of what: a row that only says that.
        row = [0] * (ROW - 5) + [seen, self._limit(choice), 0, 0, 0]
        measured_rows = self._program(row)
        limits = [measured_rows[at + n] for at in range(0, len(measured_rows), ROW) for n in (9, 10, 12)]
        derive, all_found = OPERATIONS[choice.name].derive, []
        for statistic in statistics(choice):
            rows = o.before if program is None else program
            if statistic == "tiles":
                clip, grid = self._operand(choice.operands[0]), list(choice.static["tile_grid_size"])
                given = (*self._given(o.bands), self._program(rows), o.constants)
                o.operands.append(tiles(*given, on, stop, clip, grid, limits))
                return len(o.operands) - 1
            measured = ops.measure(
                *self._given(o.bands),
                self._program(rows),
                o.constants,
                STATISTICS[statistic],
                on,
                stop,
                found,
                seen,
                limits,
            )
            all_found.append(measured)
            if statistic == "histogram" and derive is None:
                measured = ops.table(measured, list(o.size), self._table(o.canvas, o.bands))
            o.operands.append(measured)
            found = len(o.operands) - 1 if found < 0 else found
        if derive is not None and all_found:
            o.operands.append(inner(derive(choice, all_found, self._pixels())))
            found = len(o.operands) - 1
        return found

    def _pixels(self) -> Tensor | int:
        """Return how many pixels a canvas has, (B, 1, 1) where they differ."""
        o = self.open
        table = self._table(o.canvas, o.bands)
        return o.size[0] * o.size[1] if table is None else (table[:, 0] * table[:, 1]).clamp(min=1).view(-1, 1, 1)

    # -- kernels

    def _given(self, channels: int, before: int = 0) -> tuple[Any, ...]:
        """Return the arguments that operators begin with (`launch.Given`), for an output of so many channels."""
        o = self.open
        bent = None if o.warp is None or o.warp.field is None else inner(o.warp.field)
        fill = list(o.warp.reading.fill) if o.warp is not None and any(o.warp.reading.fill) else []
        shrink = 1.0 if o.warp is None else shrink_of(o.warp)
        groups = [c for group in self._groups() for c in (*group, -1)]
        rows = (o.index, o.table, self._table(o.canvas, channels), o.bands, groups)
        canvas = [*o.size, *room_of(o.canvas, channels, before)]
        return (o.image, *rows, o.scale, o.geo, bent, list(o.operands), head_of(o.warp), fill, shrink, canvas)

    def _rendered(self, dtype: torch.dtype, channels_last: bool, encode: int, whole: bool = False) -> Tensor:
        """Return what the open kernel gives; with `whole` a buffer with place for a table in front."""
        o = self.open
        ends = (o.constants, o.channels, dtype, channels_last, encode)
        ahead = front(len(o.canvas.host)) if isinstance(o.canvas, Sizes) and whole else 0
        given = self._given(o.channels, ahead // dtype.itemsize)
        if o.blend is not None:
            return blended(given, o.blend, self._program(o.before), *ends)
        if o.warp is not None and o.warp.tiles is not None:
            return tiled(given, o.warp, self._program(o.before), *ends)
        if o.filter is None:
            out: Tensor = ops.render(*given, self._program(o.before), *ends)
        else:
            out, _ = filtered(*given, self._program(o.before), o.filter, self._program(o.after), *ends)
        return out

    def _write(self) -> None:
        """End the kernel: its result is the source of the next."""
        self.open = self._source(self._rendered(torch.float32, False, 0), 1.0, self.open.canvas)

    def _by_torch(self, choice: Choice) -> None:
        o = self.open
        if o.touched or o.scale != 1 or o.image.dtype != torch.float32:
            self._write()
        self.open = self._source(apply_choice(self.open.image, choice, self.plan.levels), 1.0, self.open.canvas)


def run(x: Tensor | Flat, plan: Plan, passes: list[Pass]) -> Tensor:
    """Return the batch after the passes of `plan`: (B, C, H, W), or the buffer of images that differ in size."""
    groups = channel_groups(plan.channels, passes)
    assert groups is not None
    going = _Run(x, plan, passes[0].index if passes else None, groups)
    for number, step in enumerate(passes):
        going.take(step, number == len(passes) - 1 and plan.out_dtype == plan.dtype)
    return going.finish()
