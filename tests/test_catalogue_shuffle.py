"""RandomGridShuffle against NumPy and OpenCV: pixels, masks, points, and boxes in parts."""

from __future__ import annotations

from typing import Any

import cv2
import numpy as np
import pytest
import torch
from content import coordinates
from kernels import assert_same, images, rendered
from torch import Tensor

import gpuaug as ga
from gpuaug import functional as F

H, W = 61, 84


def shuffled(image: Tensor, cells: Tensor, shift: Tensor) -> np.ndarray[Any, Any]:
    """Return one image (..., H, W) with each cell where it goes."""
    out = np.full_like(image.numpy(), 99)
    for (x0, y0, x1, y1), (dx, dy) in zip(cells.int().tolist(), shift.int().tolist(), strict=True):
        out[..., y0 + dy : y1 + dy, x0 + dx : x1 + dx] = image.numpy()[..., y0:y1, x0:x1]
    return out


@pytest.mark.parametrize("size", [(23, 17), (120, 97)], ids=["batched", "walk"])
def test_pixels_masks_and_cells(size: tuple[int, int]) -> None:
    x = images((3, *size), count=8)
    layer = ga.Compose([ga.RandomGridShuffle((2, 3), p=0.5)], seed=3)
    out, params = layer({"image": x, "mask": x[:, 0]}, return_params=True)
    drawn = params["RandomGridShuffle"]
    assert 0 < drawn.gate.sum() < 8
    for i in range(8):
        assert np.array_equal(out["image"][i].numpy(), shuffled(x[i], drawn.cells[i], drawn.cell_shift[i]))
        assert torch.equal(out["mask"][i], out["image"][i, 0])
        assert drawn.gate[i] or torch.equal(out["image"][i], x[i])
    on = drawn.gate
    low, extent = drawn.cells[on][..., :2], drawn.cells[on][..., 2:] - drawn.cells[on][..., :2]
    there = torch.gather(extent, 1, drawn.order[on][..., None].expand_as(extent))
    assert torch.equal(extent, there)  # cells of one size alone exchange their places
    assert torch.equal(low + drawn.cell_shift[on], torch.gather(low, 1, drawn.order[on][..., None].expand_as(low)))
    assert (extent.prod(-1).sum(1) == size[0] * size[1]).all()
    assert (extent.amax(1) - extent.amin(1)).max() == 1


def test_every_order_and_every_division_comes_up() -> None:
    x = torch.zeros(600, 1, 7, 6, dtype=torch.uint8)
    drawn = ga.RandomGridShuffle((2, 2), p=1.0).sample(x)["RandomGridShuffle"]
    tall = drawn.cells[:, 0, 3] == 4  # the row that is a pixel higher
    assert 240 < tall.sum() < 360
    orders = drawn.order.unique(dim=0)
    assert orders.tolist() == [[0, 1, 2, 3], [0, 1, 3, 2], [1, 0, 2, 3], [1, 0, 3, 2]]  # within rows of one height
    drawn = ga.RandomGridShuffle((2, 2), p=1.0).sample(torch.zeros(600, 1, 8, 6))["RandomGridShuffle"]
    assert len(drawn.order.unique(dim=0)) == 24
    drawn = ga.RandomGridShuffle((1, 3), p=1.0).sample(torch.zeros(3000, 1, 8, 6))["RandomGridShuffle"]
    counts = drawn.order.unique(dim=0, return_counts=True)[1]
    assert len(counts) == 6 and (counts - 500).abs().max() < 5 * (3000 * 5 / 36) ** 0.5


def test_the_function() -> None:
    x = images((2, 5, 7), count=2)
    order = torch.tensor([[1, 0, 3, 2, 5, 4], [4, 5, 0, 1, 2, 3]])
    heights, widths = torch.tensor([[2, 1, 2], [1, 2, 2]]), torch.tensor([[3, 3], [4, 3]])
    with pytest.raises(ValueError, match="grid_shuffle: order must be int64 of"):
        F.grid_shuffle(x, order.int(), heights, widths)
    with pytest.raises(ValueError, match="grid_shuffle: heights must have shape"):
        F.grid_shuffle(x, order, heights[0], widths)
    widths[0, 1] = 4
    order[1] = torch.tensor([0, 1, 4, 5, 2, 3])
    order[0] = torch.tensor([4, 5, 2, 3, 0, 1])
    out = F.grid_shuffle(x, order, heights, widths)
    assert torch.equal(out[0], torch.cat((x[0, :, 3:], x[0, :, 2:3], x[0, :, :2]), dim=1))
    assert torch.equal(out[1], torch.cat((x[1, :, :1], x[1, :, 3:], x[1, :, 1:3]), dim=1))


@pytest.mark.parametrize(
    "before", [[], [ga.RandomHorizontalFlip(1.0), ga.RandomCrop((44, 60))]], ids=["first", "later"]
)
@pytest.mark.parametrize("after", [[], [ga.RandomVerticalFlip(1.0), ga.RandomRotation(20)]], ids=["last", "turned"])
def test_points_go_with_what_is_under_them(before: list[Any], after: list[Any]) -> None:
    x = coordinates(4)
    points = (torch.rand(4, 300, 2, dtype=torch.float64) * torch.tensor([66.0, 48.0])).floor() + 0.5
    layer = ga.Compose([*before, ga.RandomGridShuffle(p=0.8), *after], seed=1, interpolation="nearest")
    out = layer({"image": x, "keypoints": points})
    seen = out["visible"] > 0
    assert out["keypoints"].shape == points.shape and 0.3 < seen.double().mean() <= 1
    assert seen.all() or before or after
    for i in range(4):
        column, row = out["keypoints"][i, seen[i]].floor().long().unbind(-1)
        gap = (out["image"][i, :2, row, column].T * 100 - points[i, seen[i]]).abs().amax(1)
        if after:  # the pixel under a point, but for those beside the border of a cell
            assert (gap < 1.5).double().mean() > 0.95
        else:
            assert gap.max() < 1e-5


def parts_by_opencv(box: list[int], cells: Tensor, shift: Tensor) -> list[tuple[int, ...]]:
    """Paint a box, exchange the cells, and box what hangs together, be it by a corner."""
    plane = torch.zeros((H, W), dtype=torch.uint8)
    plane[box[1] : box[3], box[0] : box[2]] = 1
    count, _, stats, _ = cv2.connectedComponentsWithStats(shuffled(plane, cells, shift), connectivity=8)
    return sorted((x, y, x + w, y + h) for x, y, w, h, _ in stats[1:count].tolist())


def scene(b: int, n: int) -> dict[str, Tensor]:
    """Return images with boxes of whole pixels, their masks, and keypoints in them."""
    g = torch.Generator().manual_seed(7)
    low = torch.stack([torch.randint(0, side - 8, (b, n), generator=g) for side in (W, H)], dim=-1)
    high = low + torch.randint(2, 45, (b, n, 2), generator=g)
    high = torch.minimum(high, torch.tensor([W, H]))
    masks = torch.zeros((b, n, H, W), dtype=torch.uint8)
    for i in range(b):
        for k in range(n):
            (x0, y0), (x1, y1) = low[i, k], high[i, k]
            masks[i, k, y0:y1, x0:x1] = 1
    inside = low[:, :, None] + torch.rand((b, n, 3, 2), generator=g) * (high - low)[:, :, None]
    labels = torch.arange(n).expand(b, n)
    return {
        "image": images((3, H, W), count=b),
        "boxes": torch.cat((low, high), dim=-1).float(),
        "masks": masks,
        "keypoints": inside,
        "labels": labels,
    }


@pytest.mark.parametrize("grid", [(2, 2), (1, 4), (4, 3)])
def test_boxes_come_out_in_parts(grid: tuple[int, int]) -> None:
    b, n, count = 5, 4, grid[0] * grid[1]
    several = 0
    given = scene(b, n)
    out, params = ga.Compose([ga.RandomGridShuffle(grid, p=0.6)], seed=1)(given, return_params=True)
    drawn = params["RandomGridShuffle"]
    assert out["boxes"].shape == (b, count * n, 4) and not drawn.gate.all()
    for i in range(b):
        for k in range(n):
            rows = out["valid"][i, k::n]
            boxes = out["boxes"][i, k::n][rows].int()
            way = drawn.cells[i], drawn.cell_shift[i]
            expected = parts_by_opencv(given["boxes"][i, k].int().tolist(), *way)
            assert sorted(map(tuple, boxes.tolist())) == expected
            assert rows[0] and (out["labels"][i, k::n] == k).all()
            masks = out["masks"][i, k::n]
            area = masks.flatten(1).sum(1)
            assert torch.equal(area > 0, rows) and area[0] == area.max()
            assert np.array_equal(masks.sum(0).numpy(), shuffled(given["masks"][i, k], *way))
            for (x0, y0, x1, y1), mask in zip(boxes.tolist(), masks[rows], strict=True):
                held = torch.zeros_like(mask)
                held[y0:y1, x0:x1] = mask[y0:y1, x0:x1]
                assert torch.equal(held, mask) and mask[y0:y1].any(1).all() and mask[:, x0:x1].any(0).all()
            visible = out["visible"][i, k::n]
            assert ((visible > 0).sum(0) == 1).all()
            for part in range(count):
                for point, seen in zip(out["keypoints"][i, k::n][part], visible[part], strict=True):
                    assert not seen or masks[part, int(point[1]), int(point[0])] == 1
            several += len(expected) > 1
    assert several > 3


def test_index_maps_small_parts_and_fewer_rows() -> None:
    given = scene(4, 3)
    planes = given.pop("masks")
    index = torch.zeros((4, H, W), dtype=torch.uint8)
    for k in range(3):
        index = torch.where(planes[:, k] > 0, k + 1, index)
    given["masks"] = index
    steps, rule = [ga.RandomGridShuffle((3, 2), p=1.0)], ga.BboxParams(min_visibility=0.3, max_objects=5)
    out, params = ga.Compose(steps, seed=4)(given, return_params=True)
    drawn = params["RandomGridShuffle"]
    for i in range(4):
        expected = shuffled(index[i], drawn.cells[i], drawn.cell_shift[i])
        found = out["masks"][i].numpy()
        assert np.array_equal(np.where(found > 0, (found - 1) % 3 + 1, 0), expected)
        for row in range(18):
            x0, y0, x1, y1 = out["boxes"][i, row].int().tolist()
            own = found == row + 1
            assert own[y0:y1, x0:x1].sum() == own.sum() and (out["valid"][i, row] or not own.any())
    few = ga.Compose(steps, seed=4, bbox_params=rule)(given)
    assert few["boxes"].shape == (4, 5, 4)
    whole = (given["boxes"][..., 2:] - given["boxes"][..., :2]).prod(-1)
    for i in range(4):
        # What a part holds of an object, by its painted pixels, decides.
        plain = torch.stack(
            [torch.from_numpy(shuffled(planes[i, k], drawn.cells[i], drawn.cell_shift[i])) for k in range(3)]
        )
        kept = []
        for row in torch.nonzero(out["valid"][i])[:, 0].tolist():
            x0, y0, x1, y1 = out["boxes"][i, row].int().tolist()
            count, parts = cv2.connectedComponents(plain[row % 3].numpy(), connectivity=8)
            sizes = [
                (parts == c).sum() for c in range(1, count) if (parts[y0:y1, x0:x1] == c).sum() == (parts == c).sum()
            ]
            if max(sizes) >= 0.3 * float(whole[i, row % 3]):
                kept.append(out["boxes"][i, row])
        assert torch.equal(few["boxes"][i][few["valid"][i]], torch.stack(kept[:5]))


def test_rotated_boxes() -> None:
    """A part is the rectangle along the box around what is seen of it: at 0 degrees the box of an upright one."""
    given = scene(5, 3)
    x0, y0, x1, y1 = given["boxes"].unbind(-1)
    middle, size = torch.stack(((x0 + x1) / 2, (y0 + y1) / 2), -1), torch.stack((x1 - x0, y1 - y0), -1)
    corners = torch.stack((x0, y0, x1, y0, x1, y1, x0, y1), dim=-1)
    steps = [ga.RandomGridShuffle((2, 3), p=0.7)]
    upright = ga.Compose(steps, seed=9)({"image": given["image"], "boxes": given["boxes"]})
    turned = ga.Compose(steps, seed=9, bbox_params=ga.BboxParams("xyxyxyxy"))(
        {"image": given["image"], "boxes": corners}
    )
    low, high = (getattr(turned["boxes"].unflatten(-1, (4, 2)), how)(-2) for how in ("amin", "amax"))
    assert torch.equal(upright["valid"], turned["valid"])
    assert torch.allclose(torch.cat((low, high), -1)[turned["valid"]], upright["boxes"][upright["valid"]], atol=1e-3)
    tilted = torch.cat((middle, size * 0.6, torch.full_like(size[..., :1], 30.0)), dim=-1)
    layer = ga.Compose(steps, seed=9, bbox_params=ga.BboxParams("cxcywhr"))
    out, params = layer({"image": given["image"], "boxes": tilted}, return_params=True)
    drawn = params["RandomGridShuffle"]
    for i in range(5):
        for k in range(3):
            if not drawn.gate[i]:
                assert torch.allclose(out["boxes"][i, k], tilted[i, k], atol=1e-3) or size[i, k, 0] < size[i, k, 1]
            quad = cv2.boxPoints((tilted[i, k, :2].tolist(), tilted[i, k, 2:4].tolist(), -30.0))
            painted = cv2.fillPoly(np.zeros((H, W), np.uint8), [np.round(quad - 0.5).astype(np.int32)], 1)
            moved = shuffled(torch.from_numpy(painted), drawn.cells[i], drawn.cell_shift[i])
            held = np.zeros_like(moved)
            for row in range(k, 18, 3):
                if out["valid"][i, row]:
                    cx, cy, w, h, angle = out["boxes"][i, row].tolist()
                    outline = cv2.boxPoints(((cx, cy), (w + 3, h + 3), -angle))
                    cv2.fillPoly(held, [np.round(outline - 0.5).astype(np.int32)], 1)
            assert (moved & ~held & 1).sum() == 0


def test_sizes_clips_views_and_gradients() -> None:
    pictures = [images((3, h, w), count=1)[0] for h, w in ((9, 14), (12, 8), (10, 10))]
    layer = ga.Compose([ga.RandomGridShuffle((2, 3), p=1.0)], seed=3)
    boxes = [torch.tensor([[1.0, 1.0, 6.0, 7.0]])] * 3
    out, targets = layer(pictures, [{"boxes": box, "labels": torch.tensor([5])} for box in boxes])
    params = layer.sample(pictures)
    again = layer.replay(pictures, params)
    drawn = params["RandomGridShuffle"]
    for i in range(3):
        assert np.array_equal(again[i].numpy(), shuffled(pictures[i], drawn.cells[i], drawn.cell_shift[i]))
        assert out[i].shape == pictures[i].shape and (targets[i]["labels"] == 5).all() and len(targets[i]["boxes"]) >= 1
    clip = images((3, 9, 14), count=8).unflatten(0, (2, 4))
    shown, params = layer(clip, return_params=True)
    drawn = params["RandomGridShuffle"]
    for i in range(2):
        assert np.array_equal(shown[i].numpy(), shuffled(clip[i], drawn.cells[i], drawn.cell_shift[i]))
    x = images((3, 9, 14), count=3)
    views, params = ga.Compose([ga.Repeat(2), ga.RandomGridShuffle(p=1.0)], seed=1)(x, return_params=True)
    drawn = params["RandomGridShuffle"]
    for i in range(6):
        assert np.array_equal(views[i].numpy(), shuffled(x[i % 3], drawn.cells[i], drawn.cell_shift[i]))
    given = torch.rand(2, 1, 7, 9, dtype=torch.float64, requires_grad=True)
    (layer(given) * given.detach()).sum().backward()
    assert given.grad is not None and torch.equal(
        given.grad.flatten(1).sort(1)[0], given.detach().flatten(1).sort(1)[0]
    )


STEPS: dict[str, list[Any]] = {
    "between flips and crops": [
        ga.RandomHorizontalFlip(),
        ga.RandomGridShuffle(p=0.7),
        ga.RandomResizedCrop((9, 12)),
        ga.RandomInvert(),
    ],
    "before a rotation": [ga.RandomGridShuffle((1, 3), p=1.0), ga.RandomRotation(40, fill=60)],
    "chosen": [ga.OneOf([ga.RandomGridShuffle((2, 2), p=1.0), ga.RandomAffine(20), ga.RandomInvert(1.0)], p=1.0)],
}


@pytest.mark.parametrize("name", STEPS)
def test_kernels(name: str) -> None:
    layer = ga.Compose(STEPS[name], seed=5)
    expected, out = rendered(layer, images((3, 9, 14), count=3))
    if out.dtype == torch.uint8 and name != "chosen":
        assert_same(out, expected, share=0.03)
    else:  # a pixel whose centre lies on a seam falls to either side
        assert ((out - expected.float()).abs() > (1 if name == "chosen" else 1e-4)).float().mean() < 0.01


def test_kernels_at_several_sizes() -> None:
    pictures = [images((1, h, w), count=1)[0] for h, w in ((9, 14), (12, 8))]
    for more in ([], [ga.Resize((7, 9)), ga.RandomInvert()]):
        steps = [ga.RandomGridShuffle((1, 2), p=1.0), *more]
        ours, other = (ga.Compose(steps, seed=3, backend=backend)(pictures) for backend in ("triton", "torch"))
        assert all((a.int() - b.int()).abs().max() <= len(more) for a, b in zip(ours, other, strict=True))


def test_one_pass_and_what_is_refused() -> None:
    x = images((3, 13, 18))
    layer = ga.Compose([ga.RandomGridShuffle(p=1.0), ga.RandomHorizontalFlip(), ga.RandomAffine(10), ga.RandomInvert()])
    assert "pass 2" not in layer.explain(x) and "RandomGridShuffle" in layer.explain(x)
    params = layer.sample(x)
    with pytest.raises(ValueError, match="a shuffle of cells is no one map"):
        params.inverse()
    with pytest.raises(
        ValueError, match=r"RandomGridShuffle: grid must be \(rows, columns\), whole numbers from 1, got"
    ):
        ga.RandomGridShuffle((0, 3))
    with pytest.raises(ValueError, match="at most 256 cells"):
        ga.RandomGridShuffle((17, 16))
    assert repr(params[0]).count("order") == 1 and "cells" not in repr(params[0])


def test_a_shuffle_has_no_matrix() -> None:
    params = ga.Compose([ga.RandomGridShuffle(p=1.0)], seed=0).sample(torch.zeros(2, 3, 30, 42))
    with pytest.raises(ValueError, match="a shuffle of cells is no one map, got RandomGridShuffle"):
        _ = params.matrix
