"""The program of a pass: pixel operations with their operands, and the places in which they stand."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field, replace
from typing import Any

from torch import Tensor

from gpuaug.render.values import ValueRange

__all__ = ["Choice", "Slot"]


@dataclass
class Choice:
    """One pixel operation with its operands, for the samples where `on` holds."""

    name: str
    apply: Callable[..., Any]
    operands: tuple[Tensor, ...] = ()
    static: dict[str, Any] = field(default_factory=dict)
    on: Tensor | None = None
    channels: tuple[int, ...] | None = None
    levels: bool = False
    """True where the operation is defined by the source's integer levels (posterize, equalize)."""
    values: ValueRange | None = None
    """Black and white where the image keeps its own scale, and `apply` goes to 0..1 and back."""
    measures: bool = False
    """True where the operation needs a statistic of the whole image, which makes it the costliest of its group."""
    apply_one: Callable[..., Tensor] | None = None
    """What the CPU's walk calls instead for its one sample, if that is cheaper."""
    write_one: Callable[..., None] | None = None
    """Likewise where it is the last operation: (output, image, what white is in the image, *operands, **static)."""
    level_one: Callable[..., None] | None = None
    """Likewise where both images are of 8 bits, and it is rounded next: (output, image, *operands, **static)."""
    together: bool = False
    """Whether `write_one` and `level_one` take several samples as well, with the operands of all of them."""
    move_one: Callable[..., Tensor | None] | None = None
    """Likewise where values are only moved or replaced: (image of its own dtype, what white is in it, *operands,
    **static) to another of that dtype; None where what is put there is none of its values."""
    sum_one: Callable[..., tuple[Tensor, float] | None] | None = None
    """Likewise of a filter that adds values: (image of 8 bits, *operands, **static) to whole sums and of how many
    values they are; None where it does otherwise."""

    tables: tuple[Tensor, Tensor] | None = None
    """What the CPU's walk has found the operation to make of each level of 8 bits, for all samples: working values
    and whole levels."""

    def where(self, on: Tensor | None) -> Choice:
        """Return the operation for other samples, without what the walk alone calls."""
        # `dataclasses.replace` took half of the tracing of a pipeline of colours.
        return Choice(
            self.name,
            self.apply,
            self.operands,
            self.static,
            on,
            self.channels,
            self.levels,
            self.values,
            self.measures,
        )

    def of(self, sample: int) -> Choice:
        """Return the operation on one sample."""
        rows = tuple(operand[sample : sample + 1] for operand in self.operands)
        on = None if self.on is None else self.on[sample : sample + 1]
        return replace(self, operands=rows, on=on, tables=None)


@dataclass
class Slot:
    """A place of the program: at most one of its choices applies to a sample, or, with an order, all of them."""

    choices: list[Choice]
    order: Tensor | None = None
    """(B, n): the numbers of the choices in the order that each sample takes."""

    def of(self, sample: int) -> Slot:
        """Return the slot of one sample."""
        order = None if self.order is None else self.order[sample : sample + 1]
        return Slot([choice.of(sample) for choice in self.choices], order)
