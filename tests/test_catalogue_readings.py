"""Unsharp masks, zooms, scattering, aberration and coarser grids: against OpenCV, SciPy and arithmetic of their own."""

from __future__ import annotations

import math
from typing import Any

import cv2
import numpy as np
import pytest
import torch
from kernels import assert_same, images, rendered
from scipy import ndimage
from torch import Tensor

import gpuaug as ga
from gpuaug import functional as F
from gpuaug.functional import lens
from gpuaug.functional.unsharp import gaussian_taps
from gpuaug.render import ops
from gpuaug.testing import example

SHAPE = (3, 33, 46)


def drawn(layer: Any, count: int = 6, shape: tuple[int, int, int] = SHAPE) -> tuple[Tensor, Tensor, dict[str, Any]]:
    """Return images, what a transform makes of them, and what it drew."""
    layer.reseed(4)
    x = example(count, shape, torch.float64)
    out, params = layer(x, return_params=True)
    return x, out, params.values[type(layer).__name__]


def read(plane: Tensor, y: np.ndarray, x: np.ndarray) -> np.ndarray:
    """Return values at positions in pixels from the first one, in float64; the border is repeated."""
    h, w = plane.shape
    found = ndimage.map_coordinates(plane.numpy(), [y.clip(0, h - 1), x.clip(0, w - 1)], order=1, mode="nearest")
    assert isinstance(found, np.ndarray)
    return found


@pytest.mark.usefixtures("ways")
@pytest.mark.parametrize("sigma", [0.0, (0.5, 2.0)])
def test_unsharp_mask(sigma: Any) -> None:
    """Albumentations' steps by OpenCV; a sigma of 0 is left to it."""
    x, out, values = drawn(ga.UnsharpMask((3, 7), sigma, threshold=6, p=1.0))
    assert len(values["size"].unique()) == 3
    for b in range(6):
        size, alpha = int(values["size"][b]), float(values["alpha"][b])
        for plane, seen in zip(x[b].numpy(), out[b].numpy(), strict=True):
            residual = plane - cv2.GaussianBlur(plane, (size, size), float(values["sigma"][b]))
            soft = (abs(residual) * 255 > 6).astype(np.float64)
            soft = cv2.GaussianBlur(soft, (size, size), float(values["sigma"][b]))
            expected = (plane + alpha * residual).clip(0, 1) * soft + plane * (1 - soft)
            assert abs(seen - expected).max() < 1e-6
    one = F.unsharp_mask(x[:1], float(values["size"][0]), float(values["sigma"][0]), float(values["alpha"][0]), 6)
    assert torch.allclose(one, out[:1], atol=1e-7)
    assert torch.equal(F.unsharp_mask(x, 5, alpha=0.5, threshold=255), x)  # no difference is as large
    taps = gaussian_taps(torch.tensor([11.0]), torch.zeros(1), 13)[0].double()  # larger than OpenCV's tables
    assert np.allclose(taps.numpy(), [*cv2.getGaussianKernel(11, 0)[5:, 0], 0.0], atol=1e-7)


@pytest.mark.usefixtures("ways")
def test_zoom_blur() -> None:
    x, out, values = drawn(ga.ZoomBlur((1.1, 1.3), (0.02, 0.05), p=1.0))
    h, w = SHAPE[1:]
    y, z = np.mgrid[:h, :w].astype(np.float64)
    for b in range(6):
        top, step = float(values["max_factor"][b]), float(values["step_factor"][b])
        factors = np.arange(1.0, top, step)
        assert len(factors) == int(values["count"][b])
        expected = x[b].numpy().copy()
        for factor in factors:
            py, px = (y - (h - 1) / 2) / factor + (h - 1) / 2, (z - (w - 1) / 2) / factor + (w - 1) / 2
            expected += np.stack([read(plane, py, px) for plane in x[b]])
        assert abs(out[b].numpy() - expected / (len(factors) + 1)).max() < 1e-6
    assert torch.allclose(F.zoom_blur(x, values["count"], values["step_factor"], most=16), out, atol=1e-7)
    none = ga.ZoomBlur((1.1, 1.3), p=1.0)
    assert torch.allclose(none(x, strength=0.0), x)


@pytest.mark.usefixtures("ways")
def test_chromatic_aberration() -> None:
    x, out, values = drawn(ga.ChromaticAberration(0.2, 0.3, p=1.0))
    h, w = SHAPE[1:]
    z = np.arange(w)
    assert torch.equal(out[:, 1], x[:, 1])
    for b in range(6):
        for c, color in ((0, "red"), (2, "blue")):
            k1, k2 = float(values[f"primary_{color}"][b]), float(values[f"secondary_{color}"][b])
            # A camera whose focal length is the size of the image, and whose axis goes through its middle.
            camera = np.array([[w, 0, (w - 1) / 2], [0, h, (h - 1) / 2], [0, 0, 1]], dtype=np.float64)
            lens = np.array([k1, k2, 0, 0])
            px, py = cv2.initUndistortRectifyMap(camera, lens, None, camera, (w, h), cv2.CV_32FC1)
            assert abs(px - z).max() > 0.3 or max(abs(k1), abs(k2)) < 0.05
            assert abs(out[b, c].numpy() - read(x[b, c], py.astype(np.float64), px.astype(np.float64))).max() < 1e-5
    pair = [torch.stack((values[f"primary_{c}"], values[f"secondary_{c}"]), dim=1) for c in ("red", "blue")]
    assert torch.allclose(F.chromatic_aberration(x, *pair), out, atol=1e-9)


@pytest.mark.parametrize("mode", ["green_purple", "red_blue", "random"])
def test_signs_of_an_aberration(mode: str) -> None:
    values = (
        ga.ChromaticAberration(0.2, 0.3, mode, p=1.0).sample(torch.zeros(64, 3, 4, 5)).values["ChromaticAberration"]
    )
    signs = {name: value.sign() for name, value in values.items()}
    assert torch.equal(signs["primary_red"], signs["secondary_red"])
    assert torch.equal(signs["primary_blue"], signs["secondary_blue"])
    product = set((signs["primary_red"] * signs["primary_blue"]).tolist())
    assert product == {"green_purple": {1.0}, "red_blue": {-1.0}, "random": {-1.0, 1.0}}[mode]


def scattered(x: Tensor, key: Tensor, delta: int, turns: int, noise: Tensor) -> Tensor:
    """Follow the steps of every pixel, one by one."""
    h, w = x.shape[2:]
    out = torch.empty_like(x)
    for b in range(x.shape[0]):
        for i in range(h):
            for j in range(w):
                y, z = i, j
                for t in range(turns):
                    dy, dx = (math.floor(float(noise[b, 2 * t + n, y, z]) * 2 * delta) - delta for n in (0, 1))
                    y, z = min(max(y + dy, 0), h - 1), min(max(z + dx, 0), w - 1)
                out[b, :, i, j] = x[b, :, y, z]
    return out


def test_scattering() -> None:
    """Each pixel shows the one that its steps lead to; steps reach from -max_delta to max_delta - 1."""
    x, key = example(2, (3, 9, 11), torch.float64), torch.tensor([3, 77])
    noise = ops.uniform_noise(key, 4, 9, 11)
    out = ops.scatter(x, key, max_delta=3, iterations=2)
    assert torch.equal(out, scattered(x, key, 3, 2, noise)) and not torch.equal(out, x)
    places = torch.arange(60.0).expand(1, 1, 50, 60).contiguous()
    gaps = (ops.scatter(places, key[:1], max_delta=2, iterations=1) - places)[..., 4:-4]
    assert sorted(gaps.unique().tolist()) == [-2, -1, 0, 1]


def test_glass_is_blur_scattering_blur() -> None:
    x, out, values = drawn(ga.GlassBlur((0.5, 0.9), 2, 2, p=1.0))
    sigma = values["sigma"]
    expected = ops.scatter(F.gaussian_blur(x, sigma, 9), values["glass"], max_delta=2, iterations=2)
    assert torch.allclose(F.gaussian_blur(expected, sigma, 9), out, atol=1e-6)
    clips = x[:, None].expand(-1, 2, *SHAPE)
    frames = ga.GlassBlur(p=1.0)(clips)
    assert torch.equal(frames[:, 0], frames[:, 1]) and not torch.equal(frames, clips)
    layer = ga.GlassBlur(p=0.5)
    layer.reseed(0)
    out, params = layer(x, return_params=True)
    on = params.values["GlassBlur"]["gate"]
    assert 0 < int(on.sum()) < 6 and torch.equal(out[~on], x[~on]) and not torch.equal(out[on], x[on])


CODES = {"nearest": cv2.INTER_NEAREST_EXACT, "bilinear": cv2.INTER_LINEAR, "area": cv2.INTER_AREA}


@pytest.mark.usefixtures("ways")
@pytest.mark.parametrize(("down", "up"), [("nearest", "nearest"), ("bilinear", "nearest"), ("area", "bilinear")])
def test_downscale(down: str, up: str) -> None:
    pair = {"downscale": down, "upscale": up}
    x, out, values = drawn(ga.Downscale((0.2, 0.9), pair, p=1.0), 8)
    far = []
    for b, scale in enumerate(values["scale"].tolist()):
        size = round(SHAPE[2] * scale), round(SHAPE[1] * scale)
        small = cv2.resize(x[b].permute(1, 2, 0).numpy(), size, interpolation=CODES[down])
        back = cv2.resize(small, SHAPE[:0:-1], interpolation=CODES[up])
        far.append(abs(back - out[b].permute(1, 2, 0).numpy()))
    # Where a pixel's centre falls right between two, OpenCV's nearest takes the one before, as few sizes do.
    assert (np.stack(far) > 1e-5).mean() < (0.1 if up == "nearest" else 1e-9), np.stack(far).max()
    assert torch.allclose(F.downscale(x, values["scale"], down, up), out, atol=1e-6)


def test_nearest_pixels_by_whole_numbers() -> None:
    """Between two pixels the later one is the nearest, at any size: of 14 and of 26 many a place falls there."""
    for n, few in ((14, 23), (23, 14), (26, 23), (69, 46), (90, 20)):
        place = (2 * np.arange(few) + 1) * n // (2 * few)
        columns = torch.arange(float(n)).view(1, 1, 1, n)
        at = lens._resampled(columns, float(n), float(few), few, 3, "nearest", 0)
        assert np.array_equal(at.flatten().numpy(), place)
        if few < n:
            back = place[(2 * np.arange(n) + 1) * few // (2 * n)]
            for walks in (F.downscale, lens.coarse_one):
                given = {"down": "nearest", "up": "nearest", "lowest": 0.1}
                out = walks(columns.expand(1, 1, 8, n), torch.tensor([few / n]), **given)
                assert np.array_equal(out[0, 0, 0].numpy(), back)


@pytest.mark.parametrize("n", [3, 5, 14, 15])
def test_means_of_small_images(n: int) -> None:
    """Grids that are coarser than the scale, as few pixels allow: every pixel of the image counts once."""
    x = example(1, (1, n, 2 * n), torch.float64)
    out = F.downscale(x, 0.1, "area", "nearest")
    size = max(round(0.2 * n), 1), max(round(0.1 * n), 1)
    small = cv2.resize(x[0, 0].numpy(), size, interpolation=cv2.INTER_AREA)
    assert np.allclose(np.unique(out.numpy()), np.unique(small), atol=1e-12)


@pytest.mark.parametrize(
    "make",
    [
        lambda: ga.UnsharpMask((3, 3), (0.5, 1.0), p=0.6),
        lambda: ga.ChromaticAberration(0.2, 0.3, p=0.6),
        lambda: ga.Downscale((0.3, 0.9), p=0.6),
        lambda: ga.Downscale((0.3, 0.9), {"downscale": "bilinear", "upscale": "bilinear"}, p=0.6),
    ],
)
def test_kernels_among_others(make: Any) -> None:
    """Behind a warp and before a program, from a strided source."""
    layer = ga.Compose([ga.RandomAffine(20), make(), ga.RandomInvert()], seed=2)
    x = images((3, 9, 14), torch.uint8, 4).contiguous(memory_format=torch.channels_last)
    expected, out = rendered(layer, x)
    assert_same(out, expected, share=0.02)


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda: ga.UnsharpMask(threshold=300), r"UnsharpMask: threshold must be within \[0, 255\], got 300"),
        (lambda: ga.ZoomBlur((1.0, 2.0), (0.001, 0.1)), "ZoomBlur: .* must be at most 256 readings, got 1000"),
        (lambda: ga.ZoomBlur((0.5, 2.0)), "ZoomBlur: max_factor_range must be within"),
        (lambda: ga.GlassBlur(max_delta=0), "GlassBlur: max_delta must be a positive integer, got 0"),
        (lambda: ga.GlassBlur(sigma=0), "GlassBlur: sigma must be within"),
        (
            lambda: ga.ChromaticAberration(mode="blue"),
            "ChromaticAberration: mode must be 'green_purple'",
        ),
        (lambda: ga.Downscale(0), "Downscale: scale_range must be within"),
        (lambda: ga.Downscale(interpolation_pair={"upscale": "area"}), "Downscale: interpolation_pair must be"),
        (
            lambda: ga.ChromaticAberration(p=1.0)(torch.zeros(2, 4, 5, 6)),
            "ChromaticAberration: images must have 3 channels, or channels= must name 3 bands",
        ),
        (lambda: ga.GlassBlur(p=1.0)(torch.zeros(2, 3, 3, 16)), "GlassBlur: images must be larger than half"),
    ],
)
def test_refused(make: Any, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        make()
