"""Labels of samples: found in whatever structure a call is given, and put back where they were."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor
from torchvision.tv_tensors import TVTensor

from gpuaug.data.batch import Batch, Settings, Write

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
            several inputs, or the key `label`, or `labels` where there are no boxes whose labels they would be.

    Raises:
        TypeError: for labels that are no tensor.
        ValueError: for labels that are neither (B,) integers nor (B, classes) numbers.
    """
    structure = inputs[0] if len(inputs) == 1 else inputs
    found = default_labels(structure) if settings.labels_getter == "default" else settings.labels_getter(structure)
    if found is None:
        return batch, write
    if not isinstance(found, Tensor):
        raise TypeError(f"{owner}: labels must be a tensor, got {type(found).__name__}")
    single = batch.samples == 1 and found.dim() == 0
    labels = found[None] if single else found
    whole = not labels.is_floating_point() and labels.dtype != torch.bool
    if labels.shape[:1] != (batch.samples,) or (labels.dim() == 1 and not whole) or labels.dim() not in (1, 2):
        raise ValueError(
            f"{owner}: labels must be integers ({batch.samples},) or numbers ({batch.samples}, classes), got "
            f"{labels.dtype} {tuple(found.shape)}"
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


def default_labels(structure: Any) -> Any:
    """Return the samples' labels where they usually are, or None."""
    if isinstance(structure, dict):
        if "label" in structure:
            return structure["label"]
        return None if "boxes" in structure else structure.get("labels")
    if isinstance(structure, (tuple, list)) and len(structure) > 1:
        second = structure[1]
        plain = isinstance(second, Tensor) and not isinstance(second, TVTensor)
        return second if plain else None
    return None


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
