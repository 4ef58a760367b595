"""Containers that choose for each sample: one child, some of them, or an order."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import replace
from typing import Any

import torch
from torch import nn

from gpuaug.sampling.counts import as_counts
from gpuaug.sampling.distributions import Categorical, Distribution, Integers, Uniform
from gpuaug.sampling.law import Number, Range
from gpuaug.sampling.layout import Declaration
from gpuaug.sampling.varying import Varying, is_number, least
from gpuaug.transforms.base import Drawn, check_p
from gpuaug.transforms.compose import Compose, Container, refuse_changing
from gpuaug.transforms.decision import Decision, merged, placed, shares_a_place
from gpuaug.transforms.exclusive import together
from gpuaug.transforms.layer import Gate, Layer, Names, Node
from gpuaug.transforms.node import TAKEN

__all__ = ["Decision", "OneOf", "RandomChoice", "RandomOrder", "SomeOf"]

MOST_IN_ANY_ORDER = 5
"""Operations that share one place in any order: backends that cannot branch hold all orders, 2^n - 1 operations."""

MOST_AGAIN = 100
"""Times that a child may stand in the pipeline: a wrong number in a file could fill the memory."""


class Choosing(Container):
    """A container with a decision for each sample."""

    def __init__(self, transforms: Sequence[nn.Module]) -> None:
        """Register the children."""
        super().__init__(transforms)
        if not len(self):
            raise ValueError(f"{type(self).__name__}: transforms must be at least one, got none")

    def _check(self) -> None:
        self._build()
        for node in self.nodes:
            refuse_changing(node.transform, type(self).__name__)

    def _weights(self, given: Sequence[Any] | None) -> tuple[Any, ...]:
        """Return a weight for each child, or raise."""
        owner = type(self).__name__
        if given is None:
            return (1.0,) * len(self)
        if isinstance(given, str) or not isinstance(given, Sequence):
            raise TypeError(f"{owner}: p must be a list of weights, one for each transform, got {given!r}")
        if len(given) != len(self):
            raise ValueError(f"{owner}: p must have one weight for each of {len(self)} transforms, got {len(given)}")
        if not all((is_number(w) or isinstance(w, Varying)) and least(w) >= 0 for w in given) or not any(given):
            raise ValueError(f"{owner}: p must be weights that are not negative and not all zero, got {given!r}")
        return tuple(w if isinstance(w, Varying) else float(w) for w in given)

    def _start(self, names: Names, random: dict[str, tuple[Distribution, int]], p: float | None = None) -> str:
        """Name the container and say what it draws."""
        name = names.take(type(self).__name__)
        names.declarations.append(Declaration(name, random, p))
        return name

    def _branches(self, names: Names, name: str, channels: tuple[int, ...] | None) -> list[list[Node]]:
        return [
            list(child.flatten(names, (Gate(name, branch),), channels)) for branch, child in enumerate(self._children())
        ]


class RandomChoice(Choosing):
    """Apply one transform of a list, chosen for each sample.

    What is chosen among shares passes over the pixels: all warps one, all pixel operations one place of the program,
    and `MixUp`, `CutMix`, `ResizeMix`, `SaliencyMix` one, in which a sample meets another as that was before any of
    them (timm's switch). These must agree in mode, classes and smoothing. Other mixes come one after the other.

    Args:
        transforms: transforms and containers that keep the canvas.
        p: weight of each transform, not negative; None gives all the same.

    Shape:
        (B, C, H, W) to the same.

    Boxes and masks:
        As the transform that was chosen.

    Raises:
        ValueError: where a transform changes the canvas or the dtype, which cannot differ within a batch; for weights
            that are negative, all zero, or not one for each transform.

    Source: torchvision.transforms.v2.RandomChoice, with a choice for each sample. `OneOf` is a class of its own, not
    an alias: its `p` is Albumentations', a probability, where this one is torchvision's, weights.

    Example:
        >>> import torch, gpuaug as ga
        >>> choice = ga.RandomChoice([ga.RandomRotation(20), ga.ColorJitter(0.4)], p=[0.3, 0.7])
        >>> choice(torch.zeros(4, 3, 8, 10)).shape
        torch.Size([4, 3, 8, 10])
    """

    def __init__(self, transforms: Sequence[nn.Module], p: Sequence[Number] | None = None) -> None:
        """Build the container; see the class."""
        super().__init__(transforms)
        self.p: Any = None if p is None else self._weights(p)
        self._check()

    def _decide(self, raw: Drawn) -> Drawn:
        index = raw["index"].to(torch.int64)
        return {"index": index, TAKEN: index[:, None] == torch.arange(len(self), device=index.device)}

    def _chosen(self, name: str, gates: tuple[Gate, ...], branches: list[list[Node]]) -> Iterator[Node]:
        grouped = len(branches) > 1 and all(map(shares_a_place, branches))
        p = self.p if isinstance(self.p, (float, Varying)) else 1.0
        yield Node(name, Decision(self._decide, len(branches) if grouped else 0, p), gates)
        yield from merged(together(name, branches))

    def flatten(self, names: Names, gates: tuple[Gate, ...], channels: tuple[int, ...] | None) -> Iterator[Node]:
        """Go over the children, each under the condition that it was chosen."""
        name = self._start(names, {"index": (Categorical(self._weights(self.p)), 1)})
        yield from self._chosen(name, gates, self._branches(names, name, channels))

    def evaluation(self) -> Layer | None:
        """Return the only child's evaluation; None, the identity, where there is something to choose."""
        return self._children()[0].evaluation() if len(self) == 1 else None

    def extra_repr(self) -> str:
        """Show the weights."""
        return "" if self.p is None else f"p={self.p}"


class OneOf(RandomChoice):
    """Apply one transform of a list, chosen for each sample in proportion to its own `p`, with probability `p`.

    A chosen transform is always applied: its own `p` is a weight here. `RandomChoice` takes weights and leaves the
    children their own `p`.

    Args:
        transforms: transforms and containers that keep the canvas; one without a `p` weighs 1.
        p: probability for each sample; 0 is neutral.

    Shape:
        (B, C, H, W) to the same.

    Boxes and masks:
        As the transform that was chosen.

    Raises:
        ValueError: where a transform changes the canvas or the dtype, which cannot differ within a batch.

    Source: albumentations.OneOf, with a choice for each sample.

    Example:
        >>> import torch, gpuaug as ga
        >>> ga.OneOf([ga.RandomHorizontalFlip(p=1.0), ga.RandomInvert(p=0.5)], p=1.0)(torch.zeros(4, 3, 8, 10)).shape
        torch.Size([4, 3, 8, 10])
    """

    def __init__(self, transforms: Sequence[nn.Module], p: Number = 0.5) -> None:
        """Build the container; see the class."""
        Choosing.__init__(self, transforms)
        self.p = check_p(p, "OneOf")
        if not any(self._own_weights()):
            raise ValueError("OneOf: transforms must not all have p=0, which is their weight here")
        self._check()

    def _own_weights(self) -> tuple[Any, ...]:
        own = (getattr(child, "p", 1.0) for child in self)
        return tuple(w if isinstance(w, (float, Varying)) else 1.0 for w in own)

    def flatten(self, names: Names, gates: tuple[Gate, ...], channels: tuple[int, ...] | None) -> Iterator[Node]:
        """Go over the children, each under the condition that it was chosen, whatever its own p."""
        name = self._start(names, {"index": (Categorical(self._own_weights()), 1)}, self.p)
        branches = []
        for branch, child in enumerate(self._children()):
            first = len(names.declarations)
            branches.append(list(child.flatten(names, (Gate(name, branch),), channels)))
            own = isinstance(getattr(child, "p", None), (float, Varying))  # then its declaration is the first
            if own and len(names.declarations) > first and names.declarations[first].p is not None:
                names.declarations[first].p = 1.0
        yield from self._chosen(name, gates, branches)

    def evaluation(self) -> Layer | None:
        """Return None, the identity, unless the only child is deterministic and always applied."""
        return super().evaluation() if self.p == 1 else None

    def extra_repr(self) -> str:
        """Show p."""
        return f"p={self.p:g}"


class SomeOf(Choosing):
    """Apply `n` transforms of a list, chosen for each sample, in the order of the list.

    Args:
        transforms: transforms and containers that keep the canvas; those chosen are applied with their own p.
        n: how many are chosen: a number, or (low, high) or a distribution to draw it from for each sample; without
            `replace` at most all of them; 0 is neutral.
        replace: whether a transform may be chosen several times, with new draws each time. It then stands `n` times in
            the pipeline (the largest n where that is drawn), at most 100 times.
        p: probability for each sample; 0 is neutral.

    Shape:
        (B, C, H, W) to the same.

    Boxes and masks:
        As the transforms that were chosen.

    Raises:
        ValueError: where a transform changes the canvas or the dtype, which cannot differ within a batch; for a
            negative `n`.

    Source: albumentations.SomeOf, with a choice for each sample.

    Example:
        >>> import torch, gpuaug as ga
        >>> some = ga.SomeOf([ga.RandomRotation(20), ga.RandomInvert(p=1.0), ga.GaussianBlur(3)], n=2)
        >>> some(torch.zeros(4, 3, 8, 10)).shape
        torch.Size([4, 3, 8, 10])
    """

    def __init__(self, transforms: Sequence[nn.Module], n: Range = 1, replace: bool = False, p: Number = 1.0) -> None:
        """Build the container; see the class."""
        super().__init__(transforms)
        self.n, self.replace, self._count = n, bool(replace), as_counts(n, "SomeOf", "n", 0)
        most = int(self._count.support()[1])
        self.most = most if self.replace else min(most, len(self))
        if self.most > max(MOST_AGAIN, len(self)):
            raise ValueError(f"SomeOf: n must be at most {MOST_AGAIN} with replace, got {n!r}")
        self.p = check_p(p, "SomeOf")
        self._check()

    @property
    def _fixed(self) -> bool:
        """Whether as many are chosen for every sample."""
        low, high = self._count.support()
        return low == high

    def _decide(self, raw: Drawn) -> Drawn:
        count = raw["n"][:, None] if "n" in raw else self.most
        if not self.replace:
            rank = torch.argsort(torch.argsort(raw["_keys"].view(-1, len(self)), dim=1, stable=True), dim=1)
            chosen = rank < count
            return {"chosen": chosen, TAKEN: chosen}
        index = raw["index"].view(-1, self.most, 1)
        place = torch.arange(self.most, device=index.device)
        times = ((index == torch.arange(len(self), device=index.device)) & (place < count)[..., None]).sum(1)
        again = times[:, :, None] > place  # (B, children, n)
        return {"times": times, TAKEN: again.flatten(1)}

    def flatten(self, names: Names, gates: tuple[Gate, ...], channels: tuple[int, ...] | None) -> Iterator[Node]:
        """Go over the children, each under the condition that it was chosen."""
        if not self.most:
            return
        p = self.p if self.p < 1 else None
        drawn = {} if self._fixed else {"n": (self._count, 1)}
        if not self.replace:
            name = self._start(names, {"_keys": (Uniform(0.0, 1.0), len(self)), **drawn}, p)
            branches = self._branches(names, name, channels)
        else:
            name = self._start(names, {"index": (Integers(0, len(self) - 1), self.most), **drawn}, p)
            branches = [
                list(child.flatten(names, (Gate(name, branch * self.most + again),), channels))
                for branch, child in enumerate(self._children())
                for again in range(self.most)
            ]
        yield Node(name, Decision(self._decide, p=self.p), gates)
        for nodes in branches:
            yield from nodes

    def evaluation(self) -> Layer | None:
        """Return the deterministic children where all are chosen, else None: the identity."""
        everything = not self.replace and self._fixed and self.most == len(self) and self.p == 1
        return Compose(self._evaluated_children()) if everything else None

    def extra_repr(self) -> str:
        """Show the arguments."""
        return f"n={self.n}, replace={self.replace}, p={self.p:g}"


class RandomOrder(Choosing):
    """Apply all transforms of a list to each sample, in an order drawn for it.

    Up to five plain pixel operations cost one place of the program. Other lists of n transforms stand n times in the
    pipeline, and a sample takes each once: n warps still are one pass, but a list of warps and pixel operations, or of
    filters, needs up to n times the passes of one order.

    Args:
        transforms: transforms and containers that keep the canvas.

    Shape:
        (B, C, H, W) to the same.

    Boxes and masks:
        As the transforms, in the sample's order.

    Raises:
        ValueError: where a transform changes the canvas or the dtype, which cannot differ within a batch.

    Source: torchvision.transforms.v2.RandomOrder, with an order for each sample.

    Example:
        >>> import torch, gpuaug as ga
        >>> ga.RandomOrder([ga.RandomRotation(20), ga.RandomInvert(p=0.5)])(torch.zeros(4, 3, 8, 10)).shape
        torch.Size([4, 3, 8, 10])
    """

    def __init__(self, transforms: Sequence[nn.Module]) -> None:
        """Build the container; see the class."""
        super().__init__(transforms)
        self._check()

    def _decide(self, raw: Drawn) -> Drawn:
        order = torch.argsort(raw["_keys"].view(-1, len(self)), dim=1, stable=True)
        taken = order[:, :, None] == torch.arange(len(self), device=order.device)  # (B, places, children)
        return {"order": order, TAKEN: taken.flatten(1)}

    def _decide_group(self, raw: Drawn) -> Drawn:
        values = self._decide(raw)
        return {"order": values["order"], TAKEN: torch.ones_like(values[TAKEN][:, :1])}

    def flatten(self, names: Names, gates: tuple[Gate, ...], channels: tuple[int, ...] | None) -> Iterator[Node]:
        """Go over the children: once where they share a place, else once for each place."""
        count = len(self)
        name = self._start(names, {"_keys": (Uniform(0.0, 1.0), count)})
        inside = Gate(name, 0)
        branches: list[list[Node]] = [list(child.flatten(names, (), channels)) for child in self._children()]
        if count <= MOST_IN_ANY_ORDER and all(map(shares_a_place, branches)):
            outer = (inside,) if gates else ()
            yield Node(name, Decision(self._decide_group, count), gates)
            yield from (replace(nodes[0], gates=outer) for nodes in branches)
            return
        yield Node(name, Decision(self._decide), gates)
        for place in range(count):
            yield from merged(
                [placed(nodes, place + 1, Gate(name, place * count + i)) for i, nodes in enumerate(branches)]
            )

    def evaluation(self) -> Layer | None:
        """Return the deterministic children, in the order of the list."""
        return Compose(self._evaluated_children())
