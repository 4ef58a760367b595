"""Annotations under what is erased: masks filled and keypoints lost there, at any place of a pipeline."""

from __future__ import annotations

from typing import Any

import pytest
import torch
from content import H, W, coordinates
from torch import Tensor
from torchvision.transforms.v2 import functional as tv

import gpuaug as ga
from gpuaug.functional.occlude import rectangles
from gpuaug.testing import annotated, example

OCCLUDERS: dict[str, Any] = {
    "erasing": lambda **more: ga.RandomErasing(p=0.6, max_count=3, value=0.0, **more),
    "coarse": lambda **more: ga.CoarseDropout((5, 9), p=0.6, **more),
    "grid": lambda **more: ga.GridDropout(0.4, unit_size_range=(6, 9), p=0.6, **more),
    "on boxes": lambda **more: ga.ConstrainedCoarseDropout((1, 3), (0.3, 0.7), (0.2, 0.9), p=0.6, **more),
}


def grid_of_points(step: int = 2) -> Tensor:
    """Return the centres of every other pixel, (N, 2)."""
    y, x = torch.meshgrid(torch.arange(0, H, step) + 0.5, torch.arange(0, W, step) + 0.5, indexing="ij")
    return torch.stack((x, y), dim=-1).flatten(0, 1)


def data(batch: int) -> dict[str, Any]:
    """Images of ones, so that what is erased is zero, with all targets; a point on every other pixel of one row."""
    plain = annotated(torch.ones(batch, 1, H, W))
    plain["mask"] = plain["mask"] + 1
    points = grid_of_points()
    return {
        **plain,
        "masks": torch.full((batch, 4, H, W), 3, dtype=torch.uint8),
        "keypoints": points.expand(batch, 4, *points.shape),
    }


def at(image: Tensor, points: Tensor) -> Tensor:
    """Return the pixels (N,) of (H, W) at points (N, 2) within it."""
    return image[points[:, 1].long(), points[:, 0].long()]


@pytest.mark.parametrize("name", OCCLUDERS)
def test_masks_and_points_follow_what_is_erased(name: str) -> None:
    """Exactly where pixels were replaced, in the samples that the gate lets through; boxes stay."""
    given = data(12)
    layer = ga.Compose([OCCLUDERS[name](fill_mask=9, hide_keypoints=True)], seed=1)
    out, params = layer(given, return_params=True)
    erased = out["image"][:, 0] == 0
    assert torch.equal(erased.flatten(1).any(1), next(iter(params.values.values()))["gate"])
    assert 2 < erased.flatten(1).any(1).sum() < 12
    assert torch.equal(out["mask"], torch.where(erased, torch.full_like(given["mask"], 9), given["mask"]))
    assert torch.equal(out["masks"], given["masks"] * ~erased[:, None])
    for b in range(12):
        hidden = at(erased[b], given["keypoints"][b, 0])
        assert torch.equal(out["visible"][b], torch.where(hidden, 0, 2).expand(4, -1))
    assert torch.equal(out["boxes"], given["boxes"]) and torch.equal(out["keypoints"], given["keypoints"])
    assert torch.equal(out["valid"], given["valid"])


@pytest.mark.parametrize("name", OCCLUDERS)
def test_annotations_stay_unless_asked(name: str) -> None:
    given = data(6)
    out = ga.Compose([OCCLUDERS[name]()], seed=1)(given)
    assert all(out[k] is given[k] or torch.equal(out[k], given[k]) for k in given if k != "image")
    only_masks = ga.Compose([OCCLUDERS[name](fill_mask=9)], seed=1)(given)
    only_points = ga.Compose([OCCLUDERS[name](hide_keypoints=True)], seed=1)(given)
    assert (only_masks["mask"] == 9).any() and (only_points["visible"] == 0).any()
    assert "visible" not in only_masks and torch.equal(only_points["mask"], given["mask"])


GEOMETRY: dict[str, Any] = {
    "before a flip": ([], [ga.RandomHorizontalFlip(1.0)]),
    "after a flip and a resize": ([ga.RandomVerticalFlip(1.0), ga.Resize((2 * H, W))], []),
    "between": ([ga.CenterCrop((40, 50))], [ga.RandomHorizontalFlip(1.0), ga.CenterCrop((36, 44))]),
}


@pytest.mark.parametrize("name", GEOMETRY)
def test_exactly_where_the_image_shows_it(name: str) -> None:
    """Lattice maps around it: pixel by pixel."""
    before, after = GEOMETRY[name]
    given = data(8)
    steps = [*before, ga.CoarseDropout((2, 4), fill_mask=9, hide_keypoints=True, p=1.0), *after]
    out = ga.Compose(steps, seed=3)(given)
    erased = out["image"][:, 0] == 0
    plain = ga.Compose([*before, *after], seed=3)(given)
    assert erased.flatten(1).any(1).all()
    assert torch.equal(out["mask"], torch.where(erased, torch.full_like(plain["mask"], 9), plain["mask"]))
    assert torch.equal(out["masks"], plain["masks"] * ~erased[:, None])
    assert torch.equal(out["boxes"], plain["boxes"]) and torch.equal(out["keypoints"], plain["keypoints"])
    for b in range(8):
        seen = plain["visible"][b, 0] > 0
        hidden = at(erased[b], out["keypoints"][b, 0][seen])
        assert torch.equal(out["visible"][b, 0][seen], torch.where(hidden, 0, 2)) and hidden.any()
        assert (out["visible"][b, 0][~seen] == 0).all()


def test_erased_then_rotated() -> None:
    """The filled region moves on as torchvision rotates the filled mask; points are hidden where they were erased."""
    given = data(4)
    layer = ga.Compose(
        [
            ga.RandomErasing(p=1.0, fill_mask=9, hide_keypoints=True),
            ga.RandomRotation((20, 20)),
            ga.RandomRotation((5, 5)),
        ],
        seed=2,
        fill={"image": 0, "mask": 255},
    )
    out, params = layer(given, return_params=True)
    for b in range(4):
        top, left, h, w = params["RandomErasing"].boxes[b, 0].tolist()
        filled = given["mask"][b].clone()
        filled[top : top + h, left : left + w] = 9
        expected = tv.rotate(filled[None], 25.0, fill=255)[0]
        assert (out["mask"][b] != expected).double().mean() < 0.003
        x, y = given["keypoints"][b, 0].unbind(-1)
        covered = (x >= left) & (x < left + w) & (y >= top) & (y < top + h)
        turned = ga.Compose([ga.RandomRotation((25, 25))])(given)
        assert torch.equal(out["visible"][b, 0] > 0, (turned["visible"][b, 0] > 0) & ~covered)
        assert (out["keypoints"][b, 0] - turned["keypoints"][b, 0]).abs().max() < 1e-3
        assert (out["boxes"][b] - turned["boxes"][b]).abs().max() < 1e-3
    assert set(out["mask"].unique().tolist()) <= {1, 2, 3, 9, 255}


def test_what_is_seen_later_is_the_filled_mask() -> None:
    """A crop about the mask finds nothing where it was erased, also in a second fill."""
    mask = torch.zeros(30, H, W, dtype=torch.int64)
    mask[:, 5:9, 5:9], mask[:, 40:44, 50:60] = 1, 1
    boxes = torch.tensor([[[5.0, 5.0, 9.0, 9.0]]]).expand(30, 1, 4)
    steps = [
        ga.ConstrainedCoarseDropout((1, 1), (1.0, 1.0), (1.0, 1.0), fill_mask=0, p=1.0),
        ga.RandomHorizontalFlip(1.0),
        ga.CropNonEmptyMaskIfExists(6, 8),
    ]
    given = {"image": example(30, (1, H, W)), "mask": mask, "boxes": boxes}
    for chain in (steps, steps[::2]):
        out, params = ga.Compose(chain, seed=0)(given, return_params=True)
        assert (params["CropNonEmptyMaskIfExists"].top > 30).all() and (out["mask"] == 1).flatten(1).any(1).all()


def test_dropout_on_boxes_lies_in_them() -> None:
    """Of the drawn number and sizes, on the boxes of the labels only, whole pixels within the box."""
    generator = torch.Generator().manual_seed(0)
    corner = torch.rand((200, 3, 2), generator=generator) * torch.tensor([40.0, 25.0])
    boxes = torch.cat((corner, corner + 6 + 14 * torch.rand((200, 3, 2), generator=generator)), dim=-1)
    labels, valid = torch.tensor([4, 7, 4]).expand(200, 3), torch.tensor([True, True, False]).expand(200, 3)
    given = {"image": torch.ones(200, 1, H, W), "boxes": boxes, "labels": labels, "valid": valid}
    layer = ga.ConstrainedCoarseDropout((2, 4), (0.25, 0.75), (0.5, 1.0), bbox_labels=[4, 5], p=1.0)
    layer.reseed(0)
    p = layer.sample(given)["ConstrainedCoarseDropout"]
    holes = p.boxes.view(200, 3, 4, 4)
    assert (holes[:, 1:] == 0).all() and set(p.count.tolist()) == {2, 3, 4}
    there = (holes[:, 0, :, 2:] > 0).all(-1)
    assert torch.equal(there.sum(1), p.count.long())
    size = (boxes[:, 0, 2:] - boxes[:, 0, :2])[:, None].flip(-1)
    share = (holes[:, 0, :, 2:] / size)[there]
    assert (share <= torch.tensor([0.75, 1.0])).all() and share[:, 0].max() > 0.65 and share[:, 1].max() > 0.85
    assert ((share + 2 / 6) >= torch.tensor([0.25, 0.5])).all() and share[:, 0].min() < 0.35
    low, high = boxes[:, 0, None, :2].flip(-1), boxes[:, 0, None, 2:].flip(-1)
    start, stop = holes[:, 0, :, :2], holes[:, 0, :, :2] + holes[:, 0, :, 2:]
    assert ((start >= low) & (stop <= high)).all(-1)[there].all()
    ends = torch.tensor([[[10.0, 8.0, 16.0, 20.0]]]).expand(400, 1, 4)
    few = ga.ConstrainedCoarseDropout(hole_height_range=(0.5, 0.5), hole_width_range=(0.5, 0.5), p=1.0)
    few.reseed(0)
    drawn = few.sample({"image": torch.ones(400, 1, H, W), "boxes": ends})["ConstrainedCoarseDropout"].boxes[:, 0]
    assert set(drawn[:, 0].tolist()) == set(range(8, 15)) and set(drawn[:, 1].tolist()) == set(range(10, 14))
    assert (drawn[:, 2:] == torch.tensor([6, 3])).all()
    assert torch.equal(
        layer({"image": given["image"], "boxes": boxes[:, :0], "labels": labels[:, :0]})["image"], given["image"]
    )
    with pytest.raises(
        TypeError, match="ConstrainedCoarseDropout: bbox_labels needs labels beside the boxes, got none"
    ):
        layer({"image": given["image"], "boxes": boxes})


def test_dropout_on_regions_lies_about_their_pixels() -> None:
    """About a pixel of the class, each as likely, of a share of the root of its area; absent classes have none."""
    mask = torch.zeros(600, H, W, dtype=torch.uint8)
    mask[:, 10:20, 30:40] = 2  # a side of 10
    mask[:, 40, 5:9] = 6
    given = {"image": torch.ones(600, 1, H, W), "mask": mask}
    layer = ga.ConstrainedCoarseDropout((1, 2), (0.5, 0.5), (0.3, 0.3), mask_indices=[2, 3, 6], p=1.0)
    layer.reseed(0)
    p = layer.sample(given)["ConstrainedCoarseDropout"]
    two, three, six = p.boxes.view(600, 3, 2, 4).unbind(1)
    assert (three == 0).all() and set(p.count.tolist()) == {1, 2}
    assert torch.equal((two[:, 1] > 0).all(-1), p.count == 2)
    first = two[:, 0]
    assert (first[:, 2:] == torch.tensor([5, 3])).all()
    middle = first[:, :2] + torch.tensor([2, 1])
    assert set(middle[:, 0].tolist()) == set(range(10, 20)) and set(middle[:, 1].tolist()) == set(range(30, 40))
    assert (six[:, 0, 2:] == 1).all() and set(six[:, 0, 1].tolist()) == {5, 6, 7, 8} and (six[:, 0, 0] == 40).all()
    out = layer.replay(given, layer.sample(given))["image"]
    assert (out == 0).flatten(1).any(1).all()
    assert torch.equal(layer({"image": given["image"]})["image"], given["image"])  # no mask: nothing to cover


@pytest.mark.parametrize("count", [0, 1, 6, 7, 40])
def test_rectangles_are_covered_however_many(count: int) -> None:
    """Few are compared with each pixel, many summed: against slices, over the border and empty ones too."""
    generator = torch.Generator().manual_seed(count)
    corner = torch.randint(-4, 20, (3, count, 2), generator=generator)
    boxes = torch.cat((corner, torch.randint(0, 9, (3, count, 2), generator=generator)), dim=-1)
    expected = torch.zeros(3, 17, 23, dtype=torch.bool)
    for b in range(3):
        for top, left, h, w in boxes[b].tolist():
            expected[b, max(top, 0) : max(top + h, 0), max(left, 0) : max(left + w, 0)] = True
    assert torch.equal(rectangles(boxes, 17, 23), expected)


def test_bands_that_are_limited_need_none_of_the_mask() -> None:
    """A transform of three bands beside a mask of one; the hole is filled in the mask all the same."""
    steps = [
        ga.CoarseDropout((1, 1), fill_mask=4, p=1.0, channels=(1, 2)),
        ga.SelectiveChannelTransform(ga.RandomInvert(p=0.0), (1, 2)),
        ga.RandomHorizontalFlip(1.0),
    ]
    images = torch.ones(3, 3, H, W)
    out = ga.Compose(steps, seed=0)({"image": images, "mask": torch.zeros(3, H, W)})
    assert (out["image"][:, 0] == 1).all() and torch.equal(out["image"][:, 1] == 0, out["mask"] == 4)
    assert (out["mask"] == 4).flatten(1).any(1).all()


def test_further_masks_points_that_are_nowhere_and_unfused() -> None:
    """Keys of role mask are filled, dense ones not; NaN points are not seen; fused or not it is the same."""
    ids = torch.arange(H * W).view(1, H, W).repeat(3, 1, 1) + 2**25
    points = torch.tensor([[torch.nan, 4.0], [W, H], [-3.0, 5.0], [20.5, 20.5]]).expand(3, 4, 2)
    given = {"image": torch.ones(3, 1, H, W), "ids": ids, "depth": coordinates(3)[:, :1], "keypoints": points}
    outs = []
    for fuse in (True, False):
        layer = ga.Compose(
            [
                ga.RandomHorizontalFlip(1.0),
                ga.RandomErasing(p=1.0, scale=(0.3, 0.3), fill_mask=7, hide_keypoints=True),
                ga.RandomVerticalFlip(1.0),
                ga.CoarseDropout((1, 1), fill_mask=7, p=1.0),
            ],
            seed=0,
            fuse=fuse,
            roles={"ids": "mask", "depth": "dense"},
        )
        outs.append(layer(given))
    out, other = outs
    assert all(torch.equal(out[k].nan_to_num(), other[k].nan_to_num()) for k in out)
    erased = out["image"][:, 0] == 0
    assert torch.equal(out["ids"], torch.where(erased, 7, ids.flip(1, 2))) and erased.any()
    assert (out["depth"] - given["depth"].flip(2, 3)).abs().max() < 1e-12
    assert (out["visible"][:, [0, 2]] == 0).all() and (out["visible"][:, 1] == 2).all()


def test_fill_mask_is_a_number() -> None:
    with pytest.raises(TypeError, match="RandomErasing: fill_mask must be a number or None, got 'black'"):
        ga.RandomErasing(fill_mask="black")  # type: ignore[arg-type]  # what the test is about
