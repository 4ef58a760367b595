"""Tell torchvision's structures by what is in them, without torchvision: importing it takes seconds in every process.

It imports Dynamo. Whoever gives a `tv_tensor` has imported it already.
"""

from __future__ import annotations

from typing import Any

from torch import Tensor
from torch.utils import _pytree as tree

__all__ = ["holds", "is_detection", "is_plain"]


def holds(structure: Any) -> bool:
    """Tell whether some leaf is a torchvision image."""
    if isinstance(structure, tuple) and all(type(part) is Tensor for part in structure):
        return False
    special = [leaf for leaf in tree.tree_leaves(structure) if isinstance(leaf, Tensor) and type(leaf) is not Tensor]
    if not special:
        return False
    from torchvision import tv_tensors as tvt

    return any(isinstance(leaf, (tvt.Image, tvt.Video)) for leaf in special)


def is_plain(value: Any) -> bool:
    """Tell whether this is a tensor, and none of torchvision's."""
    if type(value) is Tensor or not isinstance(value, Tensor):
        return isinstance(value, Tensor)
    from torchvision.tv_tensors import TVTensor

    return not isinstance(value, TVTensor)


def is_detection(inputs: tuple[Any, ...]) -> bool:
    """Tell whether this is a list of images with a list of dicts."""
    pair = inputs[0] if len(inputs) == 1 and isinstance(inputs[0], (tuple, list)) else inputs
    if len(pair) != 2 or not all(isinstance(part, (tuple, list)) for part in pair):
        return False
    return all(isinstance(x, Tensor) for x in pair[0]) and all(isinstance(t, dict) for t in pair[1])
