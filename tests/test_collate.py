"""What a loader makes of samples; `test_ragged.py` has it within a loader."""

from __future__ import annotations

from typing import Any

import pytest
import torch
from torchvision import tv_tensors as tvt

import gpuaug as ga

SIZES = [(6, 9), (8, 5), (6, 9)]


def sample(i: int, objects: int) -> dict[str, Any]:
    """Return a sample with something of every kind."""
    h, w = SIZES[i]
    return {
        "image": torch.full((3, h, w), i, dtype=torch.uint8),
        "boxes": torch.arange(4.0).expand(objects, 4) + i,
        "labels": torch.full((objects,), i + 1),
        "masks": torch.ones(objects, h, w, dtype=torch.bool),
        "keypoints": torch.ones(objects, 5, 2) * i,
        "mask": torch.full((h, w), i),
        "depth": torch.full((2, h, w), float(i)),
        "orig_size": torch.tensor([h, w]),
        "name": str(i),
    }


def test_rows_are_padded_and_all_else_is_not() -> None:
    """Also where what is said of the sample has as many numbers as the first has objects, and where none has any."""
    batch = ga.collate([sample(0, 2), sample(1, 3), sample(2, 0)])
    assert batch["valid"].tolist() == [[True, True, False], [True] * 3, [False] * 3]
    assert batch["boxes"].shape == (3, 3, 4) and batch["keypoints"].shape == (3, 3, 5, 2)
    assert batch["labels"].tolist() == [[1, 1, 0], [2, 2, 2], [0, 0, 0]]
    assert batch["orig_size"].tolist() == [list(size) for size in SIZES] and batch["name"] == ["0", "1", "2"]
    for key, planes in (("image", 3), ("masks", 3), ("depth", 2), ("mask", 1)):
        assert isinstance(batch[key], ga.Ragged), key
        assert [tuple(one.shape) for one in batch[key]] == [(planes, *size) for size in SIZES]
    assert batch["mask"].planar and not batch["depth"].planar
    assert [int(one.sum()) for one in batch["masks"]] == [2 * 54, 3 * 40, 0]
    assert all(bool((one == i).all()) for i, one in enumerate(batch["depth"]))


@pytest.mark.parametrize("sizes", [(0, 1), (0, 2)], ids=["ragged", "one size"])
def test_a_batch_without_objects_goes_through(sizes: tuple[int, int]) -> None:
    """As a row that is not there: masks of images of several sizes cannot be of no objects."""
    none = ga.collate([sample(i, 0) for i in sizes])
    assert none["boxes"].shape == (2, 1, 4) and none["valid"].tolist() == [[False], [False]]
    layer = ga.Compose(
        [ga.RandomHorizontalFlip(1.0), ga.Resize((4, 6))], keypoint_params=ga.KeypointParams(flip_pairs=())
    )
    out = layer({key: value for key, value in none.items() if key != "depth"})
    assert out["masks"].shape == (2, 1, 4, 6) and not out["masks"].any() and not out["valid"].any()
    assert [rows.shape for rows in ga.compact(out)["boxes"]] == [(0, 4), (0, 4)]


def test_samples_of_one_size_are_tensors() -> None:
    batch = ga.collate([sample(0, 1), sample(2, 2)])
    shapes = {key: tuple(value.shape) for key, value in batch.items() if key != "name"}
    assert shapes == {
        "image": (2, 3, 6, 9),
        "boxes": (2, 2, 4),
        "labels": (2, 2),
        "masks": (2, 2, 6, 9),
        "keypoints": (2, 2, 5, 2),
        "mask": (2, 6, 9),
        "depth": (2, 2, 6, 9),
        "orig_size": (2, 2),
        "valid": (2, 2),
    }
    assert batch["image"].dtype == torch.uint8 and batch["masks"].dtype == torch.bool
    first, last, number = ga.collate([(one["image"], i, i * 10) for i, one in enumerate([sample(0, 1), sample(2, 1)])])
    assert first.shape == (2, 3, 6, 9) and last.tolist() == [0, 1] and number.tolist() == [0, 10]


def test_rows_that_are_marked_as_not_there_stay_so() -> None:
    samples = [{**sample(0, 2), "valid": torch.tensor([True, False])}, {**sample(2, 1), "valid": torch.tensor([True])}]
    assert ga.collate(samples)["valid"].tolist() == [[True, False], [True, False]]


@pytest.mark.parametrize("sizes", [(0, 1), (0, 2)], ids=["ragged", "one size"])
def test_tv_tensors_become_plain_tensors(sizes: tuple[int, int]) -> None:
    """A batch of boxes is no BoundingBoxes of one image, whatever torchvision is told to give back."""
    wrapped = []
    for i in sizes:
        one = sample(i, 1)
        boxes = tvt.BoundingBoxes(one["boxes"], format="XYXY", canvas_size=SIZES[i])
        wrapped.append((tvt.Image(one["image"]), {"boxes": boxes, "masks": tvt.Mask(one["masks"])}))
    with tvt.set_return_type("TVTensor"):
        found, alone = ga.collate(wrapped), ga.collate([image for image, _ in wrapped])
    for value in (*found.values(), alone):
        assert type(value) in (torch.Tensor, ga.Ragged)
        assert all(type(one) is torch.Tensor for one in value)
    assert found["boxes"][:, 0, 0].tolist() == list(map(float, sizes))


@pytest.mark.parametrize("samples", [[], [1.0], [("text", 1)], [{"mask": torch.zeros(2, 2)}], [{"image": 1}]])
def test_what_holds_no_image_is_refused(samples: list[Any]) -> None:
    with pytest.raises(TypeError, match="collate: samples must be an image, begin with one, or be dicts"):
        ga.collate(samples)
