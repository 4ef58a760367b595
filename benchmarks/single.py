"""Each transform alone, as `tests/cases.py` lists them, beside what torchvision and Kornia have of it."""

from __future__ import annotations

import importlib.util
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import torch
from torch import Tensor
from torchvision.transforms import v2

from benchmarks.beside_kornia import PAIRS, ours, theirs
from benchmarks.measure import Run
from benchmarks.pipelines import BILINEAR, MEAN, STD
from gpuaug.testing import annotated

sys.path.append(str(Path(__file__).parent.parent / "tests"))
from cases import CASES, Case

TORCHVISION: dict[str, Callable[[], Any]] = {
    "RandomHorizontalFlip": v2.RandomHorizontalFlip,
    "RandomVerticalFlip": v2.RandomVerticalFlip,
    "RandomRotation": lambda: v2.RandomRotation(30, interpolation=BILINEAR),
    "RandomAffine": lambda: v2.RandomAffine(15, (0.1, 0.2), (0.7, 1.3), (-10, 10, -5, 5), interpolation=BILINEAR),
    "RandomPerspective": lambda: v2.RandomPerspective(0.4, p=0.5),
    "ElasticTransform": lambda: v2.ElasticTransform(150.0, 8.0),
    "Pad": lambda: v2.Pad((20, 15), fill=60),
    "RandomCrop": lambda: v2.RandomCrop((90, 120)),
    "CenterCrop": lambda: v2.CenterCrop((80, 80)),
    "Resize": lambda: v2.Resize((60, 160)),
    "RandomResizedCrop": lambda: v2.RandomResizedCrop((120, 160)),
    "ColorJitter": lambda: v2.ColorJitter(0.4, 0.4, 0.4, 0.1),
    "Grayscale": lambda: v2.Grayscale(3),
    "RandomGrayscale": lambda: v2.RandomGrayscale(0.5),
    "RandomInvert": v2.RandomInvert,
    "RandomSolarize": lambda: v2.RandomSolarize(128),
    "RandomPosterize": lambda: v2.RandomPosterize(4),
    "RandomAutocontrast": v2.RandomAutocontrast,
    "RandomEqualize": v2.RandomEqualize,
    "RandomChannelPermutation": v2.RandomChannelPermutation,
    "RandomPhotometricDistort": v2.RandomPhotometricDistort,
    "GaussianBlur": lambda: v2.GaussianBlur(23, (1.0, 3.0)),
    "RandomAdjustSharpness": lambda: v2.RandomAdjustSharpness(2.0),
    "RandomErasing": v2.RandomErasing,
    "Normalize": lambda: v2.Compose([v2.ToDtype(torch.float32, scale=True), v2.Normalize(MEAN, STD)]),
    "ToDtype": lambda: v2.ToDtype(torch.float32, scale=True),
}
KORNIA = {pair.ours: pair for pair in reversed(PAIRS)}
"""Of several that are one of ours, the first."""
AS_KORNIA = "gpuaug, arguments as Kornia's"


def names() -> list[str]:
    """Return the names of the cases."""
    return [case.name for case in CASES]


def contenders(number: int, images: Tensor) -> tuple[Any, dict[str, Callable[[], Run]]]:
    """Return the input of a case, and how to build what runs it: ours, and the peers'.

    torchvision's have about the arguments of the case, Kornia's those of a further row of ours.

    Args:
        number: which case.
        images: (B, 3, H, W), uint8.
    """
    case: Case = CASES[number]
    make = case.shown or case.make
    layer: Any = make()
    layer.reseed(0)
    wide = images if case.shape[0] <= 3 else images.repeat(1, 2, 1, 1)[:, : case.shape[0]].contiguous()
    seeing = any(node.transform.sees for node in layer.nodes)
    rows: dict[str, Callable[[], Run]] = {"gpuaug": lambda: layer}
    if case.name in TORCHVISION:
        rows["torchvision, one draw per batch"] = TORCHVISION[case.name]
    if case.name in KORNIA and importlib.util.find_spec("kornia"):
        pair, canvas = KORNIA[case.name], (images.shape[2], images.shape[3])
        rows[AS_KORNIA] = lambda: ours(pair)
        rows["kornia"] = lambda: theirs(pair, canvas, images.device)
    return annotated(wide) if seeing else wide, rows
