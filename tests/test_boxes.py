"""Boxes of masks, index maps, targets at another resolution, box transforms, filters, and rows that stay together."""

from __future__ import annotations

from typing import Any

import pytest
import torch
from content import H, W, coordinates
from torch import Tensor
from torchvision import tv_tensors as tvt
from torchvision.transforms.v2 import functional as tv

import gpuaug as ga
from gpuaug.testing import example


def blobs(count: int, h: int = H, w: int = W) -> Tensor:
    """Distinct ellipses (count, h, w) uint8, some of which overlap."""
    y, x = torch.meshgrid(torch.arange(h) + 0.5, torch.arange(w) + 0.5, indexing="ij")
    out = []
    for i in range(count):
        cx, cy = w * (0.2 + 0.6 * (i * 0.37 % 1)), h * (0.25 + 0.5 * (i * 0.61 % 1))
        out.append(((x - cx) / (w * 0.06 + i)) ** 2 + ((y - cy) / (h * 0.12)) ** 2 <= 1)
    return torch.stack(out).to(torch.uint8)


def around(mask: Tensor) -> list[float]:
    rows, cols = mask.any(1).nonzero(), mask.any(0).nonzero()
    if not len(rows):
        return [0.0] * 4
    return [float(cols[0]), float(rows[0]), float(cols[-1]) + 1, float(rows[-1]) + 1]


def as_index(masks: Tensor) -> Tensor:
    """The later object is on top."""
    index = torch.zeros(masks.shape[1:], dtype=torch.int64)
    for i, mask in enumerate(masks):
        index = torch.where(mask > 0, i + 1, index)
    return index


@pytest.mark.parametrize("indexed", [False, True], ids=["masks", "index map"])
def test_boxes_of_masks(indexed: bool) -> None:
    """The box of a row is that of its moved mask, in the frame of edges; a row without a pixel is not valid."""
    masks = torch.stack((blobs(5), blobs(5).flip(2)))
    given = torch.stack([as_index(m) for m in masks]) if indexed else masks
    layer = ga.Compose(
        [ga.RandomRotation((50, 50)), ga.CenterCrop((24, 30))], bbox_params=ga.BboxParams(rotate_method="mask")
    )
    data = {"image": coordinates(2), "boxes": torch.tensor([1.0, 1, W, H]).expand(2, 5, 4), "masks": given}
    out = layer({**data, "valid": torch.tensor([[True] * 4 + [False], [True] * 5])})
    lost = 0
    for b in range(2):
        for n in range(5):
            mask = out["masks"][b] == n + 1 if indexed else out["masks"][b, n] > 0
            assert out["boxes"][b, n].tolist() == around(mask)
            assert out["valid"][b, n] == (bool(mask.any()) and (b, n) != (0, 4))
            lost += not mask.any()
    assert 0 < lost < 8
    with pytest.raises(ValueError, match=r"Compose: rotate_method='mask' needs `masks` beside `boxes`, got none"):
        layer({key: value for key, value in data.items() if key != "masks"})


def test_filters_on_boxes_of_masks() -> None:
    """Visibility is the share of the object's own pixels in view, and 1.0 keeps what is wholly seen."""
    masks = torch.zeros(1, 3, H, W, dtype=torch.uint8)
    masks[0, 0, 10:20, 10:30] = 1  # the crop leaves columns 18 on: 12 of 20
    masks[0, 1, 10:20, 30:34] = 1
    masks[0, 2, 10:40, 12:19] = 1  # 1 of 7
    data = {"image": coordinates(1), "boxes": torch.zeros(1, 3, 4), "masks": masks}

    def valid(**settings: Any) -> list[bool]:
        params = ga.BboxParams(rotate_method="mask", **settings)
        steps = [ga.CenterCrop((H, 30)), ga.RandomAffine((0, 0), scale=(0.5, 0.5), fill=0.0)]
        found: list[bool] = ga.Compose(steps, bbox_params=params)(data)["valid"][0].tolist()
        return found

    assert valid() == [True, True, True]
    assert valid(min_visibility=0.59) == [True, True, False] and valid(min_visibility=0.61) == [False, True, False]
    assert valid(min_visibility=1.0) == [False, True, False]
    assert valid(min_area=25) == [True, False, False]
    assert valid(min_size=2.5) == [True, False, False]
    assert valid(max_aspect=2.6) == [True, True, False]


@pytest.mark.parametrize("name", ["flip", "crop", "rotation", "elastic", "two passes"])
def test_targets_at_a_fraction_of_the_resolution(name: str) -> None:
    """Masks at a quarter: the centre of each of their pixels shows what the float64 map says was there."""
    steps: dict[str, list[Any]] = {
        "flip": [ga.RandomHorizontalFlip(1.0)],
        "crop": [ga.RandomResizedCrop((40, 80), scale=(0.3, 0.6))],
        "rotation": [ga.RandomRotation((30, 30))],
        "elastic": [ga.ElasticTransform(80.0, 8.0)],
        "two passes": [ga.CenterCrop((32, 44)), ga.RandomRotation((30, 30)), ga.Pad(8), ga.RandomAffine(20)],
    }
    h, w = 48, 64
    small = torch.arange(h * w // 16).view(h // 4, w // 4) + 1  # each pixel its own number
    large = small.repeat_interleave(4, 0).repeat_interleave(4, 1)
    layer = ga.Compose(steps[name], seed=1)
    image = coordinates(1, h, w)
    out, params = layer({"image": image, "mask": small[None], "boxes": torch.ones(1, 2, 4)}, return_params=True)
    full = layer.replay({"image": image, "mask": large[None]}, params)["mask"][0]
    rows, cols = out["mask"].shape[1:]
    assert (rows, cols) == (full.shape[0] // 4, full.shape[1] // 4)
    # The large map read where the small one's pixels have their centres, which is a corner of four pixels.
    near = torch.stack([full[j::4, i::4] for j in (1, 2) for i in (1, 2)])
    if name == "two passes":  # each pass rounds to the pixels of its own resolution, as it does at the full one
        both = (near > 0).all(0) & (out["mask"][0] > 0)
        apart = [(near[:, both] - 1) // 16 - (out["mask"][0][both] - 1) // 16]
        apart += [(near[:, both] - 1) % 16 - (out["mask"][0][both] - 1) % 16]
        distance = torch.stack(apart).double().norm(dim=0)
        assert distance.amin(0).mean() < 0.6 and distance.amin(0).max() <= 1.5
        assert all(abs(part.double().mean()) < 0.15 for part in apart)
        assert ((near > 0).any(0) == (out["mask"][0] > 0)).double().mean() > 0.9
    else:
        assert (near == out["mask"]).any(0).double().mean() > 0.99
    masks = torch.stack((small % 2, small % 3)).to(torch.uint8)
    moved = layer.replay({"image": image, "masks": masks[None], "boxes": torch.ones(1, 2, 4)}, params)["masks"][0]
    shown = out["mask"][0]
    assert torch.equal(moved[0], torch.where(shown > 0, shown % 2, 0).to(torch.uint8))
    assert torch.equal(moved[1], torch.where(shown > 0, shown % 3, 0).to(torch.uint8))


def test_index_maps_name_their_rows() -> None:
    """In a pipeline values keep naming rows; `max_objects` and `compact` number rows anew, and the values with them."""
    masks = blobs(4)
    boxes = torch.tensor([around(m) for m in masks])[None]
    boxes[0, 1] = torch.tensor([0, 0, 0, 5])  # not valid on its own
    ids = torch.tensor([[2**25 + 1, 2**25 + 3, 2**40 + 1, 7]])
    data = {"image": coordinates(1), "boxes": boxes, "masks": as_index(masks)[None], "ids": ids}
    out = ga.Compose([ga.RandomHorizontalFlip(1.0)])(data)
    assert torch.equal(out["masks"], data["masks"].flip(2)) and torch.equal(out["ids"], ids)
    few = ga.BboxParams(max_objects=2)
    out2 = ga.Compose([ga.RandomHorizontalFlip(1.0)], bbox_params=few)(data)
    assert out2["ids"].tolist() == [[2**25 + 1, 2**40 + 1]]
    index = data["masks"].flip(2)
    expected = torch.where(index == 1, 1, torch.where(index == 3, 2, 0))
    assert torch.equal(out2["masks"], expected) and expected.unique().tolist() == [0, 1, 2]
    packed = ga.compact(out, label_fields=["ids"])
    assert packed["ids"][0].tolist() == [2**25 + 1, 2**40 + 1, 7] and "valid" not in packed
    expected = torch.where(index == 1, 1, torch.where(index == 3, 2, torch.where(index == 4, 3, 0)))
    assert torch.equal(packed["masks"], expected) and packed["image"] is out["image"]


def test_compact() -> None:
    data = {
        "image": coordinates(3),
        "boxes": torch.tensor([[1.0, 1, 9, 9], [28, 20, 38, 28], [30, 2, 30, 9]]).expand(3, 3, 4).clone(),
        "labels": torch.arange(9).view(3, 3),
        "masks": torch.arange(9, dtype=torch.uint8).view(3, 3, 1, 1).expand(3, 3, H, W),
        "keypoints": torch.rand(3, 3, 2, 2) * 20 + 20,
        "valid": torch.tensor([[True, True, True], [False, False, False], [True, False, True]]),
        "name": "kept",
    }
    out = ga.Compose([ga.RandomVerticalFlip(1.0)])(data)
    packed = ga.compact(out)
    assert [len(rows) for rows in packed["boxes"]] == [2, 0, 1] and packed["name"] == "kept"
    assert [rows.tolist() for rows in packed["labels"]] == [[0, 1], [], [6]]
    for key in ("boxes", "masks", "keypoints", "visible"):
        assert torch.equal(packed[key][0], out[key][0, :2]) and torch.equal(packed[key][2], out[key][2, :1])
        assert packed[key][1].shape == (0, *out[key].shape[2:])
    with pytest.raises(TypeError, match="compact: batch must be a dict with `valid`"):
        ga.compact({"boxes": data["boxes"]})
    with pytest.raises(ValueError, match=r"compact: labels must begin with \(3, 3\), got \(3,\)"):
        ga.compact({**out, "labels": torch.zeros(3)})


def test_sanitize_judges_at_its_place() -> None:
    """What is too small there stays gone after a zoom in; it is not changed, and neither are the others."""
    boxes = torch.tensor([[[30.0, 20, 34, 24], [20, 20, 40, 30], [10, 10, 20, 11.5], [30, 10, 40, 10]]])
    data = {"image": coordinates(1), "boxes": boxes, "labels": torch.tensor([[1, 2, 3, 4]])}
    small, large = ga.RandomAffine((0, 0), scale=(0.5, 0.5)), ga.RandomAffine((0, 0), scale=(2.0, 2.0))
    for steps, expected in (
        ([ga.SanitizeBoundingBoxes(2.5), small], [True, True, False, False]),
        ([small, ga.SanitizeBoundingBoxes(2.5), large], [False, True, False, False]),
        ([small, large, ga.SanitizeBoundingBoxes(min_area=17)], [False, True, False, False]),
        ([ga.SanitizeBoundingBoxes()], [True, True, True, False]),
        ([ga.RandomApply([ga.SanitizeBoundingBoxes(2.5)], p=0.0)], [True, True, True, True]),
    ):
        out = ga.Compose(steps, seed=0)(data)
        if len(steps) > 1:
            plain = ga.Compose([s for s in steps if not isinstance(s, ga.SanitizeBoundingBoxes)], seed=0)(data)
            assert torch.equal(out["boxes"], plain["boxes"])
        assert out["valid"].tolist()[0][:3] == expected[:3] and not out["valid"][0, 3]
        assert torch.equal(out["labels"], data["labels"])
    box = tvt.BoundingBoxes(boxes[0], format="XYXY", canvas_size=(H, W))
    kept = tv.sanitize_bounding_boxes(box, min_size=2.5)[1]
    assert ga.SanitizeBoundingBoxes(2.5)(data)["valid"][0].tolist() == kept.tolist()
    for name in ("min_size", "min_area"):
        with pytest.raises(ValueError, match=f"SanitizeBoundingBoxes: {name} must be a number of at least 1, got 0.5"):
            ga.SanitizeBoundingBoxes(**{name: 0.5})


def test_clamp_cuts_boxes_at_its_place_and_nothing_else() -> None:
    boxes = torch.tensor([[[0.0, 10, 10, 20], [30, 20, 40, 28]]])
    points = torch.tensor([[[[2.0, 12.0]], [[35.0, 25.0]]]])
    out_and_in = [ga.RandomAffine((0, 0), scale=(2.0, 2.0)), ga.RandomAffine((0, 0), scale=(0.5, 0.5))]
    data = {"image": coordinates(1), "boxes": boxes, "keypoints": points}
    plain = ga.Compose(out_and_in)(data)
    clamped = ga.Compose([out_and_in[0], ga.ClampBoundingBoxes(), out_and_in[1]])(data)
    assert (plain["boxes"] - boxes).abs().max() < 1e-4
    assert plain["valid"].all() and clamped["valid"].tolist() == [[False, True]]
    for key in ("image", "keypoints", "visible"):
        assert torch.equal(plain[key], clamped[key])
    none = ga.Compose([out_and_in[0], ga.ClampBoundingBoxes(None), out_and_in[1]])(data)
    assert torch.equal(none["boxes"], plain["boxes"]) and none["valid"].all()
    with pytest.raises(ValueError, match=r"ClampBoundingBoxes: clamping_mode must be .*, got 'firm'"):
        ga.ClampBoundingBoxes("firm")


def test_clamped_rotated_boxes_enclose_what_is_in_view() -> None:
    """The smallest rectangle of the same angle around what is in view: against a fine raster of its points."""
    box = torch.tensor([[[6.0, 20, 30, 10, 25], [33, 24, 10, 6, 70]]], dtype=torch.float64)
    settings = ga.BboxParams(format="cxcywhr")
    out = ga.Compose([ga.ClampBoundingBoxes("soft")], bbox_params=settings)({"image": coordinates(1), "boxes": box})
    assert (out["boxes"][0, 1] - box[0, 1]).abs().max() < 1e-9
    cx, cy, w, h, r = box[0, 0]
    u = torch.stack((torch.cos(r.deg2rad()), -torch.sin(r.deg2rad())))
    v = torch.stack((-u[1], u[0]))
    a, b = torch.meshgrid(torch.linspace(-w / 2, w / 2, 1501), torch.linspace(-h / 2, h / 2, 501), indexing="ij")
    points = torch.stack((cx, cy)) + a.double()[..., None] * u + b.double()[..., None] * v
    seen = (points >= 0).all(-1)
    found = out["boxes"][0, 0]
    assert abs(found[4] - r) < 1e-9 and found[2] < w - 5
    for side, along in ((2, u), (3, v)):
        place = (points[seen] - found[:2]) @ along
        assert abs(place.max() - found[side] / 2) < 0.05 and abs(place.min() + found[side] / 2) < 0.05
    with pytest.raises(ValueError, match="ClampBoundingBoxes: clamping_mode must be 'soft' for rotated boxes"):
        ga.Compose([ga.ClampBoundingBoxes("hard")], bbox_params=settings)({"image": coordinates(1), "boxes": box})


@pytest.mark.parametrize("new", ["XYXY", "XYWH", "CXCYWH"])
def test_convert_writes_another_format(new: str) -> None:
    """As torchvision's, for dicts, tensors and lists, alone and in a pipeline, in train and eval mode."""
    boxes = torch.tensor([[4.0, 6.0, 20.0, 30.0], [-2.0, 2.0, 50.0, 38.0]])
    given = tvt.BoundingBoxes(boxes, format="XYXY", canvas_size=(H, W))
    expected = tv.convert_bounding_box_format(given, new_format=new)
    step = ga.ConvertBoundingBoxFormat(tvt.BoundingBoxFormat[new])
    for layer in (step, ga.Compose([step, ga.ColorJitter(0.2)]), ga.Compose([step, ga.RandomRotation(9)]).eval()):
        image = tvt.Image(example(1, (3, H, W))[0])
        _, moved = layer((image, given))
        assert moved.format == expected.format and (moved - expected).abs().max() < 1e-5
        out = layer({"image": image.as_subclass(Tensor), "boxes": boxes})
        assert (out["boxes"] - expected).abs().max() < 1e-5
        _, targets = layer([image], [{"boxes": given, "labels": torch.arange(2)}])
        assert targets[0]["boxes"].format == expected.format
    flipped = ga.Compose([ga.ConvertBoundingBoxFormat("yolo"), ga.RandomHorizontalFlip(1.0), step])
    out = flipped({"image": coordinates(1), "boxes": boxes[None, :1]})["boxes"][0]
    mirrored = tv.convert_bounding_box_format(tv.horizontal_flip(given), new_format=new)
    assert (out - mirrored[:1].as_subclass(Tensor)).abs().max() < 1e-5
    with pytest.raises(ValueError, match="Compose: boxes must be written as what they are, rotated or not"):
        ga.Compose([ga.ConvertBoundingBoxFormat("XYXYXYXY")])({"image": coordinates(1), "boxes": boxes[None]})
    with pytest.raises(ValueError, match=r"ConvertBoundingBoxFormat: format must be one of .*, got 'quad'"):
        ga.ConvertBoundingBoxFormat("quad")


def test_filters_apply_where_nothing_moves() -> None:
    """Regressions 47: a pipeline of colours keeps what the settings say, as one with geometry does."""
    boxes = torch.tensor([[[0.0, 0, 3, 9], [5, 5, 25, 20]]])
    params = ga.BboxParams(min_size=4, max_objects=1)
    for steps in ([ga.ColorJitter(0.2)], [ga.RandomHorizontalFlip(p=0.0)], []):
        out = ga.Compose(steps, bbox_params=params)({"image": coordinates(1), "boxes": boxes})
        assert out["boxes"].tolist() == [[[5, 5, 25, 20]]] and out["valid"].tolist() == [[True]]


def test_rows_stay_together_through_any_chain() -> None:
    """Label, id, mask, keypoints and box of a row are those of one object: each is recognised by its own content."""
    count = 6
    masks = blobs(count).int() * (torch.arange(count).view(-1, 1, 1) + 1)
    boxes = torch.tensor([around(m) for m in masks])
    centre = (boxes[:, :2] + boxes[:, 2:]) / 2
    ids = torch.arange(count) * 2 + 2**24 + 1
    order = torch.stack([torch.randperm(count, generator=torch.Generator().manual_seed(i)) for i in range(3)])
    data = {
        "image": coordinates(3),
        "boxes": boxes[order],
        "labels": order + 1,
        "ids": ids[order],
        "masks": masks[order],
        "keypoints": centre[order][:, :, None],
    }
    steps = [ga.RandomAffine(30, scale=(0.7, 1.2)), ga.CenterCrop((36, 44)), ga.RandomHorizontalFlip(), ga.Resize(54)]
    settings = ga.BboxParams(max_objects=4, min_visibility=0.95)
    out = ga.Compose(steps, seed=3, bbox_params=settings)(data)
    assert 4 < out["valid"].sum() < 12
    for b in range(3):
        for n in range(4):
            if not out["valid"][b, n]:
                continue
            label = int(out["labels"][b, n])
            assert int(out["ids"][b, n]) == int(ids[label - 1]) and out["ids"].dtype == torch.int64
            assert out["masks"][b, n].unique().tolist() == [0, label]
            x0, y0, x1, y1 = around(out["masks"][b, n])
            box, point = out["boxes"][b, n], out["keypoints"][b, n, 0]
            assert (box[:2] <= torch.tensor([x0, y0]) + 1).all() and (box[2:] >= torch.tensor([x1, y1]) - 1).all()
            if out["visible"][b, n, 0] and (x1 - x0) * (y1 - y0) > 30:
                assert x0 <= point[0] <= x1 and y0 <= point[1] <= y1
