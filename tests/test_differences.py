"""The deliberate differences to torchvision: each with the reason why ours is right, shown on values."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
import scipy.ndimage
import torch
from torch import Tensor
from torchvision.transforms import InterpolationMode, v2
from torchvision.transforms.v2 import functional as tv

import gpuaug as ga
from gpuaug.testing import example

BILINEAR = InterpolationMode.BILINEAR


def both(monkeypatch: pytest.MonkeyPatch, layer: Any, *inputs: Any) -> list[Tensor]:
    """Return the replay by the batched definition and by the walk."""
    outs = []
    for small in (10**9, 0):
        monkeypatch.setattr("gpuaug.render.backend.SMALL", small)
        outs.append(layer.replay(*inputs))
    return outs


def test_one_rounding_for_a_uint8_chain(photos: Tensor) -> None:
    """Ours is the float64 result, rounded once; torchvision truncates after each step and is darker."""
    layer = ga.Compose([ga.ColorJitter(0.3, 0.3, 0.3), ga.RandomGamma((90, 110), p=1.0)], seed=0)
    params = layer.sample(photos)
    ours = layer.replay(photos, params)
    exact = layer.replay(photos.double() / 255, params) * 255
    assert (ours.double() - exact).abs().max() <= 0.5 + 1e-3
    assert abs((ours.double() - exact).mean()) < 0.02
    theirs = photos[0]
    truth = photos[0].double() / 255
    for factor in (0.9, 1.2, 0.95):
        theirs = tv.adjust_brightness(tv.adjust_saturation(theirs, factor), factor)
        truth = tv.adjust_brightness(tv.adjust_saturation(truth, factor), factor)
    assert (theirs.double() - truth * 255).mean() < -0.5


def test_saturation_is_rounded_once(photos: Tensor) -> None:
    """Ours is the float64 result, rounded; torchvision cuts the gray first, and is up to two levels off."""
    exact = photos[:1].double()
    gray = (exact * torch.tensor([0.2989, 0.587, 0.114]).double()[:, None, None]).sum(1, keepdim=True)
    for factor, off in ((0.05, 1.5), (0.75, 0.999)):
        truth = (exact * factor + gray * (1 - factor)).clamp(0, 255)
        ours, theirs = ga.functional.adjust_saturation(photos[:1], factor), tv.adjust_saturation(photos[:1], factor)
        assert (ours - truth).abs().max() < 0.501
        cut = (exact * factor + gray.floor() * (1 - factor)).clamp(0, 255)
        assert (theirs - cut).abs().max() < 1.001 and off < (theirs - truth).abs().max() < 2


def test_shifts_are_not_rounded_to_pixels(monkeypatch: pytest.MonkeyPatch) -> None:
    """A drawn shift equals SciPy's linear shift by that much; torchvision's are whole pixels."""
    image = example(1, (1, 30, 40), torch.float64)
    layer = ga.RandomAffine(0, translate=(0.5, 0.5))
    layer.reseed(0)
    params = layer.sample(image)
    dx, dy = params["RandomAffine"].translate_x.item() * 40, params["RandomAffine"].translate_y.item() * 30
    assert abs(dx - round(dx)) > 0.05 and abs(dy - round(dy)) > 0.05
    expected = scipy.ndimage.shift(image[0, 0].numpy(), (dy, dx), order=1, mode="grid-constant")
    for out in both(monkeypatch, layer, image, params):
        assert np.abs(out[0, 0].numpy() - expected).max() < 1e-5
    theirs = v2.RandomAffine(0, translate=(0.5, 0.5)).make_params([image])["translate"]
    assert all(isinstance(shift, int) for shift in theirs)


def test_bilinear_is_the_default(monkeypatch: pytest.MonkeyPatch) -> None:
    """A rotated ramp is a ramp: bilinear reading is exact on it, nearest (torchvision's default) half a pixel off."""
    h, w = 40, 60
    y, x = torch.meshgrid(torch.arange(h) + 0.5, torch.arange(w) + 0.5, indexing="ij")
    ramp = (x / w)[None, None].float()
    layer = ga.RandomRotation((20, 20))
    cosine, sine = np.cos(np.radians(20)), np.sin(np.radians(20))
    exact = (cosine * (x - w / 2) - sine * (y - h / 2) + w / 2) / w
    inner = (slice(15, 25), slice(20, 40))
    for out in both(monkeypatch, layer, ramp, layer.sample(ramp)):
        assert (out[0, 0][inner] - exact[inner]).abs().max() < 1e-5
    theirs = tv.rotate(ramp[0], 20.0)[0]
    assert (theirs[inner] - exact[inner]).abs().max() > 0.3 / w


def test_to_dtype_keeps_black_and_white() -> None:
    """White stays white in any dtype, as everywhere in the library; torchvision keeps the number unless told."""
    white = torch.full((1, 1, 2, 3), 255, dtype=torch.uint8)
    assert (ga.ToDtype(torch.float32)(white) == 1).all()
    assert (v2.ToDtype(torch.float32)(white) == 255).all()
    assert (v2.ToDtype(torch.float32, scale=True)(white) == 1).all()


def test_to_dtype_rounds() -> None:
    """Rounding is unbiased at every level; torchvision's truncation makes all levels but the last 1/256 wide."""
    values = torch.linspace(0, 1, 100001)[None, None, None].double()
    ours = ga.ToDtype(torch.uint8)(values)
    assert torch.equal(ours.double(), torch.round(values * 255))
    theirs = tv.to_dtype(values, torch.uint8, scale=True)
    assert (theirs.double() - values * 255).abs().max() > 0.9
    assert torch.equal(ga.ToDtype(torch.uint8)(torch.arange(256).double()[None, None, None] / 255)[0, 0, 0], LEVELS)


LEVELS = torch.arange(256, dtype=torch.uint8)


@pytest.mark.parametrize("scale", [0.35, 0.5])
def test_shrinking_warps_do_not_alias(monkeypatch: pytest.MonkeyPatch, scale: float) -> None:
    """Stripes finer than the output's pixels become gray; torchvision's stay stripes, at random."""
    images = (torch.arange(96) % 2).float().expand(1, 1, 64, 96)
    layer = ga.RandomAffine((5, 5), scale=(scale, scale))
    params = layer.sample(images)
    inner = (slice(26, 38), slice(38, 58))
    for out in both(monkeypatch, layer, images, params):
        assert (out[0, 0][inner] - 0.5).abs().max() < 0.2
    theirs = tv.affine(images[0], 5.0, [0, 0], scale, [0.0, 0.0], BILINEAR)[0]
    assert (theirs[inner] - 0.5).abs().max() > 0.4


def test_antialias_false_reads_warps_as_torchvision(monkeypatch: pytest.MonkeyPatch) -> None:
    """The difference can be switched off: for one transform, or for the pipeline."""
    images = example(4, (3, 37, 53))
    affine = ga.RandomAffine(30, scale=(0.4, 0.9), shear=(-8, 8), antialias=False)
    affine.reseed(2)
    params = affine.sample(images)
    d = params["RandomAffine"]
    expected = torch.stack(
        [
            tv.affine(x, d.angle[i].item(), [0, 0], d.scale[i].item(), [d.shear_x[i].item(), 0.0], BILINEAR)
            for i, x in enumerate(images)
        ]
    )
    for out in both(monkeypatch, affine, images, params):
        assert (out - expected).abs().max() <= 1e-4
    perspective = ga.Compose([ga.RandomPerspective(0.6, p=1.0)], seed=3, antialias=False)
    params = perspective.sample(images)
    h, w = 37, 53
    start = [[0, 0], [w - 1, 0], [w - 1, h - 1], [0, h - 1]]
    corners = params["RandomPerspective"].corners.view(4, 4, 2).tolist()
    expected = torch.stack([tv.perspective(x, start, end, BILINEAR) for x, end in zip(images, corners, strict=True)])
    for out in both(monkeypatch, perspective, images, params):
        assert (out - expected).abs().max() <= 1e-4


def test_nearest_is_symmetric(monkeypatch: pytest.MonkeyPatch) -> None:
    """Resizing and mirroring can be exchanged; torchvision's "nearest" prefers the left."""
    images = example(1, (1, 6, 10))
    layer = ga.Resize((4, 6), interpolation="nearest")
    params = layer.sample(images)
    ways = [both(monkeypatch, layer, x, params) for x in (images, images.flip(3))]
    for out, mirrored in zip(*ways, strict=True):
        assert torch.equal(out.flip(3), mirrored)
    theirs = tv.resize(images, [4, 6], InterpolationMode.NEAREST)
    assert not torch.equal(theirs.flip(3), tv.resize(images.flip(3), [4, 6], InterpolationMode.NEAREST))


def test_expand_has_one_canvas_for_the_batch_and_loses_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    """Every sample's content is there whole: as much of it as went in, and none at the border."""
    images = torch.ones(6, 1, 30, 44, dtype=torch.float64)
    layer = ga.RandomRotation(45, expand=True)
    layer.reseed(1)
    for out in both(monkeypatch, layer, images, layer.sample(images)):
        assert (out.sum((1, 2, 3)) / (30 * 44) - 1).abs().max() < 0.01
        height, width = out.shape[2:]
        largest = max(tv.rotate(images[0], a, expand=True).shape[2] for a in range(-45, 46))
        assert largest - 1 <= width <= largest + 1 and height <= width
