"""Changes of scale onto a fixed canvas, judged by torchvision's and by their pixels."""

from __future__ import annotations

import pytest
import torch
from content import H, W, coordinates
from scipy import stats
from torch import Tensor
from torchvision import tv_tensors as tvt
from torchvision.transforms import v2

import gpuaug as ga
from gpuaug.testing import annotated, example


@pytest.mark.parametrize("small", [0, 10**9], ids=["walk", "definition"])
def test_zoom_out_is_torchvisions_and_a_resize(small: int, monkeypatch: pytest.MonkeyPatch) -> None:
    """The larger canvas of the same parameters, resized: image, mask and boxes."""
    monkeypatch.setattr("gpuaug.render.backend.SMALL", small)
    data = annotated(example(10, (3, H, W)))
    for size in (None, (40, 70)):
        layer = ga.Compose([ga.RandomZoomOut(0.25, (1.0, 3.0), p=0.6, size=size)], seed=1, fill={"mask": 9})
        out, params = layer(data, return_params=True)
        p = params["RandomZoomOut"]
        assert 2 < p.gate.sum() < 10
        for i in range(10):
            top, left, h, w = (int(v[i]) for v in (-p.top, -p.left, p.height, p.width))
            pad = [left, top, w - left - W, h - top - H]
            assert p.gate[i] or pad == [0, 0, 0, 0]
            shape = list(size or (H, W))
            grown = v2.functional.pad(data["image"][i], pad, fill=0.25)
            assert (out["image"][i] - v2.functional.resize(grown, shape, antialias=True)).abs().max() < 1e-5
            mask = v2.functional.pad(data["mask"][i][None], pad, fill=9)
            expected = v2.functional.resize(mask, shape, v2.InterpolationMode.NEAREST_EXACT)[0]
            gap = out["mask"][i] != expected
            assert not gap[~between(shape[0], 0, h / shape[0])][:, ~between(shape[1], 0, w / shape[1])].any()
            boxes = tvt.BoundingBoxes(data["boxes"][i], format="XYXY", canvas_size=(H, W))
            boxes = v2.functional.clamp_bounding_boxes(boxes)
            boxes = v2.functional.resize(v2.functional.pad(boxes, pad), shape).as_subclass(Tensor)
            assert (out["boxes"][i] - boxes).abs().max() < 1e-3
    factors = ga.RandomZoomOut(side_range=(1.0, 3.0), p=1.0)
    factors.reseed(0)
    p = factors.sample(torch.zeros(4000, 1, H, W, dtype=torch.uint8))["RandomZoomOut"]
    assert stats.kstest(p.factor.numpy(), stats.uniform(1, 2).cdf).pvalue > 1e-3
    share = (-p.left / (p.width - W).clamp(min=1))[p.width > W + 40]
    assert share.min() < 0.02 and share.max() > 0.96 and abs(share.mean() - 0.5) < 0.03


@pytest.mark.parametrize("small", [0, 10**9], ids=["walk", "definition"])
def test_scale_jitter_is_torchvisions_resize_cut_and_padded(small: int, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("gpuaug.render.backend.SMALL", small)
    data = annotated(example(10, (3, H, W)))
    layer = ga.Compose([ga.ScaleJitter((50, 40), (0.4, 2.0), fill=0.25)], seed=1, fill={"mask": 9})
    out, params = layer(data, return_params=True)
    p = params["ScaleJitter"]
    assert out["image"].shape == (10, 3, 50, 40)
    assert (p.width > 40).any() and (p.width < 40).any()
    for i in range(10):
        top, left, h, w = (int(v[i]) for v in (p.top, p.left, p.height, p.width))
        factor = float(p.scale[i]) * min(50 / H, 40 / W)
        assert (h, w) == (int(H * factor), int(W * factor))
        pad = [0, 0, max(0, 40 - w), max(0, 50 - h)]
        for key, fill, mode in (("image", 0.25, "bilinear"), ("mask", 9, "nearest-exact")):
            given = data[key][i] if key == "image" else data[key][i][None]
            sized = v2.functional.resize(given, [h, w], v2.InterpolationMode(mode), antialias=mode == "bilinear")
            part = v2.functional.pad(sized[:, top : top + 50, left : left + 40], pad, fill=fill)
            found = out[key][i] if key == "image" else out[key][i][None]
            gap = (found.double() - part.double()).abs()
            if key == "mask":  # a place between two pixels is nearest to either
                gap[:, between(50, top, H / h)] = 0
                gap[:, :, between(40, left, W / w)] = 0
            assert gap.max() < 1e-5, key
        scale = torch.tensor([w / W, h / H]).repeat(2)
        boxes = data["boxes"][i].clamp(min=0) * scale - torch.tensor([left, top]).repeat(2)
        limit = torch.tensor([min(40, w - left), min(50, h - top)]).repeat(2)
        assert (out["boxes"][i] - torch.minimum(boxes.clamp(min=0), limit)).abs().max() < 1e-3


def between(count: int, start: int, scale: float) -> Tensor:
    place = (torch.arange(count).double() + start + 0.5) * scale
    return (place - place.round()).abs() < 1e-9


def test_what_a_jitter_cuts_is_not_seen_again() -> None:
    """Pixels that carry their place: after a zoom by 2 only a half each way is left, also when shrunk again."""
    layer = ga.Compose([ga.ScaleJitter((H, W), (2.0, 2.0)), ga.RandomAffine((0, 0), scale=(0.4, 0.4))], seed=0)
    out, params = layer({"image": coordinates(6), "keypoints": grid(6)}, return_params=True)
    p = params["ScaleJitter"]
    for i in range(6):
        shown = out["image"][i, 2] > 0.999
        x, y = out["image"][i, 0][shown] * 100, out["image"][i, 1][shown] * 100
        left, top = p.left[i] / 2, p.top[i] / 2
        assert x.min() > left - 1 and x.max() < left + W / 2 + 1 and y.min() > top - 1 and y.max() < top + H / 2 + 1
        assert x.max() - x.min() > W / 2 - 6
        points = grid(6)[i]
        inside = (points[:, 0] > left) & (points[:, 0] < left + W / 2)
        inside &= (points[:, 1] > top) & (points[:, 1] < top + H / 2)
        assert torch.equal(out["visible"][i] > 0, inside)


def grid(batch: int) -> Tensor:
    y, x = torch.meshgrid(torch.arange(0, H, 3) + 0.25, torch.arange(0, W, 3) + 0.25, indexing="ij")
    return torch.stack((x, y), dim=-1).flatten(0, 1).expand(batch, -1, 2)
