"""DETR's batches with a mask of their padding, and Ultralytics' index maps: what goes in comes out, moved."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any, NamedTuple

import pytest
import torch
from torch import Tensor

import gpuaug as ga
from gpuaug.testing import example

H, W = 40, 56
SIZES = [(40, 56), (30, 44), (40, 20)]
COUNTS = [2, 0, 1]


class Nested(NamedTuple):
    """As DETR's NestedTensor."""

    tensors: Tensor
    mask: Tensor | None


def padded() -> tuple[Tensor, Tensor]:
    """Images of different sizes in one canvas, and where their padding is."""
    images, mask = example(3, (3, H, W)), torch.ones(3, H, W, dtype=torch.bool)
    for i, (h, w) in enumerate(SIZES):
        images[i, :, h:], images[i, :, :, w:] = 0, 0
        mask[i, :h, :w] = False
    return images, mask


def pixels() -> list[Tensor]:
    """Boxes xyxy in pixels of the images."""
    rows = torch.tensor([[2.0, 4.0, 12.0, 20.0], [6.0, 10.0, 16.0, 38.0]])
    return [rows, rows[:0], rows[1:]]


def fractions(boxes: Tensor, size: tuple[int, int]) -> Tensor:
    h, w = size
    a, b = boxes[:, :2], boxes[:, 2:]
    return torch.cat(((a + b) / 2, b - a), dim=1) / torch.tensor([w, h, w, h])


def targets(sizes: list[tuple[int, int]], label: str) -> list[dict[str, Any]]:
    return [
        {
            "boxes": fractions(boxes, size),
            label: torch.arange(len(boxes)) + 2**25 + 1,
            "area": torch.arange(len(boxes)) * 2.0,
            "orig_size": torch.tensor([100 + i, 200]),  # as many numbers as the first sample has boxes
        }
        for i, (boxes, size) in enumerate(zip(pixels(), sizes, strict=True))
    ]


@pytest.mark.parametrize("kind", ["object", "named", "pair"])
def test_detr_targets_are_fractions_of_the_image_without_padding(kind: str) -> None:
    """As the original repository normalises them, before it pads."""
    images, mask = padded()
    samples: Any = Nested(images, mask) if kind == "named" else (images, mask)
    layer = ga.Compose([ga.RandomHorizontalFlip(1.0)], format="detr")
    if kind == "object":
        samples = _Samples(images, mask)
    new, out = layer(samples, targets(SIZES, "labels"))
    tensors, moved = (new.tensors, new.mask) if kind != "pair" else new
    assert type(new) is type(samples)
    assert torch.equal(tensors, images.flip(3)) and torch.equal(moved, mask.flip(2))
    for i, (before, after) in enumerate(zip(targets(SIZES, "labels"), out, strict=True)):
        x, y, w, h = before["boxes"].unbind(-1)
        assert torch.allclose(after["boxes"], torch.stack((1 - x, y, w, h), -1), atol=1e-6)
        assert after["boxes"].shape == (COUNTS[i], 4) and after["boxes"].dtype == torch.float32
        for key in ("labels", "area", "orig_size"):
            assert torch.equal(after[key], before[key]) and after[key].dtype == before[key].dtype
    pair = layer((samples, targets(SIZES, "labels")))
    assert isinstance(pair, tuple) and torch.equal(pair[1][0]["boxes"], out[0]["boxes"])


class _Samples:
    """As a class of one's own with two attributes."""

    def __init__(self, tensors: Tensor, mask: Tensor | None) -> None:
        self.tensors, self.mask = tensors, mask


@pytest.mark.parametrize("dtype", [torch.int64, torch.bool])
def test_pixel_masks_of_hugging_face(dtype: torch.dtype) -> None:
    """One where the image is; boxes are fractions of the padded canvas; `class_labels`."""
    images, mask = padded()
    data = {
        "pixel_values": images,
        "pixel_mask": (~mask).to(dtype),
        "labels": targets([(H, W)] * 3, "class_labels"),
        "name": "kept",
    }
    out = ga.Compose([ga.CenterCrop((40, 40)), ga.Pad((8, 0)), ga.ColorJitter(0.2)], seed=0, format="detr")(data)
    shown = (~mask).clone()
    shown[:, :, :8], shown[:, :, 48:] = False, False  # what the crop took and the pad gave back is padding
    assert torch.equal(out["pixel_mask"], shown.to(dtype)) and out["name"] == "kept"
    cut = pixels()[0].clone()
    cut[:, 0] = cut[:, 0].clamp(min=8)
    assert (out["labels"][0]["boxes"] - fractions(cut, (H, W))).abs().max() < 1e-6
    assert [len(t["class_labels"]) for t in out["labels"]] == COUNTS
    assert out["labels"][2]["class_labels"].tolist() == [2**25 + 1]
    assert torch.equal(out["labels"][0]["orig_size"], torch.tensor([100, 200]))
    gone = ga.Compose([ga.CenterCrop((40, 20))], format="detr")(data)  # columns 18 on: nothing of the boxes
    assert [len(t["boxes"]) for t in gone["labels"]] == [0, 0, 0] and gone["labels"][0]["orig_size"].shape == (2,)
    plain = {key: value for key, value in data.items() if key in ("pixel_values", "name")}
    assert ga.Compose([ga.Resize((20, 28))], format="detr")(plain)["pixel_values"].shape == (3, 3, 20, 28)


def test_padding_grows_where_a_rotation_brings_in_the_outside() -> None:
    images = torch.ones(2, 1, H, W)
    layer = ga.Compose([ga.RandomRotation((30, 30))], format="detr")
    new, moved = layer((images, torch.zeros(2, H, W, dtype=torch.bool)), [{"boxes": torch.zeros(0, 4)}] * 2)[0]
    assert torch.equal(moved, new[:, 0] < 0.5) or (moved != (new[:, 0] < 0.5)).double().mean() < 0.01
    assert 0.1 < moved.double().mean() < 0.5
    role = ga.Compose([ga.RandomRotation((30, 30))], roles={"padding_mask": "mask"})
    data = {"image": images, "padding_mask": torch.zeros(2, H, W, dtype=torch.bool)}
    assert torch.equal(role(data)["padding_mask"], moved)


@pytest.mark.parametrize(
    ("inputs", "error", "message"),
    [
        ((torch.zeros(2, 3, 8, 9),), TypeError, r"Compose: a DETR batch must be \(samples, targets\) or a dict"),
        (((torch.zeros(2, 3, 8, 9), torch.zeros(2, 8, 8)), [{}, {}]), ValueError, r"mask must have shape \(2, 8, 9\)"),
        (((torch.zeros(2, 3, 8, 9), None), [{}]), ValueError, r"targets must be 2 dicts with boxes.*got 1"),
        ((SimpleNamespace(), []), TypeError, r"Compose: the samples of a DETR batch must be a pair"),
    ],
)
def test_what_is_no_detr_batch_is_refused(inputs: Any, error: type[Exception], message: str) -> None:
    with pytest.raises(error, match=message):
        ga.Compose([ga.RandomHorizontalFlip()], format="detr")(*inputs)


def ultralytics(h: int, w: int) -> dict[str, Any]:
    """Three samples, of 2, 0 and 3 objects, with an index map of columns."""
    index = torch.tensor([2.0, 0.0, 2.0, 0.0, 2.0])  # rows of a sample need not be neighbours
    masks = torch.zeros(3, h, w, dtype=torch.uint8)
    left = {0: [0.1, 0.6], 2: [0.05, 0.45, 0.8]}
    boxes = []
    seen = {0: 0, 2: 0}
    for sample in index.int().tolist():
        place = seen[sample]
        x0 = round(left[sample][place] * w)
        masks[sample, h // 4 : h // 2, x0 : x0 + w // 8] = place + 1
        boxes.append([x0 / w, 0.25, (x0 + w // 8) / w, 0.5])
        seen[sample] += 1
    x = torch.tensor(boxes)
    return {
        "img": example(3, (3, H, W)),
        "batch_idx": index,
        "cls": torch.arange(5.0)[:, None],
        "bboxes": torch.cat(((x[:, :2] + x[:, 2:]) / 2, x[:, 2:] - x[:, :2]), dim=1),
        "masks": masks,
    }


@pytest.mark.parametrize("size", [(H, W), (H // 2, W // 2)], ids=["full", "half"])
def test_index_maps_of_ultralytics(size: tuple[int, int]) -> None:
    """Values name the rows of their sample, also after rows have gone."""
    data = ultralytics(*size)
    flipped = ga.Compose([ga.RandomHorizontalFlip(1.0)], format="ultralytics")(data)
    assert torch.equal(flipped["masks"], data["masks"].flip(2)) and flipped["masks"].dtype == torch.uint8
    layer = ga.Compose([ga.CenterCrop((H, 28))], format="ultralytics", bbox_params=ga.BboxParams(min_visibility=0.5))
    out = layer(data)  # columns 14 to 42 of 56 stay
    assert out["cls"].flatten().tolist() == [2.0, 3.0] and out["batch_idx"].tolist() == [2.0, 0.0]
    cut = data["masks"][:, :, size[1] // 4 : size[1] * 3 // 4]
    assert torch.equal(out["masks"][0], (cut[0] == 2).to(torch.uint8))
    assert torch.equal(out["masks"][2], (cut[2] == 2).to(torch.uint8))
    assert cut[2].unique().tolist() == [0, 2] and not out["masks"][1].any()
    assert torch.equal(data["masks"], ultralytics(*size)["masks"])
    tight = ga.Compose([ga.CenterCrop((H, 28))], format="ultralytics", bbox_params=ga.BboxParams(rotate_method="mask"))
    found = tight(data)["bboxes"]
    assert (found - layer(data)["bboxes"]).abs().max() < 0.5 / 28
    with pytest.raises(ValueError, match=r"Compose: masks must be index maps \(3, h, w\)"):
        layer({**data, "masks": data["masks"][:, :9, :9]})
    with pytest.raises(ValueError, match=r"Compose: bboxes must have shape \(5, 4\), got \(5, 5\)"):
        layer({**data, "bboxes": torch.zeros(5, 5)})


def test_what_is_said_of_a_sample_is_no_row() -> None:
    """`orig_size` has two numbers: also where every sample has two boxes, and loses one."""
    rows = [{"boxes": pixels()[0], "labels": torch.tensor([4, 5]), "orig_size": torch.tensor([9, 8])}] * 2
    _, out = ga.Compose([ga.CenterCrop((40, 28))])(list(example(2, (3, H, W))), rows)  # columns 14 on
    assert [t["labels"].tolist() for t in out] == [[5], [5]]
    assert all(t["orig_size"].tolist() == [9, 8] for t in out)
