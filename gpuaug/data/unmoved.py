"""Say so where a tensor that looks like a mask or a further image stays as it is while the images move."""

from __future__ import annotations

import warnings
from typing import Any

from torch import Tensor

from gpuaug.data.batch import Batch, Settings
from gpuaug.data.formats import plain, torchvision

__all__ = ["warn_of_unmoved"]


def warn_of_unmoved(inputs: tuple[Any, ...], batch: Batch, settings: Settings, owner: str) -> None:
    """Warn of tensors (B, ..., H, W) that lie beside images of this size, and that nothing says are to move.

    Args:
        inputs: what the call was given.
        batch: what was read of it.
        settings: formats and roles.
        owner: name of the class that was called.
    """
    if settings.format is not None or not isinstance(batch.image, Tensor):
        return
    if torchvision.holds(inputs) or torchvision.is_detection(inputs):
        return  # whose users know that plain tensors stay
    image, others = _others(inputs, settings)
    for name, value, remedy in others:
        # (B, H, W) or (B, C, H, W) beside (B, C, H, W), and likewise beside one image and beside clips.
        beside = value.dim() in (image.dim() - 1, image.dim()) and tuple(value.shape[-2:]) == batch.canvas
        if beside and (image.dim() == 3 or value.shape[0] == image.shape[0]):
            warnings.warn(
                f"{owner}: {name} {tuple(value.shape)} has the height and width of the images, which move, and comes"
                f" back as it is; {remedy}",
                stacklevel=5,
            )


def _others(inputs: tuple[Any, ...], settings: Settings) -> tuple[Tensor, list[tuple[str, Tensor, str]]]:
    """Return the images as they were given, and the tensors of which nothing is said: name, value, what to do."""
    first = inputs[0]
    if isinstance(first, dict):
        said = {*plain.KNOWN, *(key for key, _ in settings.roles)}
        rest = {key: value for key, value in first.items() if key not in said and isinstance(value, Tensor)}
        remedy = "to move it say roles={{{!r}: 'mask'}}, or 'dense', or 'image'"
        return first["image"], [(f"the key {key!r}", value, remedy.format(key)) for key, value in rest.items()]
    if isinstance(first, (tuple, list)):
        return _others(tuple(first), settings)
    remedy = "to move it give a dict, such as {'image': images, 'mask': masks}"
    places = enumerate(inputs[1:], 2)
    return first, [(f"input {place}", value, remedy) for place, value in places if isinstance(value, Tensor)]
