"""Where every random number of a pipeline comes from: counter words, and one packed table of bounds.

All draws of a pipeline are made at once: one block of uniforms (B, K), then one inverse CDF for each class of
distribution. Columns are named by transform and parameter, so that adding or removing a transform leaves the
draws of the others alone.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

import torch
from torch import Tensor

from gpuaug._compiling import kept
from gpuaug.sampling.distributions import Constant, Distribution, Integers
from gpuaug.sampling.generator import column_words, uniform
from gpuaug.sampling.host import Ahead, Drawing, gates_on_host, is_plain, law_on_host
from gpuaug.sampling.law import START
from gpuaug.sampling.state import moved
from gpuaug.sampling.varying import Times, Varying, now

__all__ = ["STRENGTH", "TENSORS", "Declaration", "Draws", "Layout", "Told"]

TENSORS = ("_blocks", "_columns", "_table", "_labels", "_places", "_live")
"""What a layout keeps on the device of the batch."""
STRENGTH = "_strength"
"""What is drawn of a transform that wants to know it: 1 without one."""
Draws = dict[str, dict[str, Tensor]]


@dataclass
class Declaration:
    """What one named transform draws: distributions with their number of columns, and its probability."""

    name: str
    random: dict[str, tuple[Distribution, int]]
    p: float | Varying | None = None
    """None where the transform always applies: then there is no gate."""
    neutral: Mapping[str, float] = field(default_factory=dict)
    """Values at which nothing happens, by parameter: what `strength` scales towards."""
    gateable: bool = False
    """Whether, without such values, `strength` scales its probability."""
    wants_strength: bool = False
    """Whether it does with the strength what it likes: then that is among what it draws, as `STRENGTH`."""

    def gated(self) -> Declaration:
        """Return the declaration for calls with a strength: with a gate where that is what it scales."""
        if self.wants_strength:
            more = {STRENGTH: (Constant(1.0), 1)}
            return replace(self, random={**self.random, **more}, neutral={**self.neutral, STRENGTH: 0.0})
        return replace(self, p=1.0) if self.gateable and not self.neutral and self.p is None else self


@dataclass(frozen=True)
class Told:
    """What a call says of its samples."""

    classes: Mapping[str, Tensor] = field(default_factory=dict)
    """(B,) integers by key of the batch, for bounds that depend on them."""
    strength: Tensor | None = None
    """(B,) 0 to 1."""


@dataclass
class _Slot:
    """The columns of one parameter."""

    name: str
    param: str
    columns: int
    law: Distribution | None
    """None for a gate."""
    p: float | Varying
    neutral: float | None
    scaled: bool
    """Whether a strength scales the probability."""

    def numbers(self, times: Times, label: int | None) -> tuple[float, ...]:
        """Return the bounds at a time, for a class."""
        return (now(self.p, times, label),) if self.law is None else self.law.at(times, label).bounds

    def parts(self) -> tuple[object, ...]:
        """Return what the bounds are made of, where each is one number or what gives it; else as many None."""
        if self.law is None:
            return (self.p,)
        values = tuple(self.law.numbers().values())
        return values if len(values) == len(self.law.bounds) else (None,) * len(self.law.bounds)

    @property
    def varying(self) -> Varying | Distribution | None:
        """What may vary."""
        if self.law is not None:
            return self.law if self.law.varies else None
        return self.p if isinstance(self.p, Varying) else None


@dataclass
class _Group:
    """Parameters whose distributions are of one class: evaluated together."""

    distribution: type[Distribution] | None
    """None for the gates: u < p."""
    bounds: int
    slots: list[_Slot] = field(default_factory=list)
    columns: list[int] = field(default_factory=list)

    @property
    def width(self) -> int:
        return len(self.columns)


class Layout:
    """The columns and bounds of all transforms of a pipeline.

    Bounds lie in one table: those of now, and, for each key of classes, a row for every class, after one of all others.
    """

    def __init__(self, declarations: Sequence[Declaration], times: Times = START) -> None:
        """Lay out the columns of `declarations`."""
        groups: dict[tuple[type[Distribution] | None, int], _Group] = {}
        blocks: dict[int, int] = {}

        def put(slot: _Slot, words: list[int]) -> None:
            kind = None if slot.law is None else type(slot.law)
            size = len(slot.numbers(times, None))
            group = groups.setdefault((kind, size), _Group(kind, size))
            group.slots.append(slot)
            group.columns.extend(words)

        for d in declarations:
            widths = [1] + [columns for _, columns in d.random.values()]
            words, lanes = column_words(d.name, sum(widths))
            flat = [4 * blocks.setdefault(word, len(blocks)) + lane for word, lane in zip(words, lanes, strict=True)]
            if d.p is not None:  # the first column is the gate's, whether it is used or not
                put(_Slot(d.name, "gate", 1, None, d.p, None, d.gateable and not d.neutral), flat[:1])
            start = 1
            for param, (law, columns) in d.random.items():
                slot = _Slot(d.name, param, columns, law, 1.0, d.neutral.get(param), False)
                put(slot, flat[start : start + columns])
                start += columns
        # Constants come last: they read no column.
        self.groups = sorted(groups.values(), key=lambda g: g.distribution is Constant)
        self.names = [declaration.name for declaration in declarations]
        used = [c for g in self.groups if g.distribution is not Constant for c in g.columns]
        order = sorted({c // 4 for c in used})
        words_of = {index: word for word, index in blocks.items()}
        position = {index: i for i, index in enumerate(order)}
        self._blocks = torch.tensor([words_of[i] for i in order], dtype=torch.int64)
        self._columns = torch.tensor([4 * position[c // 4] + c % 4 for c in used], dtype=torch.int64)
        self._lay_classes()
        self._learned = [
            (entry, part)
            for entry, part in enumerate(
                list(slot.parts())[i]
                for g in self.groups
                for i in range(g.bounds)
                for slot in g.slots
                for _ in range(slot.columns)
            )
            if isinstance(part, Varying) and part.live() is not None
        ]
        self._live = torch.tensor([entry for entry, _ in self._learned], dtype=torch.int64)
        self._numbers = self._now(times)
        self._table = torch.tensor(self._numbers, dtype=torch.float32)
        self._ahead: Ahead | None = None
        self._laws: tuple[Tensor, int, list[Drawing | None]] | None = None

    def __getstate__(self) -> dict[str, Any]:
        """Leave out what is only remembered."""
        return {**self.__dict__, "_ahead": None, "_laws": None}

    def _lay_classes(self) -> None:
        """Find which entries of the table depend on classes, and where those of each class lie."""
        owners = [slot for g in self.groups for _ in range(g.bounds) for slot in g.slots for _ in range(slot.columns)]
        self.entries = len(owners)
        places, end = list(range(self.entries)), self.entries
        self.keys: list[tuple[str, tuple[int, ...], list[int]]] = []
        """(key of the batch, its classes, the entries that depend on it)."""
        varying = [slot.varying for slot in owners]
        for key in sorted({v.key for v in varying if v is not None and v.key is not None}):
            entries = [i for i, v in enumerate(varying) if v is not None and v.key == key]
            labels = sorted({label for v in varying if v is not None and v.key == key for label in v.labels()})
            self.keys.append((key, tuple(labels), entries))
            for place, i in enumerate(entries):
                places[i] = end + place
            end += len(entries)
        self._labels = torch.tensor([label for _, labels, _ in self.keys for label in labels], dtype=torch.int64)
        self._places = torch.tensor(places if self.keys else [], dtype=torch.int64)

    def _of_class(self, times: Times, label: int | None) -> list[float]:
        numbers: list[float] = []
        for group in self.groups:
            rows = [(slot.numbers(times, label), slot.columns) for slot in group.slots]
            numbers += [row[i] for i in range(group.bounds) for row, columns in rows for _ in range(columns)]
        return numbers

    def _now(self, times: Times) -> list[float]:
        """Return the table at a time."""
        of_all = self._of_class(times, None)
        table = list(of_all)
        for _, labels, entries in self.keys:
            for label in (None, *labels):
                numbers = of_all if label is None else self._of_class(times, label)
                table += [numbers[i] for i in entries]
        return table

    def write(self, times: Times) -> None:
        """Write the bounds of a time into the table, in place: whoever reads it, a captured graph too, sees them."""
        numbers = self._now(times)
        if numbers != self._numbers:
            self._numbers = numbers
            with torch.inference_mode(False), torch.no_grad():
                self._table.copy_(torch.tensor(numbers, dtype=torch.float32))

    def renew(self, other: Layout, times: Times) -> bool:
        """Take the bounds of another layout over, where it draws the same columns from the same laws; else do not."""

        def form(layout: Layout) -> list[object]:
            slots = [(g.distribution, g.bounds, s.name, s.param, s.columns) for g in layout.groups for s in g.slots]
            return [
                slots,
                layout.names,
                [g.columns for g in layout.groups],
                layout.keys,
                [e for e, _ in layout._learned],
            ]

        if form(self) != form(other):
            return False
        for group, new in zip(self.groups, other.groups, strict=True):
            for slot, given in zip(group.slots, new.slots, strict=True):
                slot.law, slot.p = given.law, given.p
        self._learned = other._learned
        self.write(times)
        return True

    def to(self, device: torch.device) -> None:
        """Move the constants to the batch's device, once."""
        if self._table.device != device:
            for name in TENSORS:
                setattr(self, name, moved(getattr(self, name), device))

    def _bounds(self, batch: int, classes: Mapping[str, Tensor]) -> Tensor:
        """Return the bounds: (entries,), or (B, entries) where they depend on classes."""
        of_all = self._table[: self.entries]
        if not self.keys:
            return of_all
        parts, start, label = [of_all.expand(batch, self.entries)], self.entries, 0
        for key, labels, entries in self.keys:
            rows, n = len(labels) + 1, len(entries)
            table = self._table[start : start + rows * n].view(rows, n)
            given = classes.get(key)
            given = self._labels.new_zeros(batch) if given is None else given  # nobody draws, but for an explanation
            same = given[:, None] == self._labels[label : label + len(labels)]
            number = torch.arange(1, rows, device=same.device)
            parts.append(table.index_select(0, (same * number).sum(1)))  # 0 is the row of all other classes
            start, label = start + rows * n, label + len(labels)
        return torch.cat(parts, dim=1).index_select(1, self._places)

    def draw(self, state: Tensor, ids: Tensor, copy: Tensor, told: Told | None = None) -> Draws:
        """Draw the parameters of every transform for the samples `ids` (B,)."""
        self.to(ids.device)
        batch = ids.shape[0]
        told = told or Told()
        if not self.keys and not self._learned and told.strength is None and is_plain(state, ids, copy, self._table):
            return self._draw_on_host(state, ids, copy)
        draws: Draws = {name: {} for name in self.names}
        u = uniform(state, ids, copy, self._blocks, self._columns) if self._columns.numel() else None
        table = self._bounds(batch, told.classes)
        if self._learned:
            values = torch.stack([part.live() for _, part in self._learned])  # type: ignore[misc]  # it has one
            table = table.index_copy(-1, self._live, values.expand(*table.shape[:-1], -1))
        column = entry = 0
        for group in self.groups:
            n = group.width
            bounds = [table[..., entry + i * n : entry + (i + 1) * n] for i in range(group.bounds)]
            entry += n * group.bounds
            if group.distribution is Constant or u is None:
                # In fresh memory: what was drawn may not follow later changes of the table.
                values = bounds[0].clone().expand(batch, n)
            else:
                block = u[:, column : column + n]
                column += n
                if group.distribution is not None:
                    values = group.distribution.icdf(block, *bounds)
                else:
                    values = block < _gates(group, bounds[0], told.strength)
                if torch.compiler.is_compiling():
                    values = kept(values)
            start = 0
            for slot in group.slots:
                part = values[:, start] if slot.columns == 1 else values[:, start : start + slot.columns]
                draws[slot.name][slot.param] = _scaled(part, slot, told.strength)
                start += slot.columns
        return draws

    def _draw_on_host(self, state: Tensor, ids: Tensor, copy: Tensor) -> Draws:
        """Draw as `draw` does, with the same bits, where NumPy can and nothing but the columns decides."""
        if self._ahead is None:
            self._ahead = Ahead(self._blocks, self._columns)
        u = self._ahead.at(state, ids, copy) if len(self._ahead.columns) else None
        known = self._laws
        if known is None or known[0] is not self._table or known[1] != self._table._version:
            known = self._laws = (self._table, self._table._version, self._laws_on_host())
        draws: Draws = {name: {} for name in self.names}
        column = entry = 0
        for group, law in zip(self.groups, known[2], strict=True):
            n = group.width
            if group.distribution is Constant or u is None:
                values = self._table[entry : entry + n].clone().expand(ids.shape[0], n)
            else:
                block = u[:, column : column + n]
                column += n
                if law is not None:
                    values = torch.from_numpy(law(block))
                else:
                    assert group.distribution is not None
                    bounds = self._table[entry : entry + n * group.bounds].view(group.bounds, n).unbind()
                    values = group.distribution.icdf(torch.from_numpy(block.copy()), *bounds)
            entry += n * group.bounds
            if n == len(group.slots):
                for slot, part in zip(group.slots, values.unbind(1), strict=True):
                    draws[slot.name][slot.param] = part
                continue
            start = 0
            for slot in group.slots:
                part = values[:, start] if slot.columns == 1 else values[:, start : start + slot.columns]
                draws[slot.name][slot.param] = part
                start += slot.columns
        return draws

    def _laws_on_host(self) -> list[Drawing | None]:
        """Return how each group is drawn in NumPy, with the bounds of now; None where it is not."""
        table, entry = self._table.numpy().copy(), 0
        laws: list[Drawing | None] = []
        for group in self.groups:
            end = entry + group.width * group.bounds
            bounds = list(table[entry:end].reshape(group.bounds, group.width))
            law = group.distribution
            laws.append(gates_on_host(bounds[0]) if law is None else law_on_host(law, bounds))
            entry = end
        return laws


def _gates(group: _Group, p: Tensor, strength: Tensor | None) -> Tensor:
    """Return the probabilities, those that a strength scales (B, n)."""
    if strength is None or not any(slot.scaled for slot in group.slots):
        return p
    one = torch.ones_like(strength)
    return p * torch.stack([strength if slot.scaled else one for slot in group.slots], dim=1)


def _scaled(value: Tensor, slot: _Slot, strength: Tensor | None) -> Tensor:
    """Return what was drawn, as much nearer to the neutral value as the strength says."""
    if strength is None or slot.neutral is None:
        return value
    weight = strength if value.dim() == 1 else strength[:, None]
    nearer = torch.lerp(torch.full_like(value, slot.neutral), value, weight)  # exact at 0 and at 1
    return torch.round(nearer) if isinstance(slot.law, Integers) else nearer
