"""Mosaic: every pixel, box, point and mask of the four samples, against a mosaic made one image after another."""

from __future__ import annotations

import copy
import pickle
from typing import Any

import numpy as np
import pytest
import torch
from content import read_at
from torch import Tensor

import gpuaug as ga
from gpuaug.data.ragged import Ragged
from gpuaug.testing import example

H, W = 36, 50


def coded(sizes: list[tuple[int, int]]) -> list[Tensor]:
    """Images whose pixels say whose and where they are: sample, row, column."""
    images = []
    for number, (h, w) in enumerate(sizes):
        image = torch.empty(3, h, w, dtype=torch.uint8)
        image[0], image[1], image[2] = number, torch.arange(h)[:, None], torch.arange(w)
        images.append(image)
    return images


def batch_of(count: int, h: int = H, w: int = W) -> Tensor:
    return torch.stack(coded([(h, w)] * count)) if count else torch.zeros(0, 3, h, w, dtype=torch.uint8)


def four(images: list[np.ndarray], center: tuple[int, int], size: tuple[int, int], fill: float) -> tuple[Any, list]:
    """Semantics 4.2, image by image: the canvas (C, H, W), and each one's part of it with its shift."""
    high, wide = size
    canvas = np.full((images[0].shape[0], high, wide), fill, dtype=images[0].dtype)
    xc, yc = center
    parts = []
    for k, image in enumerate(images):
        h, w = image.shape[1:]
        if k == 0:
            dst = max(xc - w, 0), max(yc - h, 0), xc, yc
            src = w - (dst[2] - dst[0]), h - (dst[3] - dst[1])
        elif k == 1:
            dst = xc, max(yc - h, 0), min(xc + w, wide), yc
            src = 0, h - (dst[3] - dst[1])
        elif k == 2:
            dst = max(xc - w, 0), yc, xc, min(high, yc + h)
            src = w - (dst[2] - dst[0]), 0
        else:
            dst = xc, yc, min(xc + w, wide), min(high, yc + h)
            src = 0, 0
        x0, y0, x1, y1 = dst
        canvas[:, y0:y1, x0:x1] = image[:, src[1] : src[1] + y1 - y0, src[0] : src[0] + x1 - x0]
        parts.append((dst, (x0 - src[0], y0 - src[1])))
    return canvas, parts


def seen(params: ga.Params, i: int) -> tuple[list[int], tuple[int, int]]:
    drawn = params["Mosaic"]
    x, y = drawn.center[i].tolist()
    return drawn.partner[i].tolist(), (int(x), int(y))


def smaller_way(monkeypatch: pytest.MonkeyPatch, way: str) -> None:
    monkeypatch.setattr("gpuaug.render.backend.SMALL", 10**9 if way == "batched" else 0)


WAYS = pytest.mark.parametrize("way", ["batched", "walked"])


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
                expected[:, y : y + h, x : x + w], labels[:, y : y + h, x : x + w] = images[i], masks[i]
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


# -- objects


def objects(count: int) -> dict[str, Tensor]:
    """Three objects in each sample, each of its own value in a label map: 1 + 3 * sample + row; one is not there."""
    generator = torch.Generator().manual_seed(5)
    low = torch.stack(
        (
            torch.randint(0, W - 12, (count, 3), generator=generator),
            torch.randint(0, H - 10, (count, 3), generator=generator),
        ),
        dim=-1,
    )
    extent = torch.randint(4, 12, (count, 3, 2), generator=generator)
    high = torch.minimum(low + extent, torch.tensor([W, H]))
    masks = torch.zeros(count, 3, H, W, dtype=torch.uint8)
    for b in range(count):
        for n in range(3):
            (x0, y0), (x1, y1) = low[b, n].tolist(), high[b, n].tolist()
            masks[b, n, y0:y1, x0:x1] = 1
    valid = torch.ones(count, 3, dtype=torch.bool)
    valid[1::2, 2] = False
    boxes = torch.cat((low, high), dim=-1).float()
    points = torch.stack((boxes[..., :2] + 1.5, (boxes[..., :2] + boxes[..., 2:]) / 2), dim=2)
    number = torch.arange(count)
    return {
        "image": batch_of(count),
        "boxes": boxes,
        "masks": masks,
        "keypoints": points,
        "visible": torch.full((count, 3, 2), 2),
        "labels": number[:, None] * 3 + torch.arange(3),
        "valid": valid,
        "score": torch.rand((count, 3), generator=generator),
        "mask": number.view(-1, 1, 1).expand(-1, H, W).to(torch.uint8) + 100,
        "depth": torch.arange(H * W).view(1, 1, H, W).float() + 1e4 * number.view(-1, 1, 1, 1),
    }


def test_boxes_cover_their_own_object_and_all_of_it() -> None:
    """Also: counts are conserved, one assignment for all targets, every field keeps its row."""
    data = objects(8)
    layer = ga.Compose(
        [ga.Mosaic(target_size=(54, 70), center_range=(0.1, 0.9), p=0.8)], seed=2, roles={"depth": "dense"}
    )
    kept = {key: value.clone() for key, value in data.items()}
    out, params = layer(data, return_params=True)
    assert all(torch.equal(data[key], kept[key]) for key in data)
    drawn = params["Mosaic"]
    total = 0
    for i in range(8):
        who, center = seen(params, i)
        _, parts = four([data["image"][j].numpy() for j in who], center, (54, 70), 0)
        if not drawn.gate[i]:
            shift = ((70 - W) // 2, (54 - H) // 2)
            parts = [((*shift, shift[0] + W, shift[1] + H), shift)] + [((0, 0, 0, 0), (0, 0))] * 3
        for k, (j, ((x0, y0, x1, y1), shift)) in enumerate(zip(who, parts, strict=True)):
            for n in range(3):
                row = 3 * k + n
                whole = np.zeros((54, 70), dtype=bool)  # the object's pixels on the canvas, within its tile
                ys, xs = np.nonzero(data["masks"][j, n].numpy())
                ys, xs = ys + shift[1], xs + shift[0]
                inner = (xs >= x0) & (xs < x1) & (ys >= y0) & (ys < y1)
                whole[ys[inner], xs[inner]] = True
                there = bool(data["valid"][j, n]) and bool(whole.any())
                assert bool(out["valid"][i, row]) == there
                total += there
                assert torch.equal(out["masks"][i, row].bool(), torch.from_numpy(whole))
                if not there:
                    continue
                a, b, c, d = out["boxes"][i, row].tolist()
                ys, xs = np.nonzero(whole)
                assert (a, b, c, d) == (xs.min(), ys.min(), xs.max() + 1, ys.max() + 1)
                assert (out["image"][i, 0, ys, xs] == j).all() and (out["mask"][i, ys, xs] == 100 + j).all()
                assert out["labels"][i, row] == 3 * j + n and out["score"][i, row] == data["score"][j, n]
                for point, moved, visible in zip(
                    data["keypoints"][j, n], out["keypoints"][i, row], out["visible"][i, row], strict=True
                ):
                    assert torch.equal(moved, point + torch.tensor(shift))
                    x, y = moved.tolist()
                    assert visible == (2 if x0 <= x <= x1 and y0 <= y <= y1 else 0)
        source = out["image"][i].long()
        depth = out["depth"][i, 0]
        first = source[0] * 10000 + source[1] * W + source[2]
        assert torch.equal(depth.long(), torch.where(depth == 0, torch.zeros_like(first), first))
    assert total > 40


def test_index_maps_name_the_rows_after_the_mosaic() -> None:
    data = objects(6)
    index = torch.zeros(6, H, W, dtype=torch.uint8)
    for n in range(3):
        index = torch.where(data["masks"][:, n] > 0, n + 1, index)
    data = {**data, "masks": index}
    out, params = ga.Compose([ga.Mosaic(p=1.0)], seed=0)(data, return_params=True)
    for i in range(6):
        who, center = seen(params, i)
        maps = [index[j : j + 1].long().numpy() for j in who]
        numbered = [np.where(m > 0, m + 3 * k, 0) for k, m in enumerate(maps)]
        expected, _ = four(numbered, center, (H, W), 0)
        assert torch.equal(out["masks"][i].long(), torch.from_numpy(expected[0]))
    many = {  # 100 rows in bytes: four times as many need wider numbers
        "image": data["image"],
        "boxes": torch.tensor([0.0, 0.0, 4.0, 4.0]).expand(6, 100, 4),
        "masks": torch.full((6, H, W), 100, dtype=torch.uint8),
    }
    assert ga.Compose([ga.Mosaic(p=1.0)], seed=0)(many)["masks"].unique().tolist() == [100, 200, 300, 400]


def test_rotated_boxes_move_with_their_tile() -> None:
    generator = torch.Generator().manual_seed(3)
    boxes = torch.rand((5, 4, 5), generator=generator) * torch.tensor([W, H, 14.0, 9.0, 180.0]) + 3
    data = {"image": batch_of(5), "boxes": boxes}
    layer = ga.Compose([ga.Mosaic(p=1.0)], seed=1, bbox_params=ga.BboxParams(format="cxcywhr"))
    out, params = layer(data, return_params=True)
    for i in range(5):
        who, center = seen(params, i)
        _, parts = four([data["image"][j].numpy() for j in who], center, (H, W), 0)
        for k, (j, ((x0, y0, x1, y1), shift)) in enumerate(zip(who, parts, strict=True)):
            for n in range(4):
                found, given = out["boxes"][i, 4 * k + n], boxes[j, n]
                assert (found[:2] - given[:2] - torch.tensor(shift)).abs().max() < 1e-3
                assert (found[2:] - given[2:]).abs().max() < 1e-2
                x, y = found[:2].tolist()
                if x0 < x < x1 and y0 < y < y1:
                    assert bool(out["valid"][i, 4 * k + n])
                reach = float(given[2:4].norm()) / 2
                if x < x0 - reach or x > x1 + reach or y < y0 - reach or y > y1 + reach:
                    assert not bool(out["valid"][i, 4 * k + n])


def test_points_without_objects_stay_a_list() -> None:
    points = torch.tensor([[5.0, 6.0], [40.0, 30.0]]).expand(4, 2, 2)
    out, params = ga.Compose([ga.Mosaic(p=0.5)], seed=3)(
        {"image": batch_of(4), "keypoints": points}, return_params=True
    )
    assert out["keypoints"].shape == (4, 8, 2) and out["visible"].shape == (4, 8)
    gate = params["Mosaic"].gate
    assert gate.any() and not gate.all()
    for i in range(4):
        _, center = seen(params, i)
        if not gate[i]:
            assert torch.equal(out["keypoints"][i, :2], points[i]) and out["visible"][i].tolist() == [2, 2] + [0] * 6
            continue
        _, parts = four([np.zeros((1, H, W))] * 4, center, (H, W), 0)
        for k, ((x0, y0, x1, y1), shift) in enumerate(parts):
            for n in range(2):
                x, y = out["keypoints"][i, 2 * k + n].tolist()
                assert [x, y] == (points[0, n] + torch.tensor(shift)).tolist()
                assert out["visible"][i, 2 * k + n] == (2 if x0 <= x <= x1 and y0 <= y <= y1 else 0)


# -- labels


def test_labels_are_mixed_by_the_area_of_the_tiles() -> None:
    images, labels = batch_of(7), torch.tensor([0, 5, 2, 3, 3, 1, 4])
    layer = ga.Mosaic(target_size=(60, 60), cell_shape=(30, 40), num_classes=6, p=0.7)
    layer.reseed(1)
    (_, soft), params = layer(images, labels, return_params=True)
    assert soft.shape == (7, 6) and (soft.sum(1) - 1).abs().max() < 1e-6
    gate = params["Mosaic"].gate
    assert gate.any() and not gate.all()
    high, wide = round(H * 0.8), round(W * 0.8)  # contained in (30, 40)
    for i in range(7):
        who, center = seen(params, i)
        expected = torch.zeros(6)
        if gate[i]:
            _, parts = four([np.zeros((1, high, wide))] * 4, center, (60, 60), 0)
            areas = [(x1 - x0) * (y1 - y0) for (x0, y0, x1, y1), _ in parts]
            for j, area in zip(who, areas, strict=True):
                expected[labels[j]] += area / sum(areas)
        else:
            expected[labels[i]] = 1
            assert torch.equal(soft[i], expected)
        assert (soft[i] - expected).abs().max() < 1e-6
    again = layer.replay(images, torch.nn.functional.one_hot(labels, 6).double(), params)[1]
    assert again.dtype == torch.float64 and (again - soft).abs().max() < 1e-6
    with pytest.raises(ValueError, match="num_classes must be given"):
        ga.Mosaic(p=1.0)(images, labels)
    untouched = ga.Mosaic(p=1.0, labels_getter=None)(images, labels)[1]
    assert untouched is labels


# -- one pass


def params_of(params: ga.Params, name: str) -> ga.Params:
    """Return the parameters of one transform of a pipeline, the first, for itself alone."""
    one = copy.copy(params)
    one.values, one.names = {name: params.values[name]}, (name,)
    return one


def recipe(*steps: Any, size: tuple[int, int] = (H, W), **settings: Any) -> ga.Compose:
    mosaic = ga.Mosaic(target_size=(2 * size[0], 2 * size[1]), cell_shape=size, center_range=(0.25, 0.75), p=0.8)
    return ga.Compose([mosaic, *steps, ga.CenterCrop(size)], **settings)


AFFINE = {
    "affine": lambda: ga.RandomAffine(12, (0.1, 0.1), (0.7, 1.5), (-8, 8)),
    "perspective": lambda: ga.RandomPerspective(0.3, p=1.0),
    "shrunk": lambda: ga.RandomAffine(180, (0.05, 0.05), (0.4, 0.6)),
}


@WAYS
@pytest.mark.parametrize("name", list(AFFINE))
def test_one_pass_equals_the_canvas_that_is_never_made(monkeypatch: pytest.MonkeyPatch, name: str, way: str) -> None:
    """But near a seam, where one of them blends two images; classes are equal everywhere."""
    smaller_way(monkeypatch, way)
    data = objects(6)
    smooth = example(6, (3, H, W))
    data = {"image": smooth, "mask": data["mask"], "masks": data["masks"], "boxes": data["boxes"]}
    fused = recipe(AFFINE[name](), seed=5, fill=0.5)
    apart = recipe(AFFINE[name](), seed=5, fill=0.5, fuse=False)
    assert fused.explain(smooth).count("pass ") == 1 and apart.explain(smooth).count("pass ") == 3
    params = fused.sample(data)
    one, three = fused.replay(data, params), apart.replay(data, params)
    # Where a tap may reach over a seam: tiles of the canvas, eroded by the filter's reach, seen through the warp.
    seams = torch.ones(6, 1, 2 * H, 2 * W)
    reach = 3 if name == "affine" else 4
    for i, rectangles in enumerate(params.values["Mosaic"]["_rectangle"].tolist()):
        for x0, y0, x1, y1 in rectangles:
            seams[i, 0, int(y0) + reach : max(int(y1) - reach, 0), int(x0) + reach : max(int(x1) - reach, 0)] = 0
    matrix = params.values[next(k for k in params.values if k not in ("Mosaic", "CenterCrop"))]["matrix"]
    back = torch.linalg.inv(params.values["CenterCrop"]["matrix"] @ matrix)
    y, x = torch.meshgrid(torch.arange(H) + 0.5, torch.arange(W) + 0.5, indexing="ij")
    place = back @ torch.stack((x, y, torch.ones_like(x))).flatten(1).double()
    place = place[:, :2] / place[:, 2:]
    column, row = place[:, 0].floor().long(), place[:, 1].floor().long()
    inside = (column >= 0) & (column < 2 * W) & (row >= 0) & (row < 2 * H)
    index = row.clamp(0, 2 * H - 1) * 2 * W + column.clamp(0, 2 * W - 1)
    away = inside & (torch.gather(seams.flatten(1), 1, index) == 0)
    gap = (one["image"] - three["image"]).abs().amax(1).flatten(1)
    assert away.float().mean() > 0.25 and gap[away].max() < 2e-4
    assert torch.equal(one["mask"], three["mask"]) and torch.equal(one["masks"], three["masks"])
    assert (one["boxes"] - three["boxes"]).abs().max() < 1e-3 and torch.equal(one["valid"], three["valid"])


def test_points_and_boxes_stay_on_their_content() -> None:
    """Positions are coded in the pixels; a point shows where it was, in its own image, after mosaic and affine."""
    count, h, w = 5, 60, 84
    y, x = torch.meshgrid(torch.arange(h) + 0.5, torch.arange(w) + 0.5, indexing="ij")
    image = torch.stack((x / 100, y / 100, torch.ones_like(x))).double().repeat(count, 1, 1, 1)
    generator = torch.Generator().manual_seed(1)
    points = torch.rand((count, 1, 40, 2), generator=generator, dtype=torch.float64) * torch.tensor([w, h])
    low = torch.rand((count, 12, 2), generator=generator) * torch.tensor([w - 20, h - 20])
    boxes = torch.cat((low, low + 4 + 12 * torch.rand((count, 12, 2), generator=generator)), dim=-1).double()
    mosaic = ga.Mosaic(target_size=(2 * h, 2 * w), center_range=(0.25, 0.75), p=0.8)
    steps = [mosaic, ga.RandomAffine(15, (0.05, 0.05), (0.8, 1.3)), ga.CenterCrop((h, w))]
    layer = ga.Compose(steps, seed=4, keypoint_params=ga.KeypointParams(flip_pairs=()))
    params = layer.sample({"image": image, "keypoints": points})
    out = layer.replay({"image": image, "keypoints": points}, params)
    on_canvas = mosaic.replay({"image": image, "keypoints": points}, params_of(params, "Mosaic"))
    partner = params["Mosaic"].partner
    found = 0
    for i in range(count):
        for k in range(4):
            start, place = points[partner[i, k], 0], on_canvas["keypoints"][i, k]
            x0, y0, x1, y1 = params["Mosaic"]._rectangle[i, k].tolist()
            inner = (place > torch.tensor([x0, y0]) + 4).all(1) & (place < torch.tensor([x1, y1]) - 4).all(1)
            value, ok = read_at(out["image"][i], out["keypoints"][i, k])
            wrong = (value * 100 - start).norm(dim=1)[inner & ok & (out["visible"][i, k] > 0)]
            found += len(wrong)
            assert wrong.numel() == 0 or (wrong.max() < 0.25 and wrong.mean() < 0.1)
    assert found > 100
    boxed = layer.replay({"image": image, "boxes": boxes}, params)
    for i in range(count):
        for k in range(4):
            for n in range(12):
                if not boxed["valid"][i, 12 * k + n]:
                    continue
                box, given = boxed["boxes"][i, 12 * k + n], boxes[partner[i, k], n]
                assert (box[:2] >= 0).all() and (box[2:] <= torch.tensor([w, h])).all() and (box[2:] > box[:2]).all()
                middle = (given[:2] + given[2:]) / 2
                value, ok = read_at(out["image"][i], (box[None, :2] + box[None, 2:]) / 2)
                if ok[0] and (value[0] * 100 - middle).norm() < 0.3:
                    found += 1
    assert found > 140


def test_yolos_rule_for_what_remains() -> None:
    """Width and height over 2, share over 0.1, aspect under 100, for boxes that the mosaic itself does not cut."""
    h, w, count = 64, 80, 6
    generator = torch.Generator().manual_seed(8)
    size = torch.rand((count, 30, 2), generator=generator) ** 3 * torch.tensor([w, h]) * 0.7 + 0.3
    low = torch.rand((count, 30, 2), generator=generator) * (torch.tensor([w, h]) - size)
    boxes = torch.cat((low, low + size), dim=-1).double()
    data = {"image": example(count, (3, h, w)), "boxes": boxes}
    rule = ga.BboxParams(min_size=2, min_visibility=0.1, max_aspect=100)
    mosaic = ga.Mosaic(target_size=(2 * h, 2 * w), center_range=0.5, p=1.0)  # each image as a whole
    layer = ga.Compose(
        [mosaic, ga.RandomAffine(0, (0.2, 0.2), (0.5, 1.5)), ga.CenterCrop((h, w))], seed=1, bbox_params=rule
    )
    out, params = layer(data, return_params=True)
    matrix = params["CenterCrop"].matrix @ params["RandomAffine"].matrix
    kept = dropped = 0
    for i in range(count):
        who, center = seen(params, i)
        _, parts = four([np.zeros((1, h, w))] * 4, center, (2 * h, 2 * w), 0)
        scale = float(matrix[i, 0, 0])
        for k, (j, (_, shift)) in enumerate(zip(who, parts, strict=True)):
            for n in range(30):
                whole = boxes[j, n].numpy() + np.tile(shift, 2)
                a = whole * scale + np.tile(matrix[i, :2, 2].numpy(), 2)
                b = np.clip(a, 0, [w, h, w, h])
                bw, bh = b[2] - b[0], b[3] - b[1]
                old = (whole[2] - whole[0]) * (whole[3] - whole[1]) * scale**2
                aspect = max(bw / (bh + 1e-16), bh / (bw + 1e-16))
                keep = bw > 2 and bh > 2 and bw * bh / (old + 1e-16) > 0.1 and aspect < 100
                assert bool(out["valid"][i, 30 * k + n]) == keep
                kept, dropped = kept + keep, dropped + (not keep)
    assert kept > 100 and dropped > 100
    # Of an object that the mosaic cuts, the share counts from what it was before.
    data = {"image": example(2, (3, 40, 40)), "boxes": torch.tensor([[[0.0, 0.0, 40.0, 40.0]]]).expand(2, 1, 4)}
    for least, expected in ((0.3, False), (0.2, True)):
        rule = ga.BboxParams(min_visibility=least)
        quarter = ga.Compose([ga.Mosaic(center_range=0.5, p=1.0)], bbox_params=rule)(data)
        assert (quarter["valid"] == expected).all()


def test_clips_meet_frame_by_frame() -> None:
    clips = torch.stack([batch_of(3), batch_of(3) + 100], dim=1)  # (3, 2, 3, H, W)
    boxes = torch.tensor([[[4.0, 4, 20, 20]], [[10.0, 8, 30, 30]]]).expand(3, 2, 1, 4)
    out, params = ga.Compose([ga.Mosaic(p=1.0)], seed=1)({"image": clips, "boxes": boxes}, return_params=True)
    for i in range(3):
        who, center = seen(params, i)
        for t in range(2):
            expected, parts = four([clips[j, t].numpy() for j in who], center, (H, W), 0)
            assert torch.equal(out["image"][i, t], torch.from_numpy(expected))
            for k, ((x0, y0, x1, y1), shift) in enumerate(parts):
                box = boxes[0, t, 0].numpy() + np.tile(shift, 2)
                box = np.clip(box, (x0, y0, x0, y0), (x1, y1, x1, y1))
                if out["valid"][i, t, k]:
                    assert out["boxes"][i, t, k].tolist() == box.tolist()


# -- sizes, draws, modes


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
    few = layer.sample(torch.zeros(3, 1, 40, 100))["Mosaic"].partner
    assert int(few.max()) <= 2


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
    data = objects(5)
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


def test_nothing_synchronises_and_operations_are_few() -> None:
    """Without the image, of which the torch definition makes very many: those of parameters and objects."""
    from gpuaug.diagnose import count

    def counted(steps: list[Any], data: dict[str, Tensor]) -> Any:
        layer = ga.Compose(steps, seed=0, bbox_params=ga.BboxParams(min_visibility=0.1))
        layer(data)
        return count(lambda image: layer({**data, "image": image})["image"], data["image"])

    meta = {key: value.to("meta") for key, value in objects(16).items()}
    everything = counted([ga.RandomHorizontalFlip(), ga.Mosaic(), AFFINE["affine"]()], meta)
    assert (everything.synchronising, everything.host_to_device, everything.host_operations) == (0, 0, 0)
    pictures = {"image": meta["image"]}
    boxed = {key: meta[key] for key in ("image", "boxes", "labels", "valid")}
    steps = [ga.Mosaic(p=1.0), ga.RandomAffine(10, (0.1, 0.1), (0.5, 1.5))]
    layer = ga.Compose(steps, seed=0)
    layer(pictures)
    drawing = count(lambda image: layer.sample(image).ids, meta["image"]).operations
    moving = counted(steps, boxed).operations - counted(steps, pictures).operations
    assert drawing + moving <= 150


@pytest.mark.parametrize("dtype", [torch.uint8, torch.float32], ids=str)
def test_peak_memory_of_the_walk(dtype: torch.dtype) -> None:
    from gpuaug.diagnose import count

    images = example(40, (3, 256, 240), dtype)
    for layer in (ga.Mosaic(p=1.0), recipe(AFFINE["affine"](), size=(256, 240), seed=0)):
        layer(images)
        assert count(layer, images).peak <= 1.5, layer


def test_one_graph_with_all_targets() -> None:
    """Read by the nearest pixel, which is quicker to trace; the contract compiles the rest."""
    torch._dynamo.reset()
    data = {key: value for key, value in objects(3).items() if key != "depth"}
    data["label"] = torch.tensor([2, 0, 1])

    def make() -> ga.Compose:
        mosaic = ga.Mosaic(target_size=(48, 40), cell_shape=(30, 44), num_classes=3, p=0.6)
        return ga.Compose([mosaic], interpolation="nearest", seed=3)

    eager, compiled = make(), torch.compile(make(), fullgraph=True, backend="eager")
    compiled(data)
    eager(data)
    with torch._dynamo.config.patch(error_on_recompile=True):
        out, expected = compiled(data), eager(data)
        for key in expected:
            far = (out[key].double() - expected[key].double()).abs() > 1e-3
            assert far.double().mean() < 2e-3, key


def test_fake_tensors_and_sizes_of_several_images() -> None:
    from torch._subclasses.fake_tensor import FakeTensorMode

    ragged = Ragged.pack(coded([(36, 50), (20, 61)]))
    with FakeTensorMode(allow_non_fake_inputs=True) as mode:
        layer = ga.Compose([ga.Mosaic(target_size=(40, 44), p=0.5), ga.RandomAffine(10)], seed=0)
        assert layer(mode.from_tensor(batch_of(3))).shape == (3, 3, 40, 44)
    meta = ga.Compose([ga.Mosaic(target_size=(40, 44), p=0.5), ga.RandomAffine(10)], seed=0)(ragged.to("meta"))
    assert meta.shape == (2, 3, 40, 44)


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
