"""Annotations move with the pixels: content is the judge, float64 arithmetic and torchvision stand beside it."""

from __future__ import annotations

from typing import Any

import pytest
import torch
from torch import Tensor
from torchvision import tv_tensors as tvt
from torchvision.transforms import InterpolationMode
from torchvision.transforms.v2 import functional as tv

import gpuaug as ga
from gpuaug.testing import example

H, W = 48, 66

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


def coordinates(batch: int, h: int = H, w: int = W) -> Tensor:
    """Images (B, 3, h, w) float64 of the position of each pixel's centre, in hundreds of pixels, and of ones."""
    y, x = torch.meshgrid(torch.arange(h) + 0.5, torch.arange(w) + 0.5, indexing="ij")
    return torch.stack((x / 100, y / 100, torch.ones_like(x))).double().expand(batch, -1, -1, -1)


def read_at(image: Tensor, points: Tensor) -> tuple[Tensor, Tensor]:
    """Return the values (N, C) read bilinearly at points (N, 2), and where all four taps are inside and no fill."""
    h, w = image.shape[1:]
    place = points - 0.5
    corner = place.floor().long()
    fraction = place - corner
    ok = (corner >= 0).all(1) & (corner[:, 0] < w - 1) & (corner[:, 1] < h - 1)
    x, y = corner[:, 0].clamp(0, w - 2), corner[:, 1].clamp(0, h - 2)
    taps = [(image[:, y + j, x + i], (i, j)) for j in (0, 1) for i in (0, 1)]
    value = torch.zeros_like(taps[0][0])
    for tap, (i, j) in taps:
        wx = fraction[:, 0] if i else 1 - fraction[:, 0]
        wy = fraction[:, 1] if j else 1 - fraction[:, 1]
        value = value + tap * wx * wy
        ok = ok & (tap[2] > 1 - 1e-9)  # no fill is blended in
    return value[:2].T, ok


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


def test_filters() -> None:
    """Against the original area, over a chain of crops (Albumentations A #1322, #875)."""
    boxes = torch.tensor([[[0.0, 0.0, 40.0, 20.0], [20.0, 10.0, 30.0, 20.0], [5.0, 5.0, 5.0, 15.0]]])
    data = {"image": torch.zeros(1, 1, 40, 80), "boxes": boxes, "labels": torch.tensor([[4, 5, 6]])}
    chain = [ga.CenterCrop((40, 60)), ga.CenterCrop((40, 40))]  # cuts x < 10, then x < 20
    for least, expected in ((0.0, [True, True, False]), (0.45, [True, True, False]), (0.55, [False, True, False])):
        layer = ga.Compose(chain, bbox_params=ga.BboxParams(min_visibility=least))
        out = layer(data)
        assert out["valid"].tolist() == [expected] and torch.equal(out["labels"], data["labels"])
    whole = ga.Compose([ga.RandomHorizontalFlip(1.0)], bbox_params=ga.BboxParams(min_visibility=1.0))(data)
    assert whole["valid"].tolist() == [[True, True, False]]
    for params, expected in (
        (ga.BboxParams(min_area=101), [True, False, False]),
        (ga.BboxParams(min_size=11), [True, False, False]),
        (ga.BboxParams(max_aspect=1.5), [False, True, False]),
    ):
        out = ga.Compose([ga.RandomHorizontalFlip(1.0)], bbox_params=params)(data)
        assert out["valid"].tolist() == [expected]


def test_max_objects_keeps_rows_together() -> None:
    boxes = torch.tensor([[[1.0, 1, 3, 3], [40, 20, 44, 26], [2, 2, 4, 4], [30, 18, 36, 24]]])
    data = {
        "image": coordinates(1),
        "boxes": boxes,
        "labels": torch.tensor([[10, 11, 12, 13]]),
        "masks": torch.arange(4).view(1, 4, 1, 1).expand(1, 4, H, W) + 1,
        "keypoints": boxes[:, :, None, :2],
    }
    for most, labels, valid in (
        (3, [11, 13, 10], [True, True, False]),
        (6, [11, 13, 10, 12, 0, 0], [True] * 2 + [False] * 4),
    ):
        layer = ga.Compose([ga.CenterCrop((24, 30))], bbox_params=ga.BboxParams(max_objects=most))
        out = layer(data)
        assert out["labels"].tolist() == [labels] and out["valid"].tolist() == [valid]
        assert out["boxes"].shape == (1, most, 4) and out["keypoints"].shape == (1, most, 1, 2)
        for row, label in enumerate(labels[:2]):
            assert out["masks"][0, row].max() == label - 9


def test_mirrors_exchange_left_and_right() -> None:
    """Exactly where the map's determinant is negative; twice is the identity (regressions 2.12)."""
    points = torch.tensor([[10.0, 5.0], [20.0, 6.0], [30.0, 7.0]]).expand(8, 3, 2)
    visible = torch.tensor([[2, 1, 2]]).expand(8, 3)
    data = {"image": coordinates(8), "keypoints": points, "visible": visible}
    for pairs in ([(0, 1)], [1, 0, 2]):
        settings = ga.KeypointParams(flip_pairs=pairs)
        layer = ga.Compose([ga.RandomHorizontalFlip(), ga.RandomVerticalFlip()], seed=1, keypoint_params=settings)
        out, params = layer(data, return_params=True)
        flips = params["RandomHorizontalFlip"].gate, params["RandomVerticalFlip"].gate
        assert len({(bool(a), bool(b)) for a, b in zip(*flips, strict=True)}) >= 3
        for i in range(8):
            expected = points[i].clone()
            if flips[0][i]:
                expected[:, 0] = W - expected[:, 0]
            if flips[1][i]:
                expected[:, 1] = H - expected[:, 1]
            seen = visible[i]
            if flips[0][i] != flips[1][i]:
                expected, seen = expected[[1, 0, 2]], seen[[1, 0, 2]]
            assert torch.equal(out["keypoints"][i], expected) and torch.equal(out["visible"][i], seen)
        twice = ga.Compose([ga.RandomHorizontalFlip(1.0)] * 1, keypoint_params=settings)
        again = twice(twice(data))
        assert torch.equal(again["keypoints"], points) and torch.equal(again["visible"], visible)
    rows = {
        "image": coordinates(2),
        "boxes": torch.ones(2, 3, 4) * torch.tensor([1, 1, 9, 9]),
        "labels": torch.tensor([[2, 3, 5]] * 2),
    }
    mirrored = ga.Compose([ga.RandomHorizontalFlip(1.0)], mirror_labels={2: 3})(rows)
    assert mirrored["labels"].tolist() == [[3, 2, 5]] * 2
    turned = ga.Compose([ga.RandomRotation((30, 30))], mirror_labels={2: 3})(rows)
    assert turned["labels"].tolist() == [[2, 3, 5]] * 2


def test_ellipses_are_boxed_exactly() -> None:
    """Against the extremes of 20,000 points of the ellipse, for affine maps and homographies."""
    boxes = torch.tensor([[[12.0, 10.0, 40.0, 26.0]]], dtype=torch.float64)
    t = torch.linspace(0, 2 * torch.pi, 20001, dtype=torch.float64)
    ring = torch.stack((26 + 14 * torch.cos(t), 18 + 8 * torch.sin(t)), dim=1)[None]
    for steps in ([ga.RandomRotation((33, 33))], [ga.RandomPerspective(0.3, p=1.0)]):
        layer = ga.Compose(steps, seed=1, bbox_params=ga.BboxParams(rotate_method="ellipse"))
        out, params = layer({"image": coordinates(1), "boxes": boxes}, return_params=True)
        h = torch.cat((ring[0], torch.ones(20001, 1, dtype=torch.float64)), dim=1) @ params.matrix[0].T
        moved = h[:, :2] / h[:, 2:]
        expected = torch.cat((moved.amin(0), moved.amax(0)))
        assert (out["boxes"][0, 0] - expected).abs().max() < 1e-4


def test_nothing_is_lost_at_the_edges() -> None:
    """NaN keypoints, zero-area boxes, boxes a little outside, empty rows, points on the border (A #1500)."""
    data = {
        "image": coordinates(2),
        "boxes": torch.tensor([[[-1e-3, 0, W + 1e-3, H], [5, 5, 5, 5]], [[1, 1, 2, 2], [0, 0, 0, 0]]]),
        "keypoints": torch.tensor([[[[0.0, 0.0], [W, H]], [[torch.nan, 3.0], [W + 1.0, 2.0]]]]).repeat(2, 1, 1, 1),
        "valid": torch.tensor([[True, True], [False, False]]),
    }
    out = ga.Compose([ga.RandomHorizontalFlip(1.0), ga.RandomVerticalFlip(1.0)])(data)
    assert out["valid"].tolist() == [[True, False], [False, False]]
    assert (out["visible"] > 0).tolist() == [[[True, True], [False, False]]] * 2
    empty = {
        "image": coordinates(2),
        "boxes": torch.zeros(2, 0, 4),
        "labels": torch.zeros(2, 0),
        "masks": torch.zeros(2, 0, H, W),
    }
    out = ga.Compose([ga.RandomRotation(20), ga.RandomResizedCrop((20, 30))], seed=0)(empty)
    assert out["boxes"].shape == (2, 0, 4) and out["masks"].shape == (2, 0, 20, 30) and out["valid"].shape == (2, 0)
    none = {"image": torch.zeros(0, 1, H, W), "boxes": torch.zeros(0, 3, 4), "mask": torch.zeros(0, H, W)}
    assert ga.Compose([ga.RandomRotation(20)], seed=0)(none)["boxes"].shape == (0, 3, 4)


def test_further_inputs_by_role() -> None:
    """Depth is moved and blended, classes moved, a second image is coloured too."""
    images = example(4, (3, H, W))
    depth = coordinates(4)[:, :1].float() * 50 + 3  # beyond 1: geometry only, nothing clamps
    ids = torch.arange(H * W).view(1, H, W).repeat(4, 1, 1)
    layer = ga.Compose(
        [ga.RandomHorizontalFlip(1.0), ga.ColorJitter(0.4, p=1.0)],
        seed=1,
        roles={"depth": "dense", "ids": "mask", "other": "image"},
    )
    out = layer({"image": images, "depth": depth, "ids": ids, "other": images, "name": "kept"})
    assert (out["depth"] - depth.flip(3)).abs().max() < 1e-6
    assert torch.equal(out["ids"], ids.flip(2))
    assert torch.equal(out["other"], out["image"]) and out["name"] == "kept"
    with pytest.raises(ValueError, match="Compose: roles must be one of image, dense, mask, got 'depth'"):
        ga.Compose([], roles={"depth": "depth"})


def test_inputs_are_untouched_and_replay_repeats() -> None:
    data = {
        "image": example(3, (3, H, W)),
        "mask": torch.ones(3, H, W, dtype=torch.uint8),
        "boxes": torch.rand(3, 2, 4).cumsum(-1) * 10,
        "keypoints": torch.rand(3, 2, 4, 2) * 40,
        "labels": torch.ones(3, 2),
    }
    kept = {k: v.clone() for k, v in data.items()}
    versions = {k: v._version for k, v in data.items()}
    layer = ga.Compose([ga.RandomAffine(20), ga.RandomHorizontalFlip()], seed=0)
    out, params = layer(data, return_params=True)
    again = layer.replay(data, params)
    assert out.keys() == again.keys() == {*data, "valid", "visible"}
    assert all(torch.equal(out[k], again[k]) for k in out)
    assert all(torch.equal(data[k], kept[k]) and data[k]._version == versions[k] for k in data)
    single = layer.replay({k: v[1] for k, v in data.items()}, params[1:2])
    assert all(torch.equal(single[k], out[k][1]) for k in out)


def test_nothing_synchronises_and_it_compiles_with_all_targets() -> None:
    from gpuaug.diagnose import count

    def data(device: str) -> dict[str, Tensor]:
        return {
            "image": torch.zeros(8, 3, 40, 56, device=device),
            "mask": torch.zeros(8, 40, 56, dtype=torch.int64, device=device),
            "boxes": torch.rand(8, 5, 4, device=device).cumsum(-1) * 10,
            "keypoints": torch.rand(8, 5, 4, 2, device=device) * 40,
        }

    def make() -> ga.Compose:
        return ga.Compose([ga.RandomAffine(20, (0.1, 0.1), (0.8, 1.2)), ga.RandomHorizontalFlip()], seed=0)

    layer, meta = make(), data("meta")
    layer(meta)

    def call(image: Tensor) -> Tensor:
        return layer({**meta, "image": image})["image"]

    counts = count(call, meta["image"])
    assert (counts.synchronising, counts.host_to_device, counts.host_operations) == (0, 0, 0), counts.names
    torch._dynamo.reset()
    compiled, eager = torch.compile(make(), fullgraph=True, backend="eager"), make()
    real = data("cpu")
    compiled(real)
    eager(real)
    with torch._dynamo.config.patch(error_on_recompile=True):
        for _ in range(3):
            out, expected = compiled(real), eager(real)
            for key in expected:
                assert (out[key].double() - expected[key].double()).abs().max() < 1e-3
