"""CLAHE against OpenCV, and its lightness against the CIE's formulas in float64."""

from __future__ import annotations

from typing import Any

import cv2
import numpy as np
import pytest
import torch
from kernels import images, rendered

import gpuaug as ga
from gpuaug import functional as F
from gpuaug.diagnose import count
from gpuaug.functional.lightness import lightness, relit
from gpuaug.testing import example

GRIDS = [(8, 8), (3, 5), (1, 1)]


@pytest.mark.parametrize("size", [(48, 80), (50, 37), (48, 37), (9, 7), (1, 6), (1, 1)])
def test_one_channel_is_opencvs(size: tuple[int, int]) -> None:
    """Sides that the tiles divide, and do not, and images smaller than the tiles; ties of the last rounding apart."""
    x = images((1, *size), count=3)
    x[1] = x[1] // 8 + 100  # of little contrast, so that the limit cuts
    limits = torch.tensor([1.0, 3.0, 40.0])
    for grid in GRIDS:
        out = F.clahe(x, limits, grid)
        for b in range(3):
            reference = cv2.createCLAHE(float(limits[b]), (grid[1], grid[0])).apply(x[b, 0].numpy())
            far = np.abs(out[b, 0].numpy().astype(int) - reference)
            assert far.max() <= 1 and (far > 0).mean() < 0.005, (grid, b)


def lab(rgb: np.ndarray) -> np.ndarray:
    """Return L*, a* and b* (3, ...) of sRGB under D65."""
    linear = np.where(rgb > 0.04045, ((rgb + 0.055) / 1.055) ** 2.4, rgb / 12.92)
    rows = [[0.412453, 0.357580, 0.180423], [0.212671, 0.715160, 0.072169], [0.019334, 0.119193, 0.950227]]
    xyz = np.tensordot(np.array(rows), linear, 1) / np.array([0.950456, 1.0, 1.088754]).reshape(3, 1, 1)
    f = np.where(xyz > 0.008856, np.cbrt(xyz), 7.787 * xyz + 16 / 116)
    light = np.where(xyz[1] > 0.008856, 116 * f[1] - 16, 903.3 * xyz[1])
    return np.stack([light, 500 * (f[0] - f[1]), 200 * (f[1] - f[2])])


def test_the_lightness_is_the_cies() -> None:
    x = example(2, (3, 15, 22), torch.float64)
    x[0, :, :5] *= 0.02  # where the curve is a line
    for b in range(2):
        light, roots = lightness(list(x[b]))
        assert np.allclose(light.numpy() * 100, lab(x[b].numpy())[0], atol=1e-9)
        assert torch.allclose(torch.stack(relit(roots, light)), x[b], atol=2e-4)
        brighter = torch.stack(relit(roots, light * 0.5 + 0.3))
        inside = ((brighter > 0) & (brighter < 1)).all(0).numpy()
        before, after = lab(x[b].numpy()), lab(brighter.numpy())
        assert inside.mean() > 0.5
        assert np.abs(after[0] - before[0] * 0.5 - 30)[inside].max() < 0.02
        assert np.abs(after[1:] - before[1:])[:, inside].max() < 0.1


@pytest.mark.parametrize("walks", [False, True])
def test_rgb_keeps_its_colours(walks: bool, monkeypatch: pytest.MonkeyPatch) -> None:
    """The lightness becomes what OpenCV makes of its 256 levels; a* and b* stay, as Albumentations has it."""
    monkeypatch.setattr("gpuaug.render.backend.SMALL", 0 if walks else 10**9)
    x = example(3, (3, 40, 52), torch.float64) * 0.5 + 0.2
    layer = ga.CLAHE((2.0, 5.0), (4, 3), p=1.0)
    layer.reseed(1)
    out, params = layer(x, return_params=True)
    for b, limit in enumerate(params.values["CLAHE"]["clip_limit"].tolist()):
        before, after = lab(x[b].numpy()), lab(out[b].numpy())
        level = np.rint(before[0] * 2.55).astype(np.uint8)
        reference = cv2.createCLAHE(limit, (3, 4)).apply(level)
        inside = ((out[b] > 0.001) & (out[b] < 0.999)).all(0).numpy()
        assert inside.mean() > 0.6
        assert np.abs(after[0] * 2.55 - reference)[inside].max() < 0.52
        assert np.abs(after[1:] - before[1:])[:, inside].max() < 0.2
        assert after[0].std() > 1.2 * before[0].std()


def test_colours_differ_from_8_bit_ones_by_their_rounding_alone() -> None:
    """Albumentations' steps, which are OpenCV's: of the same rounded L*, a* and b* the same colours are made.

    What OpenCV calls L* is a level off at most, but that may move a tile by many levels: the counts that are cut off
    are spread over every bin, or over every other one if they are few, and one count decides.
    """
    noise = np.random.default_rng(2).random((132, 170, 3)).astype(np.float32)
    scales = [cv2.GaussianBlur(noise, (0, 0), sigma) for sigma in (1.0, 6.0, 20.0)]
    smooth = np.sum([(v - v.mean()) / v.std() for v in scales], axis=0)
    image = (smooth[..., :1] * 24 + smooth * 8 + np.array([150, 130, 110])).clip(0, 255).astype(np.uint8)
    codes = cv2.cvtColor(image, cv2.COLOR_RGB2LAB)
    light, exact = lightness(list(torch.from_numpy(image).double().permute(2, 0, 1) / 255))
    assert np.abs(codes[..., 0].astype(int) - np.rint(light.numpy() * 255)).max() <= 1
    root, a, b = (codes[..., 0] / 2.55 + 16) / 116, (codes[..., 1] - 128.0) / 500, (codes[..., 2] - 128.0) / 200
    for limit in (2.0, 4.0):
        ours = F.clahe(torch.from_numpy(codes[None, None, ..., 0].copy()), torch.tensor([limit]))[0, 0].numpy()
        equal = cv2.createCLAHE(limit, (8, 8)).apply(codes[..., 0])
        theirs = cv2.cvtColor(np.dstack((equal, codes[..., 1:])), cv2.COLOR_LAB2RGB).astype(np.float64)
        assert np.abs(ours.astype(int) - equal).max() <= 1
        new = torch.from_numpy(equal / 255)
        rounded = torch.stack(relit([torch.from_numpy(v) for v in (root + a, root, root - b)], new), dim=2) * 255
        assert np.abs(rounded.numpy() - theirs).max() < 1.5  # half a level, and tables of whole numbers
        whole = torch.stack(relit(exact, new), dim=2) * 255
        lit = (theirs > 40).all(2)  # half a unit of a* and b* is more levels where a channel is dark
        assert lit.mean() > 0.8 and 1.5 < np.abs(whole.numpy() - theirs)[lit].max() < 5


def test_what_is_refused() -> None:
    drawn = ga.CLAHE(6.0, p=1.0).sample(torch.zeros(2000, 1, 2, 3)).values["CLAHE"]["clip_limit"]
    assert 1 <= drawn.min() < 1.05 and 5.95 < drawn.max() <= 6
    for arguments, message in (
        (((0.5, 2.0),), r"CLAHE: clip_limit must be within \[1, inf\]"),
        ((2.0, (8, 0)), r"CLAHE: tile_grid_size must be \(rows, columns\) from 1 to 255, got \(8, 0\)"),
        ((2.0, 8), r"CLAHE: tile_grid_size must be \(rows, columns\)"),
    ):
        with pytest.raises(ValueError, match=message):
            ga.CLAHE(*arguments)
    with pytest.raises(ValueError, match=r"CLAHE: images must have 1 or 3 channels, .* got 4"):
        ga.CLAHE(p=1.0)(torch.zeros(1, 4, 8, 8))


def test_kernels() -> None:
    """In the middle of a program, on some of the bands, and of sides that the tiles do not divide."""
    steps: list[Any] = [
        ga.RandomAffine(20, fill=0.25),
        ga.CLAHE((2.0, 4.0), (2, 2), p=0.7, channels=(4, 0, 2)),
        ga.RandomInvert(),
    ]
    expected, out = rendered(ga.Compose(steps, seed=4), images((5, 13, 18), torch.float32, 2))
    # A lightness between two levels may fall to the other one.
    assert ((out - expected).abs() > 1e-4).double().mean() < 0.01
    expected, out = rendered(ga.CLAHE(3.0, (2, 1), p=1.0), images((1, 9, 14), count=2))
    assert (out.int() - expected.int()).abs().max() <= 1  # a tie of the last rounding


def test_ragged_batches() -> None:
    """Each image has tiles of its own size."""
    mixed = [example(1, (3, 20, 30))[0], example(2, (3, 17, 25))[1]]
    layer = ga.CLAHE((3.0, 3.0), (2, 3), p=1.0)
    for image, out in zip(mixed, layer(mixed), strict=True):
        assert torch.allclose(out, layer(image[None])[0], atol=1e-5)


def test_bytes() -> None:
    """It joins its pass, which reads the image twice: at most 8 times the least that can be moved."""
    layer = ga.Compose([ga.RandomHorizontalFlip(), ga.CLAHE(p=1.0), ga.RandomInvert()], seed=0, backend="triton")
    x = torch.empty((8, 3, 224, 224), dtype=torch.uint8, device="meta")
    layer(x)
    counts = count(layer, x)
    assert counts.image_sized <= 2 and counts.traffic <= 2.5, counts.names
    assert (counts.synchronising, counts.host_to_device, counts.host_operations) == (0, 0, 0)
