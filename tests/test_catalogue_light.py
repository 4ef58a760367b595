"""Light over an image by a formula of the position, or by a small map, against the same arithmetic in float64."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
import torch
from numpy.typing import NDArray
from torch import Tensor

import gpuaug as ga
from gpuaug.data.batch import Batch
from gpuaug.render.backend import render
from gpuaug.testing import example

SHAPE = (3, 37, 53)
Array = NDArray[np.float64]


def drawn(layer: Any, x: Tensor) -> tuple[Array, Any]:
    """Return what a seeded layer makes of images, the same in one go as sample by sample, and its draws."""
    layer.reseed(2)
    params = layer.sample(x)
    walked, whole = (render(x, layer.plan(Batch(x), params.values), walking=walking) for walking in (True, False))
    torch.testing.assert_close(walked, whole, atol=1 if x.dtype == torch.uint8 else 1e-4, rtol=0)
    return walked.double().numpy(), params[type(layer).__name__]


def places(h: int, w: int) -> tuple[Array, Array]:
    y, x = np.mgrid[:h, :w].astype(np.float64)
    return y, x


@pytest.mark.parametrize("angle", [0, 30, 45, 90, 135, 200, 270, 333])
def test_linear_illumination(angle: float) -> None:
    """Across the image, from the side where the gradient begins to the opposite one."""
    x = example(4, SHAPE)
    out, params = drawn(ga.Illumination(intensity_range=(0.05, 0.2), angle_range=angle, p=1.0), x)
    y, z = places(*SHAPE[1:])
    along = z / (SHAPE[2] - 1) * np.cos(np.deg2rad(angle)) + y / (SHAPE[1] - 1) * np.sin(np.deg2rad(angle))
    gradient = (along - along.min()) / (along.max() - along.min())
    assert {bool(i > 0) for i in params.intensity} == {True, False}
    for b, i in enumerate(params.intensity.double().numpy()):
        gain = 1 - abs(i) + 2 * abs(i) * (gradient if i > 0 else 1 - gradient)
        np.testing.assert_allclose(out[b], (x[b].double().numpy() * gain).clip(0, 1), atol=1e-6)


def test_corner_illumination() -> None:
    x = example(8, SHAPE)
    out, params = drawn(ga.Illumination("corner", (0.1, 0.2), "brighten", p=1.0), x)
    h, w = SHAPE[1:]
    y, z = places(h, w)
    assert len(set(params.corner.tolist())) > 2 and (params.intensity > 0).all()
    for b, (i, corner) in enumerate(zip(params.intensity.tolist(), params.corner.tolist(), strict=True)):
        top, left = [(0, 0), (0, w - 1), (h - 1, w - 1), (h - 1, 0)][int(corner)]
        gain = 1 - i * np.hypot(y - top, z - left) / np.hypot(h, w)
        np.testing.assert_allclose(out[b], (x[b].double().numpy() * gain).clip(0, 1), atol=1e-6)


def test_gaussian_illumination() -> None:
    x = example(4, SHAPE)
    out, params = drawn(ga.Illumination("gaussian", (0.1, 0.2), "darken", p=1.0), x)
    h, w = SHAPE[1:]
    y, z = places(h, w)
    assert (params.intensity < 0).all()
    for b, (cx, cy) in enumerate(params.center.double().numpy()):
        spread = 2 * (max(h, w) * float(params.sigma[b])) ** 2
        gain = 1 + float(params.intensity[b]) * np.exp(-((z - w * cx) ** 2 + (y - h * cy) ** 2) / spread)
        np.testing.assert_allclose(out[b], (x[b].double().numpy() * gain).clip(0, 1), atol=1e-6)


def test_illumination_of_8_bits_is_rounded_once() -> None:
    x = example(3, SHAPE, torch.uint8)
    out, params = drawn(ga.Illumination("corner", (0.1, 0.2), "darken", p=1.0), x)
    h, w = SHAPE[1:]
    y, z = places(h, w)
    for b, (i, corner) in enumerate(zip(params.intensity.tolist(), params.corner.tolist(), strict=True)):
        top, left = [(0, 0), (0, w - 1), (h - 1, w - 1), (h - 1, 0)][int(corner)]
        exact = (x[b].double().numpy() * (1 - i * np.hypot(y - top, z - left) / np.hypot(h, w))).clip(0, 255)
        assert np.abs(out[b] - exact).max() <= 0.5 + 1e-4


def test_vignetting() -> None:
    """Black nowhere but at the corner farthest from the centre, which keeps its light."""
    x = torch.ones(4, 1, 40, 90)
    out, params = drawn(ga.Vignetting(1.0, (0.2, 0.8), p=1.0), x)
    y, z = places(40, 90)
    for b, (cx, cy) in enumerate(params.center.double().numpy()):
        dx = ((z + 0.5) / 90 - cx) / max(cx, 1 - cx)
        dy = ((y + 0.5) / 40 - cy) / max(cy, 1 - cy)
        np.testing.assert_allclose(out[b, 0], 1 - (dx**2 + dy**2) / 2, atol=1e-6)
        corner = out[b, 0][0 if cy > 0.5 else -1, 0 if cx > 0.5 else -1]
        assert corner == out[b].min() and corner < 0.04
        assert out[b, 0, int(cy * 40), int(cx * 90)] > 0.999


@pytest.mark.parametrize("angle", [(0.0, 0.0), (-30.0, 60.0)], ids=["upright", "tilted"])
def test_flicker_banding(angle: tuple[float, float]) -> None:
    x = example(3, SHAPE)
    out, params = drawn(ga.FlickerBanding((0.3, 0.9), (2.0, 10.0), angle, p=1.0), x)
    y, z = places(*SHAPE[1:])
    assert params.bands.max() - params.bands.min() > 1
    for b in range(3):
        i, bands, turn, phase = (getattr(params, k)[b].item() for k in ("intensity", "bands", "angle", "phase"))
        along = (y + 0.5) * np.cos(np.deg2rad(turn)) + (z + 0.5) * np.sin(np.deg2rad(turn))
        gain = 1 + i * np.sin(2 * np.pi * (phase + bands * along / SHAPE[1]))
        # Float32 holds up to 15 turns to a millionth of one.
        np.testing.assert_allclose(out[b], (x[b].double().numpy() * gain).clip(0, 1), atol=1e-5)
    flat = torch.full((3, 1, 600, 90), 0.25)
    light = torch.from_numpy(drawn(ga.FlickerBanding(0.5, 3.0, angle, p=1.0), flat)[0])
    assert (light.mean((1, 2, 3)) - 0.25).abs().max() < 0.03 and light.amax() > 0.374 and light.amin() < 0.126


@pytest.mark.parametrize("order", [0, 1, 3, 5])
def test_bias_field(order: int) -> None:
    x = example(3, SHAPE)
    out, params = drawn(ga.RandomBiasField(0.4, order), x)
    u, v = np.linspace(-1, 1, SHAPE[2]), np.linspace(-1, 1, SHAPE[1])[:, None]
    for b, coefficients in enumerate(params.coefficients.double().numpy()):
        powers = [(i, j) for i in range(order + 1) for j in range(order + 1 - i)]
        assert len(powers) == len(coefficients)
        field = sum(c * u**i * v**j for c, (i, j) in zip(coefficients, powers, strict=True))
        np.testing.assert_allclose(out[b], x[b].double().numpy() * np.exp(field), rtol=3e-6)


def test_sizes_differ_in_one_batch() -> None:
    """Each image has the light of its own canvas."""
    x = [example(1, (3, h, w))[0] for h, w in ((30, 41), (62, 25))]
    for make in (lambda: ga.Illumination("corner", 0.2, p=1.0), lambda: ga.Vignetting(p=1.0)):
        layer = make()
        layer.reseed(3)
        both, params = layer(ga.Ragged.pack(x), return_params=True)
        for b, image in enumerate(both):
            alone = make()
            alone.reseed(3)
            expected = alone.replay(torch.stack((x[b], x[b])), alone.sample(torch.stack((x[b], x[b]))))[b]
            torch.testing.assert_close(image, expected, atol=1e-6, rtol=0)
        assert len(params) == 2


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda: ga.Illumination("radial"), "Illumination: mode must be one of linear, corner, gaussian, got 'radial'"),
        (lambda: ga.Illumination(effect_type="dim"), "Illumination: effect_type must be one of brighten, darken, both"),
        (lambda: ga.Illumination(intensity_range=(0.1, 1.2)), "Illumination: intensity_range must be within"),
        (lambda: ga.Vignetting((-0.1, 0.2)), "Vignetting: intensity_range must be within"),
        (lambda: ga.FlickerBanding(0.1, (-1, 2)), "FlickerBanding: bands_range must be"),
        (lambda: ga.RandomBiasField(order=7), "RandomBiasField: order must be a whole number from 0 to 6, got 7"),
        (lambda: ga.functional.shade(torch.zeros(1, 1, 2, 2), *(torch.zeros(1, n) for n in (4, 2, 2))), "shade: coef"),
    ],
)
def test_refusals(make: Any, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        make()
