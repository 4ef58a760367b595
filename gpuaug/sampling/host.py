"""Drawing on the CPU in NumPy: for columns of a batch its calls cost a third of torch's, and give the same bits."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor

from gpuaug._compiling import in_memory
from gpuaug.sampling.distributions import Categorical, Integers, Uniform
from gpuaug.sampling.generator import uniform_numpy
from gpuaug.sampling.unit import Unit

__all__ = ["Ahead", "Drawing", "gates_on_host", "is_plain", "law_on_host"]

Floats = npt.NDArray[np.float32]
Drawing = Callable[[Floats], npt.NDArray[Any]]
_STEPS = 8
_WORDS = 1 << 13
"""How many counters are encrypted at once at most: beyond that the arithmetic costs more than the calls."""
_TOP = np.float32(1.0 - 2.0**-24)
"""The largest uniform."""


def is_plain(*tensors: Tensor) -> bool:
    """Tell whether tensors are numbers in the host's memory that nobody traces."""
    return not torch.compiler.is_compiling() and all(map(in_memory, tensors))


class Ahead:
    """The uniforms of a layout's columns, drawn for some calls at once where one call follows another.

    Each is a function of (seed, clock, id, copy, column) alone, so that it does not matter when it is drawn.
    """

    def __init__(self, blocks: Tensor, columns: Tensor) -> None:
        """Remember the columns."""
        self.blocks, self.columns = blocks.numpy().astype(np.uint64), columns.numpy()
        self._last: tuple[Any, int, list[Floats]] | None = None

    def at(self, state: Tensor, ids: Tensor, copy: Tensor) -> Floats:
        """Return the uniforms (B, K) of a call, not to be written to."""
        seed, clock = state.tolist()
        samples, copies = ids.numpy(), copy.numpy()
        call = (seed, samples.tobytes(), copies.tobytes())
        steps = 1
        if self._last is not None:
            known, first, drawn = self._last
            if known == call:
                if first <= clock < first + len(drawn):
                    there: Floats = drawn[clock - first]
                    return there
                if clock == first + len(drawn):
                    steps = max(1, min(_STEPS, _WORDS // max(len(samples) * len(self.blocks), 1)))
        fresh: list[Floats] = list(uniform_numpy(seed, clock, steps, samples, copies, self.blocks, self.columns))
        self._last = (call, clock, fresh)
        return fresh[0]


def law_on_host(law: Any, bounds: list[Floats]) -> Drawing | None:
    """Return the inverse CDF of one of the laws that need no more than exact arithmetic; None for others.

    Operation by operation it is the class's `icdf`, without the last bound, which the largest uniform does not pass.
    """
    make = _LAWS.get(law)
    return None if make is None else make(*bounds)


def gates_on_host(p: Floats) -> Drawing:
    """Return what tells which samples a gate lets through."""
    return lambda u: u < p


def _uniform(low: Floats, high: Floats) -> Drawing | None:
    with np.errstate(over="ignore", invalid="ignore"):
        span = high - low
        if not bool((low + _TOP * span <= high).all()):  # not a number of float32's, or past it
            return None
    return lambda u: low + u * span


def _integers(low: Floats, high: Floats) -> Drawing | None:
    count = high - low + np.float32(1.0)
    if not bool((np.floor(_TOP * count) + low <= high).all()):
        return None
    return lambda u: np.floor(u * count) + low


def _categorical(*bounds: Floats) -> Drawing:
    if len(bounds) == 1:
        return np.zeros_like
    cumulative = np.stack(bounds[:-1])[:, None]
    return lambda u: np.add.reduce(u >= cumulative, axis=0, dtype=np.float32)


def _unit(*bounds: Floats) -> Drawing:
    return np.copy


_LAWS: dict[Any, Callable[..., Drawing | None]] = {
    Uniform: _uniform,
    Integers: _integers,
    Categorical: _categorical,
    Unit: _unit,
}
