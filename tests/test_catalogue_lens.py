"""Blurs and sharpeners that are small kernels: against OpenCV with kernels written apart, and their laws."""

from __future__ import annotations

import math
from typing import Any

import cv2
import numpy as np
import pytest
import torch
from torch import Tensor

import gpuaug as ga
from gpuaug import functional as F
from gpuaug.functional import taps
from gpuaug.functional.blur import filter_one
from gpuaug.testing import example

SHAPE = (3, 33, 41)


def by_opencv(image: Tensor, kernel: np.ndarray) -> Tensor:
    """Correlate (C, H, W) by OpenCV, whose default border is reflected without its outermost pixel."""
    planes = [cv2.filter2D(plane.numpy(), -1, kernel.astype(np.float64)) for plane in image]
    return torch.from_numpy(np.stack(planes))


def line(size: int, angle: float, direction: float, shift: tuple[float, float]) -> np.ndarray:
    """Draw the line of a motion blur point by point."""
    half, points = size // 2, set()
    first = -half * (1 - max(direction, 0.0))
    last = half * (1 + min(direction, 0.0))
    for n in range(size):
        t = first + (last - first) * n / max(size - 1, 1)
        x = half + t * math.cos(math.radians(angle)) + shift[0] * half / 2
        y = half + t * math.sin(math.radians(angle)) + shift[1] * half / 2
        points.add((min(max(round(y), 0), size - 1), min(max(round(x), 0), size - 1)))
    kernel = np.zeros((size, size))
    for y, x in points:
        kernel[y, x] = 1 / len(points)
    return kernel


def disk(radius: int, alias: float) -> np.ndarray:
    n = max(8, radius)
    y, x = np.mgrid[-n : n + 1, -n : n + 1]
    filled = (x * x + y * y <= radius * radius).astype(np.float64)
    taps = 3 if radius <= 8 else 5
    return cv2.GaussianBlur(filled / filled.sum(), (taps, taps), alias)


def ellipse(size: int, sx: float, sy: float, angle: float, beta: float, noise: np.ndarray) -> np.ndarray:
    a = math.radians(angle)
    turn = np.array([[math.cos(a), -math.sin(a)], [math.sin(a), math.cos(a)]])
    inverse = np.linalg.inv(turn @ np.diag([sx**2, sy**2]) @ turn.T)
    kernel = np.empty((size, size))
    for i in range(size):
        for j in range(size):
            d = np.array([j - size // 2, i - size // 2])
            kernel[i, j] = math.exp(-0.5 * (d @ inverse @ d) ** beta) * noise[i, j]
    return kernel / kernel.sum()


def drawn(layer: Any, count: int = 6, dtype: torch.dtype = torch.float64) -> tuple[Tensor, Tensor, dict[str, Any]]:
    """Return images, what a transform makes of them, and what it drew."""
    layer.reseed(4)
    images = example(count, SHAPE, dtype)
    out, params = layer(images, return_params=True)
    return images, out, params.values[type(layer).__name__]


@pytest.mark.usefixtures("ways")
@pytest.mark.parametrize("dtype", [torch.float64, torch.uint8], ids=str)
def test_box_is_opencvs(dtype: torch.dtype) -> None:
    images, out, values = drawn(ga.Blur((3, 9), p=1.0), dtype=dtype)
    assert set(values["size"].tolist()) <= {3, 5, 7, 9} and len(set(values["size"].tolist())) > 2
    for b, size in enumerate(values["size"].int().tolist()):
        expected = np.stack([cv2.blur(plane.numpy(), (size, size)) for plane in images[b]])
        gap = abs(out[b].numpy().astype(np.float64) - expected).max()
        assert gap <= (1 if dtype == torch.uint8 else 3e-7), gap
    assert torch.allclose(F.box_blur(images[:2].double(), 5), F.box_blur(images[:2].double(), 5, largest=11), atol=1e-7)


@pytest.mark.usefixtures("ways")
def test_motion() -> None:
    images, out, values = drawn(ga.MotionBlur((3, 11), p=1.0), 12)
    for b in range(12):
        size, angle, direction, x, y = (
            float(values[name][b]) for name in ("size", "angle", "direction", "shift_x", "shift_y")
        )
        kernel = line(int(size), angle, direction, (x, y))
        assert torch.allclose(out[b], by_opencv(images[b], kernel), atol=3e-7), b
        one = F.motion_blur(images[b : b + 1], size, angle, direction, x, y, largest=11)
        assert torch.allclose(one[0], out[b], atol=3e-7)


def test_motion_of_known_lines() -> None:
    """A point of light becomes the line, mirrored: what lies before the pixel is smeared from it backwards."""
    light = torch.zeros(1, 1, 9, 11)
    light[0, 0, 4, 5] = 1.0
    for angle, direction, place in (
        (0.0, 0.0, [(4, x) for x in range(3, 8)]),
        (90.0, 0.0, [(y, 5) for y in range(2, 7)]),
        (45.0, 0.0, [(3, 4), (4, 5), (5, 6)]),
        (0.0, 1.0, [(4, 3), (4, 4), (4, 5)]),
        (0.0, -1.0, [(4, 5), (4, 6), (4, 7)]),
    ):
        out = F.motion_blur(light, 5, angle, direction, largest=7)[0, 0]
        assert [tuple(p) for p in out.nonzero().tolist()] == place, (angle, direction)
        assert abs(float(out.sum()) - 1) < 1e-6
    still = ga.MotionBlur((3, 5), allow_shifted=False, p=1.0)
    assert "shift_x" not in still.sample(light).values["MotionBlur"]


@pytest.mark.usefixtures("ways")
def test_defocus() -> None:
    images, out, values = drawn(ga.Defocus((6, 11), (0.1, 0.8), p=1.0), 12)
    assert values["radius"].max() > 8 > values["radius"].min()
    for b in range(12):
        kernel = disk(int(values["radius"][b]), float(values["alias_blur"][b]))
        assert torch.allclose(out[b], by_opencv(images[b], kernel), atol=2e-6), b
    hard = taps.defocus_kernel(torch.tensor([3.0]), torch.tensor([0.0]), 3)[0]
    assert len(hard.unique()) == 2 and int((hard > 0).sum()) == 29
    radius, rim = values["radius"][:3], values["alias_blur"][:3]
    assert torch.allclose(F.defocus(images[:3], radius, rim, largest=12), out[:3], atol=1e-6)


@pytest.mark.usefixtures("ways")
def test_generalised_gaussian() -> None:
    layer = ga.AdvancedBlur((3, 7), (0.4, 2.0), (0.4, 2.0), noise_limit=1.0, p=1.0)
    images, out, values = drawn(layer, 12)
    assert (values["beta"] < 1).any() and (values["beta"] > 1).any()
    assert values["beta"].min() >= 0.5 and values["beta"].max() <= 8
    for b in range(12):
        size, *rest = (float(values[name][b]) for name in ("size", "sigma_x", "sigma_y", "angle", "beta"))
        kernel = ellipse(int(size), *rest, noise=np.ones((7, 7)))
        assert torch.allclose(out[b], by_opencv(images[b], kernel), atol=2e-6), b
    noise = torch.rand(1, 49, dtype=torch.float64) + 0.5
    kernel = ellipse(5, 0.7, 1.5, 30.0, 0.8, noise.view(7, 7)[1:6, 1:6].numpy())
    out = F.advanced_blur(images[:1], 5, 0.7, 1.5, 30.0, 0.8, noise)
    assert torch.allclose(out[0], by_opencv(images[0], kernel), atol=1e-9)
    layer = ga.AdvancedBlur(5, beta_limit=ga.Constant(3.0), p=1.0)
    assert layer.sample(images).values["AdvancedBlur"]["beta"].unique().tolist() == [3.0]


@pytest.mark.usefixtures("ways")
def test_sharpen_and_emboss() -> None:
    images, out, values = drawn(ga.Sharpen(p=1.0))
    for b in range(6):
        alpha, lightness = float(values["alpha"][b]), float(values["lightness"][b])
        kernel = np.full((3, 3), -alpha)
        kernel[1, 1] = (1 - alpha) + alpha * (8 + lightness)
        assert torch.allclose(out[b], by_opencv(images[b], kernel).clamp(0, 1), atol=2e-6)
    assert out.min() == 0 or out.max() == 1  # it clamps
    images, out, values = drawn(ga.Emboss((0.4, 0.9), p=1.0))
    for b in range(6):
        alpha, s = float(values["alpha"][b]), float(values["strength"][b])
        relief = np.array([[-1 - s, -s, 0], [-s, 1, s], [0, s, 1 + s]])
        kernel = alpha * relief
        kernel[1, 1] += 1 - alpha
        assert torch.allclose(out[b], by_opencv(images[b], kernel).clamp(0, 1), atol=2e-6)
        assert torch.allclose(F.emboss(images[b : b + 1], alpha, s)[0], out[b], atol=1e-6)
    assert torch.allclose(F.sharpen(images, 0.0), images) and torch.allclose(F.emboss(images, 0.0), images)


@pytest.mark.usefixtures("ways")
def test_sharpen_by_a_gaussian() -> None:
    images, out, values = drawn(ga.Sharpen(method="gaussian", kernel_size=7, sigma=1.3, p=1.0))
    for b in range(6):
        blurred = np.stack([cv2.GaussianBlur(plane.numpy(), (7, 7), 1.3) for plane in images[b]])
        expected = images[b] + float(values["alpha"][b]) * (images[b] - torch.from_numpy(blurred))
        assert torch.allclose(out[b], expected.clamp(0, 1), atol=1e-6)


def test_walks_of_kernels() -> None:
    """Few taps, many, and very many take ways of their own; a frame of zeros is left out."""
    image = example(1, SHAPE, torch.float64)
    generator = torch.Generator().manual_seed(1)
    for n in (5, 9, 25):
        kernel = torch.rand((1, n, n), generator=generator, dtype=torch.float64) / n**2
        framed = torch.nn.functional.pad(kernel, (2, 2, 3, 3))
        for given in (kernel, framed):
            expected = by_opencv(image[0], given[0].numpy())
            assert torch.allclose(filter_one(image, given)[0], expected, atol=1e-12)
            assert torch.allclose(F.filter2d(image, given)[0], expected, atol=1e-12)
            clipped = filter_one(image * 3, given, clip=True)
            assert torch.allclose(clipped, F.filter2d(image * 3, given, clip=True)) and clipped.max() == 1
    assert torch.equal(filter_one(image, torch.zeros(1, 3, 3)), torch.zeros_like(image))


def test_sides_are_odd_and_equally_likely() -> None:
    images = torch.zeros(4000, 1, 12, 13)
    layer = ga.Blur((3, 7), p=1.0)
    layer.reseed(0)
    counts = [int((layer.sample(images).values["Blur"]["size"] == n).sum()) for n in (3, 5, 7)]
    assert sum(counts) == 4000 and all(abs(n - 4000 / 3) < 5 * math.sqrt(4000 * 2 / 9) for n in counts)
    layer = ga.Blur(ga.Integers(4, 7), p=1.0)
    assert set(layer.sample(images).values["Blur"]["size"].tolist()) == {5.0, 7.0}
    assert ga.Blur(9).sample(images[:2]).values["Blur"]["kernel"].shape == (2, 9, 9)
    by_class = ga.Blur(ga.PerClass({0: 3, 1: (7, 9)}, default=(5, 5)), p=1.0)
    labels = torch.tensor([0, 1, 2, 1])
    sizes = by_class.sample({"image": images[:4], "label": labels}).values["Blur"]["size"].tolist()
    assert sizes[0] == 3 and sizes[2] == 5 and {sizes[1], sizes[3]} <= {7, 9}
    weak = ga.Blur((3, 7), p=1.0).sample(images, strength=0.0)
    assert weak.values["Blur"]["size"].unique().tolist() == [1.0]


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda: ga.Blur((4, 7)), r"Blur: blur_limit must be an odd number n of at least 3, or odd \(low, high\), got"),
        (lambda: ga.Blur((7, 3)), "Blur: blur_limit must be .*low <= high"),
        (lambda: ga.MotionBlur(direction_range=(-2, 1)), "MotionBlur: direction_range must be within"),
        (lambda: ga.Defocus((-1, 3)), "Defocus: radius_range must be within"),
        (lambda: ga.AdvancedBlur(beta_limit=(2, 3)), r"AdvancedBlur: beta_limit must be \(low, high\) with 1 between"),
        (lambda: ga.Sharpen(method="box"), "Sharpen: method must be 'kernel' or 'gaussian', got 'box'"),
        (lambda: ga.Sharpen(kernel_size=4), "Sharpen: kernel_size must be an odd integer"),
        (lambda: ga.Sharpen(sigma=0), "Sharpen: sigma must be positive"),
        (lambda: ga.Emboss((0, 2)), "Emboss: alpha_range must be within"),
    ],
)
def test_refused(make: Any, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        make()


def test_small_images_are_refused() -> None:
    with pytest.raises(ValueError, match=r"Defocus: images must be larger than half the largest kernel, 21 .* 10x40"):
        ga.Defocus(p=1.0)(torch.zeros(2, 3, 10, 40))
