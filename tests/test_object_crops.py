"""Crops that look at objects or at the mask, judged by float64 arithmetic, by their pixels and by torchvision."""

from __future__ import annotations

from typing import Any

import pytest
import torch
from content import H, W, coordinates, read_at
from scipy import stats
from torch import Tensor
from torchvision import tv_tensors as tvt
from torchvision.ops import box_iou
from torchvision.transforms import v2

import gpuaug as ga
from gpuaug.testing import example


def random_boxes(batch: int, rows: int, seed: int, h: int = H, w: int = W, largest: float = 0.4) -> Tensor:
    """Boxes of any size and place within the canvas, (B, N, 4) float32."""
    generator = torch.Generator().manual_seed(seed)
    canvas = torch.tensor([float(w), float(h)])
    size = (0.03 + (largest - 0.03) * torch.rand((batch, rows, 2), generator=generator)) * canvas
    corner = torch.rand((batch, rows, 2), generator=generator) * (canvas - size)
    return torch.cat((corner, torch.minimum(corner + size, canvas)), dim=-1)


def blank(batch: int, h: int = H, w: int = W) -> Tensor:
    return torch.empty((1, 1, h, w), dtype=torch.uint8).expand(batch, 1, h, w)


def rectangle(params: Any) -> Tensor:
    """Return x0, y0, x1, y1 (B, 4) in float64."""
    p = params
    return torch.stack((p.left, p.top, p.left + p.width, p.top + p.height), dim=-1).double()


def hull(boxes: Tensor, valid: Tensor) -> Tensor:
    low = torch.where(valid[..., None], boxes[..., :2], torch.inf).amin(1)
    high = torch.where(valid[..., None], boxes[..., 2:], -torch.inf).amax(1)
    return torch.cat((low, high), dim=-1).double()


def test_ten_thousand_safe_crops_cut_no_box() -> None:
    """Regressions 3 (A #2513, #742): neither by the drawn rectangle, nor in the boxes that come out."""
    layer = ga.BBoxSafeRandomCrop()
    layer.reseed(0)
    for call in range(40):
        boxes = random_boxes(250, 3, call)
        valid = torch.rand((250, 3), generator=torch.Generator().manual_seed(call)) < 0.6
        data = {"image": blank(250), "boxes": boxes, "valid": valid}
        cut = rectangle(layer.sample(data)["BBoxSafeRandomCrop"])
        layer._advance()
        held, there = hull(boxes, valid), valid.any(1)
        assert (cut[there, :2] <= held[there, :2]).all() and (cut[there, 2:] >= held[there, 2:]).all()
        assert (cut == cut.round()).all() and (cut[:, :2] >= 0).all() and (cut[:, 2:] <= torch.tensor([W, H])).all()
        assert torch.equal(cut[~there], torch.tensor([0.0, 0, W, H]).double().expand(int((~there).sum()), 4))
    assert (cut[:, 2:] - cut[:, :2]).unique(dim=0).shape[0] > 100
    whole = ga.Compose([layer], seed=1, bbox_params=ga.BboxParams(min_visibility=1.0))
    boxes = random_boxes(250, 3, 99)
    assert whole({"image": blank(250), "boxes": boxes})["valid"].all()


def test_every_side_of_a_safe_crop_can_occur() -> None:
    """Evenly, from the border to the box."""
    boxes = torch.tensor([[[3.2, 2.0, 6.5, 4.0], [4.0, 2.5, 7.1, 3.9]]]).expand(4000, 2, 4)
    layer = ga.BBoxSafeRandomCrop()
    layer.reseed(0)
    cut = rectangle(layer.sample({"image": blank(4000, 7, 11), "boxes": boxes})["BBoxSafeRandomCrop"])
    for side, legal in enumerate(([0, 1, 2, 3], [0, 1, 2], [8, 9, 10, 11], [4, 5, 6, 7])):
        values, counts = cut[:, side].unique(return_counts=True)
        assert values.tolist() == legal
        assert stats.chisquare(counts.numpy()).pvalue > 1e-4


def test_erosion_lets_a_safe_crop_cut() -> None:
    boxes = torch.tensor([[[4.0, 2.0, 8.0, 6.0]]]).expand(3000, 1, 4)
    data = {"image": blank(3000, 8, 12), "boxes": boxes}
    for rate, least in ((0.5, [5.0, 3.0, 7.0, 5.0]), (1.0, None)):
        layer = ga.BBoxSafeRandomCrop(rate)
        layer.reseed(0)
        cut = rectangle(layer.sample(data)["BBoxSafeRandomCrop"])
        if least is not None:
            assert cut[:, :2].amax(0).tolist() == least[:2] and cut[:, 2:].amin(0).tolist() == least[2:]
        else:  # of any size, keeping the aspect
            size = cut[:, 2:] - cut[:, :2]
            assert size[:, 1].unique().tolist() == list(range(1, 9)) and torch.equal(
                size[:, 0], (1.5 * size[:, 1]).floor()
            )
            assert cut[:, :2].amin(0).tolist() == [0, 0] and cut[:, 2:].amax(0).tolist() == [12, 8]


def iou64(boxes: Tensor, cut: Tensor) -> Tensor:
    """Return the overlap (N,) of boxes whose centre lies strictly within a rectangle, else -1."""
    boxes = boxes.double()
    centre = (boxes[:, :2] + boxes[:, 2:]) / 2
    inside = ((centre > cut[:2]) & (centre < cut[2:])).all(1)
    return torch.where(inside, box_iou(boxes, cut[None])[:, 0], -1.0)


def test_iou_crops_meet_their_option_and_drop_what_is_centred_outside() -> None:
    """By float64 arithmetic, and by what torchvision's crop does to the same boxes."""
    boxes, valid = random_boxes(400, 4, 0, largest=0.9), torch.ones(400, 4, dtype=torch.bool)
    valid[::3, 1] = False
    layer = ga.RandomIoUCrop()
    layer.reseed(2)
    out, params = layer({"image": blank(400), "boxes": boxes, "valid": valid}, return_params=True)
    p = params["RandomIoUCrop"]
    cut = rectangle(p)
    seen = set()
    for i in range(400):
        option = layer.options[int(p.option[i])]
        seen.add(option)
        if option >= 1:
            assert not p.cropped[i] and cut[i].tolist() == [0, 0, W, H]
            assert torch.equal(out["valid"][i], valid[i])
            continue
        assert p.cropped[i]
        size = cut[i, 2:] - cut[i, :2]
        assert 0.5 <= size[0] / size[1] <= 2 and (size >= torch.tensor([W * 0.3 - 1, H * 0.3 - 1])).all()
        overlap = iou64(boxes[i], cut[i])
        assert overlap[valid[i]].max() >= option
        assert torch.equal(out["valid"][i], valid[i] & (overlap >= 0))
        scale = torch.tensor([W, H]) / size
        moved = (boxes[i].double() - cut[i, :2].repeat(2)) * scale.repeat(2)
        moved = torch.stack([moved[:, k].clamp(0, (W, H)[k % 2]) for k in range(4)], dim=1)
        assert (out["boxes"][i] - moved).abs().max() < 1e-3
    assert seen == {0.0, 0.1, 0.3, 0.5, 0.7, 0.9, 1.0}


def test_iou_crops_judge_boxes_that_stick_out_as_they_are() -> None:
    """As torchvision: centre and overlap are those of the given box, and a crop keeps the box it was taken for."""
    boxes = torch.tensor([[-30.0, 5, 50, 35], [20, -24, 60, 30], [40, 20, 85, 62]])[:, None]
    boxes = boxes.repeat_interleave(200, dim=0)
    layer = ga.Compose([ga.RandomIoUCrop(sampler_options=[0.2], trials=10)], seed=1)
    out, params = layer({"image": torch.zeros(len(boxes), 1, 48, 66), "boxes": boxes}, return_params=True)
    drawn = params["RandomIoUCrop"]
    cut = torch.stack((drawn.left, drawn.top, drawn.left + drawn.width, drawn.top + drawn.height), dim=-1)
    for some in torch.arange(len(boxes)).split(200):
        assert drawn.cropped[some].sum() > 10
    for i in drawn.cropped.nonzero()[:, 0].tolist():
        assert iou64(boxes[i], cut[i]) >= 0.2
        assert out["valid"][i].all()


@pytest.mark.parametrize("option", [0.0, 0.3, 0.5])
def test_iou_crops_are_distributed_as_torchvisions(option: float) -> None:
    """The share of rectangles that is accepted, and each side of those that are."""
    boxes = torch.tensor([[4.0, 5.0, 40.0, 41.0], [30.0, 2.0, 64.0, 30.0], [50.0, 40.0, 60.0, 46.0]])
    image = tvt.Image(torch.zeros(1, H, W, dtype=torch.uint8))
    flat = [image, tvt.BoundingBoxes(boxes, format="XYXY", canvas_size=(H, W))]
    torch.manual_seed(0)
    theirs = v2.RandomIoUCrop(sampler_options=[option])
    drawn = [theirs.make_params(flat) for _ in range(400)]
    ours = ga.RandomIoUCrop(sampler_options=[option], trials=40)
    ours.reseed(0)
    data = {"image": blank(2000), "boxes": boxes.expand(2000, 3, 4)}
    p = ours.sample(data)["RandomIoUCrop"]
    assert p.cropped.double().mean() > 0.99
    for name in ("left", "top", "width", "height"):
        values = getattr(p, name)[p.cropped]
        assert stats.ks_2samp(values.numpy(), [d[name] for d in drawn]).pvalue > 1e-3, name
    # One trial each: an option that is accepted at rate a comes before "leave as it is" in a / (1 + a) of the calls.
    theirs = v2.RandomIoUCrop(sampler_options=[option, 1.0], trials=1)
    share = sum(bool(theirs.make_params(flat)) for _ in range(1500)) / 1500
    one = ga.RandomIoUCrop(sampler_options=[option], trials=1)
    one.reseed(0)
    rate = one.sample(data)["RandomIoUCrop"].cropped.double().mean().item()
    assert abs(rate / (1 + rate) - share) < 0.05


def test_options_are_drawn_as_torchvisions() -> None:
    """Among those that can be met evenly: a small object is never cropped to an overlap of 0.5."""
    boxes = torch.tensor([[20.0, 12.0, 38.0, 30.0], [40.0, 30.0, 50.0, 38.0]])
    flat = [
        tvt.Image(torch.zeros(1, H, W, dtype=torch.uint8)),
        tvt.BoundingBoxes(boxes, format="XYXY", canvas_size=(H, W)),
    ]
    torch.manual_seed(1)
    theirs = v2.RandomIoUCrop()
    kept = sum(not theirs.make_params(flat) for _ in range(250)) / 250
    ours = ga.RandomIoUCrop()
    ours.reseed(1)
    p = ours.sample({"image": blank(2000), "boxes": boxes.expand(2000, 2, 4)})["RandomIoUCrop"]
    assert abs((~p.cropped).double().mean().item() - kept) < 0.12
    shares = torch.bincount(p.option, minlength=7) / 2000
    assert shares[[4, 5]].max() < 0.01 and (shares[[0, 1, 6]] - shares[0]).abs().max() < 0.06


def test_iou_crop_without_boxes() -> None:
    """A batch without is refused, as by torchvision; a sample without stays whole; unmet options leave it whole."""
    with pytest.raises(TypeError, match="RandomIoUCrop: the batch must have boxes, got none"):
        ga.Compose([ga.RandomIoUCrop()])(example(2))
    images = example(30, (3, H, W))
    data = {"image": images, "boxes": random_boxes(30, 2, 0), "valid": torch.arange(30)[:, None].expand(30, 2) % 2 == 0}
    out = ga.Compose([ga.RandomIoUCrop(sampler_options=[0.0])], seed=0)(data)
    assert torch.equal(out["image"][1::2], images[1::2]) and not out["valid"][1::2].any()
    assert all((out["image"][i] != images[i]).any() for i in range(0, 30, 2))
    tiny = {"image": images, "boxes": torch.tensor([[[5.0, 5.0, 7.0, 7.0]]]).expand(30, 1, 4)}
    out, params = ga.Compose([ga.RandomIoUCrop(sampler_options=[0.9])], seed=0)(tiny, return_params=True)
    assert out["image"] is not images and torch.equal(out["image"], images)
    assert (params["RandomIoUCrop"].option == -1).all() and out["valid"].all()


def test_centres_are_judged_where_the_crop_is() -> None:
    """After a flip, and after a rotation that pushes a box over the edge; and gated samples lose nothing."""
    boxes = random_boxes(60, 5, 3)
    chain = ga.Compose([ga.RandomHorizontalFlip(1.0), ga.RandomIoUCrop(sampler_options=[0.0])], seed=4)
    out, params = chain({"image": blank(60), "boxes": boxes}, return_params=True)
    flipped = torch.stack((W - boxes[..., 2], boxes[..., 1], W - boxes[..., 0], boxes[..., 3]), dim=-1)
    cut = rectangle(params["RandomIoUCrop"])
    expected = torch.stack([iou64(b, c) >= 0 for b, c in zip(flipped, cut, strict=True)])
    assert torch.equal(out["valid"], expected) and 0.2 < expected.double().mean() < 0.9
    half = ga.Compose([ga.RandomApply([ga.RandomIoUCrop(sampler_options=[0.0])], p=0.5)], seed=4)
    images = example(60, (1, H, W))
    boxes[:, 0] = torch.tensor([-30.0, 5.0, 10.0, 20.0])  # left out, its centre may be anywhere
    out, params = half({"image": images, "boxes": boxes}, return_params=True)
    off = ~params["RandomIoUCrop"].gate
    assert 10 < off.sum() < 50 and out["valid"][off].all() and not out["valid"][~off].all()
    assert torch.equal(out["image"][off], images[off])


@pytest.mark.parametrize("factor", [0.0, 0.4, 1.0])
def test_a_crop_holds_at_least_one_box(factor: float) -> None:
    """Some box keeps its share along both axes; every such place occurs."""
    boxes, valid = random_boxes(600, 3, 7, largest=0.6), torch.ones(600, 3, dtype=torch.bool)
    valid[::2, 0] = False
    layer = ga.AtLeastOneBBoxRandomCrop(30, 40, factor)
    layer.reseed(1)
    p = layer.sample({"image": blank(600), "boxes": boxes, "valid": valid})["AtLeastOneBBoxRandomCrop"]
    start = torch.stack((p.left, p.top), dim=-1)[:, None].double()
    low, high = boxes[..., :2].double(), boxes[..., 2:].double()
    reach = torch.tensor([40.0, 30.0], dtype=torch.float64)
    common = (torch.minimum(high, start + reach) - torch.maximum(low, start)).clamp(min=0)
    wanted = torch.minimum((high - low) * (1 - factor), reach)
    slack = 0.5 + 1e-9  # where no whole place holds it all, the nearest is taken
    held = ((common >= wanted - slack) & (common > 0)).all(-1) & valid
    assert held.any(1).all()
    one = torch.tensor([[[5.0, 6.0, 9.0, 10.0]]]).expand(3000, 1, 4)
    small = ga.AtLeastOneBBoxRandomCrop(6, 8, factor)
    small.reseed(1)
    p = small.sample({"image": blank(3000, 20, 24), "boxes": one})["AtLeastOneBBoxRandomCrop"]
    tops = {0.0: range(4, 7), 0.4: range(3, 8), 1.0: range(1, 10)}[factor]
    lefts = {0.0: range(1, 6), 0.4: range(0, 7), 1.0: range(0, 9)}[factor]
    for drawn, legal in ((p.top, tops), (p.left, lefts)):
        values, counts = drawn.unique(return_counts=True)
        assert values.tolist() == list(legal) and stats.chisquare(counts.numpy()).pvalue > 1e-4


def test_at_least_one_takes_each_box_and_lattice_pixels() -> None:
    """Boxes far apart are chosen evenly, absent ones never; pixels, masks and points are slices."""
    images = torch.arange(H * W).view(1, 1, H, W).expand(900, 1, H, W).float()
    boxes = torch.tensor([[2.0, 2, 8, 8], [50, 35, 58, 42], [2, 38, 8, 44], [54, 2, 60, 8]]).expand(900, 4, 4)
    valid = torch.tensor([True, True, False, True]).expand(900, 4)
    layer = ga.Compose([ga.AtLeastOneBBoxRandomCrop(10, 12)], seed=0)
    data = {"image": images, "mask": images[:, 0].long(), "boxes": boxes, "valid": valid}
    out, params = layer(data, return_params=True)
    held = out["valid"].sum(0)
    assert held[2] == 0 and stats.chisquare(held[[0, 1, 3]].numpy()).pvalue > 1e-4
    p = params["AtLeastOneBBoxRandomCrop"]
    for i in range(0, 900, 90):
        top, left = int(p.top[i]), int(p.left[i])
        part = images[i, 0, top : top + 10, left : left + 12]
        assert torch.equal(out["image"][i, 0], part) and torch.equal(out["mask"][i], part.long())


def test_mask_crops_hold_a_wanted_pixel_drawn_evenly() -> None:
    generator = torch.Generator().manual_seed(0)
    mask = (torch.rand((H, W), generator=generator) < 0.02).to(torch.uint8) * 3
    mask[5, 7], mask[0, 0], mask[H - 1, W - 1], mask[20:23, 30:60] = 9, 3, 3, 255
    many = mask.expand(6000, H, W)
    layer = ga.CropNonEmptyMaskIfExists(1, 1, ignore_values=[255])
    layer.reseed(0)
    p = layer.sample({"image": blank(6000), "mask": many})["CropNonEmptyMaskIfExists"]
    wanted = ((mask != 0) & (mask != 255)).flatten()
    counts = torch.bincount(p.top.long() * W + p.left.long(), minlength=H * W)
    assert counts[~wanted].sum() == 0 and counts[wanted].sum() == 6000
    assert stats.chisquare(counts[wanted].numpy()).pvalue > 1e-4
    crop = ga.Compose([ga.CropNonEmptyMaskIfExists(9, 14, ignore_values=[255])], seed=1)
    out = crop({"image": many[:500, None], "mask": many[:500]})
    assert torch.equal(out["image"][:, 0], out["mask"]) and out["mask"].shape == (500, 9, 14)
    assert ((out["mask"] != 0) & (out["mask"] != 255)).flatten(1).any(1).all()


def test_mask_crops_reach_every_place_that_holds_a_pixel() -> None:
    mask = torch.zeros(3000, 10, 13, dtype=torch.int64)
    mask[:, 4, 6] = 2
    layer = ga.CropNonEmptyMaskIfExists(3, 5)
    layer.reseed(0)
    p = layer.sample({"image": blank(3000, 10, 13), "mask": mask})["CropNonEmptyMaskIfExists"]
    assert set(p.top.tolist()) == {2, 3, 4} and set(p.left.tolist()) == {2, 3, 4, 5, 6}
    channels = torch.stack((mask, torch.zeros_like(mask)), dim=1)
    channels[:, 1, 0, 0] = 1
    corner = ga.CropNonEmptyMaskIfExists(3, 5, ignore_channels=[0])
    corner.reseed(0)
    p = corner.sample({"image": blank(3000, 10, 13), "mask": channels})["CropNonEmptyMaskIfExists"]
    assert (p.top == 0).all() and (p.left == 0).all()
    for data in ({"mask": torch.zeros_like(mask)}, {}):  # nothing there: anywhere
        p = layer.sample({"image": blank(3000, 10, 13), **data})["CropNonEmptyMaskIfExists"]
        assert set(p.top.tolist()) == set(range(8)) and set(p.left.tolist()) == set(range(9))


def test_draws_see_annotations_where_they_are_by_then() -> None:
    """A mask that was flipped and resized, and boxes likewise; a crop before has removed what it removed."""
    mask = torch.zeros(40, H, W, dtype=torch.uint8)
    mask[:, 2:6, 1:9] = 1
    steps = [ga.RandomHorizontalFlip(1.0), ga.Resize((2 * H, 2 * W)), ga.CropNonEmptyMaskIfExists(20, 24)]
    out = ga.Compose(steps, seed=0)({"image": blank(40), "mask": mask})["mask"]
    assert out.flatten(1).any(1).all()
    boxes = torch.tensor([[[1.0, 2.0, 9.0, 6.0], [30.0, 20.0, 36.0, 28.0]]]).expand(40, 2, 4)
    steps = [ga.CenterCrop((30, 40)), ga.RandomHorizontalFlip(1.0), ga.AtLeastOneBBoxRandomCrop(12, 14)]
    out = ga.Compose(steps, seed=0, bbox_params=ga.BboxParams(min_visibility=1.0))({"image": blank(40), "boxes": boxes})
    assert out["valid"].tolist() == [[False, True]] * 40


OBJECTS: dict[str, Any] = {
    "iou crop": lambda: [ga.RandomIoUCrop(sampler_options=[0.0, 0.3], size=(40, 52))],
    "safe crop": lambda: [ga.BBoxSafeRandomCrop(0.5, size=(40, 52))],
    "one box": lambda: [ga.AtLeastOneBBoxRandomCrop(30, 40, 0.5)],
    "flip, iou crop, rotation": lambda: [
        ga.RandomHorizontalFlip(),
        ga.RandomIoUCrop(sampler_options=[0.0]),
        ga.RandomRotation(20),
    ],
    "rotation, safe crop, zoom out": lambda: [
        ga.RandomRotation(20),
        ga.BBoxSafeRandomCrop(0.3),
        ga.RandomZoomOut(p=1.0, side_range=(1.0, 1.5)),
    ],
}


@pytest.mark.parametrize("small", [0, 10**9], ids=["walk", "definition"])
@pytest.mark.parametrize("name", OBJECTS)
def test_the_content_at_a_moved_point(name: str, small: int, monkeypatch: pytest.MonkeyPatch) -> None:
    """Regressions section 1, for crops that see boxes: mean below 0.05 px, largest below 0.25 px."""
    monkeypatch.setattr("gpuaug.render.backend.SMALL", small)
    generator = torch.Generator().manual_seed(3)
    points = torch.rand((6, 3, 40, 2), generator=generator, dtype=torch.float64) * torch.tensor([W - 4.0, H - 4.0]) + 2
    boxes = random_boxes(6, 3, 1, largest=0.8)
    out = ga.Compose(OBJECTS[name](), seed=5, fill=0.0)({"image": coordinates(6), "boxes": boxes, "keypoints": points})
    errors = []
    for b in range(6):
        value, ok = read_at(out["image"][b], out["keypoints"][b].flatten(0, 1))
        ok = ok & (out["visible"][b].flatten() > 0)
        errors.append((value[ok] * 100 - points[b].flatten(0, 1)[ok]).norm(dim=1))
    error = torch.cat(errors)
    assert error.numel() >= 100 and error.mean() < 0.05 and error.max() < 0.25


def test_eval_is_the_plain_preprocessing() -> None:
    images = example(2, (3, 40, 56))
    for same in (ga.RandomZoomOut(), ga.RandomIoUCrop(), ga.BBoxSafeRandomCrop(), ga.ConstrainedCoarseDropout()):
        assert same.eval()(images) is images
    for resized in (
        ga.RandomZoomOut(size=(20, 30)),
        ga.RandomIoUCrop(size=(20, 30)),
        ga.BBoxSafeRandomCrop(size=(20, 30)),
    ):
        assert torch.equal(resized.eval()(images), ga.Resize((20, 30))(images))
    for cropped in (ga.AtLeastOneBBoxRandomCrop(20, 30), ga.CropNonEmptyMaskIfExists(20, 30)):
        assert torch.equal(cropped.eval()(images), ga.CenterCrop((20, 30))(images))
    fitted = ga.ScaleJitter((50, 40), fill=0.25).eval()(images)
    assert (fitted[:, :, :28] - ga.Resize((28, 40))(images)).abs().max() < 1e-6 and (fitted[:, :, 28:] == 0.25).all()


REFUSED: list[tuple[Any, str]] = [
    (lambda: ga.RandomZoomOut(side_range=(0.5, 2)), r"RandomZoomOut: side_range must be within \[1, inf\]"),
    (lambda: ga.ScaleJitter(10, (0.0, 2)), "ScaleJitter: scale_range must be within"),
    (lambda: ga.RandomIoUCrop(0.9, 0.3), r"RandomIoUCrop: min_scale and max_scale must be 0 < min_scale.*\(0.9, 0.3\)"),
    (lambda: ga.RandomIoUCrop(trials=0), "RandomIoUCrop: trials must be an integer of at least 1, got 0"),
    (lambda: ga.RandomIoUCrop(sampler_options=[]), "RandomIoUCrop: sampler_options must be numbers from 0 on"),
    (lambda: ga.BBoxSafeRandomCrop(1.5), "BBoxSafeRandomCrop: erosion_rate must be between 0 and 1, got 1.5"),
    (lambda: ga.AtLeastOneBBoxRandomCrop(4, 4, -1), "AtLeastOneBBoxRandomCrop: erosion_factor must be between 0 and 1"),
    (lambda: ga.CropNonEmptyMaskIfExists(4, 60)(example(1)), r"CropNonEmptyMaskIfExists: height and width must not"),
    (lambda: ga.ConstrainedCoarseDropout((3, 2)), "ConstrainedCoarseDropout: num_holes_range must be integers"),
    (lambda: ga.ConstrainedCoarseDropout(mask_indices=[1], bbox_labels=[1]), "objects must be of mask_indices or of"),
]


@pytest.mark.parametrize(("call", "message"), REFUSED, ids=range(len(REFUSED)))
def test_refusals(call: Any, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        call()
