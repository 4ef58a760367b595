"""Mixes that keep samples of earlier batches: the batch among them, and what parameters carry of them."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import TYPE_CHECKING

from gpuaug.data.batch import Batch
from gpuaug.data.kept import Met, among, parts_of
from gpuaug.sampling.params import Params

if TYPE_CHECKING:
    from gpuaug.transforms.layer import Node

__all__ = ["as_drawn", "carrying", "check_kept", "meeting"]


def check_kept(nodes: Sequence[Node]) -> None:
    """Raise where something stands before a mix that keeps samples as they come in."""
    for i, node in enumerate(nodes):
        before = [other.name for other in nodes[:i] if not other.transform.mute]
        if node.transform.kept is not None and before:
            raise ValueError(
                f"{node.name}: a buffer keeps samples as they come in: it must come first, got it after {before[0]}"
            )


def meeting(nodes: Sequence[Node], batch: Batch, keep: bool) -> tuple[Batch, Met | None]:
    """Return a batch with samples of earlier ones beside it, where a mix keeps them, and where it is among them."""
    for node in nodes:
        kept = node.transform.kept
        if kept is not None and node.transform.enabled:
            return kept.meet(batch, node.name, keep)
    return batch, None


def carrying(nodes: Sequence[Node], params: Params, source: Batch, met: Met | None) -> Params:
    """Return parameters with a copy of the samples of earlier batches that they speak of."""
    if met is None:
        return params
    name = next(node.name for node in nodes if node.transform.kept is not None)
    ring = {key: t.detach().clone() for key, t in parts_of(source, name).items()}
    return replace(params, kept={name: ring})


def as_drawn(batch: Batch, params: Params) -> Batch:
    """Return a batch among the samples that its parameters carry."""
    for name, ring in params.kept.items():
        batch = among(batch, ring, params.values[name]["partner"][:, 0])
    return batch
