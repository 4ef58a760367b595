"""Fog and clouds against float64 arithmetic, and what they must look like."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
import torch
from test_catalogue_light import drawn
from test_catalogue_plasma import laid

import gpuaug as ga
from gpuaug.testing import example

SHAPE = (3, 37, 53)
H, W = SHAPE[1:]


@pytest.mark.parametrize("mode", ["linear", "diagonal", "radial"])
def test_atmospheric_fog(mode: str) -> None:
    """Light that came through, and fog for the rest; the distance goes from 0 to 1."""
    x = example(3, SHAPE)
    out, params = drawn(ga.AtmosphericFog(fog_color=(200, 100, 0), depth_mode=mode, p=1.0), x)
    y, z = np.mgrid[:H, :W] / np.array([H - 1, W - 1]).reshape(2, 1, 1)
    depth = {"linear": 1 - y, "diagonal": 1 - (y + z) / 2, "radial": np.hypot(2 * y - 1, 2 * z - 1) / 2**0.5}[mode]
    color = np.array([200, 100, 0]).reshape(3, 1, 1) / 255
    assert params.density.min() >= 1 and params.density.max() <= 3
    for b in range(3):
        through = np.exp(-float(params.density[b]) * depth)
        np.testing.assert_allclose(out[b], x[b].double().numpy() * through + color * (1 - through), atol=3e-6)


def test_fog_by_a_depth_map() -> None:
    """The depth goes where the image goes; what is turned in from outside has none."""
    x, depth = example(3, SHAPE), 20 * example(3, (1, H, W)).flip(3)
    layer = ga.Compose(
        [ga.RandomHorizontalFlip(), ga.RandomRotation(20), ga.AtmosphericFog((0.05, 0.1), 90, depth="depth", p=1.0)],
        roles={"depth": "dense"},
        seed=4,
    )
    out, params = layer({"image": x, "depth": depth}, return_params=True)
    moved = ga.Compose([ga.RandomHorizontalFlip(), ga.RandomRotation(20)], roles={"depth": "dense"}, seed=4)(
        {"image": x, "depth": depth}
    )
    assert torch.equal(moved["depth"], out["depth"]) and (moved["depth"] == 0).any()
    through = torch.exp(-params["AtmosphericFog"].density.double().view(3, 1, 1, 1) * moved["depth"].double())
    expected = moved["image"].double() * through + 90 / 255 * (1 - through)
    torch.testing.assert_close(out["image"].double(), expected, atol=3e-6, rtol=0)
    torch.testing.assert_close(layer.replay({"image": x, "depth": depth}, params)["image"], out["image"])


def test_fog_of_clips_by_depth() -> None:
    """Each frame by its own depth, of one density."""
    x, depth = example(6, SHAPE).unflatten(0, (2, 3)), 3 * example(6, (1, H, W)).unflatten(0, (2, 3))
    layer = ga.Compose([ga.AtmosphericFog(depth="far", p=1.0)], roles={"far": "dense"}, seed=1)
    out, params = layer({"image": x, "far": depth}, return_params=True)
    through = torch.exp(-params["AtmosphericFog"].density.view(2, 1, 1, 1, 1) * depth)
    torch.testing.assert_close(out["image"], x * through + 200 / 255 * (1 - through), atol=3e-6, rtol=0)


def test_a_depth_that_is_not_there() -> None:
    layer = ga.Compose([ga.AtmosphericFog(depth="depth", p=1.0)], roles={"depth": "dense"})
    with pytest.raises(ValueError, match=r"AtmosphericFog: it needs the input 'depth'.* got image"):
        layer({"image": torch.zeros(1, 3, 4, 5)})
    with pytest.raises(ValueError, match="AtmosphericFog: depth must have one channel, got 3"):
        layer({"image": torch.zeros(1, 3, 4, 5), "depth": torch.zeros(1, 3, 4, 5)})
    with pytest.raises(ValueError, match="AtmosphericFog: fog_color must be one number or 1 numbers, got 3"):
        ga.AtmosphericFog(fog_color=(1, 2, 3), p=1.0)(torch.zeros(1, 1, 4, 5))
    with pytest.raises(ValueError, match=r"AtmosphericFog: fog_color must be within \[0, 255\]"):
        ga.AtmosphericFog(fog_color=300)
    with pytest.raises(TypeError, match="AtmosphericFog: depth must be the name of an input or None, got 3"):
        ga.AtmosphericFog(depth=3)  # type: ignore[arg-type]


def hidden(h: int, w: int, intensity: float, alpha: float) -> Any:
    """Return how much a pixel is hidden on average, particle by particle of every region."""
    shorter, size = min(h, w), w * intensity / 3
    largest = max(2, int(0.1 * intensity * shorter + 1e-4))
    radii = np.arange(largest // 2, largest)
    y, z = np.mgrid[:h, :w] / np.array([h - 1, w - 1]).reshape(2, 1, 1) - 0.5
    through = np.ones((h, w))
    for region in range(10):
        share = 0.9**region
        if share * w > size and share * h > size:
            number = share**2 * h * w / size**2 * 10 * intensity
            covers = number * np.pi * (radii**2).mean() / (share**2 * h * w)
            through *= np.where((np.abs(y) < share / 2) & (np.abs(z) < share / 2), (1 - alpha * intensity) ** covers, 1)
    return 1 - through


@pytest.mark.parametrize("intensity", [0.5, 1.0])
def test_random_fog(intensity: float) -> None:
    """On average as thick as all particles make it; in patches; thicker in the middle."""
    h, w = 120, 160
    out, _ = drawn(ga.RandomFog(0.08, intensity, p=1.0), torch.zeros(96, 1, h, w))
    mean, expected = out[:, 0].mean(0), hidden(h, w, intensity, 0.08)
    assert abs(mean.mean() / expected.mean() - 1) < 0.12
    assert abs(mean[50:70, 70:90].mean() / expected[50:70, 70:90].mean() - 1) < 0.12
    assert mean[50:70, 70:90].mean() > 3 * mean[:10].mean() and mean[50:70, 70:90].mean() > 3 * mean[:, :10].mean()
    assert out[:, 0, 40:80, 60:100].std((1, 2)).mean() > 0.1 * mean[50:70, 70:90].mean()


def test_fog_is_white() -> None:
    x = example(3, SHAPE)
    out, params = drawn(ga.RandomFog(p=1.0), x)
    for b in range(3):
        alpha = laid(params.alpha[b], H, W)
        np.testing.assert_allclose(out[b], x[b].double().numpy() * (1 - alpha) + alpha, atol=2e-6)
    with pytest.raises(ValueError, match=r"RandomFog: alpha_coef must be within 0..1, got 2"):
        ga.RandomFog(2)


def test_clouds_cover_what_they_should() -> None:
    x = torch.zeros(8, 3, 129, 129)
    for coverage in (0.25, 0.6):
        out, params = drawn(ga.RandomClouds((0.5, 0.9), coverage, cloud_color=(255, 255, 51), p=1.0), x)
        density = params.density.double().numpy()
        under = out[:, 0] > density[:, None, None] / 2
        np.testing.assert_allclose(under.mean((1, 2)), coverage, atol=0.03)
        np.testing.assert_allclose(out[:, 0].max((1, 2)), density, rtol=0.05)
        np.testing.assert_allclose(out[:, 2], out[:, 0] / 5, atol=1e-6)
    with pytest.raises(ValueError, match="RandomClouds: softness must be positive, got 0"):
        ga.RandomClouds(softness=0)
