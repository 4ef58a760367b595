"""What a call says of its samples: their classes, and how strongly they are treated."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import torch
from torch import Tensor

from gpuaug.data.batch import Batch
from gpuaug.data.labels import default_labels
from gpuaug.sampling.layout import Told

__all__ = ["read_told"]


def read_told(inputs: tuple[Any, ...], batch: Batch, keys: Sequence[str], strength: Any, owner: str) -> Told:
    """Read what draws depend on, apart from seed, clock and ids.

    Args:
        inputs: what the call was given.
        batch: what was read of it.
        keys: of the integers that some bounds depend on.
        strength: a number, a tensor (B,), or None.
        owner: name of the class that was called, for messages.

    Raises:
        TypeError: for what is no tensor.
        ValueError: for a key that is not there, and for other shapes, dtypes or devices.
    """
    return Told({key: _classes(inputs, batch, key, owner) for key in keys}, _strength(strength, batch, owner))


def _classes(inputs: tuple[Any, ...], batch: Batch, key: str, owner: str) -> Tensor:
    structure = inputs[0] if len(inputs) == 1 else inputs
    found = _found(structure, key, batch)
    if found is None and key in ("label", "labels"):
        found = default_labels(structure, batch)
    if found is None:
        there = ", ".join(map(str, structure)) if isinstance(structure, dict) else "no dict"
        raise ValueError(f"{owner}: PerClass needs the key {key!r} of the batch, got {there}")
    if not isinstance(found, Tensor):
        raise TypeError(f"{owner}: {key} must be an integer tensor ({batch.samples},), got {type(found).__name__}")
    value = found[None] if found.dim() == 0 and batch.samples == 1 else found
    if value.shape != (batch.samples,) or value.is_floating_point() or value.dtype == torch.bool:
        raise ValueError(
            f"{owner}: {key} must be an integer tensor ({batch.samples},), for PerClass, got "
            f"{found.dtype} {tuple(found.shape)}"
        )
    if value.device != batch.image.device:
        raise ValueError(f"{owner}: {key} must be on {batch.image.device}, as the images, got {value.device}")
    return value.to(torch.int64)


def _found(structure: Any, key: str, batch: Batch) -> Any:
    """Return what a structure holds under a key: in a dict, or one number in the dict of each sample."""
    if isinstance(structure, dict):
        value = structure.get(key)
        whole = isinstance(value, int) and not isinstance(value, bool) and batch.samples == 1
        return batch.image.new_full((1,), value, dtype=torch.int64) if whole else value
    if not isinstance(structure, (tuple, list)):
        return None
    each = [part[key] for part in structure if isinstance(part, dict) and key in part]
    if len(each) == len(structure) == batch.samples and all(map(_one_number, each)):
        # A number of the host is written by a kernel: nothing is copied.
        return torch.stack(
            [
                v.reshape(()).to(torch.int64)
                if isinstance(v, Tensor)
                else batch.image.new_full((), v, dtype=torch.int64)
                for v in each
            ]
        )
    for part in structure:  # not `next` with a default, which Dynamo of torch 2.8 does not trace
        found = _found(part, key, batch)
        if found is not None:
            return found
    return None


def _one_number(value: Any) -> bool:
    if isinstance(value, Tensor):
        return value.numel() == 1 and not value.is_floating_point() and value.dtype != torch.bool
    return isinstance(value, int) and not isinstance(value, bool)


def _strength(value: Any, batch: Batch, owner: str) -> Tensor | None:
    if value is None:
        return None
    n, device = batch.samples, batch.image.device
    if isinstance(value, (int, float)) and not isinstance(value, bool):
        if not 0 <= value <= 1:
            raise ValueError(f"{owner}: strength must be between 0 and 1, got {value!r}")
        return torch.full((n,), float(value), device=device)
    if not isinstance(value, Tensor):
        raise TypeError(f"{owner}: strength must be a number or a tensor ({n},), got {type(value).__name__}")
    if value.shape != (n,) or not value.is_floating_point():
        raise ValueError(f"{owner}: strength must be floats of shape ({n},), got {value.dtype} {tuple(value.shape)}")
    if value.device != device:
        raise ValueError(f"{owner}: strength must be on {device}, as the images, got {value.device}")
    return value.to(torch.float32).clamp(0.0, 1.0)
