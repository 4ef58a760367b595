"""Medians of the neighbourhoods of each sample."""

from __future__ import annotations

from functools import lru_cache
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor

from gpuaug.functional._door import pixelwise

__all__ = ["median_blur", "median_levels_one", "median_one"]

Step = tuple[bool, int, int, int]
"""The larger or the smaller (True or False) of two values, and the number that it gets."""
Program = tuple[tuple[Step, ...], tuple[int, ...], dict[int, tuple[int, ...]]]
"""Steps, the numbers of the results, and which values are done with after which step."""


@pixelwise
def median_blur(image: Tensor, size: Tensor | float, largest: int = 7) -> Tensor:
    """Replace each value by the median of a square around it, of a side for each sample.

    Args:
        image: (B, C, H, W).
        size: (B,) or a number: odd side in pixels; 1 is neutral.
        largest: odd bound of the sides, which memory grows with.

    Shape:
        (B, C, H, W) to the same; the border is repeated.

    Source: cv2.medianBlur, exactly.

    Example:
        >>> import torch
        >>> from gpuaug.functional import median_blur
        >>> median_blur(torch.rand(2, 3, 8, 9), torch.tensor([3.0, 5.0]), largest=5).shape
        torch.Size([2, 3, 8, 9])
    """
    h, w = image.shape[2:]
    if image.shape[0] == 0:
        return image.clone()
    reach = largest // 2
    half = torch.floor(torch.as_tensor(size) / 2).view(-1, 1, 1, 1)
    padded = F.pad(image, (reach,) * 4, mode="replicate")
    taps = []
    for i in range(-reach, reach + 1):
        for j in range(-reach, reach + 1):
            tap = padded[:, :, reach + i : reach + i + h, reach + j : reach + j + w]
            # Beyond a sample's own square: as many above everything as below, so that the middle stays.
            beyond = torch.inf if (i, j) > (-i, -j) else -torch.inf
            taps.append(torch.where(half >= max(abs(i), abs(j)), tap, beyond))
    return torch.stack(taps).median(dim=0).values


def median_one(image: Tensor, size: Tensor, largest: int) -> Tensor:
    """Take the medians of one sample (1, C, H, W) whose `size` (1,) may be read, by a network of comparisons."""
    n = int(size)
    h, w = image.shape[2:]
    padded = F.pad(image, (n // 2,) * 4, mode="replicate")
    columns, rest = _network(n)
    lines: dict[int, Any] = {i: padded[:, :, i : i + h] for i in range(n)}
    ranks = _run(columns, lines)
    shifted = {i * n + j: ranks[i][:, :, :, j : j + w] for i in range(n) for j in range(n)}
    (found,) = _run(rest, shifted)
    return found


def median_levels_one(image: Tensor, white: float, size: Tensor, largest: int) -> Tensor:
    """Take the medians in the image's own dtype: they are among its values."""
    return median_one(image, size, largest)


def _run(program: Program, values: dict[int, Any]) -> list[Tensor]:
    """Return the results of a program; the memory of what is not needed any more is used again."""
    steps, results, last = program
    spare: list[Tensor] = []
    inputs = set(values)
    for number, (larger, a, b, into) in enumerate(steps):
        made = spare.pop() if spare else torch.empty_like(values[a], memory_format=torch.contiguous_format)
        values[into] = (torch.maximum if larger else torch.minimum)(values[a], values[b], out=made)
        spare += [values.pop(done) for done in last.get(number, ()) if done not in inputs]
    return [values[n] for n in results]


class _Network:
    """Exchanges of numbered values, of which in the end only those are kept that results depend on."""

    def __init__(self, inputs: int) -> None:
        self.steps: list[Step] = []
        self.count = inputs

    def exchange(self, a: int, b: int) -> tuple[int, int]:
        """Return the numbers of the smaller and the larger of two values."""
        low, high = self.count, self.count + 1
        self.count += 2
        self.steps += [(False, a, b, low), (True, a, b, high)]
        return low, high

    def sort(self, values: list[int]) -> list[int]:
        """Return the numbers of values in order, by Batcher's merging of odd and even places."""
        found, n = list(values), len(values)
        p = 1
        while p < n:
            k = p
            while k >= 1:
                for j in range(k % p, n - k, 2 * k):
                    for i in range(min(k, n - j - k)):
                        if (i + j) // (2 * p) == (i + j + k) // (2 * p):
                            found[i + j], found[i + j + k] = self.exchange(found[i + j], found[i + j + k])
                k //= 2
            p *= 2
        return found

    def middle(self, values: list[int]) -> int:
        """Return the number of the median of an odd number of values, forgetting the ends of half of them at a time."""
        rest = list(values)
        held = [rest.pop() for _ in range(len(rest) // 2 + 2)] if len(rest) > 2 else rest
        while len(held) > 2:
            for ends, turn in ((range(1, len(held)), False), (range(1, len(held) - 1), True)):
                # The least, then the greatest of the others, is moved to the front and forgotten.
                for at in ends:
                    low, high = self.exchange(held[0], held[at])
                    held[0], held[at] = (high, low) if turn else (low, high)
                held.pop(0)
            if rest:
                held.append(rest.pop())
        return held[0]

    def program(self, results: list[int]) -> Program:
        """Return the steps that the results need, and after which of them a value is done with."""
        needed, kept = set(results), []
        for step in reversed(self.steps):
            if step[3] in needed:
                needed.update(step[1:3])
                kept.append(step)
        kept.reverse()
        last = {value: number for number, step in enumerate(kept) for value in step[1:3]}
        done: dict[int, list[int]] = {}
        for value, number in last.items():
            if value not in results:
                done.setdefault(number, []).append(value)
        return tuple(kept), tuple(results), {number: tuple(found) for number, found in done.items()}


@lru_cache(maxsize=32)
def _network(n: int) -> tuple[Program, Program]:
    """Return the program that sorts n rows, column by column, and the one from n x n sorted columns to the median.

    Sorted along both axes, a value in row a and column b (from 1) has a * b - 1 others that are not larger, and
    (n + 1 - a)(n + 1 - b) - 1 that are not smaller: few of them can be the median, as many are too small as too large.
    """
    first = _Network(n)
    columns = first.program(first.sort(list(range(n))))
    second, most = _Network(n * n), (n * n + 1) // 2
    candidates = []
    for a in range(1, n + 1):
        row = second.sort([(a - 1) * n + j for j in range(n)])
        candidates += [row[b - 1] for b in range(1, n + 1) if a * b <= most and (n + 1 - a) * (n + 1 - b) <= most]
    return columns, second.program([second.middle(candidates)])
