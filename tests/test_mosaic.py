"""Mosaic: every pixel of the four samples, against a mosaic made one image after another; draws and modes."""

from __future__ import annotations

import copy
import pickle
from typing import Any

import numpy as np
import pytest
import torch
from mosaics import AFFINE, WAYS, H, W, batch_of, coded, four, objects, recipe, seen, smaller_way

import gpuaug as ga
from gpuaug.data.ragged import Ragged
from gpuaug.functional import mosaic
from gpuaug.testing import example


@WAYS
@pytest.mark.parametrize("target", [None, (72, 100), (31, 83), (50, 40)])
def test_a_mosaic_equals_one_made_image_by_image(monkeypatch: pytest.MonkeyPatch, target: Any, way: str) -> None:
    smaller_way(monkeypatch, way)
    images = batch_of(9)
    layer = ga.Mosaic(target_size=target, center_range=(0.0, 1.0), fill=255, p=1.0)
    layer.reseed(1)
    centers = set()
    for _ in range(6):
        out, params = layer(images, return_params=True)
        assert out.dtype == torch.uint8 and torch.equal(layer.replay(images, params), out)
        for i in range(9):
            who, center = seen(params, i)
            expected, _ = four([images[j].numpy() for j in who], center, target or (H, W), 255)
            assert who[0] == i and torch.equal(out[i], torch.from_numpy(expected))
            centers.add(center)
    assert len(centers) > 30
    floats = ga.Mosaic(target_size=target, fill=1.0, p=1.0).replay(images.float() / 255, params)
    assert (floats * 255 - out.float()).abs().max() < 1e-4


@WAYS
def test_images_of_several_sizes_come_from_where_they_lie(monkeypatch: pytest.MonkeyPatch, way: str) -> None:
    smaller_way(monkeypatch, way)
    images = coded([(36, 50), (20, 61), (44, 17), (30, 30), (9, 40)])
    masks = [image[:1].clone() for image in images]
    boxes = torch.tensor([[[2.0, 3.0, 11.0, 8.0]]]).expand(5, 1, 4)
    layer = ga.Compose([ga.Mosaic(target_size=(60, 70), fill=255, p=0.8)], seed=3, fill={"mask": 77})
    for given in (images, Ragged.pack(images)):
        data = {"image": given, "mask": masks, "boxes": boxes}
        out, params = layer(data, return_params=True)
        assert torch.equal(layer.replay(data, params)["image"], out["image"])
        gate = params["Mosaic"].gate.tolist()
        assert any(gate)
        for i in range(5):
            if gate[i]:
                who, center = seen(params, i)
                expected, parts = four([images[j].numpy() for j in who], center, (60, 70), 255)
                labels, _ = four([masks[j].numpy() for j in who], center, (60, 70), 77)
                moved = [boxes[0, 0].numpy() + np.tile(shift, 2) for _, shift in parts]
                cut = [
                    np.clip(b, np.tile(dst[:2], 2), np.tile(dst[2:], 2))
                    for b, (dst, _) in zip(moved, parts, strict=True)
                ]
                assert torch.allclose(out["boxes"][i], torch.tensor(np.stack(cut), dtype=torch.float32))
            else:
                h, w = images[i].shape[1:]
                y, x = (60 - h) // 2, (70 - w) // 2
                expected = np.full((3, 60, 70), 255, dtype=np.uint8)
                labels = np.full((1, 60, 70), 77, dtype=np.uint8)
                expected[:, y : y + h, x : x + w] = images[i].numpy()
                labels[:, y : y + h, x : x + w] = masks[i].numpy()
                assert out["valid"][i].tolist() == [True, False, False, False]
            assert torch.equal(out["image"][i], torch.from_numpy(expected))
            assert torch.equal(out["mask"][i], torch.from_numpy(labels))


def test_several_sizes_need_a_canvas() -> None:
    with pytest.raises(ValueError, match="target_size must be given"):
        ga.Mosaic(p=1.0)(coded([(8, 9), (9, 8)]))


@pytest.mark.parametrize("mode", ["contain", "cover"])
def test_images_are_fitted_to_cells(mode: str) -> None:
    """As resized beforehand, with torch's antialiased filter where they shrink; then cut at the cell, for "cover"."""
    images = example(6, (3, 40, 64))
    cell = (30, 24)
    factor = (min if mode == "contain" else max)(30 / 40, 24 / 64)
    size = round(40 * factor), round(64 * factor)
    layer = ga.Mosaic(target_size=(60, 48), cell_shape=cell, fit_mode=mode, fill=0.25, p=0.7)
    layer.reseed(4)
    out, params = layer(images, return_params=True)
    small = torch.nn.functional.interpolate(images, size, mode="bilinear", antialias=True).numpy()
    gate = params["Mosaic"].gate.tolist()
    assert set(gate) == {True, False}
    for i in range(6):
        who, (x, y) = seen(params, i)
        h, w = min(size[0], cell[0]), min(size[1], cell[1])
        if gate[i]:  # the corner of each image stays where it is: the lower right one of the first
            corners = [(size[0] - h, size[1] - w), (size[0] - h, 0), (0, size[1] - w), (0, 0)]
            cut = [small[j][:, a : a + h, b : b + w] for j, (a, b) in zip(who, corners, strict=True)]
            expected, parts = four(cut, (x, y), (60, 48), 0.25)
            off = np.zeros((60, 48), dtype=bool)  # the filter of a tile is cut at the tile: its border's pixels differ
            for (x0, y0, x1, y1), _ in parts:
                off[y0:y1, x0:x1] = True
                off[y0 + 2 : y1 - 2, x0 + 2 : x1 - 2] = False
        else:
            expected = np.full((3, 60, 48), 0.25, dtype=np.float32)
            top, left = (60 - h) // 2, (48 - w) // 2
            a, b = -((60 - size[0]) // 2 - top), -((48 - size[1]) // 2 - left)
            expected[:, top : top + h, left : left + w] = small[i][:, a : a + h, b : b + w]
            off = np.zeros((60, 48), dtype=bool)
            if mode == "cover":
                off[:, [left, left + 1, left + w - 2, left + w - 1]] = True
                off[[top, top + 1, top + h - 2, top + h - 1]] = True
        gap = np.abs(out[i].numpy() - expected).max(0)
        assert gap[~off].max() < 1e-5 and gap.max() < 0.3 and (~off).sum() > 300


def test_a_sample_that_is_left_out_stays_and_eval_is_the_identity() -> None:
    images = example(16, (3, H, W))
    images[:, 0, 3, 5] = torch.nan
    layer = ga.Mosaic(p=0.5)
    layer.reseed(0)
    out, params = layer(images, return_params=True)
    off = ~params["Mosaic"].gate
    assert 0 < int(off.sum()) < 16
    assert torch.equal(out[off].nan_to_num(7.0), images[off].nan_to_num(7.0))
    assert layer.eval()(images) is images
    given = {"image": images, "boxes": torch.rand(16, 2, 4)}
    same = ga.Compose([ga.Mosaic(p=1.0)]).eval()(given)
    assert same["boxes"].shape == (16, 2, 4) and same["image"] is images
    text = repr(params)
    shown = [f"center=[{x}, {y}]" for x, y in params["Mosaic"].center.long()[:4].tolist()]
    assert all((s in text) == bool(g) for s, g in zip(shown, params["Mosaic"].gate[:4], strict=True))


@pytest.mark.parametrize("count", [0, 1, 3])
def test_batches_of_any_size(count: int) -> None:
    data = objects(max(count, 1))
    data = {key: value[:count] for key, value in data.items()}
    out, params = recipe(AFFINE["affine"](), seed=0, roles={"depth": "dense"})(data, return_params=True)
    assert out["image"].shape == (count, 3, H, W) and out["boxes"].shape == (count, 12, 4)
    assert out["masks"].shape == (count, 12, H, W) and len(params) == count
    assert count != 1 or (params["Mosaic"].partner == 0).all()  # alone it meets itself


def test_samples_without_objects() -> None:
    data = objects(4)
    del data["depth"]
    none = {k: v[:, :0] if v.dim() > 1 and v.shape[1] == 3 and k != "image" else v for k, v in data.items()}
    out = recipe(AFFINE["affine"](), seed=0)(none)
    assert out["boxes"].shape == (4, 0, 4) and out["masks"].shape == (4, 0, H, W)
    invalid = {**data, "valid": torch.zeros(4, 3, dtype=torch.bool)}
    out = recipe(AFFINE["affine"](), seed=0)(invalid)
    assert not out["valid"].any()


def test_partners_are_uniform_and_the_center_keeps_to_its_range() -> None:
    layer = ga.Mosaic(center_range=(0.2, 0.6), p=1.0)
    layer.reseed(3)
    params = layer.sample(torch.zeros(1, 1, 40, 100).expand(5000, -1, -1, -1))
    partner, center = params["Mosaic"].partner, params["Mosaic"].center
    assert torch.equal(partner[:, 0], torch.arange(5000))
    others = partner[:, 1:].flatten().double()
    assert others.min() < 20 and others.max() > 4979 and abs(others.mean() - 2499.5) < 5 * 1443 / 15000**0.5
    assert (partner[:, 1] != partner[:, 2]).float().mean() > 0.99
    for axis, side in ((0, 100), (1, 40)):
        values = center[:, axis].unique().tolist()
        assert values == list(range(round(0.2 * side), round(0.6 * side)))
    assert abs(torch.corrcoef(center.T)[0, 1]) < 0.06
    few = torch.cat([layer.sample(torch.zeros(3, 1, 40, 100), copy=k)["Mosaic"].partner[:, 1:] for k in range(40)])
    times = torch.bincount(few.flatten(), minlength=3)  # of 360, each of three as often
    assert times.shape == (3,) and ((times - 120).abs() < 5 * (360 * 2 / 9) ** 0.5).all()


def test_a_sample_depends_on_itself_and_its_partners_only() -> None:
    images = example(6, (3, H, W))
    layer = recipe(AFFINE["affine"](), seed=2)
    out, params = layer(images, return_params=True)
    drawn = params["Mosaic"]
    for i in range(6):
        met = set(drawn.partner[i].tolist()) if drawn.gate[i] else {i}
        others = [j for j in range(6) if j not in met]
        other = images.clone()
        other[others] = torch.nan
        assert torch.equal(layer.replay(other, params)[i], out[i])


def test_ids_decide_and_params_travel() -> None:
    data = {k: v for k, v in objects(5).items() if k != "depth"}
    ids = torch.tensor([7, 3, 11, 2, 5])
    layer = recipe(AFFINE["affine"](), seed=9)
    out, params = layer(data, ids=ids, return_params=True)
    order = torch.tensor([4, 2, 0, 1, 3])
    center = recipe(AFFINE["affine"](), seed=9).sample({k: v[order] for k, v in data.items()}, ids=ids[order])
    assert torch.equal(center["Mosaic"].center, params["Mosaic"].center[order])
    kept = pickle.loads(pickle.dumps(params))
    for other in (layer, copy.deepcopy(layer), pickle.loads(pickle.dumps(layer))):
        again = other.replay(data, kept)
        assert all(torch.equal(again[key], out[key]) for key in out)


def test_the_probability_can_change_between_epochs() -> None:
    """Set, or by a schedule; the draws of everything else stay."""
    images = example(8, (3, H, W))
    layer = ga.Compose([ga.Mosaic(p=1.0), ga.RandomHorizontalFlip()], seed=1)
    first = layer.sample(images)
    layer[0].p = 0.0
    off = layer.sample(images)
    assert torch.equal(off["RandomHorizontalFlip"].gate, first["RandomHorizontalFlip"].gate)
    assert torch.equal(off["Mosaic"].center, first["Mosaic"].center) and not off["Mosaic"].gate.any()
    flip = off["RandomHorizontalFlip"].gate
    assert torch.equal(layer.replay(images, off), torch.where(flip[:, None, None, None], images.flip(3), images))
    closed = ga.Compose([ga.Mosaic(p=ga.Piecewise({0: 1.0, 90: 0.0}))], seed=1)
    for epoch, on in ((89, True), (90, False)):
        closed.set_epoch(epoch)
        assert (closed.sample(images)["Mosaic"].gate == on).all()


def test_it_can_be_switched_off() -> None:
    """Without a trace where nothing changes size, else as if no sample were drawn for it."""
    data = {"image": batch_of(3), "boxes": torch.tensor([[[4.0, 4.0, 20.0, 20.0]]]).expand(3, 1, 4)}
    plain = ga.Compose([ga.Mosaic(p=1.0)], seed=0)
    plain[0].enabled = False
    out = plain(data)
    assert out["image"] is data["image"] and out["boxes"] is data["boxes"]
    layer = recipe(seed=0)
    layer[0].enabled = False
    out, params = layer(data, return_params=True)
    assert not params["Mosaic"].gate.any() and torch.equal(out["image"], data["image"])
    assert (
        torch.equal(out["boxes"][:, :1], data["boxes"]) and out["valid"].tolist() == [[True, False, False, False]] * 3
    )


def test_fake_tensors_and_sizes_of_several_images() -> None:
    from torch._subclasses.fake_tensor import FakeTensorMode

    ragged = Ragged.pack(coded([(36, 50), (20, 61)]))
    with FakeTensorMode(allow_non_fake_inputs=True) as mode:
        layer = ga.Compose([ga.Mosaic(target_size=(40, 44), p=0.5), ga.RandomAffine(10)], seed=0)
        assert layer(mode.from_tensor(batch_of(3))).shape == (3, 3, 40, 44)
    meta = ga.Compose([ga.Mosaic(target_size=(40, 44), p=0.5), ga.RandomAffine(10)], seed=0)(ragged.to("meta"))
    assert meta.shape == (2, 3, 40, 44)


def test_the_function_is_the_transform() -> None:
    for dtype in (torch.uint8, torch.float32):
        images = example(5, (3, 24, 31), dtype)
        for options in ({}, {"target_size": (40, 52), "cell_shape": (30, 20), "fill": 0.25}, {"fit_mode": "cover"}):
            given: dict[str, Any] = {**options, "cell_shape": (20, 30)} if "fit_mode" in options else options
            layer = ga.Mosaic(p=1.0, center_range=(0.0, 1.0), **given)
            layer.reseed(3)
            out, params = layer(images, return_params=True)
            drawn = params["Mosaic"]
            assert torch.equal(mosaic(images, drawn.partner, drawn.center, **given), out)
    last = mosaic(images.contiguous(memory_format=torch.channels_last), drawn.partner, drawn.center, **given)
    assert last.is_contiguous(memory_format=torch.channels_last) and torch.equal(last, out)
    for wrong, message in (
        ((images[0], drawn.partner, drawn.center), r"mosaic: image must have shape \(B, C, H, W\), got \(3, 24, 31\)"),
        ((images, drawn.partner[:3], drawn.center), r"mosaic: partner must have shape \(5, 4\), got \(3, 4\)"),
        ((images, drawn.partner.float(), drawn.center), "mosaic: partner must be int64, got torch.float32"),
        ((images, drawn.partner, drawn.center[:, 0]), r"mosaic: center must have shape \(5, 2\), got \(5,\)"),
    ):
        with pytest.raises(ValueError, match=message):
            mosaic(*wrong)
    with pytest.raises(ValueError, match="mosaic: fit_mode must be one of contain, cover, got 'fill'"):
        mosaic(images, drawn.partner, drawn.center, fit_mode="fill")


def test_refusals() -> None:
    for wrong, error in (
        ({"fit_mode": "fill"}, "fit_mode must be one of contain, cover"),
        ({"center_range": (0.7, 0.3)}, "low <= high"),
        ({"center_range": (0.3, 1.2)}, "center_range"),
        ({"target_size": 0}, "target_size must be at least 1"),
        ({"p": 1.5}, "p must be between"),
    ):
        with pytest.raises(ValueError, match=error):
            ga.Mosaic(**wrong)
    with pytest.raises(ValueError, match="fill must be one number or 3"):
        ga.Mosaic(fill=(1, 2), p=1.0)(batch_of(2))


def test_gradients_reach_the_four_images() -> None:
    images = example(4, (3, H, W)).requires_grad_()
    layer = ga.Mosaic(p=1.0)
    layer.reseed(0)
    out, params = layer(images, return_params=True)
    (grad,) = torch.autograd.grad(out[2].sum(), images)
    met = set(params["Mosaic"].partner[2].tolist())
    assert grad.sum() == pytest.approx(out[2].numel()) and {i for i in range(4) if grad[i].any()} == met
