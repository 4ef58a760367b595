"""Where every random number of a pipeline comes from: counter words, and one packed table of bounds.

All draws of a pipeline are made at once: one block of uniforms (B, K), then one inverse CDF for each class of
distribution. Columns are named by transform and parameter, so that adding or removing a transform leaves the
draws of the others alone.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field

import torch
from torch import Tensor

from gpuaug.sampling.distributions import Constant, Distribution
from gpuaug.sampling.generator import column_words, uniform
from gpuaug.sampling.state import moved

__all__ = ["Declaration", "Draws", "Layout"]

Draws = dict[str, dict[str, Tensor]]


@dataclass
class Declaration:
    """What one named transform draws: distributions with their number of columns, and its probability."""

    name: str
    random: dict[str, tuple[Distribution, int]]
    p: float | None = None
    """None where the transform always applies: then there is no gate."""


@dataclass
class _Group:
    """Parameters whose distributions are of one class: evaluated together."""

    distribution: type[Distribution] | None
    """None for the gates: u < p."""
    bounds: int
    slots: list[tuple[str, str, int]] = field(default_factory=list)
    """(transform, parameter, columns) in order."""
    table: list[tuple[float, ...]] = field(default_factory=list)
    columns: list[int] = field(default_factory=list)

    @property
    def width(self) -> int:
        return len(self.table)


class Layout:
    """The columns and bounds of all transforms of a pipeline."""

    def __init__(self, declarations: Sequence[Declaration]) -> None:
        """Lay out the columns of `declarations`."""
        groups: dict[tuple[type[Distribution] | None, int], _Group] = {}
        blocks: dict[int, int] = {}

        def put(
            kind: type[Distribution] | None,
            name: str,
            param: str,
            bounds: tuple[float, ...],
            words: list[int],
        ) -> None:
            group = groups.setdefault((kind, len(bounds)), _Group(kind, len(bounds)))
            group.slots.append((name, param, len(words)))
            group.table.extend([bounds] * len(words))
            group.columns.extend(words)

        for declaration in declarations:
            widths = [1] + [columns for _, columns in declaration.random.values()]
            words, lanes = column_words(declaration.name, sum(widths))
            flat = [4 * blocks.setdefault(word, len(blocks)) + lane for word, lane in zip(words, lanes, strict=True)]
            if declaration.p is not None:  # the first column is the gate's, whether it is used or not
                put(None, declaration.name, "gate", (declaration.p,), flat[:1])
            start = 1
            for param, (distribution, columns) in declaration.random.items():
                put(
                    type(distribution),
                    declaration.name,
                    param,
                    distribution.bounds,
                    flat[start : start + columns],
                )
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
        self._table = torch.tensor(
            [row[i] for g in self.groups for i in range(g.bounds) for row in g.table], dtype=torch.float32
        )

    def to(self, device: torch.device) -> None:
        """Move the constants to the batch's device, once."""
        if self._table.device != device:
            self._blocks, self._columns, self._table = (
                moved(t, device) for t in (self._blocks, self._columns, self._table)
            )

    def draw(self, state: Tensor, ids: Tensor, copy: Tensor) -> Draws:
        """Draw the parameters of every transform for the samples `ids` (B,)."""
        self.to(ids.device)
        batch = ids.shape[0]
        draws: Draws = {name: {} for name in self.names}
        u = uniform(state, ids, copy, self._blocks, self._columns) if self._columns.numel() else None
        column = entry = 0
        for group in self.groups:
            n = group.width
            bounds = [self._table[entry + i * n : entry + (i + 1) * n] for i in range(group.bounds)]
            entry += n * group.bounds
            if group.distribution is Constant or u is None:
                values = bounds[0].expand(batch, n).clone()  # a view would follow later changes of the table
            else:
                block = u[:, column : column + n]
                column += n
                values = block < bounds[0] if group.distribution is None else group.distribution.icdf(block, *bounds)
            start = 0
            for name, param, columns in group.slots:
                part = values[:, start] if columns == 1 else values[:, start : start + columns]
                draws[name][param] = part
                start += columns
        return draws
