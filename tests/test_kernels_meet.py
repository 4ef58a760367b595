"""The kernels of passes in which samples meet, in Triton's interpreter, against their torch definition."""

from __future__ import annotations

from typing import Any

import pytest
import torch
from kernels import assert_same, images, plans, rendered
from torch import Tensor

import gpuaug as ga
from gpuaug.diagnose import count
from gpuaug.render.backend import render

AFFINE = [ga.RandomAffine(30, (0.1, 0.1), (0.5, 1.5)), ga.CenterCrop((9, 12))]
PIPELINES: dict[str, list[Any]] = {
    "mixup": [ga.MixUp(p=0.7)],
    "cutmix": [ga.CutMix(p=0.7)],
    "resizemix": [ga.ResizeMix()],
    "saliencymix": [ga.SaliencyMix()],
    "copypaste": [ga.CopyPaste(blending=True)],
    "mixup after a flip, normalised": [
        ga.RandomHorizontalFlip(),
        ga.MixUp(),
        ga.Normalize((0.5, 0.4, 0.3), (0.2, 0.3, 0.4)),
    ],
    "cutmix, then what measures": [ga.CutMix(), ga.ColorJitter(0.3, 0.3)],
    "mixup, then a filter": [ga.MixUp(), ga.GaussianBlur(3)],
    "mixup twice": [ga.MixUp(), ga.CutMix()],
    "mosaic": [ga.Mosaic(p=0.8)],
    "mosaic and a perspective": [ga.Mosaic(p=0.8), ga.RandomPerspective(0.4, p=1.0)],
    "mosaic of smaller images": [ga.Mosaic(target_size=(20, 26), cell_shape=(8, 11), p=1.0), *AFFINE],
    "mosaic, a crop and a resize": [ga.Mosaic(p=1.0), ga.RandomResizedCrop((7, 10))],
    "mosaic, then values": [ga.Mosaic(p=1.0), *AFFINE, ga.RandomSolarize(128, p=0.5), ga.RandomInvert()],
}


@pytest.mark.parametrize("name", PIPELINES)
def test_meeting(name: str) -> None:
    layer = ga.Compose(PIPELINES[name], seed=5, fill=(60, 120, 180))
    expected, out = rendered(layer, images((3, 13, 18), count=4))
    if not name.startswith("mosaic"):
        assert_same(out, expected, share=0.01)
        return
    assert out.shape == expected.shape and out.dtype == expected.dtype
    far = (out.int() - expected.int()).abs()
    assert (far > 1).float().mean() < 0.005  # a pixel whose centre lies on a seam falls to either side
    assert (far == 1).float().mean() < 0.05


@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16, torch.uint16], ids=str)
@pytest.mark.parametrize("steps", [[ga.MixUp()], [ga.Mosaic(p=1.0), *AFFINE]], ids=["mixup", "mosaic"])
def test_dtypes_and_layouts(steps: list[Any], dtype: torch.dtype) -> None:
    x = images((3, 13, 18), dtype).contiguous(memory_format=torch.channels_last)
    expected, out = rendered(ga.Compose(steps, seed=2), x)
    assert out.is_contiguous(memory_format=torch.channels_last)
    if len(steps) > 1 and dtype.is_floating_point:
        assert ((out - expected).abs() > 1e-2).float().mean() < 0.02  # seams
    else:
        assert_same(out, expected, share=0.02)


@pytest.mark.parametrize("steps", [[ga.CutMix()], [ga.Mosaic(p=1.0)]], ids=["cutmix", "mosaic"])
def test_channels_and_batches(steps: list[Any]) -> None:
    for shape, n in (((1, 9, 11), 3), ((6, 9, 11), 3), ((3, 9, 11), 1), ((3, 9, 11), 0)):
        expected, out = rendered(ga.Compose(steps, seed=4), images(shape, count=max(n, 1))[:n])
        assert_same(out, expected)


def test_nan_stays_with_those_who_meet_it() -> None:
    x = images((3, 9, 11), torch.float32, 4)
    x[2, :, 4, 5] = torch.nan
    layer = ga.Compose([ga.MixUp(p=0.5)], seed=1)
    params = layer.sample(x)
    definition, kernels = plans(layer, x)
    expected, out = render(x, definition, walking=False), render(x, kernels)
    assert torch.equal(out.isnan(), expected.isnan())
    met = (params["MixUp"].partner == 2) & (params["MixUp"].lam < 1)
    met[2] = True
    assert torch.equal(out.isnan().flatten(1).any(1), met)


def test_images_of_several_sizes_meet_where_they_lie() -> None:
    pictures = [images((3, h, w), count=1)[0] for h, w in ((9, 14), (12, 8), (10, 10))]
    steps = [ga.Mosaic(target_size=(22, 30), cell_shape=(11, 15), p=1.0), ga.RandomRotation(20)]
    ours, other = (ga.Compose(steps, seed=3, backend=backend) for backend in ("triton", "torch"))
    far = (ours(pictures).int() - other(pictures).int()).abs()
    assert (far > 1).float().mean() < 0.02


BUDGETS = {
    "mixup": ([ga.MixUp(num_classes=10)], 25, 2.0, 1.2),
    "cutmix": ([ga.CutMix(num_classes=10)], 55, 2.0, 1.2),
}


@pytest.mark.parametrize("name", BUDGETS)
def test_budgets(name: str) -> None:
    steps, operations, traffic, peak = BUDGETS[name]
    layer = ga.Compose(steps, seed=0, backend="triton")
    x, labels = torch.empty((64, 3, 224, 224), device="meta"), torch.zeros(64, dtype=torch.int64, device="meta")
    layer(x, labels)
    counts = count(layer, x, labels)
    assert (counts.synchronising, counts.host_to_device, counts.host_operations) == (0, 0, 0), counts.names
    assert counts.operations <= operations and counts.image_sized == 1, (counts.operations, counts.names)
    assert counts.traffic <= traffic and counts.peak <= peak


def test_budget_of_a_mosaic_with_boxes_before_a_warp() -> None:
    """As people use it: for some samples, and with shifts and scales."""
    rule = ga.BboxParams(min_size=2, min_visibility=0.1, max_aspect=100)
    steps = [ga.Mosaic(p=0.5), ga.RandomAffine(10, (0.1, 0.1), (0.5, 1.5))]
    layer = ga.Compose(steps, seed=0, backend="triton", bbox_params=rule)
    rows = {
        "boxes": torch.empty((64, 20, 4), device="meta"),
        "labels": torch.zeros((64, 20), dtype=torch.int64, device="meta"),
    }

    def call(image: Tensor) -> Any:
        return layer({"image": image, **rows})

    x = torch.empty((64, 3, 224, 224), device="meta")
    call(x)
    counts = count(call, x)
    assert (counts.synchronising, counts.host_to_device, counts.host_operations) == (0, 0, 0), counts.names
    assert counts.operations <= 150 and counts.image_sized == 1, (counts.operations, counts.names)
    assert counts.traffic <= 1.5 and counts.peak <= 1.5, (counts.traffic, counts.peak)
