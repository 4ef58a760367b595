"""What joins one pass: windows, fills, taps and threads, against the pipeline step by step or a plain truth."""

from __future__ import annotations

from typing import Any

import pytest
import torch
from test_geometry import both_ways, both_ways_of, tent
from torch import Tensor

import gpuaug as ga
import gpuaug.functional as F
from gpuaug.render import backend
from gpuaug.testing import example


def marked(h: int, w: int, inner: tuple[int, int, int, int]) -> Tensor:
    """One everywhere but in a rectangle (top, left, height, width): what must not be seen again."""
    images = torch.ones(4, 1, h, w)
    top, left, height, width = inner
    images[:, :, top : top + height, left : left + width] = 0
    return images


WINDOWS: dict[str, Any] = {
    "crop, rotation": lambda: [ga.CenterCrop((20, 26)), ga.RandomAffine((20, 20), scale=(0.6, 0.6))],
    "crop, resize, rotation": lambda: [ga.CenterCrop((20, 26)), ga.Resize((30, 44)), ga.RandomRotation((20, 20))],
    "crop, resize, pad": lambda: [ga.CenterCrop((20, 26)), ga.Resize((30, 44)), ga.Pad(6)],
    "crop, pad, resize": lambda: [ga.CenterCrop((20, 26)), ga.Pad(5), ga.Resize((51, 60))],
    "crop, flip, pad": lambda: [ga.CenterCrop((20, 26)), ga.RandomHorizontalFlip(1.0), ga.Pad(7)],
    "crop, pad, resize, rotation": lambda: [
        ga.CenterCrop((20, 26)),
        ga.Pad(5),
        ga.Resize((51, 60)),
        ga.RandomRotation((15, 15)),
    ],
}


@pytest.mark.parametrize("name", WINDOWS)
@pytest.mark.parametrize("fuse", [True, False])
def test_what_a_crop_removed_is_never_seen(name: str, fuse: bool) -> None:
    images = marked(40, 52, (10, 13, 20, 26))
    layer = ga.Compose(WINDOWS[name](), seed=0, fuse=fuse)
    for result in both_ways(layer, images)[0]:
        assert result.max() < 1e-6


def test_a_resized_crop_then_a_rotation_or_a_pad() -> None:
    """The window of the crop stays: values of the marked outside do not come in."""
    for last in (ga.RandomAffine((25, 25), scale=(0.6, 0.6)), ga.Pad(8)):
        for middle in ([], [ga.Resize((33, 47))]):
            layer = ga.Compose([ga.RandomResizedCrop((30, 44), scale=(0.2, 0.5)), *middle, last], seed=3)
            images = torch.ones(4, 1, 40, 52)
            params = layer.sample(images)
            drawn = params["RandomResizedCrop"]
            for i in range(4):
                t, x, h, w = (int(v[i]) for v in (drawn.top, drawn.left, drawn.height, drawn.width))
                images[i, :, t : t + h, x : x + w] = 0
            for result in both_ways_of(layer, images, params):
                assert result.max() < 1e-6


def test_content_that_left_a_canvas_is_fill_for_a_later_pad() -> None:
    """A rotation pushes a corner out; padding does not bring it back."""
    images = torch.ones(2, 1, 30, 44)
    layer = ga.Compose([ga.RandomAffine((0, 0), scale=(1.5, 1.5)), ga.Pad(10)], seed=0)
    for result in both_ways(layer, images)[0]:
        assert (result[:, :, :10] == 0).all() and (result[..., :10] == 0).all()
        assert (result[:, :, 10:-10, 10:-10] == 1).all()


FILLS: dict[str, Any] = {
    "rotation, affine": lambda: [ga.RandomRotation((20, 20), fill=0.2), ga.RandomAffine((-5, -5), fill=0.8)],
    "pad, rotation": lambda: [ga.Pad(6, fill=0.25), ga.RandomRotation((20, 20), fill=0.75)],
    "crop, rotation": lambda: [ga.CenterCrop((60, 70), fill=0.25), ga.RandomRotation((20, 20), fill=0.75)],
    "rotation, pad": lambda: [ga.RandomRotation((20, 20), fill=0.75), ga.Pad(6, fill=0.25)],
    "pad, pad": lambda: [ga.Pad(3, fill=0.25), ga.Pad(4, fill=0.75)],
}


@pytest.mark.parametrize("name", FILLS)
def test_each_transform_keeps_its_fill(name: str) -> None:
    """A constant image, two fills: the fused result is the one that the transforms give one after the other."""
    images = torch.full((3, 2, 40, 52), 0.5)
    fused, apart = ga.Compose(FILLS[name](), seed=0), ga.Compose(FILLS[name](), seed=0, fuse=False)
    params = fused.sample(images)
    expected = apart.replay(images, params)
    assert len(expected.unique()) >= 3
    for result in both_ways_of(fused, images, params):
        assert (result - expected).abs().max() < 1e-4


JOINED: dict[str, Any] = {
    "perspective, rotation": lambda: [ga.RandomPerspective(0.4, p=1.0), ga.RandomRotation(20)],
    "rotation, perspective": lambda: [ga.RandomRotation(20), ga.RandomPerspective(0.4, p=1.0)],
    "two shrinking": lambda: [ga.RandomAffine(5, scale=(0.5, 0.6)), ga.RandomAffine(5, scale=(0.5, 0.6))],
    "resize, affine": lambda: [ga.Resize((20, 30)), ga.RandomAffine(15, scale=(0.5, 0.9))],
    "flip, perspective, flip": lambda: [
        ga.RandomHorizontalFlip(1.0),
        ga.RandomPerspective(0.3, p=1.0),
        ga.RandomVerticalFlip(1.0),
    ],
}


@pytest.mark.parametrize("name", JOINED)
def test_both_ways_agree_on_joined_warps(name: str) -> None:
    layer = ga.Compose(JOINED[name](), seed=2)
    walked, batched = both_ways(layer, example(3, (2, 41, 57)))[0]
    assert (walked - batched).abs().max() < 1e-4


def test_a_joined_warp_equals_the_tent_of_the_product() -> None:
    """Two shrinking maps are one: its filter is as wide as the product shrinks."""
    images = example(2, (2, 15, 21))
    layer = ga.Compose([ga.RandomAffine(20, scale=(0.6, 0.7)), ga.RandomPerspective(0.4, p=1.0)], seed=4)
    results, params = both_ways(layer, images)
    for i in range(2):
        expected = tent(images[i], torch.linalg.inv(params.matrix[i]), (15, 21))
        for result in results:
            assert (result[i].double() - expected).abs().max() <= 1e-4


@pytest.mark.parametrize(
    "layer",
    [ga.RandomAffine(30), ga.RandomAffine(30, scale=(0.3, 0.4)), ga.RandomPerspective(0.7, p=1.0)],
    ids=["plain", "shrinking", "perspective"],
)
def test_images_larger_than_a_chunk(layer: Any) -> None:
    """Positions are read some at a time; 300 x 260 are several times."""
    layer.reseed(1)
    walked, batched = both_ways(layer, example(1, (3, 260, 300)))[0]
    assert (walked - batched).abs().max() < 1e-3
    assert ((walked - batched).abs() > 1e-4).double().mean() < 1e-3


def test_any_number_of_threads_gives_the_same() -> None:
    images = example(2, (3, 64, 72))
    layer = ga.RandomAffine(30, scale=(0.6, 1.2))
    layer.reseed(0)
    params, before = layer.sample(images), torch.get_num_threads()
    results = []
    try:
        for threads in (1, 2, 3):
            torch.set_num_threads(threads)
            results.append(layer.replay(images, params))
    finally:
        torch.set_num_threads(before)
    assert torch.equal(results[0], results[1]) and torch.equal(results[0], results[2])


@pytest.mark.parametrize("scale", [(0.5, 1.0), (1.0, 0.4), (0.3, 0.8)], ids=str)
@pytest.mark.parametrize("bend", [0.0, 0.01])
def test_unequal_shrinkage_along_the_axes(scale: tuple[float, float], bend: float) -> None:
    """Different numbers of taps along x and y, for affine maps and for homographies."""
    images = example(2, (2, 15, 21))
    m = torch.diag(torch.tensor([*scale, 1.0], dtype=torch.float64))
    m[2, 0] = bend
    turn = torch.eye(3, dtype=torch.float64)
    turn[:2, :2] = torch.tensor([[0.98, -0.2], [0.2, 0.98]])
    matrix = (turn @ m).expand(2, 3, 3)
    expected = tent(images[0], torch.linalg.inv(matrix[0]), (15, 21))
    for shape in (images, images.repeat(1, 1, 1, 1)):
        assert (F.warp(shape, matrix)[0].double() - expected).abs().max() < 1e-4


def test_unequal_shrinkage_on_the_walk(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("gpuaug.render.backend.SMALL", 0)
    for scale in ((0.5, 1.0), (1.0, 0.4), (0.3, 0.8)):
        for bend in (0.0, 0.01):
            test_unequal_shrinkage_along_the_axes(scale, bend)


@pytest.mark.parametrize("small", [0, 10**9], ids=["walk", "definition"])
def test_nothing_is_seen_behind_the_camera(small: int, monkeypatch: pytest.MonkeyPatch) -> None:
    """A horizon crosses the output: beyond it there is fill, not a mirrored image."""
    monkeypatch.setattr("gpuaug.render.backend.SMALL", small)
    images = torch.ones(1, 1, 40, 60)
    back = torch.eye(3, dtype=torch.float64)
    back[2, 0], back[2, 2] = -0.04, 1.0  # depth 1 - 0.04 x: zero at x = 25
    out = F.warp(images, torch.linalg.inv(back)[None], fill=0.25)[0, 0]
    assert (out[:, 26:] == 0.25).all()
    assert (out[2:6, 2:8] - 1).abs().max() < 1e-5


@pytest.mark.parametrize("small", [0, 10**9], ids=["walk", "definition"])
def test_one_bad_pixel_stays_alone(small: int, monkeypatch: pytest.MonkeyPatch) -> None:
    """0 * NaN is NaN: taps of weight zero are not to be read."""
    monkeypatch.setattr("gpuaug.render.backend.SMALL", small)
    images = example(2, (1, 20, 26))
    images[0, 0, 5, 7] = torch.nan
    for layer in (ga.RandomHorizontalFlip(1.0), ga.Compose([ga.Pad(2), ga.RandomVerticalFlip(1.0)])):
        assert torch.isnan(layer(images)).sum() == 1
    out = ga.Resize((20, 52))(images)
    assert torch.isnan(out[1]).sum() == 0 and 1 <= torch.isnan(out[0]).sum() <= 4


def test_fills_after_normalize_are_in_its_units() -> None:
    """For a uint8 batch as for the same batch of floats."""
    images = example(2, (1, 20, 26), torch.uint8)
    for last in (ga.Pad(2, fill=1.5), ga.CenterCrop((24, 30), fill=-2.0), ga.LetterBox((30, 30), fill=0.75)):
        layer = ga.Compose([ga.Normalize((0.5,), (0.5,)), last], seed=0)
        fromuint, fromfloat = layer(images), layer(images / 255)
        assert (fromuint - fromfloat).abs().max() < 1e-5
        assert fromuint[0, 0, 0, 0] == last.fill[0]


def test_draws_and_gates_are_independent() -> None:
    """A gate has a column of its own: whether a sample is turned says nothing about the angle."""
    n = 4000
    layer = ga.Compose(
        [ga.RandomRotation(30, p=0.5), ga.RandomGamma(p=0.4), ga.GaussianBlur(5, p=0.5), ga.RandomSolarize((0.0, 1.0))],
        seed=11,
    )
    params = layer.sample(torch.zeros(n, 3, 12, 14))
    seen = 0
    for drawn in params.values.values():
        gate = drawn["gate"].double()
        for name, value in drawn.items():
            if name != "gate" and value.dim() == 1:
                correlation = torch.corrcoef(torch.stack((gate, value.double())))[0, 1]
                assert abs(correlation) < 5 / n**0.5, name
                seen += 1
    assert seen >= 4


@pytest.mark.parametrize("first", [lambda: ga.Resize((29, 41)), lambda: ga.RandomRotation(25)])
def test_bytes_blended_first_and_then_read_by_the_nearest_pixel(first: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    images = example(3, (3, 37, 53), torch.uint8)
    layer = ga.Compose([first(), ga.RandomAffine(20, (0.1, 0.1), interpolation="nearest")], seed=1)
    alone = ga.Compose([first()], seed=1)
    params, before = layer.sample(images), alone.sample(images)
    monkeypatch.setattr(backend, "_worth_walking", lambda x, passes: False)
    definition = layer.replay(images, params)
    monkeypatch.setattr(backend, "_worth_walking", lambda x, passes: True)
    found, between = layer.replay(images, params), alone.replay(images, before)
    # Each is rounded once, of floats that differ by their own rounding.
    assert found.dtype == torch.uint8 and (found.int() - definition.int()).abs().max() <= 1
    # Nothing is blended twice: every value is one of the first step's, or fill.
    for planes, had in zip(found.flatten(0, 1), between.flatten(0, 1), strict=True):
        assert set(planes.unique().tolist()) <= {0, *had.unique().tolist()}
