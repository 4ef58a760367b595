"""Mosaic: every box, point, mask and label of the four samples, against a mosaic made one image after another."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from mosaics import H, W, batch_of, four, objects, seen

import gpuaug as ga
from gpuaug.testing import example


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
    out, params = ga.Compose([ga.Mosaic(p=1.0)], seed=0, roles={"depth": "dense"})(data, return_params=True)
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
