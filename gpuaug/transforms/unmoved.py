"""Say so where a tensor that looks like a mask or a further image stays as it is while the images move."""

from __future__ import annotations

import warnings
from collections.abc import Iterator
from typing import TYPE_CHECKING, Any

import torch
from torch import Tensor

from gpuaug.data.batch import Settings
from gpuaug.data.formats.leaves import holds, is_detection
from gpuaug.data.formats.plain import KNOWN
from gpuaug.transforms.track import moves

if TYPE_CHECKING:
    from gpuaug.transforms.layer import Layer
    from gpuaug.transforms.rows import Opened

__all__ = ["warn_of_unmoved"]

MEANT = {
    "bbox": "boxes", "bboxes": "boxes", "box": "boxes",
    "keypoint": "keypoints", "kps": "keypoints", "kpts": "keypoints",
}  # fmt: skip
"""What others call annotations, and what they are called here."""
ANNOTATIONS = ("boxes", "masks", "mask", "keypoints", *MEANT)


def warn_of_unmoved(layer: Layer, inputs: tuple[Any, ...], opened: Opened) -> None:
    """Warn of annotations that nothing moves: under other names, beside a tensor, or (B, ..., H, W) as the images.

    Args:
        layer: what was called.
        inputs: what it was given.
        opened: what was read and drawn.
    """
    if len(inputs) == 1 and isinstance(inputs[0], Tensor):
        return
    if torch.compiler.is_compiling() or not any(moves(node, opened.params.values) for node in opened.layer.nodes):
        return
    settings, batch, owner = layer.settings, opened.batch, type(layer).__name__
    if settings.format is not None or not isinstance(batch.image, Tensor):
        return
    if holds(inputs) or is_detection(inputs):
        return  # whose users know that plain tensors stay
    if isinstance(inputs[0], (tuple, list)):  # (images, labels) as one argument
        inputs = tuple(inputs[0])
    for name, remedy in _misplaced(inputs):
        warnings.warn(f"{owner}: {name} comes back as it is while the images move; {remedy}", stacklevel=5)
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


def _misplaced(inputs: tuple[Any, ...]) -> Iterator[tuple[str, str]]:
    """Yield annotations by names of others, and those in dicts that lie beside the images."""
    if isinstance(inputs[0], dict):
        for key in inputs[0].keys() & MEANT.keys():
            if MEANT[key] not in inputs[0]:
                yield f"the key {key!r}", f"it is called {MEANT[key]!r} here"
    for place, value in enumerate(inputs[1:], 2):
        one = value[0] if isinstance(value, (tuple, list)) and value else value
        held = [key for key in ANNOTATIONS if key in one] if isinstance(one, dict) else []
        if held:
            remedy = "give one dict, {'image': images, 'boxes': ...}, or lists of images and of targets"
            yield f"{held[0]!r} in input {place}", remedy


def _others(inputs: tuple[Any, ...], settings: Settings) -> tuple[Tensor, list[tuple[str, Tensor, str]]]:
    """Return the images as they were given, and the tensors of which nothing is said: name, value, what to do."""
    first = inputs[0]
    if isinstance(first, dict):
        said = {*KNOWN, *(key for key, _ in settings.roles)}
        rest = {key: value for key, value in first.items() if key not in said and isinstance(value, Tensor)}
        remedy = "to move it say roles={{{!r}: 'mask'}}, or 'dense', or 'image'"
        return first["image"], [(f"the key {key!r}", value, remedy.format(key)) for key, value in rest.items()]
    remedy = "to move it give a dict, such as {'image': images, 'mask': masks}"
    places = enumerate(inputs[1:], 2)
    return first, [(f"input {place}", value, remedy) for place, value in places if isinstance(value, Tensor)]
