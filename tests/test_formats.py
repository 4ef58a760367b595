"""Structures in and out without loss: ragged numbers of objects, empty samples, every box format."""

from __future__ import annotations

from typing import Any

import pytest
import torch
from torch import Tensor
from torchvision import tv_tensors as tvt
from torchvision.transforms.v2 import functional as tv

import gpuaug as ga
from gpuaug.testing import example

H, W = 40, 56
XYXY = torch.tensor([[4.0, 6.0, 20.0, 30.0], [10.0, 2.0, 50.0, 38.0], [0.5, 0.5, 9.5, 12.0]])
FLIP = [ga.RandomHorizontalFlip(1.0)]


def flipped(boxes: Tensor) -> Tensor:
    return torch.stack((W - boxes[..., 2], boxes[..., 1], W - boxes[..., 0], boxes[..., 3]), dim=-1)


def written(boxes: Tensor, format: str) -> Tensor:
    """The formats by their definitions."""
    x0, y0, x1, y1 = boxes.unbind(-1)
    rows = {
        "xyxy": (x0, y0, x1, y1),
        "pascal_voc": (x0, y0, x1, y1),
        "xywh": (x0, y0, x1 - x0, y1 - y0),
        "coco": (x0, y0, x1 - x0, y1 - y0),
        "cxcywh": ((x0 + x1) / 2, (y0 + y1) / 2, x1 - x0, y1 - y0),
        "yolo": ((x0 + x1) / 2 / W, (y0 + y1) / 2 / H, (x1 - x0) / W, (y1 - y0) / H),
        "albumentations": (x0 / W, y0 / H, x1 / W, y1 / H),
    }
    return torch.stack(rows[format], dim=-1)


@pytest.mark.parametrize("format", ["xyxy", "pascal_voc", "xywh", "coco", "cxcywh", "yolo", "albumentations"])
def test_box_formats(format: str) -> None:
    layer = ga.Compose(FLIP, bbox_params=ga.BboxParams(format=format))
    out = layer({"image": example(1, (3, H, W)), "boxes": written(XYXY, format)[None]})
    assert (out["boxes"][0] - written(flipped(XYXY), format)).abs().max() < 1e-5
    resized = ga.Compose([ga.Resize((80, 28))], bbox_params=ga.BboxParams(format=format))
    out = resized({"image": example(1, (3, H, W)), "boxes": written(XYXY, format)[None]})["boxes"][0]
    if format in ("yolo", "albumentations"):
        assert (out - written(XYXY, format)).abs().max() < 1e-5
    else:
        assert (out - written(XYXY * torch.tensor([0.5, 2.0, 0.5, 2.0]), format)).abs().max() < 1e-4


def test_keypoints_that_index_pixels() -> None:
    """A pixel's index comes back as the index of the pixel it went to."""
    image = torch.arange(H * W, dtype=torch.float64).view(1, 1, H, W) / (H * W)
    index = torch.tensor([[[3.0, 7.0], [0.0, 0.0], [W - 1.0, H - 1.0]]])
    layer = ga.Compose(
        [ga.RandomHorizontalFlip(1.0), ga.CenterCrop((40, 50))], keypoint_params=ga.KeypointParams("center")
    )
    out = layer({"image": image, "keypoints": index})
    for before, after, seen in zip(index[0].long(), out["keypoints"][0], out["visible"][0], strict=True):
        x, y = after.tolist()
        assert x == int(x) and y == int(y)
        assert (seen > 0) == (0 <= x < 50)
        if seen:
            assert out["image"][0, 0, int(y), int(x)] == image[0, 0, before[1], before[0]]


@pytest.mark.parametrize("box_format", ["XYXY", "XYWH", "CXCYWH"])
def test_tv_tensors_in_any_tree(box_format: str) -> None:
    image = tvt.Image((example(1, (3, H, W))[0] * 255).to(torch.uint8))
    boxes = tvt.BoundingBoxes(written(XYXY, box_format.lower()), format=box_format, canvas_size=(H, W))
    masks = tvt.Mask(torch.zeros(3, H, W, dtype=torch.uint8).index_fill_(2, torch.arange(5), 1))
    points = tvt.KeyPoints(XYXY[:, :2].clone(), canvas_size=(H, W))
    sample = {"a": (image, "name"), "b": {"boxes": boxes, "masks": masks, "points": [points]}, "labels": torch.ones(3)}
    out = ga.Compose(FLIP)(sample)
    assert out["a"][1] == "name" and out["labels"] is sample["labels"]
    assert isinstance(out["a"][0], tvt.Image) and torch.equal(out["a"][0], tv.horizontal_flip(image))
    moved = out["b"]["boxes"]
    assert isinstance(moved, tvt.BoundingBoxes) and moved.format == boxes.format and moved.canvas_size == (H, W)
    assert torch.allclose(moved, tv.horizontal_flip(boxes), atol=1e-5)
    assert isinstance(out["b"]["masks"], tvt.Mask) and torch.equal(out["b"]["masks"], tv.horizontal_flip(masks))
    # Points live in [0, W] as boxes do: W - x, where torchvision takes indices of pixels (W - 1 - x).
    assert isinstance(out["b"]["points"][0], tvt.KeyPoints)
    assert torch.allclose(out["b"]["points"][0] - 1 * torch.tensor([1.0, 0.0]), tv.horizontal_flip(points), atol=1e-5)
    semantic = ga.Compose(FLIP)(image, tvt.Mask(torch.arange(H * W).view(H, W)))
    assert torch.equal(semantic[1], torch.arange(H * W).view(H, W).flip(1))
    resized = ga.Compose([ga.Resize((20, 28))])(image, boxes)
    assert resized[1].canvas_size == (20, 28)


def targets() -> list[dict[str, Any]]:
    def masks(count: int) -> Tensor:
        return torch.ones(count, H, W, dtype=torch.uint8)

    rows = [
        {"boxes": XYXY, "labels": torch.tensor([1, 2, 3]), "masks": masks(3), "area": torch.tensor([1.0, 2.0, 3.0])},
        {
            "boxes": torch.zeros(0, 4),
            "labels": torch.zeros(0, dtype=torch.int64),
            "masks": masks(0),
            "area": torch.zeros(0),
        },
        {"boxes": XYXY[1:2], "labels": torch.tensor([2**25 + 1]), "masks": masks(1), "area": torch.tensor([4.0])},
    ]
    return [{**row, "image_id": torch.tensor(i)} for i, row in enumerate(rows)]


def test_detection_lists() -> None:
    """Ragged numbers of objects, an empty sample; what a crop removes is gone from every field."""
    images = list(example(3, (3, H, W)))
    for call in (lambda layer: layer(images, targets()), lambda layer: layer((images, targets()))):
        new, out = call(ga.Compose(FLIP))
        assert isinstance(new, list) and torch.equal(new[0], images[0].flip(2))
        for before, after in zip(targets(), out, strict=True):
            assert before.keys() == after.keys()
            assert torch.allclose(after["boxes"], flipped(before["boxes"]))
            for key in ("labels", "area", "image_id"):
                assert torch.equal(after[key], before[key]) and after[key].dtype == before[key].dtype
    crop = ga.Compose([ga.CenterCrop((40, 20))])  # columns 18 to 38
    _, out = crop(images, targets())
    assert out[0]["labels"].tolist() == [1, 2] and out[0]["area"].tolist() == [1.0, 2.0]
    assert out[0]["masks"].shape == (2, 40, 20) and out[1]["boxes"].shape == (0, 4)
    assert out[2]["labels"].tolist() == [2**25 + 1]
    fractions = [{**t, "boxes": written(t["boxes"], "yolo")} for t in targets()]
    _, out = ga.Compose(FLIP, bbox_params=ga.BboxParams(format="yolo"))(images, fractions)
    assert torch.allclose(out[0]["boxes"], written(flipped(XYXY), "yolo"), atol=1e-6)


def test_ultralytics_rows() -> None:
    data = {
        "img": example(3, (3, H, W)),
        "batch_idx": torch.tensor([0.0, 2.0, 0.0]),
        "cls": torch.tensor([[5.0], [6.0], [7.0]]),
        "bboxes": written(XYXY, "yolo"),
        "keypoints": torch.tensor([[[0.25, 0.5, 2.0], [0.5, 0.5, 0.0]]]).repeat(3, 1, 1),
        "im_file": ["a", "b", "c"],
    }
    out = ga.Compose(FLIP, format="ultralytics")(data)
    assert torch.allclose(out["bboxes"], written(flipped(XYXY), "yolo"), atol=1e-6)
    assert torch.equal(out["cls"], data["cls"]) and torch.equal(out["batch_idx"], data["batch_idx"])
    assert torch.allclose(out["keypoints"][:, 0], torch.tensor([0.75, 0.5, 2.0])) and out["im_file"] == data["im_file"]
    assert (out["keypoints"][:, 1, 2] == 0).all()
    out = ga.Compose([ga.CenterCrop((40, 20))], format="ultralytics")(data)
    assert out["cls"].flatten().tolist() == [5.0, 6.0] and out["batch_idx"].tolist() == [0.0, 2.0]
    empty = {"img": data["img"], "batch_idx": torch.zeros(0), "cls": torch.zeros(0, 1), "bboxes": torch.zeros(0, 4)}
    assert ga.Compose(FLIP, format="ultralytics")(empty)["bboxes"].shape == (0, 4)


def test_yolox_rows() -> None:
    rows = torch.zeros(2, 4, 5)
    rows[0, :3] = torch.cat((torch.tensor([[5.0], [6.0], [7.0]]), written(XYXY, "cxcywh")), dim=1)
    images = example(2, (3, H, W))
    new, out = ga.Compose(FLIP, format="yolox")(images, rows)
    expected = torch.cat((torch.tensor([[5.0], [6.0], [7.0]]), written(flipped(XYXY), "cxcywh")), dim=1)
    assert torch.allclose(out[0, :3], expected) and (out[0, 3] == 0).all() and (out[1] == 0).all()
    assert torch.equal(new, images.flip(3))
    _, out = ga.Compose([ga.CenterCrop((40, 20)), ga.Pad((18, 0))], format="yolox")(images, rows)
    assert out[0, :, 0].tolist() == [5.0, 6.0, 0.0, 0.0]


@pytest.mark.parametrize(
    ("data", "message"),
    [
        ({"boxes": torch.zeros(3, 2, 5)}, r"Compose: boxes must have shape \(3, 2, 4\), got \(3, 2, 5\)"),
        ({"boxes": torch.zeros(2, 2, 4)}, r"Compose: boxes must begin with \(3\), as the images, got \(2, 2, 4\)"),
        (
            {"boxes": torch.zeros(3, 2, 4), "labels": torch.zeros(3, 5)},
            r"labels must have shape \(3, 2\), got \(3, 5\)",
        ),
        ({"boxes": torch.zeros(3, 2, 4), "valid": torch.ones(3, 1)}, r"valid must have shape \(3, 2\), got \(3, 1\)"),
        (
            {"mask": torch.zeros(3, 20, 20)},
            r"mask must have shape \(3, 40, 56\) or \(3, C, 40, 56\), got \(3, 20, 20\)",
        ),
        ({"masks": torch.zeros(3, 2, 9, 9)}, r"masks must have shape \(3, 2, 40, 56\), got \(3, 2, 9, 9\)"),
        ({"keypoints": torch.zeros(3, 2, 4, 3)}, r"keypoints must have shape \(3, 2, K, 2\), got \(3, 2, 4, 3\)"),
    ],
)
def test_annotations_that_do_not_fit_are_refused(data: dict[str, Tensor], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        ga.Compose(FLIP)({"image": example(3, (3, H, W)), **data})


@pytest.mark.parametrize(
    ("build", "message"),
    [
        (lambda: ga.BboxParams(format="voc"), "BboxParams: format must be one of xyxy, .*got 'voc'"),
        (lambda: ga.BboxParams(rotate_method="hull"), "BboxParams: rotate_method must be one of .*got 'hull'"),
        (lambda: ga.BboxParams(min_area=-1), "BboxParams: min_area must not be negative, got -1"),
        (lambda: ga.BboxParams(min_visibility=2), "BboxParams: min_visibility must be between 0 and 1, got 2"),
        (lambda: ga.BboxParams(max_aspect=0.5), "BboxParams: max_aspect must be at least 1, got 0.5"),
        (lambda: ga.BboxParams(max_objects=0), "BboxParams: max_objects must be at least 1, got 0"),
        (lambda: ga.KeypointParams("corner"), "KeypointParams: origin must be 'edge' or 'center', got 'corner'"),
        (lambda: ga.KeypointParams(flip_pairs=[(0, 1), (1, 2)]), "KeypointParams: flip_pairs must be pairs or a perm"),
        (lambda: ga.KeypointParams(flip_pairs=[0, 2]), "KeypointParams: flip_pairs must be pairs or a permutation"),
        (lambda: ga.Compose([], format="coco"), "Compose: format must be one of ultralytics, yolox, detr, got 'coco'"),
    ],
)
def test_wrong_settings_are_refused(build: Any, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        build()
