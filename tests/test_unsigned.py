"""Unsigned integers of 16 bits and more, which torch 2.8 neither picks nor chooses, move as signed ones do."""

from __future__ import annotations

from typing import Any

import pytest
import torch
from content import coordinates
from torch import Tensor

import gpuaug as ga

B, N, H, W = 3, 2, 40, 50


def kind(step: Any) -> str:
    return type(step).__name__


def numbers(*shape: int, top: int = 65536) -> Tensor:
    """Also those that are negative when their bits are read as signed."""
    return torch.randint(0, top, shape, generator=torch.Generator().manual_seed(4), dtype=torch.int32)


def images() -> Tensor:
    return coordinates(B, H, W) + torch.arange(B).view(-1, 1, 1, 1) / 7


def same(steps: list[Any], data: dict[str, Any], calls: int = 1, **settings: Any) -> None:
    """What is int32 is given once more as uint16: the results have its dtype and the same numbers."""
    found = []
    for dtype in (torch.int32, torch.uint16):
        layer = ga.Compose(steps, seed=0, **settings)
        given = {key: v.to(dtype) if v.dtype == torch.int32 else v for key, v in data.items()}
        found.append([layer(given) for _ in range(calls)][-1])
    for key, expected in found[0].items():
        if key in data and data[key].dtype == torch.int32:
            assert found[1][key].dtype == torch.uint16
            assert not torch.equal(expected, data[key])
        assert torch.equal(found[1][key].to(expected.dtype), expected), key


@pytest.mark.parametrize(
    "step",
    [
        ga.RandomRotation((30, 30)),
        ga.RandomCrop((20, 30)),
        ga.RandomGridShuffle(p=1.0),
        ga.CoarseDropout(fill_mask=65535, p=1.0),
        ga.CutMix(p=1.0),
        ga.Mosaic(p=1.0),
    ],
    ids=kind,
)
def test_classes_of_pixels(step: Any) -> None:
    data = {"image": images(), "mask": numbers(B, H, W)}
    same([step], data, fill={"image": 0.5, "mask": 65535})


@pytest.mark.parametrize("planes", [False, True], ids=["index map", "planes"])
@pytest.mark.parametrize("step", [ga.CopyPaste(p=1.0), ga.CutMix(p=1.0), ga.Mosaic(buffer=8, p=1.0)], ids=kind)
def test_objects(step: Any, planes: bool) -> None:
    low = torch.tensor([[4.0, 6], [20, 15]]) + torch.arange(B)[:, None, None]
    data = {
        "image": images(),
        "boxes": torch.cat((low, low + 12), -1),
        "masks": numbers(B, N, H, W, top=2) if planes else numbers(B, H, W, top=N + 1),
        "labels": numbers(B, N),
    }
    few = ga.BboxParams(max_objects=3)
    same([step, ga.RandomCrop((30, 35)), ga.SanitizeBoundingBoxes()], data, 2, bbox_params=few)


def test_detections() -> None:
    image, boxes = coordinates(1, H, W)[0], torch.tensor([[4.0, 6, 20, 30], [-9, -9, -2, -3]])
    target = {"boxes": boxes, "labels": torch.tensor([40000, 7]), "masks": numbers(N, H, W)}
    same_ = {**target, "labels": target["labels"].to(torch.uint16), "masks": target["masks"].to(torch.uint16)}
    steps = [ga.RandomHorizontalFlip(1.0), ga.SanitizeBoundingBoxes()]
    (_, one), (_, other) = (ga.Compose(steps, seed=0)([image], [t]) for t in (target, same_))
    assert other[0]["labels"].dtype == other[0]["masks"].dtype == torch.uint16
    assert other[0]["labels"].tolist() == [40000]
    assert torch.equal(other[0]["masks"].to(torch.int32), one[0]["masks"])


def test_kept_images() -> None:
    steps, shown = [ga.Mosaic(buffer=8, p=1.0)], images()
    deep = (shown * 65535 / shown.amax()).round()
    exact, found = ga.Compose(steps, seed=0), ga.Compose(steps, seed=0)
    for _ in range(2):
        expected, out = exact(deep / 65535), found(deep.to(torch.uint16))
    assert out.dtype == torch.uint16 and (out.to(torch.int32) - expected * 65535).abs().max() <= 0.51
