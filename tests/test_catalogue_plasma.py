"""Fractal light, fog and clouds against float64 arithmetic, and what the maps must look like."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
import torch
from test_catalogue_light import drawn

import gpuaug as ga
from gpuaug.functional.light import fractal, nodes
from gpuaug.testing import example

SHAPE = (3, 37, 53)


def laid(field: Any, h: int, w: int) -> Any:
    """Read a map bilinearly, its corners on the corner pixels."""
    field = np.asarray(field, np.float64)
    rows = np.linspace(0, field.shape[0] - 1, h)
    columns = np.linspace(0, field.shape[1] - 1, w)
    across = np.stack([np.interp(columns, np.arange(field.shape[1]), line) for line in field])
    return np.stack([np.interp(rows, np.arange(field.shape[0]), line) for line in across.T]).T


def test_plasma_shadow() -> None:
    x = example(3, SHAPE)
    out, params = drawn(ga.PlasmaShadow((0.4, 0.9), 16, p=1.0), x)
    for b in range(3):
        plasma = laid(params.plasma[b], *SHAPE[1:])
        expected = x[b].double().numpy() * (1 - float(params.intensity[b]) * plasma)
        np.testing.assert_allclose(out[b], expected.clip(0, 1), atol=2e-6)


def test_plasma_brightness_contrast() -> None:
    """Both clamp, and the contrast's mean is that of what was brightened."""
    x = example(4, SHAPE)
    out, params = drawn(ga.PlasmaBrightnessContrast(0.9, 0.9, p=1.0), x)
    for b in range(4):
        plasma = laid(params.plasma[b], *SHAPE[1:])
        bright = (x[b].double().numpy() + float(params.brightness[b]) * plasma).clip(0, 1)
        factor = 1 + float(params.contrast[b]) * plasma
        expected = bright * factor + bright.mean() * (1 - factor)
        np.testing.assert_allclose(out[b], expected.clip(0, 1), atol=5e-6)


def spectrum(field: Any) -> float:
    """Return how fast amplitudes fall with frequency: the slope in the double logarithm."""
    side = field.shape[-1]
    window = np.hanning(side)
    power = np.abs(np.fft.fft2((field - field.mean((-2, -1), keepdims=True)) * window[:, None] * window)).mean(0)
    frequency = np.hypot(*np.meshgrid(*[np.fft.fftfreq(side) * side] * 2))
    radii = np.array([2, 4, 8, 16])
    heights = [power[(frequency >= r * 0.8) & (frequency < r * 1.25)].mean() for r in radii]
    return float(np.polyfit(np.log(radii), np.log(heights), 1)[0])


def test_plasma_is_fractal() -> None:
    """An octave of amplitude r has r / 2 of the one before at its frequencies: amplitudes fall as f^(log2(r) - 1)."""
    noise = torch.rand((64, nodes(6)), generator=torch.Generator().manual_seed(1))
    slopes = []
    for roughness in (0.25, 0.5, 0.8):
        maps = fractal(noise, torch.full((64,), roughness), 6)
        assert maps.shape == (64, 65, 65)
        assert torch.equal(maps.amin((1, 2)), torch.zeros(64)) and torch.equal(maps.amax((1, 2)), torch.ones(64))
        slopes.append(spectrum(maps.double().numpy()))
        assert abs(slopes[-1] - (np.log2(roughness) - 1)) < 0.45, slopes
    assert slopes[0] < slopes[1] < slopes[2]
    assert torch.equal(fractal(noise[3:4], torch.full((1,), 0.5), 6)[0], fractal(noise, torch.full((64,), 0.5), 6)[3])


def halved(line: Any) -> Any:
    """Put a node between each two: a cubic through four of them, the last repeated at the ends."""
    ends = np.concatenate((line[:1], line, line[-1:]))
    between = (19 * (ends[1:-2] + ends[2:-1]) - 3 * (ends[:-3] + ends[3:])) / 32
    out = np.empty((2 * len(line) - 1, *line.shape[1:]))
    out[::2], out[1::2] = line, between
    return out


def test_midpoints_are_displaced() -> None:
    """Two octaves by hand: the corners spread bicubically, and what is added at the nodes."""
    noise = torch.rand((1, nodes(2)), generator=torch.Generator().manual_seed(4)).double()
    rough = 0.6
    total = noise[0, :4].view(2, 2).numpy() - 0.5
    start = 4
    for octave in (1, 2):
        side = 2**octave + 1
        total = halved(halved(total).T).T
        total = total + rough**octave * (noise[0, start : start + side**2].view(side, side).numpy() - 0.5)
        start += side**2
    expected = (total - total.min()) / (total.max() - total.min())
    out = fractal(noise, torch.tensor([rough], dtype=torch.float64), 2)[0]
    np.testing.assert_allclose(out.numpy(), expected, atol=1e-9)


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (
            lambda: ga.PlasmaShadow(plasma_size=48),
            "PlasmaShadow: plasma_size must be a power of two from 2 to 256",
        ),
        (lambda: ga.PlasmaShadow((0.3, 1.3)), "PlasmaShadow: shadow_intensity_range must be within"),
        (lambda: ga.PlasmaBrightnessContrast(1.3), "PlasmaBrightnessContrast: brightness_range must be within"),
        (
            lambda: ga.functional.shade_by_map(torch.zeros(1, 1, 2, 2), torch.zeros(1, 2, 2), "mul"),
            "shade_by_map: mode",
        ),
    ],
)
def test_refusals(make: Any, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        make()
