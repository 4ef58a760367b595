"""Tints, curves, light and intensity against arithmetic written apart, in float64."""

from __future__ import annotations

import colorsys
from itertools import pairwise
from typing import Any

import cv2
import numpy as np
import pytest
import torch
from kernels import assert_same, images, rendered
from torch import Tensor
from torchvision.transforms import v2

import gpuaug as ga
from gpuaug import functional as F
from gpuaug.render import backend
from gpuaug.testing import example

X = example(4, (3, 13, 18), torch.float64)


@pytest.fixture(autouse=True)
def seeded() -> None:
    torch.manual_seed(2)


def test_a_matrix_of_colours() -> None:
    generator = torch.Generator().manual_seed(0)
    for channels in (1, 2, 3, 5):
        x = example(4, (channels, 9, 7), torch.float64)
        matrix = torch.randn((4, channels, channels + 1), generator=generator, dtype=torch.float64)
        expected = torch.einsum("bij,bjhw->bihw", matrix[:, :, :-1], x) + matrix[:, :, -1, None, None]
        assert torch.allclose(F.color_matrix(x, matrix, clip=False), expected, atol=1e-13)
        assert torch.allclose(F.color_matrix(x, matrix), expected.clamp(0, 1), atol=1e-13)
    with pytest.raises(ValueError, match=r"matrix must have shape \(B, 5, 6\), .* got \(4, 3, 4\)"):
        F.color_matrix(x, torch.zeros(4, 3, 4))


def test_tables_are_opencvs_and_straight_between() -> None:
    table = np.random.default_rng(1).integers(0, 256, (3, 256)).astype(np.uint8)
    x = images((3, 16, 25), count=2)
    out = F.look_up(x, torch.from_numpy(table).double().expand(2, 3, 256) / 255)
    for b in range(2):
        for c in range(3):
            assert np.array_equal(out[b, c].numpy(), cv2.LUT(x[b, c].numpy(), table[c]))
    knots = torch.tensor([[0.2, 0.9, 0.4, 0.5]] * 4, dtype=torch.float64)
    wide = X * 1.4 - 0.2  # beyond black and white too
    expected = np.interp(wide.numpy(), np.linspace(0, 1, 4), knots[0].numpy())
    assert np.allclose(F.look_up(wide, knots).numpy(), expected, atol=1e-12)
    for wrong in (torch.zeros(4, 1), torch.zeros(3, 8), torch.zeros(4, 2, 8)):
        with pytest.raises(ValueError, match=r"look_up: table must have shape \(4, K\) or \(4, 3, K\)"):
            F.look_up(X, wrong)


def test_the_tone_curve_is_a_bezier_curve() -> None:
    """De Casteljau's construction, whose abscissas are evenly spaced so that x is the parameter."""
    low, high = torch.tensor([0.0, 0.2, 1 / 3, 1.0]), torch.tensor([0.6, 1.0, 2 / 3, 0.1])
    out = F.adjust_tone_curve(X, low.double(), high.double())
    for b in range(4):
        t = X[b].numpy()
        points = [np.zeros_like(t), np.full_like(t, low[b]), np.full_like(t, high[b]), np.ones_like(t)]
        while len(points) > 1:
            points = [p * (1 - t) + q * t for p, q in pairwise(points)]
        assert np.allclose(out[b].numpy(), points[0], atol=1e-7)
    assert torch.allclose(F.adjust_tone_curve(X, 1 / 3, 2 / 3), X, atol=1e-15)


@pytest.mark.parametrize("walks", [False, True])
def test_curves_by_channel(walks: bool, monkeypatch: pytest.MonkeyPatch) -> None:
    """Each channel its own curve, which the walk does to a table of the 256 levels."""
    monkeypatch.setattr(backend, "SMALL", 0 if walks else 10**9)
    x = images((3, 13, 18))
    layer = ga.RandomToneCurve(0.4, per_channel=True, p=1.0)
    out, params = layer(x, return_params=True)
    low, high = params["RandomToneCurve"].low_y, params["RandomToneCurve"].high_y
    assert low.shape == high.shape == (3, 3) and low.min() >= 0 and high.max() <= 1 and len(low.unique()) > 6
    t = x.double() / 255
    p, q = low.double()[..., None, None], high.double()[..., None, None]
    expected = 3 * (1 - t) ** 2 * t * p + 3 * (1 - t) * t**2 * q + t**3
    assert (out.double() - expected * 255).abs().max() < 0.5001


def test_laws_of_the_tone_curve() -> None:
    drawn = ga.RandomToneCurve(0.1, p=1.0).sample(torch.zeros(4000, 1, 2, 3)).values["RandomToneCurve"]
    for name, mean in (("low_y", 0.25), ("high_y", 0.75)):
        assert abs(drawn[name].mean() - mean) < 0.008 and abs(drawn[name].std() - 0.1) < 0.008
    with pytest.raises(ValueError, match=r"RandomToneCurve: scale must be between 0 and 1, got 1\.5"):
        ga.RandomToneCurve(1.5)


@pytest.mark.usefixtures("ways")
def test_shifts_of_red_green_and_blue() -> None:
    """On a scale of 255, or of 1 where a range stays within it; any dtype sees the same shift."""
    layer = ga.RGBShift((51, 51), (-0.4, -0.4), ga.Constant(0.5), p=1.0)
    expected = (X + torch.tensor([0.2, -0.4, 0.5]).double().view(3, 1, 1)).clamp(0, 1)
    assert torch.allclose(layer(X), expected, atol=1e-7)
    x = (X * 255).round().to(torch.uint8)
    wanted = (x.double() + torch.tensor([51.0, -102.0, 127.5]).double().view(3, 1, 1)).clamp(0, 255)
    assert (layer(x).double() - wanted).abs().max() <= 0.5
    drawn = ga.RGBShift(20, 0.3, (0, 10), p=1.0).sample(torch.zeros(3000, 3, 2, 2)).values["RGBShift"]
    for name, low, high in (("r_shift", -20 / 255, 20 / 255), ("g_shift", -0.3, 0.3), ("b_shift", 0, 10 / 255)):
        span = high - low
        assert low <= drawn[name].min() < low + 0.02 * span and high - 0.02 * span < drawn[name].max() <= high
    with pytest.raises(ValueError, match=r"RGBShift: images must have 3 channels, .* got 1"):
        ga.RGBShift(p=1.0)(X[:, :1])
    turned = ga.RGBShift((51, 51), (-0.4, -0.4), ga.Constant(0.5), p=1.0, channels=(2, 1, 0))
    assert torch.allclose(turned(X.flip(1)), expected.flip(1), atol=1e-7)


@pytest.mark.usefixtures("ways")
def test_sepia() -> None:
    red, green, blue = X.unbind(1)
    rows = [(0.393, 0.769, 0.189), (0.349, 0.686, 0.168), (0.272, 0.534, 0.131)]
    expected = torch.stack([(r * red + g * green + b * blue).clamp(max=1) for r, g, b in rows], dim=1)
    assert torch.allclose(ga.ToSepia(p=1.0)(X), expected, atol=1e-6)
    assert torch.equal(ga.ToSepia(p=1.0)(X[:, :1]), X[:, :1])
    bands = torch.cat((X, X[:, :1]), dim=1)
    assert torch.allclose(ga.ToSepia(p=1.0, channels=(0, 1, 2))(bands)[:, :3], expected, atol=1e-6)
    with pytest.raises(ValueError, match=r"ToSepia: images must have 1 or 3 channels, .* got 4"):
        ga.ToSepia(p=1.0)(bands)


def test_hue_saturation_and_value_by_pythons_colorsys() -> None:
    hue, saturation, value = [0.1, -0.5, 0.0, 0.9], [0.0, 1.7, 1.0, 0.5], [1.3, 0.4, 1.0, 1.0]
    out = F.scale_hsv(X, *(torch.tensor(v, dtype=torch.float64) for v in (hue, saturation, value)))
    for b in range(4):
        for i, j in ((0, 0), (5, 17), (12, 3)):
            h, s, v = colorsys.rgb_to_hsv(*X[b, :, i, j].tolist())
            turned = colorsys.hsv_to_rgb((h + hue[b]) % 1, min(s * saturation[b], 1), min(v * value[b], 1))
            assert torch.allclose(out[b, :, i, j], torch.tensor(turned, dtype=torch.float64), atol=1e-9)
    assert torch.allclose(F.scale_hsv(X, 0, 1, 1), X, atol=1e-12)
    gray = F.scale_hsv(X[:, :1], 0.3, 0.2, 0.5)
    assert torch.allclose(gray, X[:, :1] * 0.5)
    drawn = ga.RandomHSV(0.015, 0.7, (0.5, 2.0)).sample(torch.zeros(3000, 3, 2, 2)).values["RandomHSV"]
    for name, low, high in (("hue", -0.015, 0.015), ("saturation", 0.3, 1.7), ("value", 0.5, 2.0)):
        span = high - low
        assert low <= drawn[name].min() < low + 0.02 * span and high - 0.02 * span < drawn[name].max() <= high


BODY = {3000: (0.6743, 0.4029, 0.0013), 6500: (0.4816, 0.4604, 0.4782), 7000: (0.4672, 0.4619, 0.5053)}
DAY = {4000: (0.5829, 0.4421, 0.2288), 6500: (0.4654, 0.4667, 0.4654), 15000: (0.3217, 0.4719, 0.6882)}
"""Rows of the paper's tables: https://github.com/TheZino/PlanckianJitter."""


@pytest.mark.usefixtures("ways")
@pytest.mark.parametrize(("mode", "rows"), [("blackbody", BODY), ("CIED", DAY)])
def test_planckian_light(mode: str, rows: dict[int, tuple[float, ...]]) -> None:
    x = X * 0.6
    for kelvin, (red, green, blue) in rows.items():
        out = ga.PlanckianJitter(mode, float(kelvin), p=1.0)(x)
        expected = (x * torch.tensor([red / green, 1.0, blue / green]).double().view(3, 1, 1)).clamp(0, 1)
        assert torch.allclose(out, expected, atol=1e-6), kelvin
    if mode == "blackbody":  # a fifth of the way from row to row
        red, green, blue = (np.array(rows[6500]) * 0.8 + np.array(rows[7000]) * 0.2).tolist()
        out = ga.PlanckianJitter(mode, 6600.0, p=1.0)(x)
        expected = (x * torch.tensor([red / green, 1.0, blue / green]).double().view(3, 1, 1)).clamp(0, 1)
        assert torch.allclose(out, expected, atol=1e-6)


def test_planckian_temperatures() -> None:
    """Two fifths are warmer than daylight; evenly, or as halves of normal laws."""
    x = torch.zeros(4000, 3, 2, 3)
    kelvin = ga.PlanckianJitter(temperature_limit=(4000, 9000), p=1.0).sample(x)["PlanckianJitter"].temperature
    assert kelvin.min() >= 4000 and kelvin.max() <= 9000 and abs((kelvin < 6500).double().mean() - 0.4) < 0.04
    assert abs(kelvin[kelvin < 6500].mean() - 5250) < 80 and abs(kelvin[kelvin > 6500].mean() - 7750) < 80
    layer = ga.PlanckianJitter(temperature_limit=(3500, 9500), sampling_method="gaussian", p=1.0)
    away = layer.sample(x)["PlanckianJitter"].temperature - 6500
    assert away.abs().max() <= 3000 and abs((away < 0).double().mean() - 0.4) < 0.04
    half = 1000 * (2 / np.pi) ** 0.5  # the mean of half a normal law of deviation 1000
    assert abs(away[away > 0].mean() - half) < 50 and abs(away[away < 0].mean() + half) < 50
    for arguments, message in (
        (("sun",), "mode must be one of blackbody, cied, got 'sun'"),
        (("cied", (3000, 9000)), r"temperature_limit must be within \[4000, 15000\]"),
        (("blackbody", (7000, 9000)), "temperature_limit must have 6500 between its ends"),
        (("blackbody", None, "beta"), "sampling_method must be one of uniform, gaussian, got 'beta'"),
    ):
        with pytest.raises(ValueError, match=message):
            ga.PlanckianJitter(*arguments)


@pytest.mark.usefixtures("ways")
@pytest.mark.parametrize("channels", [1, 2, 5, 7])
def test_intensity_by_band(channels: int) -> None:
    x = example(4, (channels, 9, 14), torch.float64)
    for make, apply in (
        (ga.RandScaleIntensity, lambda v, d: v * (1 + d)),
        (ga.RandShiftIntensity, lambda v, d: v + d),
    ):
        for wise in (False, True):
            layer: Any = make(0.4, p=1.0, channel_wise=wise)
            out, params = layer(x, return_params=True)
            drawn: Tensor = next(iter(params.values[make.__name__].values())).double()
            assert drawn.shape == ((4, channels) if wise else (4,)) and drawn.unique().numel() == drawn.numel()
            assert torch.allclose(out, apply(x, drawn.view(4, -1, 1, 1)).clamp(0, 1), atol=1e-6)
    layer = ga.RandomBrightnessContrast(0.3, 0.5, p=1.0, per_channel=True)
    out, params = layer(x, return_params=True)
    shift, factor = (
        params.values["RandomBrightnessContrast"][n].double()[..., None, None] for n in ("brightness", "contrast")
    )
    assert shift.shape == (4, channels, 1, 1)
    assert torch.allclose(out, (x * (1 + factor) + shift).clamp(0, 1), atol=1e-6)


def test_what_intensity_refuses() -> None:
    with pytest.raises(ValueError, match=r"RandScaleIntensity: factors must be within \[-1, inf\]"):
        ga.RandScaleIntensity((-2, 0))
    with pytest.raises(ValueError, match="at most 64 channels, got 65"):
        ga.RandShiftIntensity(0.1, channel_wise=True)(torch.zeros(1, 65, 2, 2))
    with pytest.raises(ValueError, match="RandomBrightnessContrast: brightness_by_max must be True with per_channel"):
        ga.RandomBrightnessContrast(per_channel=True, brightness_by_max=False)


@pytest.mark.parametrize("dtype", [torch.uint8, torch.float32], ids=str)
@pytest.mark.parametrize("channels", [1, 4, 6])
def test_kernels_of_bands(channels: int, dtype: torch.dtype) -> None:
    """Operands by channel in groups of four, on all bands and on some."""
    steps = [
        ga.RandomToneCurve(0.3, per_channel=True, p=0.7),
        ga.RandScaleIntensity(0.4, p=0.7, channel_wise=True),
        ga.RandomBrightnessContrast(p=1.0, per_channel=True),
    ]
    if channels > 1:
        steps += [ga.RandShiftIntensity(0.3, p=1.0, channel_wise=True, channels=(3, 0))]
        steps += [ga.RGBShift(p=1.0, channels=(3, 1, 0)), ga.ToSepia(p=0.5, channels=(2, 3, 1))]
    expected, out = rendered(ga.Compose(steps, seed=4), images((channels, 13, 18), dtype))
    assert_same(out, expected)


@pytest.mark.parametrize("make", [ga.RandomInvert, ga.RandomEqualize, ga.RandomAutocontrast])
def test_bands_of_what_draws_nothing(make: Any) -> None:
    """Alone, with nothing drawn but the gate, a transform is limited to its bands too."""
    x = example(3, (4, 9, 14))
    out = make(p=1.0, channels=(2, 0))(x)
    assert torch.equal(out[:, 1::2], x[:, 1::2])
    assert torch.equal(out[:, ::2], make(p=1.0)(x[:, ::2])) and not torch.equal(out, x)


@pytest.mark.usefixtures("ways")
def test_linear_transformations_of_colours_and_of_whole_images() -> None:
    """A matrix of the channels goes to each pixel, one of all values to the image, as in torchvision."""
    generator = torch.Generator().manual_seed(1)
    colors = torch.randn((3, 3), generator=generator)
    mean = torch.tensor([0.4, 0.5, 0.6])
    out = ga.LinearTransformation(colors, mean)(X)
    expected = torch.einsum("bihw,ij->bjhw", X - mean.double().view(3, 1, 1), colors.double())
    assert torch.allclose(out, expected, atol=1e-5) and out.min() < 0
    small = X[:, :, :4, :5].contiguous()
    matrix, mean = torch.randn((60, 60), generator=generator), torch.rand(60, generator=generator)
    reference = v2.LinearTransformation(matrix.double(), mean.double())
    out = ga.LinearTransformation(matrix, mean)(small)
    assert torch.allclose(out, reference(small), atol=1e-5)
    levels = (small * 255).round().to(torch.uint8)
    whitened = ga.Compose([ga.RandomHorizontalFlip(p=1.0), ga.LinearTransformation(matrix, mean)])(levels)
    assert whitened.dtype == torch.float32
    assert torch.allclose(whitened.double(), reference(levels.flip(3).double() / 255), atol=1e-4)
    with pytest.raises(ValueError, match="images must have 60 channels, or as many values, got 3 channels and 702"):
        ga.LinearTransformation(matrix, mean)(X)
    with pytest.raises(ValueError, match=r"transformation_matrix must be square, got \(3, 4\)"):
        ga.LinearTransformation(torch.rand(3, 4), mean)
    with pytest.raises(ValueError, match=r"mean_vector must have shape \(60,\), got \(3,\)"):
        ga.LinearTransformation(matrix, torch.rand(3))
    with pytest.raises(TypeError, match="mean_vector must be a tensor, got list"):
        ga.LinearTransformation(colors, [0.0] * 3)
    with pytest.raises(ValueError, match="may not follow LinearTransformation"):
        ga.Compose([ga.LinearTransformation(colors, torch.zeros(3)), ga.RandomSolarize(0.5)])
