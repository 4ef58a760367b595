"""How occluding transforms wire what they draw to what they do, on canvases that are never square."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor
from torchvision.transforms.v2 import functional as tv
from ways import both, close, drawn_by

import gpuaug as ga
from gpuaug import functional as F
from gpuaug.testing import example

SHAPE = (3, 37, 53)


def areas(boxes: Tensor, canvas: tuple[int, int]) -> Tensor:
    return (boxes[..., 2] * boxes[..., 3]).double() / (canvas[0] * canvas[1])


def erased(image: Tensor, boxes: Tensor, value: float) -> Tensor:
    for top, left, h, w in boxes.tolist():
        image = tv.erase(image, top, left, h, w, torch.full((1, 1, 1), value).to(image.dtype))
    return image


def test_erasing_shares_its_area_among_the_rectangles() -> None:
    """However many there are, their areas add up to a fraction within `scale`."""
    layer = ga.RandomErasing(p=1.0, scale=(0.1, 0.3), ratio=(0.5, 2.0), max_count=3)
    params = drawn_by(layer, 600, 200, 300)
    total = areas(params.boxes, (200, 300)).sum(1)
    for count in (1, 2, 3):
        of = total[params.count == count]
        # Sides are rounded to whole pixels: at least 41 of them, so that an area may be off by 2.5 %.
        assert len(of) > 100 and of.min() > 0.1 * 0.975 and of.max() < 0.3 * 1.025
    fixed = drawn_by(ga.RandomErasing(p=1.0, scale=(0.2, 0.2), ratio=(1.0, 1.0), min_count=3), 50, 200, 300)
    assert ((areas(fixed.boxes, (200, 300)).sum(1) - 0.2).abs() < 0.2 * 0.025).all()


def test_erasing_erases_as_many_rectangles_as_counted() -> None:
    params = drawn_by(ga.RandomErasing(p=1.0, min_count=2, max_count=4), 900, 60, 90)
    assert torch.equal((params.boxes[..., 2:] > 0).all(-1).sum(1), params.count.long())
    counts = torch.bincount(params.count.long(), minlength=5)[2:]
    assert (counts - 300).abs().max() < 5 * (900 * 2 / 9) ** 0.5


def test_erasing_has_the_ratio_of_height_over_width() -> None:
    boxes = drawn_by(ga.RandomErasing(p=1.0, scale=(0.05, 0.1), ratio=(2, 3)), 300, 200, 300).boxes[:, 0]
    ratio = boxes[:, 2].double() / boxes[:, 3]
    assert ratio.min() > 2 * 0.975 and ratio.max() < 3 * 1.025


@pytest.mark.parametrize("value", [255, 77])
def test_erasing_puts_values_in_the_inputs_unit(monkeypatch: pytest.MonkeyPatch, value: int) -> None:
    """Of uint8 0..255, exactly; and nothing else changes."""
    images = example(4, SHAPE, torch.uint8)
    for layer in (ga.RandomErasing(p=1.0, value=value), ga.CoarseDropout((2, 3), fill=value, p=1.0)):
        layer.reseed(1)
        params = layer.sample(images)
        boxes = params[type(layer).__name__].boxes
        assert (areas(boxes, SHAPE[1:]).sum(1) > 0).all()
        expected = torch.stack([erased(x, b, value) for x, b in zip(images, boxes, strict=True)])
        for out in both(monkeypatch, layer, images, params):
            assert torch.equal(out, expected)


@pytest.mark.parametrize("dtype", [torch.float32, torch.uint8], ids=str)
def test_after_normalize_values_are_in_its_units(monkeypatch: pytest.MonkeyPatch, dtype: torch.dtype) -> None:
    images = example(4, SHAPE, dtype)
    mean, std = [0.4, 0.5, 0.6], [0.2, 0.25, 0.3]
    layer = ga.Compose([ga.Normalize(mean, std), ga.RandomErasing(p=1.0, value=2.0)], seed=0)
    params = layer.sample(images)
    floats = images.float() / 255 if dtype == torch.uint8 else images
    normal = tv.normalize(floats, mean, std)
    for out in both(monkeypatch, layer, images, params):
        for i, box in enumerate(params["RandomErasing"].boxes):
            close(out[i], erased(normal[i], box, 2.0), 1e-5)
            top, left, h, w = box[0].tolist()
            assert h > 0 and (out[i, :, top : top + h, left : left + w] == 2.0).all()


def test_dropout_draws_heights_of_the_height_and_widths_of_the_width() -> None:
    """As fractions of a long canvas, and as pixels."""
    fractions = ga.CoarseDropout((1, 4), hole_height_range=(0.1, 0.2), hole_width_range=(0.3, 0.4), p=1.0)
    pixels = ga.CoarseDropout((1, 4), hole_height_range=(5, 7), hole_width_range=(11, 14), p=1.0)
    for layer, rows, columns in ((fractions, {2, 3}, set(range(60, 80))), (pixels, {5, 6, 7}, {11, 12, 13, 14})):
        params = drawn_by(layer, 800, 20, 200)
        boxes = params.boxes[params.boxes[..., 2] > 0]
        assert set(boxes[:, 2].tolist()) == rows and set(boxes[:, 3].tolist()) == columns
        assert (boxes[:, 0] + boxes[:, 2]).max() == 20 and (boxes[:, 1] + boxes[:, 3]).max() == 200
        assert boxes[:, :2].amin(0).tolist() == [0, 0]


def test_dropout_makes_as_many_holes_as_counted() -> None:
    layer = ga.CoarseDropout((1, 4), p=1.0)
    params = drawn_by(layer, 800, 20, 200)
    assert torch.equal((params.boxes[..., 2:] > 0).all(-1).sum(1), params.count.long())
    counts = torch.bincount(params.count.long(), minlength=5)[1:]
    assert (counts - 200).abs().max() < 5 * (800 * 3 / 16) ** 0.5


def grid(h: int, w: int, unit: Any, hole: Any, shift: Any) -> np.ndarray:
    """Return where a grid's holes are, pixel by pixel: in the first pixels of every cell, from the shift onwards."""
    return np.array(
        [
            [
                y >= shift[0]
                and x >= shift[1]
                and (y - shift[0]) % unit[0] < hole[0]
                and (x - shift[1]) % unit[1] < hole[1]
                for x in range(w)
            ]
            for y in range(h)
        ]
    )


def test_functional_grid_is_the_one_that_was_asked_for() -> None:
    """Of unequal cells, holes and shifts; what lies before the shift stays whole, even where a hole would fit."""
    images = example(3, (3, 23, 41), torch.uint8) // 2 + 10
    unit, hole, shift = [[7, 10], [6, 4], [9, 13]], [[3, 6], [5, 1], [8, 12]], [[4, 1], [1, 3], [8, 11]]
    out = F.grid_dropout(images, *(torch.tensor(v).float() for v in (unit, hole, shift)), fill=200)
    for i in range(3):
        mask = grid(23, 41, unit[i], hole[i], shift[i])
        assert np.array_equal(out[i].numpy(), np.where(mask, 200, images[i].numpy()))


GRIDS: dict[str, tuple[dict[str, Any], tuple[int, int], tuple[int, int]]] = {
    "holes": ({"ratio": 0.3, "holes_number_xy": (4, 2)}, (15, 12), (4, 3)),  # 31 // 2 by 50 // 4
    "unit": ({"ratio": 0.3, "unit_size_range": (10, 10)}, (10, 10), (3, 3)),
    "default": ({"ratio": 0.7}, (3, 3), (2, 2)),  # a tenth of the shorter side
}


@pytest.mark.parametrize("case", GRIDS)
def test_grid_dropout_drops_the_ratio_of_each_cell(monkeypatch: pytest.MonkeyPatch, case: str) -> None:
    """`holes_number_xy` counts across and down; `ratio` is the part that is lost; a shift keeps holes in their cell."""
    given, unit, hole = GRIDS[case]
    layer = ga.GridDropout(**given, fill=200, p=1.0)
    values = drawn_by(layer, 400, 31, 50)
    assert values.unit.tolist() == [list(unit)] * 400 and values.hole.tolist() == [list(hole)] * 400
    for axis in (0, 1):
        assert set(values.shift[:, axis].tolist()) == set(range(unit[axis] - hole[axis] + 1))
    assert (values.shift[:, 0] != values.shift[:, 1]).any()
    images = example(6, (3, 31, 50), torch.uint8)
    params = layer.sample(images)
    shifts = params["GridDropout"].shift.tolist()
    masks = np.stack([grid(31, 50, unit, hole, shift) for shift in shifts])
    expected = np.where(masks[:, None], 200, images.numpy())
    for out in both(monkeypatch, layer, images, params):
        assert np.array_equal(out.numpy(), expected)


def test_erase_gives_each_rectangle_its_colour() -> None:
    images = example(2, SHAPE)
    boxes = torch.tensor([[[1, 2, 9, 20], [15, 30, 12, 7]], [[20, 3, 5, 6], [0, 40, 30, 10]]])
    values = torch.linspace(0.05, 0.95, 12).view(2, 2, 3, 1, 1)
    out = F.erase(images, boxes, values)
    for i, image in enumerate(images):
        expected = image
        for r, (top, left, h, w) in enumerate(boxes[i].tolist()):
            expected = tv.erase(expected, top, left, h, w, values[i, r])
        assert torch.equal(out[i], expected)
