"""Test-time augmentation: many views of a batch through a model, and one prediction back in the batch's own frame."""

from gpuaug.tta.boxes import non_maximum_suppression, weighted_boxes_fusion
from gpuaug.tta.module import TTA
from gpuaug.tta.tiles import Tiled
from gpuaug.tta.views import SETS, five_crop, multiscale, product, ten_crop

__all__ = [
    "SETS",
    "TTA",
    "Tiled",
    "five_crop",
    "multiscale",
    "non_maximum_suppression",
    "product",
    "ten_crop",
    "weighted_boxes_fusion",
]
