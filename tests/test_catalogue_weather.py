"""Rain, snow and the sun against float64 arithmetic written drop by drop and ring by ring, and OpenCV's drawings."""

from __future__ import annotations

from typing import Any

import cv2
import numpy as np
import pytest
import torch
from test_catalogue_light import drawn
from test_catalogue_plasma import laid

import gpuaug as ga
from gpuaug.testing import example

SHAPE = (3, 61, 83)
H, W = SHAPE[1:]


def falling(params: Any, b: int, h: int, w: int, width: float, blur: float) -> Any:
    """Return how much of streaks there is, streak by streak, over the whole image."""
    cell_w, cell_h, shear, length = params.frame[b].double().numpy()
    y, x = np.mgrid[:h, :w].astype(np.float64)
    sheared = x - shear * y + max(0.0, shear * (h - 1))
    total = np.zeros((h, w))
    for layer in params.drops[b].double().numpy():
        for row, column in zip(*np.nonzero(layer[..., 0] >= 0), strict=True):
            middle, top = (column + layer[row, column, 0]) * cell_w, (row - 1 + layer[row, column, 1]) * cell_h
            across = np.clip((width + blur) / 2 - np.abs(sheared - middle), 0, min(width, blur)) / blur
            down = np.clip(np.minimum(y - top, top + length + blur - y), 0, min(length, blur)) / blur
            total += across * down
    return total.clip(max=1)


@pytest.mark.parametrize(
    "arguments",
    [
        {"slant_range": (-10, 10)},
        {"slant_range": (-30, 20), "drop_length": 13, "drop_width": 2, "blur_value": 3, "rain_type": "torrential"},
        {"drop_length": 40, "blur_value": 1, "rain_type": "heavy", "drop_color": (255, 128, 0)},
    ],
)
def test_rain(arguments: dict[str, Any]) -> None:
    x = example(3, SHAPE)
    out, params = drawn(ga.RandomRain(p=1.0, **arguments), x)
    color = np.array(arguments.get("drop_color", (200, 200, 200))).reshape(3, 1, 1) / 255
    for b in range(3):
        streaks = falling(params, b, H, W, arguments.get("drop_width", 1), arguments.get("blur_value", 7))
        assert (streaks > 0.1).mean() > 0.005
        expected = (x[b].double().numpy() + color * streaks).clip(0, 1) * 0.7
        np.testing.assert_allclose(out[b], expected, atol=5e-5)


def test_a_streak_is_a_blurred_line() -> None:
    """One streak straight down, as OpenCV draws and blurs it."""
    drops = torch.full((1, 1, 10, 64, 2), -1.0)
    drops[0, 0, 1, 1] = torch.tensor([0.5, 0.25])
    frame = torch.tensor([[20.0, 40.0, 0.0, 24.0]])
    streak = ga.functional.rain(torch.zeros(1, 1, 60, 70), drops, frame, 1.0, 7.0, (1.0,), 1.0)[0, 0].numpy()
    line = np.zeros((60, 70), np.float32)
    cv2.line(line, (30, 14), (30, 36), 1.0, 1)
    blurred = cv2.blur(line, (7, 7))
    assert np.abs(streak - blurred).mean() < 0.001 and np.abs(streak - blurred).max() < 0.08
    np.testing.assert_allclose(streak.sum(), 24, rtol=1e-3)


@pytest.mark.parametrize(("kind", "rate"), [("drizzle", 1 / 4), ("default", 1 / 3), ("heavy", 1), ("torrential", 2)])
def test_how_much_it_rains(kind: str, rate: float) -> None:
    """As many streaks begin for each pixel as its type says; no cell is full."""
    h, w = 160, 120
    layer = ga.RandomRain(rain_type=kind, p=1.0)
    layer.reseed(2)
    params = layer.sample(torch.zeros(24, 1, h, w))["RandomRain"]
    across = torch.floor((w + params.frame[:, 2].abs() * (h - 1)) / 8).clamp(1, 64)
    begun = 0.0
    for b in range(24):
        cells = params.drops[b, :, :, : int(across[b]), 0]
        share = (cells >= 0).double().mean().item()
        assert share < 0.99
        begun += share * cells.shape[0] / float(params.frame[b, 0] * params.frame[b, 1]) / 24
    assert abs(begun * w * h / (rate * h) - 1) < 0.12


@pytest.mark.parametrize("slant", [-10, 0, 12])
def test_rain_falls_aslant(slant: int) -> None:
    """Twelve rows further down the picture is like that of half the slant to the side, and like no other."""
    out, _ = drawn(ga.RandomRain(slant, 24, blur_value=3, p=1.0), torch.zeros(2, 1, 120, 150))
    rain = out[:, 0]
    alike = [(rain[:, :-12, 20:-20] * rain[:, 12:, 20 + d : rain.shape[2] - 20 + d]).mean() for d in range(-15, 16)]
    assert int(np.argmax(alike)) - 15 == slant / 2


def bleached(image: Any, threshold: float) -> Any:
    """Return (C, H, W) with dark lightness multiplied, by OpenCV's HLS of floats."""
    hls = cv2.cvtColor(np.ascontiguousarray(image.transpose(1, 2, 0)).astype(np.float32), cv2.COLOR_RGB2HLS)
    light = hls[..., 1]
    hls[..., 1] = np.where(light < threshold, np.minimum(light * 2.5, 1), light)
    return cv2.cvtColor(hls, cv2.COLOR_HLS2RGB).transpose(2, 0, 1), np.abs(light - threshold) > 1e-5


def test_snow_bleaches() -> None:
    x = torch.rand((3, *SHAPE), generator=torch.Generator().manual_seed(5)) ** 2
    out, params = drawn(ga.RandomSnow(2.5, (0.1, 0.6), p=1.0), x)
    for b in range(3):
        expected, sure = bleached(x[b].numpy(), float(params.snow_point[b]) / 2 + 1 / 3)
        np.testing.assert_allclose(out[b][:, sure], expected[:, sure], atol=5e-5)
        assert (np.abs(out[b] - x[b].double().numpy()).max(0) > 0.01).mean() > 0.3
    gray, _ = drawn(ga.RandomSnow(2.0, 0.2, p=1.0), torch.tensor([[[[0.1, 0.2, 0.4, 0.5]]]]))
    np.testing.assert_allclose(gray.ravel(), [0.2, 0.4, 0.8, 0.5], atol=1e-6)


def test_snow_has_a_texture() -> None:
    """Brighter, whiter towards the top, cool, and a hundredth of the pixels white."""
    h, w = 120, 160
    x = example(4, (3, h, w)) * 0.6
    out, params = drawn(ga.RandomSnow(method="texture", snow_point_range=(0.1, 0.3), p=1.0), x)
    sparkling = (out == 1).all(1)
    assert abs(sparkling.mean() - 0.01) < 0.002
    assert len({tuple(np.argwhere(s)[0]) for s in sparkling}) == 4
    y = np.linspace(1, 0.2, h)[:, None]
    for b in range(4):
        much, image = float(params.snow_point[b]), x[b].double().numpy()
        gain = np.minimum(1 + 2.5 * much, 1 / image.max(0))
        white = (image * gain + laid(params.texture[b], h, w) * y * much).clip(0, 1)
        expected = white + 0.15 * much * (np.array([0.9, 0.95, 1.0]).reshape(3, 1, 1) - white)
        np.testing.assert_allclose(out[b][:, ~sparkling[b]], expected[:, ~sparkling[b]], atol=5e-6)
    texture = params.texture.double()
    assert abs(texture.mean() - 0.5) < 0.003 and abs(texture.std() - 0.06) < 0.003


def test_sparkles_are_replayed_and_differ_between_frames() -> None:
    clips = torch.zeros(2, 2, 3, 40, 50)
    layer = ga.Compose([ga.RandomSnow(method="texture", p=1.0)], seed=3)
    out, params = layer(clips, return_params=True)
    assert torch.equal(layer.replay(clips, params), out)
    white = (out == 1).all(2)
    assert not torch.equal(white[:, 0], white[:, 1])


def test_flare_overlay() -> None:
    """Circles one after another; then rings of growing radius and falling opacity, read between them linearly."""
    h, w = 90, 130
    x = example(3, (3, h, w))
    out, params = drawn(
        ga.RandomSunFlare((0.2, 0.1, 0.8, 0.6), 60, (255, 200, 100), num_flare_circles_range=(2, 5), p=1.0), x
    )
    y, z = np.mgrid[:h, :w].astype(np.float64)
    sun = np.array([255, 200, 100]).reshape(3, 1, 1) / 255
    counts = set()
    for b in range(3):
        cx, cy = params.center[b].double().numpy()
        assert int(0.2 * w) <= cx < 0.8 * w and int(0.1 * h) <= cy < 0.6 * h and cx == int(cx)
        image = x[b].double().numpy()
        turn, counted = 2 * np.pi * float(params.angle[b]), 0
        for (px, py, radius, opacity), color in zip(
            params.circles[b].double().numpy(), params.colors[b].double().numpy(), strict=True
        ):
            if opacity == 0:
                continue
            counted += 1
            off = (px - cx) * np.sin(turn) - (py - cy) * np.cos(turn)
            assert abs(off) < 1.5 and radius in (1, 8)  # on the line, and a hundredth of the height at least 2, cubed
            assert (color <= sun.ravel() + 1e-6).all() and (color >= sun.ravel() - 0.2 - 1e-6).all()
            inside = (z - px) ** 2 + (y - py) ** 2 <= radius**2
            image = np.where(inside, image + (color.reshape(3, 1, 1) - image) * opacity, image)
        counts.add(counted)
        # Each circle is blended again with all that follow it, each time by 0.05 to 0.2.
        clear = np.append(1 - params.circles[b, :counted, 3].double().numpy(), 1.0)
        assert ((clear[:-1] / clear[1:] >= 0.8 - 1e-6) & (clear[:-1] / clear[1:] <= 0.95 + 1e-6)).all()
        table = params.through[b].double().numpy()
        most = (1 - table[0] / table[1]) ** (1 / 3)
        alphas = np.linspace(0, most, 6) ** 3
        rings = [np.prod([1 - alphas[5 - i] for i in range(k, 6)]) for k in range(6)]
        np.testing.assert_allclose(table, rings, atol=1e-6)
        assert 0.24 <= most <= 1.0
        through = np.interp(np.hypot(z - cx, y - cy), np.linspace(1, 60, 6), rings)
        np.testing.assert_allclose(out[b], (sun + (image - sun) * through).clip(0, 1), atol=1e-5)
    assert counts <= {2, 3, 4, 5} and len(counts) > 1


def test_halo_is_a_blurred_drawing() -> None:
    """OpenCV's disc and lines, blurred, masked and screened, as Albumentations does."""
    h, w = 150, 210
    x = example(2, (3, h, w))
    out, params = drawn(ga.RandomSunFlare((0.2, 0.2, 0.6, 0.5), 45, method="physics_based", p=1.0), x)
    y, z = np.mgrid[:h, :w]
    for b in range(2):
        cx, cy = (int(v) for v in params.center[b])
        layer, middle = np.zeros((h + 200, w + 200, 3), np.float32), (cx + 100, cy + 100)  # light from outside too
        cv2.circle(layer, middle, 45, (1.0, 1.0, 1.0), -1)
        for angle in (0, 45, 90, 135):
            end = [int(m + f(np.radians(angle)) * 2 * w) for m, f in zip(middle, (np.cos, np.sin), strict=True)]
            cv2.line(layer, middle, end, (1.0, 1.0, 1.0), 2)
        layer = cv2.GaussianBlur(layer, (0, 0), 15)[100:-100, 100:-100]
        layer = layer * (1 - np.clip(np.hypot(z - cx, y - cy) / (w * 0.7), 0, 1))[..., None]
        for channel, spread in ((0, 3), (2, 5)):
            layer[..., channel] = cv2.GaussianBlur(layer[..., channel], (0, 0), spread)
        expected = 1 - (1 - x[b].double().numpy()) * (1 - layer.transpose(2, 0, 1))
        assert np.abs(out[b] - expected).mean() < 0.012 and np.abs(out[b] - expected).max() < 0.06
        assert np.abs(expected - x[b].numpy()).mean() > 0.04


def test_colours_of_a_halo() -> None:
    """Along a spike, far from the disc, light is as strong as its colour's blur is narrow: 15 pixels and 3 or 5."""
    black = torch.zeros(1, 3, 9, 160, dtype=torch.float64)
    glow = ga.functional.sun_halo(black, torch.tensor([[0.0, 4.0]]), 300.0, 20.0)
    spreads = torch.tensor([15.0**2 + 3**2, 15.0**2, 15.0**2 + 5**2], dtype=torch.float64).sqrt()
    ray = (2 / (2 * np.pi) ** 0.5 / spreads) * (1 - 120 / 300)
    torch.testing.assert_close(glow[0, :, 4, 120], ray, rtol=1e-4, atol=0)


@pytest.mark.parametrize(
    "layer",
    [
        ga.PlasmaShadow((0.4, 0.9), 16, p=1.0),
        ga.PlasmaBrightnessContrast(0.5, 0.5, 16, p=1.0),
        ga.RandomFog(0.2, p=1.0),
        ga.Illumination("gaussian", p=1.0),
        ga.RandomShadow(p=1.0),
        ga.RandomRain(p=1.0),
        ga.RandomSunFlare(src_radius=30, p=1.0),
    ],
    ids=lambda layer: type(layer).__name__,
)
def test_bytes_are_lit_as_floats_are(layer: Any) -> None:
    x = (example(2, SHAPE) * 255).to(torch.uint8)
    out, _ = drawn(layer, x)
    floats, _ = drawn(layer, x.float() / 255)
    assert np.abs(out - floats * 255).max() < 0.51 and np.abs(out - x.double().numpy()).max() > 5


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda: ga.RandomRain(rain_type="hail"), "RandomRain: rain_type must be one of drizzle, default, heavy, torr"),
        (lambda: ga.RandomRain(blur_value=0), "RandomRain: blur_value must be a whole number of at least 1, got 0"),
        (
            lambda: ga.RandomRain(brightness_coefficient=1.5),
            "RandomRain: brightness_coefficient must be above 0",
        ),
        (lambda: ga.RandomSnow(0.0), "RandomSnow: brightness_coeff must be positive, got 0.0"),
        (lambda: ga.RandomSnow(method="hail"), "RandomSnow: method must be one of bleach, texture, got 'hail'"),
        (lambda: ga.RandomSnow(p=1.0)(torch.zeros(1, 2, 4, 5)), "RandomSnow: images must have 1 or 3 channels"),
        (lambda: ga.RandomSunFlare(src_radius=1), "RandomSunFlare: src_radius must be a whole number of at least 2"),
        (lambda: ga.RandomSunFlare((0, 0, 2, 1)), "RandomSunFlare: flare_roi must be 0 <= min <= max <= 1"),
    ],
)
def test_refusals(make: Any, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        make()
