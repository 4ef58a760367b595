"""Annotations move with the pixels: content is the judge, float64 arithmetic and torchvision stand beside it."""

from __future__ import annotations

from typing import Any

import pytest
import torch
from content import H, W, coordinates, read_at
from torch import Tensor
from torchvision import tv_tensors as tvt
from torchvision.transforms import InterpolationMode
from torchvision.transforms.v2 import functional as tv

import gpuaug as ga
from gpuaug.testing import example

MOVES: dict[str, Any] = {
    "horizontal flip": lambda: [ga.RandomHorizontalFlip(p=0.5)],
    "vertical flip": lambda: [ga.RandomVerticalFlip(p=0.5)],
    "rotation": lambda: [ga.RandomRotation(40)],
    "expanded rotation": lambda: [ga.RandomRotation(40, expand=True)],
    "affine": lambda: [ga.RandomAffine(25, (0.1, 0.1), (0.8, 1.3), 12)],
    "perspective": lambda: [ga.RandomPerspective(0.4, p=1.0)],
    "pad": lambda: [ga.Pad((3, 5, 7, 2))],
    "random crop": lambda: [ga.RandomCrop((40, 30))],
    "padded crop": lambda: [ga.RandomCrop((50, 60), padding=6)],
    "centre crop": lambda: [ga.CenterCrop((40, 50))],
    "resize": lambda: [ga.Resize((60, 40))],
    "resized crop": lambda: [ga.RandomResizedCrop((52, 40), scale=(0.4, 1.0))],
    "longest": lambda: [ga.LongestMaxSize(80)],
    "smallest": lambda: [ga.SmallestMaxSize(40)],
    "letterbox": lambda: [ga.LetterBox((60, 60))],
    "shortest size": lambda: [ga.RandomShortestSize([30, 40, 53], max_size=60), ga.RandomHorizontalFlip()],
    "drawn size, rotation": lambda: [ga.RandomResize(30, 60), ga.RandomRotation(15)],
    "zoom out": lambda: [ga.RandomZoomOut(side_range=(1.0, 1.8), p=0.8)],
    "scale jitter": lambda: [ga.ScaleJitter((60, 50), (0.7, 2.0))],
    "safe crop": lambda: [ga.BBoxSafeRandomCrop(0.5)],
    "flip, crop, rotation": lambda: [
        ga.RandomHorizontalFlip(),
        ga.RandomResizedCrop((52, 40), scale=(0.5, 1.0)),
        ga.RandomRotation(20),
    ],
    "affine, letterbox, perspective": lambda: [
        ga.RandomAffine(15, scale=(0.9, 1.2)),
        ga.LetterBox((70, 64)),
        ga.RandomPerspective(0.2, p=1.0),
    ],
    "rotation, resize, flip": lambda: [
        ga.RandomRotation(30),
        ga.Resize((64, 50)),
        ga.RandomVerticalFlip(),
        ga.ColorJitter(hue=0.0),
    ],
}


@pytest.mark.parametrize("small", [0, 10**9], ids=["walk", "definition"])
@pytest.mark.parametrize("name", MOVES)
def test_the_content_at_a_moved_point_is_where_it_came_from(
    name: str, small: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Regressions section 1: mean error below 0.05 px, largest below 0.25 px, and all in view are judged."""
    monkeypatch.setattr("gpuaug.render.backend.SMALL", small)
    generator = torch.Generator().manual_seed(3)
    points = torch.rand((4, 60, 2), generator=generator, dtype=torch.float64) * torch.tensor([W - 4.0, H - 4.0]) + 2
    layer = ga.Compose(MOVES[name](), seed=5, fill=0.0)
    out = layer({"image": coordinates(4), "keypoints": points})
    errors = []
    for image, before, after, seen in zip(out["image"], points, out["keypoints"], out["visible"], strict=True):
        value, ok = read_at(image, after)
        ok = ok & (seen > 0)
        errors.append((value[ok] * 100 - before[ok]).norm(dim=1))
    error = torch.cat(errors)
    assert error.numel() >= 40
    assert error.mean() < 0.05 and error.max() < 0.25


@pytest.mark.parametrize("name", MOVES)
def test_boxes_hold_their_moved_masks(name: str) -> None:
    """Painted rectangles: the box contains the mask to within a pixel; an axis-aligned map leaves no more than one."""
    generator = torch.Generator().manual_seed(1)
    corner = torch.rand((4, 5, 2), generator=generator) * torch.tensor([40.0, 25.0]) + 3
    size = torch.rand((4, 5, 2), generator=generator) * torch.tensor([14.0, 12.0]) + 7
    boxes = torch.cat((corner, corner + size), dim=-1).round()
    masks = torch.zeros(4, 5, H, W, dtype=torch.uint8)
    for b in range(4):
        for n in range(5):
            x0, y0, x1, y1 = boxes[b, n].int().tolist()
            masks[b, n, y0:y1, x0:x1] = 9
    layer = ga.Compose(MOVES[name](), seed=6)
    out = layer({"image": coordinates(4), "boxes": boxes, "masks": masks})
    straight = not any(word in name for word in ("rotation", "affine", "perspective"))
    judged = 0
    for b in range(4):
        for n in range(5):
            mask = out["masks"][b, n]
            assert set(mask.unique().tolist()) <= {0, 9}
            rows, cols = (mask > 0).any(1).nonzero(), (mask > 0).any(0).nonzero()
            if len(rows) < 2 or len(cols) < 2:
                continue
            judged += 1
            found = torch.tensor([cols[0, 0], rows[0, 0], cols[-1, 0] + 1, rows[-1, 0] + 1]).float()
            box = out["boxes"][b, n]
            assert out["valid"][b, n]
            assert (box[:2] <= found[:2] + 1).all() and (box[2:] >= found[2:] - 1).all()
            if straight:
                assert (box - found).abs().max() <= 1.0
    assert judged >= 10


def test_boxes_equal_torchvision() -> None:
    """For the same parameters, to 1e-3 px, where both keep the canvas's frame."""
    boxes = torch.tensor([[[5.0, 6.0, 25.0, 30.0], [30.5, 2.25, 60.0, 40.0], [1.0, 1.0, 4.0, 47.0]]]).repeat(3, 1, 1)
    images = example(3, (3, H, W))

    def theirs(index: int) -> tvt.BoundingBoxes:
        return tvt.BoundingBoxes(boxes[index], format="XYXY", canvas_size=(H, W))

    affine = ga.Compose([ga.RandomAffine(20, scale=(0.8, 1.2), shear=(-8, 8))], seed=1)
    out, params = affine({"image": images, "boxes": boxes}, return_params=True)
    d = params["RandomAffine"]
    for i in range(3):
        expected = tv.affine(theirs(i), d.angle[i].item(), [0, 0], d.scale[i].item(), [d.shear_x[i].item(), 0.0])
        assert (out["boxes"][i] - expected).abs().max() < 1e-3
    crop = ga.Compose([ga.RandomResizedCrop((40, 52), scale=(0.3, 0.8))], seed=2)
    out, params = crop({"image": images, "boxes": boxes}, return_params=True)
    d = params["RandomResizedCrop"]
    for i in range(3):
        place = [int(v[i]) for v in (d.top, d.left, d.height, d.width)]
        expected = tv.clamp_bounding_boxes(tv.resized_crop(theirs(i), *place, [40, 52]))
        assert (out["boxes"][i] - expected).abs().max() < 1e-3
    for ours, function in (
        (ga.RandomHorizontalFlip(1.0), tv.horizontal_flip),
        (ga.RandomVerticalFlip(1.0), tv.vertical_flip),
    ):
        out = ga.Compose([ours], seed=0)({"image": images, "boxes": boxes})
        assert torch.equal(out["boxes"][0], function(theirs(0)).as_subclass(Tensor))


def test_masks_equal_torchvision_and_gain_no_class() -> None:
    """Nearest to the pixel's centre, at any dtype; classes above 2^24 stay exact; nested containers too (2.11)."""
    generator = torch.Generator().manual_seed(0)
    big = torch.randint(2**24, 2**24 + 9, (3, H, W), generator=generator)
    images = example(3, (3, H, W))
    layer = ga.Compose(
        [ga.RandomApply([ga.RandomAffine(30, (0.1, 0.1), (0.7, 1.3))], p=0.8), ga.Resize((60, 50))], seed=1
    )
    out = layer({"image": images, "mask": big})["mask"]
    assert out.dtype == torch.int64 and set(out.unique().tolist()) <= {0, *big.unique().tolist()}
    rotation = ga.Compose([ga.RandomRotation(40)], seed=1)
    mask = torch.tensor([0, 7, 255], dtype=torch.uint8)[torch.randint(0, 3, (3, 6, 11), generator=generator)]
    mask = mask.repeat_interleave(8, 1).repeat_interleave(6, 2)
    out, params = rotation({"image": images, "mask": mask}, return_params=True)
    for i in range(3):
        expected = tv.rotate(mask[i][None], params["RandomRotation"].angle[i].item())[0]
        assert (out["mask"][i] != expected).double().mean() < 0.002
    assert set(out["mask"].unique().tolist()) <= {0, 7, 255}
    resized = ga.Compose([ga.Resize((32, 44))])({"image": images, "mask": mask})["mask"]
    assert torch.equal(resized, tv.resize(mask, [32, 44], InterpolationMode.NEAREST_EXACT))


LATTICE: dict[str, Any] = {
    "quarter turns": lambda: ga.RandomRotate90(p=1.0),
    "symmetries": lambda: ga.SquareSymmetry(),
    "transpose": lambda: ga.RandomTranspose(p=1.0),
}


@pytest.mark.parametrize("name", LATTICE)
def test_lattice_maps_are_exact_for_every_target(name: str) -> None:
    """The pixel under a keypoint is the same pixel: image, mask, boxes and points by the same integers."""
    images = torch.arange(8 * 30 * 30, dtype=torch.float32).view(8, 1, 30, 30) / 7200
    pixel = torch.tensor([[3, 20], [28, 1], [0, 29]])  # x, y
    points = (pixel + 0.5).float().expand(8, 3, 2)
    boxes = torch.cat((pixel, pixel + 1), dim=1).float().expand(8, 3, 4)
    layer = ga.Compose([LATTICE[name]()], seed=3)
    out = layer({"image": images, "mask": images[:, 0], "keypoints": points[:, :, None], "boxes": boxes})
    for b in range(8):
        for n in range(3):
            x, y = (out["keypoints"][b, n, 0] - 0.5).tolist()
            assert x == int(x) and y == int(y)
            before = images[b, 0, pixel[n, 1], pixel[n, 0]]
            assert out["image"][b, 0, int(y), int(x)] == before == out["mask"][b, int(y), int(x)]
            assert out["boxes"][b, n].tolist() == [x, y, x + 1, y + 1]


def test_back_and_forth_inflates_no_box() -> None:
    """+15, -15, +15 is one rotation for a box, not three."""
    boxes = torch.tensor([[[20.0, 15.0, 44.0, 30.0]]])
    data = {"image": coordinates(1), "boxes": boxes}
    thrice = ga.Compose([ga.RandomRotation((a, a)) for a in (15, -15, 15)])(data)["boxes"]
    once = ga.Compose([ga.RandomRotation((15, 15))])(data)["boxes"]
    assert (thrice - once).abs().max() < 1e-4
    back = ga.Compose([ga.RandomRotation((a, a)) for a in (15, -15)])(data)["boxes"]
    assert (back - boxes).abs().max() < 1e-4


def test_what_a_crop_removed_stays_removed() -> None:
    """Objects and points outside a crop are not seen again after a zoom out."""
    boxes = torch.tensor([[[1.0, 1.0, 9.0, 9.0], [28.0, 20.0, 38.0, 28.0], [0.0, 20.0, 30.0, 28.0]]])
    points = torch.tensor([[[5.0, 5.0], [33.0, 24.0]]])
    layer = ga.Compose([ga.CenterCrop((20, 26)), ga.RandomAffine((0, 0), scale=(0.5, 0.5))], seed=0)
    out = layer({"image": coordinates(1), "boxes": boxes, "keypoints": points[:, :1].expand(1, 3, 2)[:, :, None]})
    assert out["valid"].tolist() == [[False, True, True]]
    seen = layer({"image": coordinates(1), "keypoints": points})["visible"]
    assert (seen > 0).tolist() == [[False, True]]
    width = out["boxes"][0, 2, 2] - out["boxes"][0, 2, 0]
    assert abs(width - 10 / 2) < 1e-4  # of 0..30 the crop leaves 20..30
