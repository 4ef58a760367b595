"""Rotated boxes, boxes of masks and points, where small wrong changes to the library were left unseen."""

from __future__ import annotations

from typing import Any

import pytest
import torch
from content import H, W, coordinates, read_at
from torch import Tensor

import gpuaug as ga

ROTATED = ga.BboxParams(format="cxcywhr")


def turned(batch: int, count: int) -> Tensor:
    """Rotated boxes (batch, count, 5) within the image, of centres all over it."""
    generator = torch.Generator().manual_seed(0)
    u = torch.rand((batch, count, 5), generator=generator)
    return u * torch.tensor([W - 24.0, H - 24.0, 6.0, 4.0, 360.0]) + torch.tensor([12.0, 12.0, 8.0, 4.0, 0.0])


def test_a_crop_by_overlap_takes_rotated_boxes_by_their_centres() -> None:
    boxes = turned(30, 12)
    layer = ga.Compose([ga.RandomHorizontalFlip(p=1.0), ga.RandomIoUCrop()], bbox_params=ROTATED, seed=2)
    out, params = layer({"image": torch.zeros(30, 1, H, W), "boxes": boxes}, return_params=True)
    p = params["RandomIoUCrop"]
    assert p.cropped.any()
    x, y = W - boxes[..., 0], boxes[..., 1]
    left, top = p.left[:, None], p.top[:, None]
    inside = (x > left) & (x < left + p.width[:, None]) & (y > top) & (y < top + p.height[:, None])
    assert torch.equal(out["valid"], inside | ~p.cropped[:, None]) and not out["valid"].all()


def test_a_gate_leaves_rotated_boxes_unclamped() -> None:
    """Exactly as they were; the others are cut at the image."""
    box = torch.tensor([[[2.0, 20.0, 16.0, 8.0, 30.0]]]).expand(8, 1, 5)
    layer = ga.Compose([ga.RandomApply([ga.ClampBoundingBoxes("soft")], p=0.5)], bbox_params=ROTATED, seed=1)
    out, params = layer({"image": torch.zeros(8, 1, H, W), "boxes": box}, return_params=True)
    on = next(iter(params.values.values()))["gate"]
    assert 0 < on.sum() < 8
    assert (out["boxes"][~on] - box[~on]).abs().max() < 1e-3
    assert (out["boxes"][on][..., 2] < 14).all()


def test_rotated_boxes_are_judged_at_their_place_by_what_is_in_view() -> None:
    """Sides as they are after the map before; the area is that of the polygon within the canvas."""
    boxes = torch.tensor([[[30.0, 20, 10, 5, 30], [30.0, 20, 10, 7, 30], [0.0, 24, 20, 8, 0]]])
    given = {"image": torch.zeros(1, 1, H, W), "boxes": boxes}
    double, half = ga.Resize((2 * H, 2 * W)), ga.Resize((H, W))
    for steps, kept in (
        ([ga.SanitizeBoundingBoxes(6)], [False, True, True]),
        ([double, ga.SanitizeBoundingBoxes(12), half], [False, True, True]),
        ([double, ga.SanitizeBoundingBoxes(9), half], [True, True, True]),
        ([ga.SanitizeBoundingBoxes(min_area=60)], [False, True, True]),
        ([ga.SanitizeBoundingBoxes(min_area=75)], [False, False, True]),  # half of 160 is in view
        ([ga.SanitizeBoundingBoxes(min_area=85)], [False, False, False]),
    ):
        assert ga.Compose(steps, bbox_params=ROTATED)(given)["valid"].tolist() == [kept], steps


def test_points_and_visibility_end_at_the_output_behind_a_clamp() -> None:
    """A clamp as the last step treats boxes only: the canvas still cuts."""
    given = {
        "image": torch.zeros(1, 1, H, W),
        "boxes": torch.tensor([[[2.0, 20.0, 16.0, 8.0, 0.0], [40.0, 20, 10, 8, 0]]]),
        "keypoints": torch.tensor([[[[4.0, 20.0], [20.0, 20.0]], [[40.0, 20], [41, 21]]]]),
    }
    move = ga.RandomAffine((0, 0), (0, 0), (2.0, 2.0))
    plain = ga.Compose([move], bbox_params=ga.BboxParams(format="cxcywhr", min_visibility=0.5))(given)
    clamp = ga.Compose(
        [move, ga.ClampBoundingBoxes("soft")], bbox_params=ga.BboxParams(format="cxcywhr", min_visibility=0.5)
    )(given)
    assert torch.equal(clamp["valid"], plain["valid"]) and plain["valid"].tolist() == [[False, True]]
    assert torch.equal(clamp["visible"], plain["visible"]) and plain["visible"][0, 0].tolist() == [0, 2]


def test_points_through_a_map_that_waits_before_a_field() -> None:
    """An affine map of the whole canvas, then a spline: the content under each point is where it came from."""
    points = torch.rand((3, 60, 2), generator=torch.Generator().manual_seed(1), dtype=torch.float64)
    points = points * torch.tensor([W - 20.0, H - 20.0]) + 10
    steps = [ga.RandomAffine(15, scale=(0.9, 1.1)), ga.ThinPlateSpline((0.02, 0.03), p=1.0)]
    layer = ga.Compose(steps, seed=3, antialias=False)
    out = layer({"image": coordinates(3), "keypoints": points})
    for b in range(3):
        value, ok = read_at(out["image"][b], out["keypoints"][b])
        ok = ok & (out["visible"][b] > 0)
        assert ok.sum() > 20 and (value[ok] * 100 - points[b][ok]).norm(dim=1).max() < 0.25


def test_hiding_points_touches_no_box() -> None:
    """Boxes over the border and of no size come back as they are, with their marks."""
    boxes = torch.tensor([[[-5.0, 4, 20, 90], [8, 8, 8, 8]]]).expand(2, 2, 4)
    given = {"image": torch.ones(2, 1, H, W), "boxes": boxes, "keypoints": torch.full((2, 2, 1, 2), 20.0)}
    out = ga.Compose([ga.RandomErasing(p=1.0, scale=(0.9, 0.9), hide_keypoints=True)])(given)
    assert torch.equal(out["boxes"], boxes) and out["valid"].all()


def test_boxes_of_masks_of_several_sizes() -> None:
    """Around the pixels of each mask in its own canvas; visibility of them needs one size."""
    sizes = [(40, 56), (60, 44)]
    masks = [torch.zeros(2, *size, dtype=torch.uint8) for size in sizes]
    masks[0][0, 5:15, 7:20], masks[0][1, 30:39, 50:56] = 1, 1
    masks[1][0, 50:58, 1:9], masks[1][1, 2:4, 40:43] = 1, 1
    expected = torch.tensor([[[7.0, 5, 20, 15], [50, 30, 56, 39]], [[1, 50, 9, 58], [40, 2, 43, 4]]])
    given: dict[str, Any] = {
        "image": [torch.zeros(1, *size) for size in sizes],
        "masks": ga.Ragged.pack(masks),
        "boxes": expected + torch.tensor([-1.0, -1, 1, 1]),
    }
    out = ga.Compose([ga.RandomHorizontalFlip(p=1.0)], bbox_params=ga.BboxParams(rotate_method="mask"))(given)
    width = torch.tensor([56.0, 44.0])[:, None]
    flipped = torch.stack((width - expected[..., 2], expected[..., 1], width - expected[..., 0], expected[..., 3]), -1)
    assert torch.equal(out["boxes"], flipped) and out["valid"].all()
    few = ga.Compose([ga.RandomHorizontalFlip(p=1.0)], bbox_params=ga.BboxParams(rotate_method="mask", min_area=50))(
        given
    )
    assert few["valid"].tolist() == [[True, True], [True, False]]
    settings = ga.BboxParams(rotate_method="mask", min_visibility=0.5)
    with pytest.raises(ValueError, match="Compose: rotate_method='mask' with min_visibility needs images of one size"):
        ga.Compose([ga.RandomHorizontalFlip(p=1.0)], bbox_params=settings)(given)


def test_a_dense_map_shows_its_own_fill() -> None:
    """In its own unit, whatever the image's range is."""
    layer = ga.Compose([ga.Pad(2)], roles={"depth": "dense"}, fill={"depth": 100})
    for dtype in (torch.uint8, torch.float32, torch.uint16):
        depth = torch.full((2, H, W), 7, dtype=dtype)
        out = layer({"image": torch.zeros(2, 1, H, W), "depth": depth})["depth"]
        assert out.dtype == dtype and (out[:, :2] == 100).all() and (out[:, 2:-2, 2:-2] == 7).all()


def test_what_a_crop_cut_away_counts_no_more_behind_a_pad() -> None:
    """Half of a rotated box is lost to the crop; the pad brings back its place, not its pixels."""
    given = {"image": torch.zeros(1, 1, H, W), "boxes": torch.tensor([[[13.0, 24, 20, 8, 0], [33.0, 24, 20, 8, 0]]])}
    steps = [ga.CenterCrop((H, W - 26)), ga.Pad((13, 0)), ga.SanitizeBoundingBoxes(min_area=120)]
    assert ga.Compose(steps, bbox_params=ROTATED)(given)["valid"].tolist() == [[False, True]]
