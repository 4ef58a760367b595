"""How geometric transforms wire what they draw to what they do, on canvases that are never square."""

from __future__ import annotations

import math
from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor
from torchvision.transforms import InterpolationMode, v2
from torchvision.transforms.v2 import functional as tv
from ways import both, close, drawn_by

import gpuaug as ga
from gpuaug.testing import example

BILINEAR, NEAREST = InterpolationMode.BILINEAR, InterpolationMode.NEAREST
SHAPE = (3, 37, 53)
FILL = (0.1, 0.5, 0.9)
ROWS = torch.tensor(FILL).view(3, 1, 1)


# Crops and resizes


@pytest.mark.parametrize("canvas", [(60, 90), (31, 24)], ids=str)
@pytest.mark.parametrize("size", [(21, 35), 21], ids=str)
def test_resized_crop_evaluates_as_resize_and_centre_crop(
    monkeypatch: pytest.MonkeyPatch, size: Any, canvas: tuple[int, int]
) -> None:
    """The shorter side, or both of a size that is not square, are resized to size / 0.875 first."""
    images = example(2, (3, *canvas))
    sides = [size] if isinstance(size, int) else list(size)
    resized = tv.resize(images, [math.floor(s / 0.875) for s in sides], antialias=True)
    expected = tv.center_crop(resized, sides)
    for out in both(monkeypatch, ga.RandomResizedCrop(size).eval(), images):
        close(out, expected, 1e-5)


@pytest.mark.parametrize("canvas", [(30, 200), (200, 30)], ids=str)
def test_resized_crop_falls_back_as_torchvision(canvas: tuple[int, int]) -> None:
    """No rectangle of the whole area fits a narrow canvas: both then take the centre at the nearest ratio."""
    expected = v2.RandomResizedCrop(16, scale=(1, 1)).make_params([torch.empty(1, *canvas)])
    params = drawn_by(ga.RandomResizedCrop(16, scale=(1, 1)), 5, *canvas)
    for name in ("top", "left", "height", "width"):
        assert getattr(params, name).tolist() == [expected[name]] * 5, name


def test_resized_crop_falls_back_to_the_whole_image() -> None:
    """On a canvas whose ratio is in the range, but not that of any rectangle drawn."""
    params = drawn_by(ga.RandomResizedCrop(16, scale=(4, 4)), 5, 30, 36)
    assert params.height.tolist() == [30] * 5 and params.width.tolist() == [36] * 5
    assert params.top.tolist() == params.left.tolist() == [0] * 5


@pytest.mark.parametrize("composed", [False, True])
def test_random_crop_evaluates_with_its_fill(monkeypatch: pytest.MonkeyPatch, composed: bool) -> None:
    """Alone, and in a pipeline, whose own fill is another."""
    images = example(2, (3, 20, 31))
    layer: Any = ga.RandomCrop((30, 37), pad_if_needed=True, fill=FILL)
    layer = ga.Compose([layer], fill=0.3) if composed else layer
    for out in both(monkeypatch, layer.eval(), images):
        assert torch.equal(out, tv.pad(images, [3, 5, 3, 5], fill=list(FILL)))


def letterboxed(images: Tensor, size: tuple[int, int], fill: Tensor) -> Tensor:
    """Return torchvision's resize in the middle of a filled canvas, an odd border's extra pixel at its end."""
    rows, cols = images.shape[2:]
    factor = min(size[0] / rows, size[1] / cols)
    h, w = round(rows * factor), round(cols * factor)
    top, left = (size[0] - h) // 2, (size[1] - w) // 2
    out = fill.to(images.dtype).expand(images.shape[0], 3, *size).clone()
    out[:, :, top : top + h, left : left + w] = tv.resize(images, [h, w], antialias=True)
    return out


LETTERS = [
    ((37, 53), (31, 28)),  # shrinks, 5 rows above and 6 below
    ((53, 37), (28, 31)),  # shrinks, 5 columns before and 6 after
    ((12, 17), (47, 40)),  # grows, 9 rows above and 10 below
    ((17, 12), (40, 47)),  # grows, 9 columns before and 10 after
    ((12, 17), (12, 22)),  # keeps its size, 2 columns before and 3 after
]


@pytest.mark.parametrize("dtype", [torch.float32, torch.uint8], ids=str)
@pytest.mark.parametrize(("canvas", "size"), LETTERS, ids=str)
def test_letterbox_is_a_resize_in_a_gray_canvas(
    monkeypatch: pytest.MonkeyPatch, canvas: tuple[int, int], size: tuple[int, int], dtype: torch.dtype
) -> None:
    """The border is gray up to the image's very edge, where a blend would smear."""
    images = example(2, (3, *canvas), dtype)
    gray = torch.full((3, 1, 1), 114.0 if dtype == torch.uint8 else 114 / 255)
    # The image at the other end of the range: a smear over the border is far larger than the tolerance.
    for source in (images, images * 0):
        expected = letterboxed(source, size, gray)
        for out in both(monkeypatch, ga.LetterBox(size), source):
            close(out, expected, 1 if dtype == torch.uint8 and source is images else 1e-5)


@pytest.mark.parametrize("canvas", [(20, 60), (60, 20), (30, 41), (41, 30), (24, 95)], ids=str)
@pytest.mark.parametrize(("size", "largest"), [(16, 30), (40, 50), (10, 96)], ids=str)
def test_resize_with_a_largest_side_equals_torchvision(
    monkeypatch: pytest.MonkeyPatch, size: int, largest: int, canvas: tuple[int, int]
) -> None:
    """Where the longer side would be too long, the shorter one shrinks with it."""
    images = example(2, (3, *canvas))
    expected = tv.resize(images, [size], max_size=largest, antialias=True)
    for out in both(monkeypatch, ga.Resize(size, max_size=largest), images):
        close(out, expected, 1e-5)


@pytest.mark.parametrize(("balanced", "share"), [(False, 1 / 3), (True, 1 / 2)])
def test_a_balanced_scale_is_asked_for(balanced: bool, share: float) -> None:
    """From a half to two, a third of the factors shrink, or a half where the logarithm is uniform."""
    scale = drawn_by(ga.RandomAffine(0, scale=(0.5, 2), balanced_scale=balanced), 3000, 5, 8).scale
    assert abs((scale < 1).double().mean().item() - share) < 5 * (share * (1 - share) / 3000) ** 0.5
    assert scale.min() >= 0.5 and scale.max() <= 2


def test_four_numbers_of_shear_are_a_range_for_each_axis(monkeypatch: pytest.MonkeyPatch) -> None:
    layer = ga.RandomAffine(0, shear=(10, 20, -5, -4), scale=(1.5, 1.5), antialias=False)
    params = drawn_by(layer, 3000, 5, 8)
    for name, (low, high) in {"shear_x": (10, 20), "shear_y": (-5, -4)}.items():
        values = getattr(params, name)
        assert low <= values.min() < low + 0.1 and high - 0.1 < values.max() <= high
    images = example(3, SHAPE)
    sampled = layer.sample(images)
    d = sampled["RandomAffine"]
    expected = torch.stack(
        [
            tv.affine(x, 0.0, [0, 0], 1.5, [d.shear_x[i].item(), d.shear_y[i].item()], BILINEAR)
            for i, x in enumerate(images)
        ]
    )
    for out in both(monkeypatch, layer, images, sampled):
        close(out, expected, 1e-4)


@pytest.mark.parametrize("scale", [1.0, 0.5])
@pytest.mark.parametrize("shear", [(60, 60), (0, 0, 60, 60), (-40, -40, 30, 30)], ids=str)
def test_a_strong_shear_is_read_alike(monkeypatch: pytest.MonkeyPatch, shear: Any, scale: float) -> None:
    """It shrinks one way, beyond what the scale does: the bound under which taps are unrolled must allow for it."""
    images = example(3, SHAPE)
    layer = ga.RandomAffine(20, scale=(scale, scale), shear=shear)
    layer.reseed(2)
    batched, walk = both(monkeypatch, layer, images, layer.sample(images))
    close(batched, walk, 1e-4)


def test_a_strong_shear_does_not_alias(monkeypatch: pytest.MonkeyPatch) -> None:
    """A shear along x by 60 degrees reads each row with a triangle of half-width |(1, tan 60)| = 2, at a scale of one.

    A bound without the shear switches the widening off in both ways, which then agree on what is wrong.
    """
    images = example(2, SHAPE, torch.float64)
    h, w = SHAPE[1:]
    taps = np.arange(-150, 250) + 0.5  # those off the image count in the norm
    expected = np.zeros(images.shape)
    for y in range(h):
        position = np.arange(w) + 0.5 + math.tan(math.radians(60)) * (y + 0.5 - h / 2)
        weights = np.clip(1 - np.abs(taps - position[:, None]) / 2, 0, None)
        weights /= weights.sum(1, keepdims=True)
        expected[:, :, y] = images[:, :, y].numpy() @ weights[:, 150 : 150 + w].T
    layer = ga.RandomAffine(0, scale=(1, 1), shear=(60, 60))
    for out in both(monkeypatch, layer, images, layer.sample(images)):
        close(out, torch.from_numpy(expected), 1e-4)


def moves(corners: Tensor, h: int, w: int) -> Tensor:
    """Return how far (N, 4, 2) corners have moved inwards."""
    ends = torch.tensor([[0, 0], [w - 1, 0], [w - 1, h - 1], [0, h - 1]])
    return (corners - ends).abs()


def test_corners_are_drawn_as_torchvisions(monkeypatch: pytest.MonkeyPatch) -> None:
    """Within half the distortion of each axis, the ends included, and of its distribution (Kolmogorov-Smirnov)."""
    h, w, n = 20, 200, 3000
    theirs: list[Any] = []
    place = "torchvision.transforms.v2._geometry._get_perspective_coeffs"
    monkeypatch.setattr(place, lambda start, end: theirs.append(end))
    torch.manual_seed(0)
    peer, image = v2.RandomPerspective(0.5), torch.empty(1, h, w)
    for _ in range(n):
        peer.make_params([image])
    ours = drawn_by(ga.RandomPerspective(0.5, p=1.0), n, h, w).corners.view(n, 4, 2)
    expected = moves(torch.tensor(theirs), h, w)
    inwards = moves(ours, h, w)
    # Ends first: 0 and distortion * half are both drawn by every corner.
    assert inwards.amin(0).tolist() == [[0, 0]] * 4 and inwards.amax(0).tolist() == [[50, 5]] * 4
    assert expected.amax(0).tolist() == [[50, 5]] * 4
    for corner in range(4):
        for axis, reach in enumerate((50, 5)):
            a, b = inwards[:, corner, axis].long(), expected[:, corner, axis].long()
            gap = (torch.bincount(a, minlength=reach + 1) - torch.bincount(b, minlength=reach + 1)).cumsum(0) / n
            assert gap.abs().max() < 1.95 * (2 / n) ** 0.5  # one in a thousand, fewer for whole numbers


# Fill and interpolation of every warp


def by_torchvision(name: str, image: Tensor, d: Any, i: int, mode: InterpolationMode) -> Tensor:
    """Return torchvision's warp of one image by the parameters that were drawn."""
    h, w = image.shape[1:]
    if name == "RandomRotation":
        return tv.rotate(image, d.angle[i].item(), mode)
    if name == "RandomAffine":
        shear = [d.shear_x[i].item(), d.shear_y[i].item()]
        return tv.affine(image, d.angle[i].item(), [0, 0], d.scale[i].item(), shear, mode)
    start = [[0, 0], [w - 1, 0], [w - 1, h - 1], [0, h - 1]]
    return tv.perspective(image, start, d.corners[i].view(4, 2).tolist(), mode)


def warp(name: str, **given: Any) -> Any:
    """Return a layer of that name which shows places outside the image."""
    arguments: dict[str, dict[str, Any]] = {
        "RandomRotation": {"degrees": (25, 60)},
        "RandomAffine": {"degrees": 30, "scale": (0.6, 0.9), "shear": (5, 12, -9, -3)},
        "RandomPerspective": {"distortion_scale": 0.6, "p": 1.0},
    }
    layer = getattr(ga, name)(**arguments[name], **given)
    layer.reseed(5)
    return layer


WARPS = ("RandomRotation", "RandomAffine", "RandomPerspective")


@pytest.mark.parametrize("name", WARPS)
def test_warps_fill_each_channel_with_its_number(monkeypatch: pytest.MonkeyPatch, name: str) -> None:
    """Blended by how much of the image a pixel sees, which torchvision's warp of a white image says."""
    images = example(4, SHAPE)
    layer = warp(name, fill=FILL, antialias=False)
    params = layer.sample(images)
    for out in both(monkeypatch, layer, images, params):
        for i, image in enumerate(images):
            seen = by_torchvision(name, torch.ones_like(image), params[name], i, BILINEAR)
            expected = by_torchvision(name, image, params[name], i, BILINEAR) + (1 - seen) * ROWS
            close(out[i], expected, 1e-4)
            outside = (seen == 0).all(0)
            assert outside.sum() > 20
            for c in range(3):
                assert (out[i, c][outside] - FILL[c]).abs().max() < 1e-6


@pytest.mark.parametrize("dtype", [torch.float32, torch.uint8], ids=str)
def test_crops_and_pads_fill_each_channel_with_its_number(monkeypatch: pytest.MonkeyPatch, dtype: torch.dtype) -> None:
    images = example(4, SHAPE, dtype)
    fill = FILL if dtype == torch.float32 else (10, 100, 200)
    padded = tv.pad(images, [3, 4, 3, 4], fill=list(fill))
    layer: Any = ga.Pad((3, 4), fill=fill)
    for out in both(monkeypatch, layer, images):
        assert torch.equal(out, padded)
    layer = ga.CenterCrop((45, 59), fill=fill)
    for out in both(monkeypatch, layer, images):
        assert torch.equal(out, padded)
    layer = ga.CenterCrop((45, 30), fill=fill)
    for out in both(monkeypatch, layer, images):
        assert torch.equal(out, tv.center_crop(tv.pad(images, [0, 4], fill=list(fill)), [45, 30]))
    layer = ga.RandomCrop((40, 55), padding=(3, 4), fill=fill)
    layer.reseed(3)
    params = layer.sample(images)
    d = params["RandomCrop"]
    for out in both(monkeypatch, layer, images, params):
        for i in range(4):
            top, left = int(d.top[i]) + 4, int(d.left[i]) + 3
            assert torch.equal(out[i], padded[i, :, top : top + 40, left : left + 55])
    layer, size = ga.LetterBox((41, 40), fill=fill), (41, 40)
    for out in both(monkeypatch, layer, images):
        close(out, letterboxed(images, size, torch.tensor(fill).view(3, 1, 1)), 1 if dtype == torch.uint8 else 1e-5)
        assert torch.equal(out[:, :, :6], torch.tensor(fill, dtype=dtype).view(1, 3, 1, 1).expand(4, 3, 6, 40))


@pytest.mark.parametrize("mode", ["nearest", "bicubic"])
@pytest.mark.parametrize("name", WARPS)
def test_other_interpolations_walk_as_they_are_defined(monkeypatch: pytest.MonkeyPatch, name: str, mode: str) -> None:
    """But for pixels so near to the middle between two that the last digit decides."""
    images = example(4, SHAPE)
    layer = warp(name, interpolation=mode, fill=FILL)
    batched, walk = both(monkeypatch, layer, images, layer.sample(images))
    assert ((batched - walk).abs() > 1e-4).double().mean() <= 2e-3
    linear = warp(name, fill=FILL)
    assert (batched - linear.replay(images, linear.sample(images))).abs().mean() > 1e-3


@pytest.mark.parametrize("name", WARPS)
def test_nearest_is_torchvisions(monkeypatch: pytest.MonkeyPatch, name: str) -> None:
    images = example(4, SHAPE)
    layer = warp(name, interpolation="nearest")
    params = layer.sample(images)
    expected = torch.stack([by_torchvision(name, x, params[name], i, NEAREST) for i, x in enumerate(images)])
    for out in both(monkeypatch, layer, images, params):
        assert (out == expected).all(1).double().mean() >= 0.98


def test_bicubic_is_torchs(monkeypatch: pytest.MonkeyPatch) -> None:
    """Without antialiasing, torch's grid_sample is the truth: torchvision has no bicubic rotation of tensors."""
    images = example(4, SHAPE, torch.float64)
    layer = warp("RandomRotation", interpolation="bicubic", antialias=False)
    params = layer.sample(images)
    h, w = SHAPE[1:]
    rows, columns = torch.arange(h).double() + 0.5 - h / 2, torch.arange(w).double() + 0.5 - w / 2
    y, x = torch.meshgrid(rows, columns, indexing="ij")
    grids = []
    for angle in torch.deg2rad(params["RandomRotation"].angle.double()):
        at_x, at_y = torch.cos(angle) * x - torch.sin(angle) * y, torch.sin(angle) * x + torch.cos(angle) * y
        grids.append(torch.stack((at_x / (w / 2), at_y / (h / 2)), dim=-1))
    expected = torch.nn.functional.grid_sample(images, torch.stack(grids), mode="bicubic", align_corners=False)
    for out in both(monkeypatch, layer, images, params):
        close(out, expected, 1e-4)
