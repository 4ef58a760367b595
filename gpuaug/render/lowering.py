"""From a plan to the operators of the Triton backend: which operation has which code, and what ends a kernel.

A program becomes rows of whole numbers, constants, and a list of operand tensors that the kernels read in place. What
has no kernel takes its torch definition, on an image that is written for it and read again.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

import torch
from torch import Tensor

from gpuaug.render import triton as ops
from gpuaug.render.backend import apply_choice, unrolled
from gpuaug.render.launch import ROW, STATISTICS, parts_of
from gpuaug.render.pick import part_of
from gpuaug.render.plan import MAX_HALF_WIDTH, Choice, Mix, Pass, Plan, Slot, Warp
from gpuaug.render.reading import tap_count
from gpuaug.render.registry import CODES, FILTERS, MODES, has_kernel, statistics
from gpuaug.render.values import ValueRange

__all__ = ["run", "run_pick"]

Numbers = tuple[float, ...]

_INTERPOLATIONS = {"nearest": 0, "bilinear": 1, "bicubic": 2}


def _head(warp: Warp | None) -> list[int]:
    """Return what the kernels must know of a warp: see `kernels/head.py`."""
    if warp is None:
        return [0] * 8
    reading = warp.reading
    interpolation = _INTERPOLATIONS[reading.interpolation]
    straight = warp.kind != "warp" and not warp.transposes
    if warp.kind == "lattice" and warp.hard is None:  # pixels go to pixels: nothing is blended
        interpolation = 0
    shrink = _shrink(warp)
    taps = tap_count(reading, shrink) if interpolation else 1
    widen = bool(interpolation) and reading.antialias and shrink > 1
    kind = 4 if warp.field is not None else 3 if warp.projective else 1 if straight else 2
    return [
        kind,
        interpolation,
        int(reading.antialias),
        int(widen),
        int(warp.soft is not None),
        int(warp.hard is not None),
        int(bool(interpolation) and (widen or warp.hard is not None)),
        taps,
    ]


def _shrink(warp: Warp) -> float:
    return min(warp.shrink, MAX_HALF_WIDTH) if warp.projective else warp.shrink


def _to_unit(values: ValueRange) -> tuple[Numbers, Numbers]:
    """Return slope and shift from an image's own scale to 0..1."""
    slope = tuple(1 / (w - b) for b, w in zip(values.black, values.white, strict=True))
    return slope, tuple(-b * s for b, s in zip(values.black, slope, strict=True))


def _from_unit(values: ValueRange) -> tuple[Numbers, Numbers]:
    return tuple(w - b for b, w in zip(values.black, values.white, strict=True)), values.black


def _inner(t: Tensor) -> Tensor:
    """Return a tensor whose rows lie in order, whatever lies between them."""
    stride = 1
    for size, step in zip(reversed(t.shape[1:]), reversed(t.stride()[1:]), strict=True):
        if size != 1 and step != stride:
            return t.contiguous()
        stride *= size
    return t


@dataclass
class _Open:
    """An image with what is still to be done to it in one kernel."""

    image: Tensor
    scale: float
    """What its values are divided by to get working units."""
    warp: Warp | None = None
    canvas: tuple[int, int] = (0, 0)
    operands: list[Tensor] = field(default_factory=list)
    constants: list[float] = field(default_factory=list)
    before: list[int] = field(default_factory=list)
    filter: list[int] | None = None
    after: list[int] = field(default_factory=list)
    channels: int = 0
    geo: Tensor | None = None

    @property
    def touched(self) -> bool:
        return self.warp is not None or bool(self.before) or self.filter is not None


class _Run:
    """Go through the passes of a plan, writing an image only where a kernel must end."""

    def __init__(self, x: Tensor, plan: Plan) -> None:
        self.plan = plan
        self.open = self._source(x, plan.scale)

    def _source(self, image: Tensor, scale: float) -> _Open:
        return _Open(image, scale, canvas=(image.shape[2], image.shape[3]), channels=image.shape[1])

    def take(self, step: Pass, ends: bool = False) -> None:
        """Go through a pass; one that `ends` the image is rounded by its encoding."""
        if step.warp is not None:
            self.warp(step.warp, step.canvas)
        if step.mix is not None:
            self.mix(step.mix)
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
        total = source.image.to(torch.float32) * (weights[0] / source.scale)
        for chain, weight in zip(mix.chains, weights[1:], strict=True):
            self.open = self._source(source.image, source.scale)
            for step in chain:
                self.take(step)
            if self.open.touched:
                self._write()
            total = torch.addcmul(total, self.open.image, weight / self.open.scale)
        self.open = self._source(total, 1.0)

    def warp(self, warp: Warp, canvas: tuple[int, int]) -> None:
        if self.open.touched:
            self._write()
        o = self.open
        o.warp, o.canvas = warp, canvas
        o.geo = ops.prepare(warp.matrix, warp.soft, warp.hard, list(canvas), _shrink(warp), warp.projective, False)

    def filter(self, choice: Choice) -> None:
        if not has_kernel(choice):
            self._by_torch(choice)
            return
        if self.open.filter is not None:
            self._write()
        o = self.open
        channels = choice.channels or tuple(range(o.channels))
        reach = choice.static.get("kernel_size", (3, 3))
        o.filter = [
            FILTERS[choice.name],
            -1 if choice.on is None else self._operand(choice.on),
            self._operand(choice.operands[0]),
            reach[0] // 2,
            reach[1] // 2,
            sum(1 << c for c in channels),
            o.channels,
        ]

    def slot(self, slot: Slot) -> None:
        members = slot.choices
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
                self._append(self._affine(choice, _to_unit(choice.values)))
            self._append(self._row(choice, self._measured(choice, -1)))
            if choice.values is not None:
                self._append(self._affine(choice, _from_unit(choice.values)))

    def round(self, own: bool) -> None:
        """Round an integer image, as pipelines that are not fused do after each pass."""
        dtype = self.plan.dtype
        self.open = self._source(self._rendered(dtype, False, 2 if own else 1), self.plan.scale)

    def finish(self) -> Tensor:
        plan = self.plan
        rounds = not plan.out_dtype.is_floating_point and not plan.normalized
        encode = 0 if not rounds else 1 if plan.values is None else 2
        return self._rendered(plan.out_dtype, plan.layout == torch.channels_last, encode)

    # -- rows

    def _operand(self, t: Tensor) -> int:
        operands = self.open.operands
        for number, known in enumerate(operands):
            if known is t:
                return number
        operands.append(_inner(t))
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
        extra = 0
        if name == "rgb_to_grayscale" and choice.channels is None:
            o_channels = static["num_output_channels"] or seen
        else:
            o_channels = o.channels
        if name == "brightness_contrast":
            extra = int(static["brightness_by_max"])
        elif name == "drop_channels":
            o.constants.append(static["fill"])
        elif name == "adjust_gamma":
            o.constants.append(1.0)
        elif name == "posterize":
            extra = self.plan.levels or 0
        elif name == "normalize":
            extra = choice.operands[0].shape[1]
        elif name == "normalize_by_image":
            extra = MODES.index(static["mode"])
        elif name == "gaussian_noise":
            extra = int(static["clip"])
        elif name in ("erase", "erase_noise", "erase_color"):
            extra = choice.operands[0].shape[1]
            if name == "erase":
                o.constants.extend(static["value"])
                stat = len(static["value"])
        elif name == "to_unit":
            slope, shift = _to_unit(static["values"])
            o.constants.extend((*slope, *shift))
            extra = len(slope)
        elif name == "grid_dropout":
            o.constants.extend(static["fill"])
            extra = len(static["fill"])
        # Operands of one operation stand side by side.
        at = len(o.operands)
        o.operands.extend(_inner(t) for t in choice.operands)
        on = -1 if choice.on is None else self._operand(choice.on)
        row = [CODES[name], on, at, stat, extra, first, -1, 0, 0, seen, self._channels(choice), parts_of(o.canvas)]
        o.channels = o_channels
        return row

    def _affine(self, choice: Choice, rows: tuple[Numbers, Numbers]) -> list[int]:
        """Return the row of slope * x + shift, where a choice applies."""
        o = self.open
        first, count = len(o.constants), len(rows[0])
        o.constants.extend((*rows[0], *rows[1]))
        seen = len(choice.channels) if choice.channels is not None else o.channels
        on = -1 if choice.on is None else self._operand(choice.on)
        return [CODES["to_unit"], on, 0, -1, count, first, -1, 0, 0, seen, self._channels(choice), 1]

    def _channels(self, choice: Choice) -> int:
        if choice.channels is None:
            return -1
        return sum(c << (2 * place) for place, c in enumerate(choice.channels))

    def _measured(self, choice: Choice, stop: int, program: list[int] | None = None) -> int:
        """Measure what an operation needs of its input; return the number of the operand, or -1."""
        o = self.open
        found = -1
        seen = len(choice.channels) if choice.channels is not None else o.channels
        on = -1 if choice.on is None else self._operand(choice.on)
        for statistic in statistics(choice):
            kind = STATISTICS[statistic]
            measured = ops.measure(
                *self._head_arguments(),
                o.before if program is None else program,
                o.constants,
                kind,
                on,
                stop,
                found,
                seen,
                self._channels(choice),
            )
            if statistic == "histogram":
                measured = ops.table(measured, o.canvas[0] * o.canvas[1])
            o.operands.append(measured)
            found = len(o.operands) - 1 if found < 0 else found
        return found

    # -- kernels

    def _head_arguments(self) -> tuple[Any, ...]:
        o = self.open
        bent = None if o.warp is None or o.warp.field is None else _inner(o.warp.field)
        fill = list(o.warp.reading.fill) if o.warp is not None and any(o.warp.reading.fill) else []
        shrink = 1.0 if o.warp is None else _shrink(o.warp)
        return (o.image, o.scale, o.geo, bent, list(o.operands), _head(o.warp), fill, shrink, list(o.canvas))

    def _rendered(self, dtype: torch.dtype, channels_last: bool, encode: int) -> Tensor:
        o = self.open
        ends = (o.constants, o.channels, dtype, channels_last, encode)
        if o.filter is None:
            out: Tensor = ops.render(*self._head_arguments(), o.before, *ends)
        else:
            out = ops.filtered(*self._head_arguments(), o.before, o.filter, o.after, *ends)
        return out

    def _write(self) -> None:
        """End the kernel: its result is the source of the next."""
        self.open = self._source(self._rendered(torch.float32, False, 0), 1.0)

    def _by_torch(self, choice: Choice) -> None:
        o = self.open
        if o.touched or o.scale != 1 or o.image.dtype != torch.float32:
            self._write()
        self.open = self._source(apply_choice(self.open.image, choice, self.plan.levels), 1.0)


def run(x: Tensor, plan: Plan, passes: list[Pass]) -> Tensor:
    """Return the batch (B, C, H, W) after the passes of `plan`."""
    going = _Run(x, plan)
    for number, step in enumerate(passes):
        ends = number == len(passes) - 1 and plan.out_dtype == plan.dtype
        going.take(step, ends)
    return going.finish()


def run_pick(x: Tensor, passes: list[Pass], fill: float, source: tuple[int, int]) -> Tensor:
    """Return classes after the warps of some passes: `pick.pick`."""
    fraction = (x.shape[2] / source[0], x.shape[3] / source[1])
    for step in passes:
        warp = step.warp
        if warp is not None:
            geo = ops.prepare(warp.matrix, warp.soft, warp.hard, list(step.canvas), 1.0, warp.projective, True)
            bent = None if warp.field is None else _inner(warp.field)
            canvases = [*source, *step.canvas]
            x = ops.pick(x, geo, bent, _head(warp), canvases, list(part_of(step.canvas, fraction)), float(fill))
            source = step.canvas
    return x
