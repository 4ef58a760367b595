"""Labels of samples: found in whatever structure a call is given, and put back where they were."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor

from gpuaug.data.batch import Batch, Settings, Write, are_images
from gpuaug.data.formats.leaves import is_plain

__all__ = ["default_labels", "with_labels"]


def with_labels(
    batch: Batch, write: Write, inputs: tuple[Any, ...], owner: str, settings: Settings
) -> tuple[Batch, Write]:
    """Add the samples' labels to a batch that was read, and to what writes it.

    Args:
        batch: what was read.
        write: how it is written.
        inputs: what the call was given.
        owner: name of the class that was called, for messages.
        settings: `labels_getter`: a function of the structure that returns the labels; or "default": the second of
            several inputs, or the key `label`, or, where there are no objects whose labels they would be, `labels`, or
            the first key with "label" in it, in upper or lower case.

    Raises:
        TypeError: for labels that are no tensor.
        ValueError: for labels that are neither (B,) integers nor (B, classes) numbers, or no part of what was given.
    """
    structure = inputs[0] if len(inputs) == 1 else inputs
    default = settings.labels_getter == "default"
    found = default_labels(structure, batch) if default else settings.labels_getter(structure)
    if found is None:
        return batch, write
    if not isinstance(found, Tensor):
        raise TypeError(f"{owner}: labels must be a tensor, got {type(found).__name__}")
    if not _holds(structure, found):
        raise ValueError(
            f"{owner}: labels_getter must return a tensor of what it is given, so that it can be replaced, got a new"
            f" one of shape {tuple(found.shape)}"
        )
    whole = not found.is_floating_point() and found.dtype != torch.bool
    single = batch.samples == 1 and (found.dim() == 0 or (found.dim() == 1 and not whole))
    labels = found[None] if single else found
    if labels.shape[:1] != (batch.samples,) or (labels.dim() == 1 and not whole) or labels.dim() not in (1, 2):
        raise ValueError(
            f"{owner}: labels must be integers ({batch.samples},) or numbers ({batch.samples}, classes), got "
            f"{found.dtype} {tuple(found.shape)}; labels_getter says where they are, None that there are none"
        )
    if labels.device != batch.image.device:
        raise ValueError(f"{owner}: labels must be on {batch.image.device}, as the images, got {labels.device}")
    batch.label = labels

    def write_labelled(out: Batch) -> Any:
        result, new = write(out), out.label
        if new is labels:
            return result
        if single:
            new = tuple(v[0] for v in new) if isinstance(new, tuple) else new[0]
        return _replaced(result, found, new)

    return batch, write_labelled


def default_labels(structure: Any, batch: Batch) -> Any:
    """Return the samples' labels where they usually are, or None."""
    if isinstance(structure, dict):
        keys = [key for key, value in structure.items() if isinstance(key, str) and is_plain(value)]
        ranked = [key for key in keys if key.lower() == "label"]
        if batch.instances is None:  # else they are the objects'
            ranked += [key for key in keys if key.lower() == "labels"]
            ranked += [key for key in keys if "label" in key.lower()]
        return structure[ranked[0]] if ranked else None
    several = isinstance(structure, (tuple, list)) and len(structure) > 1 and not are_images(structure)
    if several and batch.instances is None:
        return structure[1] if is_plain(structure[1]) else None
    return None


def _holds(structure: Any, leaf: Tensor) -> bool:
    """Tell whether a tensor is one of the leaves of a structure."""
    if isinstance(structure, dict):
        return any(_holds(value, leaf) for value in structure.values())
    if isinstance(structure, (tuple, list)):
        return any(_holds(value, leaf) for value in structure)
    return structure is leaf


def _replaced(structure: Any, old: Tensor, new: Any) -> Any:
    """Return a structure with one of its leaves replaced."""
    if structure is old:
        return new
    if isinstance(structure, dict):
        return {key: _replaced(value, old, new) for key, value in structure.items()}
    if isinstance(structure, tuple) and hasattr(structure, "_fields"):
        return type(structure)(*(_replaced(value, old, new) for value in structure))
    if isinstance(structure, (tuple, list)):
        return type(structure)(_replaced(value, old, new) for value in structure)
    return structure
