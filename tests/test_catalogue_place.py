"""Sizes, sides and safe rotations of the catalogue, judged by torchvision's parts and by their pixels."""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any

import pytest
import torch
from content import H, W, coordinates, read_at
from scipy import stats
from torch import Tensor
from torchvision.transforms import v2

import gpuaug as ga
from gpuaug.geometry.extent import extent
from gpuaug.testing import annotated, example

MAKE: dict[str, Callable[[], Any]] = {
    "safe": lambda: ga.SafeRotate((-180, 180), p=0.8),
    "fit": lambda: ga.RandomAffine((-50, 70), None, (0.6, 1.2), (-20, 10, -5, 15), fit_output=True),
    "scale": lambda: ga.RandomScale((-0.5, 0.6), antialias=False, p=0.8),
    "sized": lambda: ga.RandomSizedCrop((16, 44), (30, 50), 1.4, antialias=False),
    "sides": lambda: ga.CropAndPad(percent=(-0.2, 0.3), antialias=False, p=0.8),
    "pad": lambda: ga.PadIfNeeded(70, None, None, 32, "random"),
}


@pytest.mark.parametrize("name", MAKE)
def test_points_boxes_and_masks_go_where_the_pixels_go(name: str) -> None:
    """An image of its own coordinates, read at the moved points; boxes are their corners'; squares of a mask move."""
    y, x = torch.meshgrid(torch.arange(2.3, H, 5), torch.arange(1.7, W, 5), indexing="ij")
    points = torch.stack((x, y), dim=-1).flatten(0, 1).double().expand(8, -1, 2)
    square = torch.cat((points - 1.3, points + 1.3), dim=-1)
    corners = torch.stack((square[..., [0, 1]], square[..., [2, 1]], square[..., [2, 3]], square[..., [0, 3]]), 2)
    layer = ga.Compose([MAKE[name]()], seed=3, antialias=False)
    given = {"image": coordinates(8), "boxes": square, "keypoints": corners.flatten(1, 2).unflatten(1, (-1, 4))}
    out, params = layer({**given, "mask": (given["image"][:, 0] * 100).long()}, return_params=True)
    h, w = out["image"].shape[2:]
    far = seen = 0.0
    for i in range(8):
        moved = out["keypoints"][i].mean(1)
        value, ok = read_at(out["image"][i], moved)
        ok &= ((moved > 3) & (moved < torch.tensor([w - 3, h - 3]))).all(1)  # a cut ends what is read, too
        far = max(far, float((value * 100 - points[i])[ok].abs().max()) if ok.any() else 0.0)
        seen += int(ok.sum())
        quads = out["keypoints"][i]
        inside = ((quads > 0) & (quads < torch.tensor([w, h]))).flatten(1).all(1)
        hull = torch.cat((quads.amin(1), quads.amax(1)), dim=-1)
        assert (out["boxes"][i] - hull)[inside & out["valid"][i]].abs().max() < 1e-4
        read = out["mask"][i][moved[:, 1].long().clamp(0, h - 1), moved[:, 0].long().clamp(0, w - 1)]
        # At the nearest pixel's centre: half a pixel of the output at most, each way.
        scale = torch.linalg.inv(params.matrix[i])[0, :2].abs().sum()
        assert ((read + 0.5 - points[i, :, 0])[ok].abs() <= 0.5 * scale + 0.51).all()
    assert far < 1e-4 and seen > 300


@pytest.mark.parametrize("angle", [0.0, 17.0, -50.0, 90.0, 180.0, 135.0])
def test_a_safe_rotation_holds_the_image_and_touches_all_sides(angle: float) -> None:
    """By complex numbers: corners turned counter-clockwise, then each axis stretched to the canvas."""
    layer = ga.SafeRotate((angle, angle), p=1.0)
    m = layer.sample(torch.zeros(1, 3, H, W)).matrix[0]
    turn = complex(math.cos(math.radians(angle)), math.sin(math.radians(angle)))
    corners = [complex(x - W / 2, H / 2 - y) * turn for x in (0, W) for y in (0, H)]
    width, height = (2 * max(abs(part(c)) for c in corners) for part in (lambda c: c.real, lambda c: c.imag))
    place = torch.tensor([[0, 0, 1], [0, H, 1], [W, 0, 1], [W, H, 1]], dtype=torch.float64) @ m.T
    for found, c in zip(place, corners, strict=True):
        expected = (W / 2 + c.real * W / width, H / 2 - c.imag * H / height)
        assert found[:2].tolist() == pytest.approx(expected, abs=1e-9)
    assert place[:, :2].amin(0).tolist() == pytest.approx([0, 0], abs=1e-9)
    assert place[:, :2].amax(0).tolist() == pytest.approx([W, H], abs=1e-9)


def test_a_safe_rotation_by_nothing_and_by_a_half_turn_copies() -> None:
    images = example(3, (3, H, W), torch.uint8)
    assert torch.equal(ga.SafeRotate((0, 0), p=1.0)(images), images)
    turned = ga.SafeRotate((180, 180), p=1.0)(images.float() / 255)
    assert (turned - images.flip(2, 3).float() / 255).abs().max() < 1e-5


def test_the_extent_holds_every_map_and_no_more() -> None:
    """Against a fine grid of angles and shears; a rotation alone is torchvision's for each angle."""
    ranges = {"degrees": (-20.0, 65.0), "shear_x": (-30.0, 10.0), "shear_y": (-8.0, 24.0)}
    t, sx, sy = torch.meshgrid(*(torch.linspace(*r, 60).double().deg2rad() for r in ranges.values()), indexing="ij")
    a, c = torch.cos(t - sy) / torch.cos(sy), torch.sin(t - sy) / torch.cos(sy)
    b, d = -(a * torch.tan(sx) + torch.sin(t)), torch.cos(t) - c * torch.tan(sx)
    width, height = (a.abs() * W + b.abs() * H).max().item(), (c.abs() * W + d.abs() * H).max().item()
    found = extent((H, W), scale=(0.5, 1.3), **ranges)
    assert 0 <= found[1] - width * 1.3 < 1.1 and 0 <= found[0] - height * 1.3 < 1.1
    for angle in (0, 30, 90, 133):
        grown = v2.functional.rotate(torch.zeros(1, H, W), angle, expand=True).shape[1:]
        assert extent((H, W), (float(angle), float(angle))) == pytest.approx(tuple(grown), abs=1)
    layer = ga.RandomAffine((-20, 65), None, (0.5, 1.3), (-30, 10, -8, 24), fit_output=True)
    assert layer(torch.zeros(2, 3, H, W)).shape[2:] == found
    corners = torch.tensor([[0, 0, 1], [0, H, 1], [W, 0, 1], [W, H, 1]], dtype=torch.float64)
    place = corners @ layer.sample(torch.zeros(1, 1, H, W).expand(400, -1, -1, -1)).matrix.transpose(1, 2)
    assert place.min() > -1e-6 and (place.amax((0, 1)) < torch.tensor([found[1], found[0], 2.0])).all()


def sides(p: Any, i: int) -> tuple[int, int, int, int]:
    """Left, top, right and bottom padding; negative where cut."""
    top, left, h, w = (int(v[i]) for v in (p.top, p.left, p.height, p.width))
    return -left, -top, left + w - W, top + h - H


@pytest.mark.parametrize("small", [0, 10**9], ids=["walk", "definition"])
def test_crop_and_pad_is_torchvisions_crop_pad_and_resize(small: int, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("gpuaug.render.backend.SMALL", small)
    data = annotated(example(10, (3, H, W)))
    layer = ga.Compose([ga.CropAndPad((-12, 15), fill=0.25)], seed=1)
    out, params = layer(data, return_params=True)
    p = params["CropAndPad"]
    seen = set()
    for i in range(10):
        amounts = sides(p, i)
        drawn = [int(v[i]) for v in (p.pad_left, p.pad_top, p.pad_right, p.pad_bottom)]
        assert list(amounts) == drawn and all(-12 <= v <= 15 for v in drawn)
        seen.update(v > 0 for v in drawn)
        cut, pad = [max(-v, 0) for v in amounts], [max(v, 0) for v in amounts]
        part = data["image"][i][:, cut[1] : H - cut[3], cut[0] : W - cut[2]]
        expected = v2.functional.resize(v2.functional.pad(part, pad, fill=0.25), [H, W], antialias=True)
        assert (out["image"][i] - expected).abs().max() < 1e-5
    assert seen == {True, False}


def test_amounts_of_sides() -> None:
    """Numbers, fractions, four of them, one draw for all, and what is left where all would be cut."""
    x = torch.arange(1, H * W + 1).view(1, 1, H, W) / (H * W)
    out = ga.CropAndPad(px=(-3, 4, 2, -5), keep_size=False, fill=0.5)(x)
    assert torch.equal(out, v2.functional.pad(x[:, :, 3:, 5:], [0, 0, 4, 2], fill=0.5))
    out = ga.CropAndPad(percent=-0.2, keep_size=False)(x)
    top, left = int(0.2 * H), int(0.2 * W)
    assert torch.equal(out, x[:, :, top : H - top, left : W - left])
    layer = ga.Compose([ga.CropAndPad(percent=(-0.3, 0.3), sample_independently=False)], seed=0)
    one = layer.sample(x.expand(50, -1, -1, -1))["CropAndPad"]
    assert torch.equal(-one.top, torch.trunc(one.pad_all * H)) and torch.equal(-one.left, torch.trunc(one.pad_all * W))
    assert (one.pad_all[0] != one.pad_all).sum() > 40
    many = ga.Compose([ga.CropAndPad(px=((0, 0), (0, 3), (0, 0), 7))], seed=0).sample(x.expand(400, -1, -1, -1))
    assert (many["CropAndPad"].left == -7).all() and (many["CropAndPad"].height == H).all()
    right = many["CropAndPad"].width - W - 7
    counts = torch.bincount(right.long(), minlength=4)
    assert stats.chisquare(counts.tolist()).pvalue > 1e-3 and len(counts) == 4
    assert ga.CropAndPad(px=-40, keep_size=False)(x).shape[2:] == (1, 1)
    drawn = ga.CropAndPad(px=((-45, -45), 0, (-90, -90), 0)).sample(x)["CropAndPad"]
    assert drawn.top.tolist() == [15] and drawn.height.tolist() == [1] and drawn.width.tolist() == [W]
    left_over = ga.CropAndPad(px=(-45, 0, -90, 0), keep_size=False)(x)
    assert torch.equal(left_over, x[:, :, 15:16])  # a third of the 47 rows that may go


@pytest.mark.parametrize("small", [0, 10**9], ids=["walk", "definition"])
def test_a_scale_is_torchvisions_resize_padded_and_cut(small: int, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("gpuaug.render.backend.SMALL", small)
    images = example(12, (3, H, W))
    layer = ga.Compose([ga.RandomScale(0.5, fill=0.25, p=0.7)], seed=2)
    out, params = layer(images, return_params=True)
    p = params["RandomScale"]
    assert 4 < p.gate.sum() < 12
    for i in range(12):
        if not p.gate[i]:
            assert torch.equal(out[i], images[i])
            continue
        h, w = int(H * (1 + float(p.scale[i]))), int(W * (1 + float(p.scale[i])))
        sized = v2.functional.resize(images[i], [h, w], antialias=True)
        if h < H:
            pad = [(W - w) // 2, (H - h) // 2, W - w - (W - w) // 2, H - h - (H - h) // 2]
            expected = v2.functional.pad(sized, pad, fill=0.25)
        else:
            top, left = int(p.top[i]), int(p.left[i])
            assert 0 <= top <= h - H and 0 <= left <= w - W
            expected = sized[:, top : top + H, left : left + W]
        assert (out[i] - expected).abs().max() < 1e-5
    p = layer.sample(torch.zeros(1, 1, H, W).expand(3000, -1, -1, -1))["RandomScale"]
    assert stats.kstest(p.scale.numpy(), stats.uniform(-0.5, 1).cdf).pvalue > 1e-3
    grown = p.height >= H + 3
    share = (p.top / (p.height - H))[grown]
    assert share.min() == 0 and share.max() == 1 and abs(share.mean() - 0.5) < 0.04


def test_a_sized_crop_is_torchvisions() -> None:
    images = example(8, (3, H, W))
    layer = ga.Compose([ga.RandomSizedCrop((10, 40), (24, 35), 1.4)], seed=2)
    out, params = layer(images, return_params=True)
    p = params["RandomSizedCrop"]
    for i in range(8):
        top, left, h, w = (int(v[i]) for v in (p.top, p.left, p.height, p.width))
        assert w == int(h * 1.4)
        expected = v2.functional.resized_crop(images[i], top, left, h, w, [24, 35], antialias=True)
        assert (out[i] - expected).abs().max() < 1e-5
    p = layer.sample(torch.zeros(1, 1, H, W).expand(6200, -1, -1, -1))["RandomSizedCrop"]
    counts = torch.bincount(p.height.long(), minlength=41)[10:]
    assert stats.chisquare(counts.tolist()).pvalue > 1e-3
    tall = p.height == 40
    places = torch.bincount(p.top[tall].long(), minlength=9)
    assert len(places) == 9 and places.min() > 3  # 48 - 40 and the first: both ends occur
    middle = v2.functional.resize(v2.functional.center_crop(images, [40, 56]), [24, 35], antialias=True)
    assert (layer.eval()(images) - middle).abs().max() < 1e-5
    with pytest.raises(ValueError, match="RandomSizedCrop: images must be at least 40x56"):
        layer.train()(images[:, :, :39])


@pytest.mark.parametrize(
    ("position", "top", "left"),
    [("center", 6, 15), ("top_left", 0, 0), ("top_right", 0, 30), ("bottom_left", 12, 0), ("bottom_right", 12, 30)],
)
def test_padding_to_a_size_and_to_a_multiple(position: str, top: int, left: int) -> None:
    images = example(2, (3, H, W), torch.uint8)
    layer = ga.PadIfNeeded(60, None, None, 32, position, fill=7)
    expected = v2.functional.pad(images, [left, top, 30 - left, 12 - top], fill=7)
    assert torch.equal(layer(images), expected)
    assert torch.equal(ga.PadIfNeeded(10, 66)(images), images)
    assert ga.PadIfNeeded(None, None, 16, 11)(images).shape[2:] == (48, 66)
    sizes = ga.Ragged.pack([images[0], images[1][:, :33, :40]])
    assert ga.PadIfNeeded(None, None, 16, 16, position)(sizes).host == ((48, 80), (48, 48))


def test_a_random_place_of_the_padding() -> None:
    layer = ga.Compose([ga.PadIfNeeded(H + 3, W, position="random", fill=0.5)], seed=0)
    p = layer.sample(torch.zeros(1, 1, H, W).expand(2000, -1, -1, -1))["PadIfNeeded"]
    counts = torch.bincount(p.top.long(), minlength=4)
    assert stats.chisquare(counts.tolist()).pvalue > 1e-3 and not p.left.any()
    images = example(2, (3, H, W))
    out, params = layer(images, return_params=True)
    for i, top in enumerate(params["PadIfNeeded"].top.long().tolist()):
        assert torch.equal(out[i, :, top : top + H], images[i]) and (out[i, :, :top] == 0.5).all()
    assert (layer.eval()(images)[:, :, 1 : 1 + H] == images).all()


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda: ga.CropAndPad(), "CropAndPad: give either px or percent"),
        (lambda: ga.CropAndPad(px=1, percent=0.1), "CropAndPad: give either px or percent"),
        (lambda: ga.CropAndPad(px=(1, 2), keep_size=False), "CropAndPad: keep_size=False changes the canvas"),
        (lambda: ga.CropAndPad(px=1, keep_size=False, p=0.5), "CropAndPad: keep_size=False changes the canvas"),
        (lambda: ga.CropAndPad(percent=-1.5), "CropAndPad: percent must be within"),
        (lambda: ga.CropAndPad(px=1.5), "CropAndPad: px must be whole numbers"),
        (lambda: ga.CropAndPad(px=(0, 1.5)), "must be a whole number"),
        (lambda: ga.RandomScale(-1.0), "RandomScale: scale_limit must be >= 0"),
        (lambda: ga.RandomScale((-1.0, 0.5)), "RandomScale: scale_limit must be within"),
        (lambda: ga.RandomSizedCrop((0, 5), 8), "RandomSizedCrop: min_max_height must be within"),
        (lambda: ga.RandomSizedCrop((4, 5), 8, 0), "RandomSizedCrop: w2h_ratio must be a positive number"),
        (lambda: ga.PadIfNeeded(None, 8), "PadIfNeeded: give either min_height or pad_height_divisor"),
        (lambda: ga.PadIfNeeded(8, 8, None, 4), "PadIfNeeded: give either min_width or pad_width_divisor"),
        (lambda: ga.PadIfNeeded(8, 8, position="middle"), "PadIfNeeded: position must be one of center"),
        (lambda: ga.RandomAffine(5, (0.1, 0.1), fit_output=True), "RandomAffine: fit_output sets canvas and middle"),
        (lambda: ga.RandomAffine(5, fit_output=True, p=0.5), "RandomAffine: fit_output sets canvas and middle"),
    ],
)
def test_refusals(make: Callable[[], Any], message: str) -> None:
    with pytest.raises((ValueError, TypeError), match=message):
        make()


def test_a_strength_of_nothing_does_nothing() -> None:
    images: Tensor = example(4, (3, H, W))
    for layer in (ga.SafeRotate(60, p=1.0), ga.CropAndPad((-9, 9)), ga.RandomScale(0.4, p=1.0)):
        assert (layer(images, strength=0.0) - images).abs().max() < 1e-6
        assert (layer(images, strength=1.0) - images).abs().max() > 0.05
