"""Five and ten crops of each sample: torchvision's, with their annotations, in a pipeline."""

from __future__ import annotations

from typing import Any

import pytest
import torch
from torchvision.transforms import v2

import gpuaug as ga
from gpuaug.testing import example

B, H, W = 4, 40, 53


@pytest.mark.parametrize("small", [10**9, 0], ids=["batched", "walked"])
@pytest.mark.parametrize("size", [(17, 24), (40, 53), (18, 23)])
def test_five_and_ten_crops_are_torchvisions(size: Any, small: int, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("gpuaug.render.backend.SMALL", small)
    images = example(3, (3, H, W), torch.uint8)
    assert torch.equal(ga.FiveCrop(size)(images), torch.cat(v2.functional.five_crop(images, list(size))))
    for vertical in (False, True):
        out = ga.TenCrop(size, vertical)(images)
        assert torch.equal(out, torch.cat(v2.functional.ten_crop(images, list(size), vertical)))
        assert torch.equal(ga.TenCrop(size, vertical).eval()(images), out)
    crops, labels = ga.FiveCrop(size)(images, torch.arange(3))
    assert labels.tolist() == [0, 1, 2] * 5
    stacked = torch.stack(v2.functional.five_crop(images, list(size)), dim=1)
    assert torch.equal(crops.unflatten(0, (5, -1)).transpose(0, 1), stacked)


def test_annotations_of_crops() -> None:
    """A box in the top left corner is in the first crop, and in the second one of the mirror image."""
    data = {"image": example(2, (3, H, W)), "boxes": torch.tensor([[[1.0, 2.0, 6.0, 9.0]]]).expand(2, -1, -1)}
    out = ga.Compose([ga.TenCrop((20, 30))])(data)
    assert out["valid"][:, 0].view(10, 2)[:, 0].nonzero()[:, 0].tolist() == [0, 6]
    assert out["boxes"][0, 0].tolist() == [1, 2, 6, 9] and out["boxes"][13, 0].tolist() == [24, 2, 29, 9]


def test_crops_in_a_pipeline() -> None:
    """Of a resized image, with draws of their own after them."""
    images = example(3, (3, H, W))
    layer = ga.Compose([ga.Resize((60, 80)), ga.FiveCrop(32), ga.RandomHorizontalFlip()], seed=1)
    out, params = layer(images, return_params=True)
    crops = torch.cat(v2.functional.five_crop(v2.functional.resize(images, [60, 80], antialias=True), [32, 32]))
    flipped = params["RandomHorizontalFlip"].gate
    expected = torch.where(flipped[:, None, None, None], crops.flip(-1), crops)
    assert (out - expected).abs().max() < 1e-5 and 3 < flipped.sum() < 12
    assert (layer.eval()(images) - crops).abs().max() < 1e-5
