"""Light and weather by the kernels and by the CPU's walk, where arguments and channels are not those of the cases."""

from __future__ import annotations

from typing import Any

import pytest
import torch
from kernels import assert_same, images, rendered

import gpuaug as ga
from gpuaug.data.batch import Batch
from gpuaug.render.backend import render
from gpuaug.testing import example

MANY: dict[str, list[Any]] = {
    "light": [
        ga.Illumination("linear", p=1.0),
        ga.Illumination("corner", p=0.5),
        ga.Vignetting(channels=(0,), p=1.0),
        ga.RandomBiasField(0.2, 2),
        ga.RandomPageShadow(p=1.0),
        ga.AtmosphericFog(depth_mode="diagonal", p=1.0),
    ],
    "maps": [
        ga.PlasmaBrightnessContrast(plasma_size=8, p=1.0),
        ga.PlasmaShadow(plasma_size=4, channels=(0,), p=1.0),
        ga.RandomFog(p=1.0),
        ga.RandomClouds(plasma_size=8, p=0.5),
    ],
    "shadows": [
        ga.RandomShadow((0, 0, 1, 1), (2, 3), 7, (0.2, 0.4), p=1.0),
        ga.RandomPaperCreases((2, 4), mode="crumples", p=1.0),
    ],
    "rain": [ga.RandomRain((-20, 20), 7, 2, blur_value=3, rain_type="torrential", p=1.0)],
    "sun": [
        ga.RandomSunFlare(src_radius=40, num_flare_circles_range=(2, 4), p=1.0),
        ga.RandomSunFlare(src_radius=5, method="physics_based", p=1.0),
    ],
}
RGB: dict[str, list[Any]] = {
    "fog": [ga.AtmosphericFog(fog_color=(250, 120, 10), p=1.0)],
    "clouds": [ga.RandomClouds(cloud_color=(10, 120, 250), plasma_size=8, p=1.0)],
    "snow": [ga.RandomSnow(2.0, 0.2, p=1.0)],
    "rain": [ga.RandomRain(drop_color=(250, 120, 10), blur_value=1, rain_type="heavy", p=1.0)],
    "sun": [
        ga.RandomSunFlare(src_radius=30, src_color=(255, 150, 50), p=1.0),
        ga.RandomSunFlare(src_radius=9, src_color=(255, 150, 50), method="physics_based", p=1.0),
    ],
}


@pytest.mark.parametrize("channels", [1, 6])
@pytest.mark.parametrize("name", list(MANY))
def test_channels(name: str, channels: int) -> None:
    layer = ga.Compose(MANY[name], seed=4)
    expected, out = rendered(layer, images((channels, 9, 14), torch.float32))
    assert ((out - expected).abs() > 2e-5).double().mean() < 0.005 and out.shape == expected.shape


@pytest.mark.parametrize("name", list(RGB))
def test_colors(name: str) -> None:
    layer = ga.Compose(RGB[name], seed=4)
    expected, out = rendered(layer, images((3, 13, 18), torch.float32))
    assert ((out - expected).abs() > 2e-5).double().mean() < 0.005
    expected, out = rendered(layer, images((3, 13, 18)))
    assert_same(out, expected, share=0.02)


def test_a_map_of_the_image_s_size() -> None:
    """Fog by a depth map."""
    layer = ga.Compose([ga.RandomHorizontalFlip(), ga.AtmosphericFog(depth="d", p=0.5)], roles={"d": "dense"}, seed=2)
    x = images((3, 13, 18), torch.float32)
    batch = Batch(x, extra={"d": ("dense", 3 * x[:, :1])})
    values = layer.sample({"image": x, "d": 3 * x[:, :1]}).values
    plans = [layer.plan(batch, values) for _ in range(2)]
    plans[1].backend = "triton"
    assert_same(render(x, plans[1]), render(x, plans[0], walking=False))


@pytest.mark.parametrize("name", [*MANY, *(f"rgb {name}" for name in RGB)])
@pytest.mark.parametrize("last", [True, False])
def test_walk(name: str, last: bool) -> None:
    """What the walk does for one sample is the definition; as the last operation it writes into the output."""
    steps = RGB[name[4:]] if name.startswith("rgb ") else MANY[name]
    layer = ga.Compose(steps if last else [*steps, ga.RandomInvert(p=1.0)], seed=5)
    for dtype, tolerance in ((torch.float32, 2e-5), (torch.float64, 1e-9), (torch.uint8, 1)):
        x = example(2, (3, 33, 47), dtype)
        values = layer.sample(x).values
        walked, whole = (render(x, layer.plan(Batch(x), values), walking=walks) for walks in (True, False))
        assert (walked.double() - whole.double()).abs().max() <= tolerance


@pytest.mark.parametrize("name", ["light", "rain"])
def test_sizes_differ(name: str) -> None:
    """Several canvases in one kernel, as one at a time."""
    x = [example(1, (3, h, w))[0] for h, w in ((13, 18), (9, 26), (20, 7))]
    layer, flat = ga.Compose(MANY[name], seed=4), ga.Ragged.pack(x)
    params = layer.sample(flat)
    expected = list(layer.replay(flat, params))
    layer.backend = "triton"
    for out, one in zip(layer.replay(flat, params), expected, strict=True):
        assert out.shape == one.shape and ((out - one).abs() > 2e-5).double().mean() < 0.005
