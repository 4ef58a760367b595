"""Bugs that others had with points and boxes, one test for each row (the table is in `test_regressions.py`)."""

from __future__ import annotations

from typing import Any

import pytest
import scipy.optimize
import torch
from content import H, W, coordinates, read_at
from torch import Tensor

import gpuaug as ga
from gpuaug.testing import example


def spread(batch: int, count: int, h: float = H, w: float = W, margin: float = 0.0) -> Tensor:
    """Points (B, N, 2) float64 all over a canvas, different in each sample."""
    generator = torch.Generator().manual_seed(11)
    size = torch.tensor([w - 2 * margin, h - 2 * margin])
    return torch.rand((batch, count, 2), generator=generator, dtype=torch.float64) * size + margin


@pytest.mark.parametrize("scale", [0.25, 0.5, 1.7, 4.0])
def test_2b_01_points_are_resized_as_the_content(scale: float) -> None:
    """A position is multiplied; an index of a pixel has its half pixel; the content under the point is the same."""
    h, w = 40, 60
    points = spread(2, 50, h, w)
    size = round(h * scale), round(w * scale)
    given = {"image": coordinates(2, h, w), "keypoints": points}
    for steps in ([ga.Resize(size)], [ga.LongestMaxSize(size[1])], [ga.SmallestMaxSize(size[0])]):
        out = ga.Compose(steps)(given)
        assert out["image"].shape[2:] == size
        assert (out["keypoints"] - points * scale).abs().max() < 1e-4 and (out["visible"] > 0).all()
        indices = ga.Compose(steps, keypoint_params=ga.KeypointParams(origin="center"))(given)
        assert (indices["keypoints"] - ((points + 0.5) * scale - 0.5)).abs().max() < 1e-4
        for b in range(2):
            value, ok = read_at(out["image"][b], out["keypoints"][b])
            margin = 2 + 2 / scale  # no tap of the two filters at the border
            inner = ((points[b] > margin) & (points[b] < torch.tensor([w - margin, h - margin]))).all(1)
            assert (ok & inner).sum() >= 10
            assert (value[ok & inner] * 100 - points[b][ok & inner]).norm(dim=1).max() < 0.02


def test_2b_02_points_within_the_image_survive_flips() -> None:
    """Any of [0, W], and 24.5 of 25 pixels, whatever a position counts from; twice is the identity."""
    x, y = torch.arange(0, 25.25, 0.25), torch.arange(0, 18.25, 0.25)
    points = torch.cartesian_prod(x, y).expand(2, -1, 2)
    image = torch.zeros(2, 1, 18, 25)
    flips = [ga.RandomHorizontalFlip(1.0), ga.RandomVerticalFlip(1.0)]
    for steps in (flips[:1], flips[1:], flips):
        expected = points.clone()
        if steps[0] is flips[0]:
            expected[..., 0] = 25 - expected[..., 0]
        if steps[-1] is flips[1]:
            expected[..., 1] = 18 - expected[..., 1]
        for origin, shift in (("edge", 0.0), ("center", 0.5)):
            layer = ga.Compose(steps, keypoint_params=ga.KeypointParams(origin=origin, flip_pairs=()))
            out = layer({"image": image, "keypoints": points - shift})
            assert torch.equal(out["keypoints"], expected - shift) and (out["visible"] == 2).all()
            again = layer({"image": image, "keypoints": out["keypoints"]})
            assert torch.equal(again["keypoints"], points - shift)


@pytest.mark.parametrize("size", [(48, 66), (31, 44), (25, 25)], ids=str)
def test_2b_04_a_centred_box_stays_in_quarter_turns(size: tuple[int, int]) -> None:
    h, w = size
    boxes = torch.tensor([[[w / 2 - r, h / 2 - r, w / 2 + r, h / 2 + r] for r in (1.0, 5.5, 12.0)]])
    given = {"image": torch.zeros(1, 1, h, w), "boxes": boxes}
    for degrees in (90, 180, 270, -90):
        steps: list[Any] = [ga.RandomRotation((degrees, degrees)), ga.RandomAffine((degrees, degrees))]
        if h == w:
            steps += [ga.RandomRotate90(1.0), ga.SquareSymmetry(), ga.RandomTranspose(1.0)]
        for step in steps:
            assert (ga.Compose([step], seed=degrees % 7)(given)["boxes"] - boxes).abs().max() < 1e-5


def test_2b_05_all_targets_turn_the_same_way() -> None:
    """Directions are torchvision's: RandomRotation and quarter turns counter-clockwise, RandomAffine clockwise.

    In each class image, point, box, rotated box and direction turn together, and opposite classes undo each other.
    """
    image = torch.zeros(1, 1, 41, 41)
    image[:, :, 20, 30] = 1  # to the right of the centre
    given = {
        "image": image,
        "boxes": torch.tensor([[[30.5, 20.5, 1, 1, 0]]]),
        "heading": torch.tensor([[0.0]]),
        "keypoints": torch.tensor([[[[30.5, 20.5]]]]),
    }
    settings = {"bbox_params": ga.BboxParams(format="cxcywhr", angle="heading")}
    for step, up in (
        (ga.RandomRotation((90, 90)), True),
        (ga.RandomRotation((-90, -90)), False),
        (ga.RandomAffine((90, 90)), False),
        (ga.RandomAffine((-90, -90)), True),
        (ga.Compose([ga.RandomRotation((45, 45)), ga.RandomAffine((-45, -45))]), True),
    ):
        out = ga.Compose([step], **settings)(given)
        y = 10.5 if up else 30.5
        assert out["image"][0, 0, int(y), 20] > 0.99 and out["image"].sum() < 1.01
        assert (out["keypoints"][0, 0, 0] - torch.tensor([20.5, y])).abs().max() < 1e-4
        assert (out["boxes"][0, 0, :2] - torch.tensor([20.5, y])).abs().max() < 1e-4
        assert abs(out["heading"].item() - (90 if up else -90)) < 1e-3
        assert abs((out["boxes"][0, 0, 4].item() - (90 if up else -90)) % 180) < 1e-3
    turns = ga.Compose([ga.RandomRotate90(1.0)], seed=0, **settings)
    many = {k: v.expand(16, *v.shape[1:]) for k, v in given.items()}
    out, params = turns(many, return_params=True)
    for b, quarters in enumerate(params["RandomRotate90"].turns.tolist()):
        x, y = out["keypoints"][b, 0, 0].tolist()
        assert (x, y) == ((30.5, 20.5), (20.5, 10.5), (10.5, 20.5), (20.5, 30.5))[int(quarters) % 4]
        assert out["image"][b, 0, int(y), int(x)] == 1
    apart = {"image": coordinates(1), "keypoints": spread(1, 20, margin=20.0)}
    back = ga.Compose([ga.RandomRotation((30, 30)), ga.RandomAffine((30, 30))])(apart)
    assert (back["keypoints"] - apart["keypoints"]).abs().max() < 1e-4


def test_2b_06_expanded_quarter_turns_are_rot90() -> None:
    """Of a canvas that is not square: every target exactly, and the canvas turns with them."""
    image, mask = example(2, (3, 23, 34)), torch.arange(2 * 23 * 34).view(2, 23, 34)
    pixel = torch.tensor([[0, 0], [33, 0], [5, 22], [17, 11]])
    points = (pixel + 0.5).expand(2, 4, 2)
    boxes = torch.cat((pixel, pixel + 1), dim=1).float().expand(2, 4, 4)
    given = {"image": image, "mask": mask, "keypoints": points[:, :, None], "boxes": boxes}
    for quarters in (1, 2, 3, -1):
        out = ga.Compose([ga.RandomRotation((90 * quarters, 90 * quarters), expand=True)])(given)
        assert torch.equal(out["image"], torch.rot90(image, quarters, (2, 3)))
        assert torch.equal(out["mask"], torch.rot90(mask, quarters, (1, 2)))
        for n, (x, y) in enumerate(pixel.tolist()):
            row, column = (out["mask"][0] == mask[0, y, x]).nonzero()[0].tolist()
            there = torch.tensor([column, row]).float()
            assert (out["keypoints"][:, n, 0] - there - 0.5).abs().max() < 1e-4
            assert (out["boxes"][:, n] - torch.cat((there, there + 1))).abs().max() < 1e-4


HULLS: dict[str, Any] = {
    "rotation": lambda: [ga.RandomRotation(60)],
    "expanded rotation": lambda: [ga.RandomRotation(60, expand=True)],
    "turned about a corner": lambda: [ga.RandomRotation(40, center=(0, 0))],
    "affine": lambda: [ga.RandomAffine(40, (0.2, 0.2), (0.6, 1.5), (-20, 20, -10, 10))],
    "perspective": lambda: [ga.RandomPerspective(0.6, p=1.0)],
    "resize": lambda: [ga.Resize((100, 31))],
    "letterbox": lambda: [ga.LetterBox((50, 90))],
    "resized crop": lambda: [ga.RandomResizedCrop((31, 70), scale=(0.3, 0.8))],
    "zoom out": lambda: [ga.RandomZoomOut(p=1.0)],
    "expanded chain": lambda: [ga.RandomHorizontalFlip(), ga.RandomRotation(60, expand=True), ga.Resize((60, 41))],
}


@pytest.mark.parametrize("name", HULLS)
def test_2b_07_a_box_is_the_hull_of_its_corners(name: str) -> None:
    """The corners go along as keypoints: the box is around them, cut at the canvas, and nothing else (2b.8, 2b.9)."""
    corner = spread(6, 8, H - 14, W - 16)
    boxes = torch.cat((corner, corner + 4 + spread(6, 8, 10, 12)), dim=-1)
    x0, y0, x1, y1 = boxes.unbind(-1)
    points = torch.stack((x0, y0, x1, y0, x1, y1, x0, y1), dim=-1).unflatten(-1, (4, 2))
    out = ga.Compose(HULLS[name](), seed=4)({"image": coordinates(6), "boxes": boxes, "keypoints": points})
    h, w = out["image"].shape[2:]
    limit = torch.tensor([w, h])
    moved = out["keypoints"].double()
    low, high = moved.amin(2), moved.amax(2)
    seen = ((high > 1e-3) & (low < limit - 1e-3)).all(-1)
    hull = torch.cat((torch.minimum(low.clamp(min=0), limit), torch.minimum(high.clamp(min=0), limit)), dim=-1)
    assert torch.equal(out["valid"], seen) and seen.sum() >= 20
    assert (out["boxes"] - hull)[seen].abs().max() < 1e-3
    if "expanded" in name:
        assert seen.all() and torch.equal(out["visible"] > 0, torch.ones(6, 8, 4, dtype=torch.bool))
        assert (moved > -1e-3).all() and (moved < limit + 1e-3).all()


@pytest.mark.parametrize("k", [2.0, 0.8, -0.15])
def test_2b_13_points_through_a_strong_lens(k: float) -> None:
    """Against the root of the lens equation r (1 + k r^2) = R; what the corners of the image become too."""
    h, w = 96, 130
    corners = torch.tensor([[0.0, 0], [w, 0], [w, h], [0, h]]).double().expand(2, 4, 2)
    points = torch.cat((corners, spread(2, 60, h, w)), dim=1)
    out = ga.Compose([ga.OpticalDistortion((k, k), p=1.0)])({"image": torch.zeros(2, 1, h, w), "keypoints": points})
    middle, half = torch.tensor([w / 2, h / 2]).double(), max(h, w) / 2
    most = float("inf") if k > 0 else (-1 / (3 * k)) ** 0.5
    judged = 0
    for b in range(2):
        for before, after, seen in zip(points[b], out["keypoints"][b], out["visible"][b] > 0, strict=True):
            reach = float((before - middle).norm()) / half
            if k < 0 and reach > most * (1 + k * most * most):
                assert not seen
                continue
            r = scipy.optimize.brentq(lambda r, reach=reach: r * (1 + k * r * r) - reach, 0, min(most, reach + 2))
            expected = middle + (before - middle) * (r / reach)
            inside = bool(((expected > 1) & (expected < torch.tensor([w - 1, h - 1]))).all())
            assert not inside or seen
            if inside:
                judged += 1
                assert (after - expected).norm() < 0.05
    assert judged > 60


def test_2b_14_points_out_of_view_are_flagged_and_not_clamped() -> None:
    """As many rows as went in, where arithmetic puts them; 1 and 2 stay what they are in view (2b.16, 2b.49)."""
    points = torch.cat((spread(3, 80), torch.tensor([[[0.0, 0], [W, H]]]).double().expand(3, 2, 2)), dim=1)
    visible = torch.arange(82).remainder(3).expand(3, 82)
    given = {"image": coordinates(3), "keypoints": points, "visible": visible}
    count = 0
    for steps in (
        [ga.CenterCrop((20, 30))],
        [ga.RandomAffine(40, (0.3, 0.3), (0.8, 1.6))],
        [ga.RandomPerspective(0.5, p=1.0), ga.RandomHorizontalFlip()],
    ):
        out, params = ga.Compose(steps, seed=3)(given, return_params=True)
        h, w = out["image"].shape[2:]
        exact = torch.cat((points, torch.ones(3, 82, 1)), dim=-1).double() @ params.matrix.double().mT
        exact = exact[..., :2] / exact[..., 2:]
        assert (out["keypoints"] - exact).abs().max() < 1e-3
        x, y = exact.unbind(-1)
        inside = (x >= 0) & (x <= w) & (y >= 0) & (y <= h)
        assert torch.equal(out["visible"], torch.where(inside, visible, 0)) and inside.sum() > 20
        count += int(inside.sum())
    assert count < 600  # of 738


def test_2b_22_visibility_is_judged_before_the_cut() -> None:
    """Objects that a shift pushes over the edge: just below their share in view they pass, just above they do not."""
    boxes = torch.cat((spread(1, 12, H - 12, W - 12), torch.zeros(1, 12, 2)), dim=-1).double()
    boxes[..., 2:] = boxes[..., :2] + 12
    given = {"image": coordinates(1), "boxes": boxes}
    shift = [ga.RandomAffine((0, 0), (0.7, 0.7))]
    chain = [*shift, ga.RandomHorizontalFlip(1.0), ga.RandomAffine((0, 0), (0.4, 0.4)), ga.RandomVerticalFlip(1.0)]
    partly = 0
    for seed in range(3):
        for steps in (shift, chain):
            _, params = ga.Compose(steps, seed=seed)(given, return_params=True)
            m = params.matrix[0].double()
            ends = boxes[0].view(12, 2, 2) @ m[:2, :2].T + m[:2, 2]
            low, high = ends.amin(1), ends.amax(1)
            left = (high.clamp(max=torch.tensor([W, H])) - low.clamp(min=0)).clamp(min=0)
            share = left.prod(-1) / (high - low).prod(-1)
            partly += int(((share > 0.05) & (share < 0.95)).sum())
            for least in (0.2, 0.6, 1.0):
                judged = ga.Compose(steps, seed=seed, bbox_params=ga.BboxParams(min_visibility=least))
                clear = (share - least).abs() > 1e-4
                whole = share > 1 - 1e-9
                valid = judged.replay(given, params)["valid"][0]
                assert torch.equal(valid[clear], (share >= least)[clear])
                assert valid[whole].all()
    assert partly > 10


@pytest.mark.parametrize("format", ["pascal_voc", "coco", "cxcywh", "yolo", "albumentations"])
def test_2b_26_boxes_lie_in_the_crop_in_every_format(format: str) -> None:
    """Cut at the crop, and in units of the crop: against arithmetic on whole positions."""
    corner = spread(40, 5, H - 14, W - 14).round().float()
    boxes = torch.cat((corner, corner + 14), dim=-1)

    def written(xyxy: Tensor, h: int, w: int) -> Tensor:
        x0, y0, x1, y1 = xyxy.unbind(-1)
        size = torch.tensor([w, h, w, h])
        if format in ("cxcywh", "yolo"):
            xyxy = torch.stack(((x0 + x1) / 2, (y0 + y1) / 2, x1 - x0, y1 - y0), dim=-1)
        elif format == "coco":
            xyxy = torch.stack((x0, y0, x1 - x0, y1 - y0), dim=-1)
        return xyxy / size if format in ("yolo", "albumentations") else xyxy

    layer = ga.Compose([ga.RandomCrop((23, 37))], seed=0, bbox_params=ga.BboxParams(format=format))
    given = {"image": torch.zeros(40, 1, H, W), "boxes": written(boxes, H, W)}
    out, params = layer(given, return_params=True)
    place = params["RandomCrop"]
    offset = torch.stack((place.left, place.top) * 2, dim=-1)[:, None]
    moved = boxes - offset
    cut = torch.minimum(moved.clamp(min=0), torch.tensor([37.0, 23, 37, 23]))
    there = (cut[..., 2:] > cut[..., :2]).all(-1)
    assert torch.equal(out["valid"], there) and 40 < there.sum() < 200
    assert (out["boxes"] - written(cut, 23, 37))[there].abs().max() < 1e-4


def test_2b_27_a_bad_box_stops_no_batch() -> None:
    """A little beyond 1 is cut; what is no box is a row that is not valid; the others do not notice."""
    good = torch.tensor([[0.5, 0.5, 0.5, 0.25], [0.25, 0.5, 0.25, 0.5]])
    layer = ga.Compose([ga.RandomHorizontalFlip(1.0)], bbox_params=ga.BboxParams(format="yolo"))
    expected = layer({"image": coordinates(1), "boxes": good[None]})
    for excess in (1e-7, 1e-3):
        wide = torch.tensor([0.5, 0.5, 1 + excess, 1 + 2 * excess])
        for bad, valid in (
            (wide, True),
            (torch.tensor([1 - 0.05, 0.5, 0.1 + 2 * excess, 0.2]), True),
            (torch.tensor([0.5, 0.5, 0.0, 0.2]), False),
            (torch.tensor([0.5, 0.5, -0.1, 0.2]), False),
            (torch.full((4,), torch.nan), False),
            (torch.tensor([7.0, 0.5, 0.1, 0.2]), False),
        ):
            boxes = torch.stack((torch.stack((good[0], bad)), good))
            out = layer({"image": coordinates(2), "boxes": boxes})
            assert out["valid"].tolist() == [[True, valid], [True, True]], bad
            assert torch.equal(out["boxes"][1], expected["boxes"][0])
            assert torch.equal(out["boxes"][0, 0], expected["boxes"][0, 0])
            if valid:
                x, y, w, h = out["boxes"][0, 1].tolist()
                assert x - w / 2 > -1e-6 and x + w / 2 < 1 + 1e-6 and y - h / 2 > -1e-6 and y + h / 2 < 1 + 1e-6


def test_2b_28_a_sample_without_objects_in_a_batch() -> None:
    """No box, no label, no mask in the middle of a list, or a row of `valid` without one: the others as if alone."""
    images = example(3, (3, H, W))
    masks = torch.zeros(2, H, W, dtype=torch.uint8)
    masks[0, 10:30, 10:30], masks[1, 20:40, 30:50] = 1, 1
    boxes = torch.tensor([[10.0, 10, 30, 30], [30, 20, 50, 40]])
    full = {"boxes": boxes, "labels": torch.tensor([3, 4]), "masks": masks}
    empty = {"boxes": boxes[:0], "labels": torch.zeros(0, dtype=torch.int64), "masks": masks[:0]}
    steps = [ga.RandomAffine(15, scale=(0.8, 1.0)), ga.BBoxSafeRandomCrop(p=0.5), ga.Resize((40, 30))]
    layer = ga.Compose(steps, seed=0, bbox_params=ga.BboxParams(min_visibility=0.1))
    _, targets = layer(list(images), [full, empty, full])
    assert targets[1]["boxes"].shape == (0, 4) and targets[1]["labels"].shape == (0,)
    assert targets[1]["masks"].shape == (0, 40, 30)
    padded = {
        "image": images,
        "boxes": torch.stack((boxes, boxes, boxes)),
        "labels": torch.tensor([[3, 4]] * 3),
        "masks": torch.stack((masks, masks, masks)),
        "valid": torch.tensor([[True] * 2, [False] * 2, [True] * 2]),
    }
    layer.reseed(0)
    out, params = layer(padded, return_params=True)
    assert out["valid"].tolist() == padded["valid"].tolist()
    for b in (0, 2):
        assert (targets[b]["boxes"] - out["boxes"][b]).abs().max() < 1e-4
        assert targets[b]["labels"].tolist() == [3, 4] and torch.equal(targets[b]["masks"], out["masks"][b])
        alone = layer.replay({key: value[b : b + 1] for key, value in padded.items()}, params[b : b + 1])
        assert all(torch.equal(alone[key][0], out[key][b]) for key in out)


def test_3_1_what_a_lens_pushes_out_is_gone() -> None:
    """No pixel of the object is left: its row is not valid and its point not visible, not where they were."""
    masks = torch.zeros(2, 2, H, W, dtype=torch.uint8)
    masks[:, 0, :6, :6], masks[:, 1, 20:30, 25:40] = 1, 1
    boxes = torch.tensor([[0.0, 0, 6, 6], [25, 20, 40, 30]]).expand(2, 2, 4)
    points = torch.tensor([[[3.0, 3.0]], [[32.0, 25.0]]]).expand(2, 2, 1, 2)
    given = {"image": coordinates(2), "boxes": boxes, "masks": masks, "keypoints": points}
    for k in (-0.15, -0.3):
        out = ga.Compose([ga.OpticalDistortion((k, k), p=1.0)])(given)
        assert not out["masks"][:, 0].any() and out["masks"][:, 1].any()
        assert out["valid"].tolist() == [[False, True]] * 2, k
        assert (out["visible"][..., 0] > 0).tolist() == [[False, True]] * 2, k


def test_3_4_labels_stay_whole_numbers() -> None:
    """Above 2^24, as integers, through filters, in a dict and in a list."""
    boxes = torch.tensor([[[1.0, 1, 3, 3], [10, 10, 30, 30], [20, 5, 50, 40]]])
    labels = torch.tensor([[2**24 + 1, 2**24 + 3, 2**53 + 1]])
    layer = ga.Compose(
        [ga.RandomHorizontalFlip(1.0), ga.RandomRotation(9)], seed=0, bbox_params=ga.BboxParams(min_area=20)
    )
    out = layer({"image": coordinates(1), "boxes": boxes, "labels": labels})
    assert torch.equal(out["labels"], labels) and out["valid"].tolist() == [[False, True, True]]
    _, targets = layer([coordinates(1)[0]], [{"boxes": boxes[0], "labels": labels[0]}])
    assert targets[0]["labels"].tolist() == labels[0, 1:].tolist() and targets[0]["labels"].dtype == torch.int64
    few = ga.Compose([ga.RandomHorizontalFlip(1.0)], bbox_params=ga.BboxParams(max_objects=2, min_area=20))
    out = few({"image": coordinates(1), "boxes": boxes, "labels": labels})
    assert torch.equal(out["labels"], labels[:, 1:])
