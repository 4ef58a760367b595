"""Resizes to a size drawn for the whole batch, on the host: every rank draws the same.

The first call after a seed or a state is set reads the state from the device once; later ones do not wait.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from gpuaug.geometry.canvas import Canvas, larger, ratio, smaller, whole
from gpuaug.sampling.law import START
from gpuaug.sampling.varying import Times, most, parts
from gpuaug.schedule import Schedule
from gpuaug.transforms.layer import Layer
from gpuaug.transforms.resize import Resizing
from gpuaug.transforms.sizes import as_size, length_at

__all__ = ["RandomResize", "RandomShortestSize"]


class _ShortestSize(Resizing):
    """Resize the shorter side to a size, the longer one to at most another, as RandomShortestSize does."""

    def __init__(self, size: int, max_size: int | None, interpolation: Any, antialias: bool | None) -> None:
        """Remember the sizes."""
        super().__init__(interpolation=interpolation, antialias=antialias)
        self.size, self.max_size = size, max_size

    def inner_size(self, canvas: Canvas) -> Canvas:
        """Return torchvision's size: both sides rounded down."""
        h, w = canvas
        factor = ratio(self.size, smaller(h, w))
        if self.max_size is not None:
            factor = smaller(factor, ratio(self.max_size, larger(h, w)))
        return larger(whole(h * factor), 1), larger(whole(w * factor), 1)

    def extra_repr(self) -> str:
        """Show the sizes."""
        return f"size={self.size}, max_size={self.max_size}"


class _DrawnSize(_ShortestSize):
    """A resize of the shorter side to one of some sizes."""

    def __init__(
        self, lengths: Sequence[Any], max_size: int | None, interpolation: Any, antialias: bool | None
    ) -> None:
        """Remember the sizes, some of which may follow a schedule; undrawn it is of the largest one."""
        self.lengths = tuple(lengths)
        super().__init__(self.largest(), max_size, interpolation, antialias)
        self.draws_size = len(self.sizes_at(START)) > 1 or bool(parts(self.lengths))
        self._build()  # something is drawn: used alone, its clock goes on

    def sizes_at(self, times: Times) -> Sequence[int]:
        """Return the sizes at a time."""
        return [length_at(length, times) for length in self.lengths]

    def largest(self) -> int:
        """Return the largest size of any time."""
        return max(round(most(length)) for length in self.lengths)

    @property
    def deterministic(self) -> bool:
        """Whether there is one size alone."""
        return not self.draws_size

    def evaluation(self) -> Layer:
        """Return the resize to the largest size."""
        return self.drawn(self.size)

    def drawn(self, size: Any) -> _ShortestSize:
        """Return the resize to a drawn size."""
        size = as_size(size, type(self).__name__)[0]
        return _ShortestSize(size, self.max_size, self.interpolation, self.antialias)

    def pick(self, u: float, times: Times) -> int:
        """Return the size for a number drawn from [0, 1)."""
        sizes = self.sizes_at(times)
        return sizes[min(int(u * len(sizes)), len(sizes) - 1)]


def _length(value: Any, owner: str, name: str) -> Any:
    """Return a length, or the schedule that it follows, or raise."""
    if not isinstance(value, Schedule):
        return as_size(value, owner, name)[0]
    for end in value.support():
        as_size(round(end), owner, name)
    return value


class RandomShortestSize(_DrawnSize):
    """Resize the shorter side of each sample to a size drawn for the whole batch.

    Args:
        min_size: length of the shorter side: a number, or several to draw from; schedules are rounded.
        max_size: largest longer side; None sets no bound.
        interpolation: "bilinear" (default), "nearest" or "bicubic".
        antialias: whether the filter widens when shrinking.

    Shape:
        (B, C, H, W) to (B, C, h, w); images of several sizes keep their aspects. One size for a batch, the same on
        every rank: drawn on the host from seed and step, without the rank and whatever the ids. In `eval()` mode the
        largest. `torch.compile` of a pipeline that draws sizes compiles again at every call: leave it eager.

    Boxes and masks:
        Scaled with the image.

    Raises:
        TypeError: for sizes that are not integers.

    Source: torchvision.transforms.v2.RandomShortestSize, with its sizes.

    Example:
        >>> import torch, gpuaug as ga
        >>> ga.RandomShortestSize([4], max_size=5)(torch.zeros(2, 3, 8, 20)).shape
        torch.Size([2, 3, 2, 5])
    """

    def __init__(
        self,
        min_size: int | Schedule | Sequence[int | Schedule],
        max_size: int | None = None,
        interpolation: Any = None,
        antialias: bool | None = True,
    ) -> None:
        """See the class."""
        owner = "RandomShortestSize"
        given = [min_size] if isinstance(min_size, (int, Schedule)) else list(min_size)
        sizes = [_length(size, owner, "min_size") for size in given]
        if not sizes:
            raise ValueError(f"{owner}: min_size must have at least one size, got {min_size!r}")
        super().__init__(
            sizes, None if max_size is None else as_size(max_size, owner, "max_size")[0], interpolation, antialias
        )

    def extra_repr(self) -> str:
        """Show the sizes."""
        return f"min_size={list(self.lengths)}, max_size={self.max_size}"


class RandomResize(_DrawnSize):
    """Resize the shorter side of each sample to a whole number from a range, drawn for the whole batch.

    Args:
        min_size: smallest length of the shorter side; a schedule is rounded.
        max_size: the number after the largest one.
        interpolation: "bilinear" (default), "nearest" or "bicubic".
        antialias: whether the filter widens when shrinking.

    Shape:
        (B, C, H, W) to (B, C, h, w), as `RandomShortestSize`.

    Boxes and masks:
        Scaled with the image.

    Raises:
        ValueError: for a range without a number.

    Source: torchvision.transforms.v2.RandomResize.

    Example:
        >>> import torch, gpuaug as ga
        >>> ga.RandomResize(4, 5)(torch.zeros(2, 3, 8, 20)).shape
        torch.Size([2, 3, 4, 10])
    """

    def __init__(
        self,
        min_size: int | Schedule,
        max_size: int | Schedule,
        interpolation: Any = None,
        antialias: bool | None = True,
    ) -> None:
        """See the class."""
        low, high = (_length(n, "RandomResize", name) for n, name in ((min_size, "min_size"), (max_size, "max_size")))
        if not parts((low, high)) and low >= high:
            raise ValueError(f"RandomResize: min_size must be below max_size, got {min_size} and {max_size}")
        super().__init__((low, high), None, interpolation, antialias)

    def sizes_at(self, times: Times) -> Sequence[int]:
        """Return the whole numbers of the range, at least one."""
        low, high = super().sizes_at(times)
        return range(low, max(high, low + 1))

    def largest(self) -> int:
        """Return the last number of the range, at its largest."""
        return max(round(most(self.lengths[1])) - 1, round(most(self.lengths[0])))

    def extra_repr(self) -> str:
        """Show the range."""
        return f"min_size={self.lengths[0]}, max_size={self.lengths[1]}"
