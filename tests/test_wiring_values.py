"""What photometric transforms draw is what they do, wired by hand: torchvision, NumPy and OpenCV are the truth."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import cv2
import numpy as np
import pytest
import torch
from torch import Tensor
from torchvision.transforms.v2 import functional as tv
from ways import both, drawn, levels_apart

import gpuaug as ga
from gpuaug import functional as F
from gpuaug.testing import example

SHAPE = (3, 19, 29)
HALF = 0.5 + 1e-3
"""Of a level: how far a value that is rounded once may lie from the exact one."""


# -- noise


@pytest.mark.parametrize("dtype", [torch.float32, torch.uint8], ids=str)
def test_noise_has_the_mean_and_the_deviation_asked_for(monkeypatch: pytest.MonkeyPatch, dtype: torch.dtype) -> None:
    images = torch.full((2, 3, 60, 90), 0.5)
    images = (images * 254).to(dtype) if dtype == torch.uint8 else images
    layer = ga.GaussianNoise(mean=0.2, sigma=0.05)
    unit = 255 if dtype == torch.uint8 else 1
    before = images.double().mean() / unit
    for out in both(monkeypatch, layer, images, drawn(layer, images)):
        noise = out.double() / unit - before
        n = noise.numel()
        assert abs(noise.mean() - 0.2) < 5 * 0.05 / n**0.5 + 1e-4
        assert abs(noise.std() - 0.05) < 5 * 0.05 / (2 * n) ** 0.5 + 1e-4  # the quantile is cut, uint8 is rounded


def test_noise_is_clipped_where_it_says_so(monkeypatch: pytest.MonkeyPatch) -> None:
    images = example(2, SHAPE)
    for clip in (True, False):
        layer = ga.GaussianNoise(mean=0.1, sigma=0.6, clip=clip)
        for out in both(monkeypatch, layer, images, drawn(layer, images)):
            assert (out.min() >= 0) == clip and (out.max() <= 1) == clip


def test_noise_after_normalize_is_not_clipped(monkeypatch: pytest.MonkeyPatch) -> None:
    """Normalised values have no black and white to be clipped to."""
    images = example(2, SHAPE)
    layer = ga.Compose([ga.Normalize((0.5,) * 3, (0.25,) * 3), ga.GaussianNoise(0.0, 1.0, clip=True)])
    for out in both(monkeypatch, layer, images, drawn(layer, images)):
        assert out.max() > 1.5 and out.min() < -1.5


def test_the_function_clips_its_noise_too() -> None:
    images, noise = example(2, SHAPE, torch.float64), torch.linspace(-3, 3, 2 * 3 * 19 * 29).double().view(2, *SHAPE)
    mean, sigma = torch.tensor([0.2, -0.1]).double(), torch.tensor([0.3, 0.5]).double()
    exact = images + mean.view(-1, 1, 1, 1) + sigma.view(-1, 1, 1, 1) * noise
    assert exact.max() > 1 and exact.min() < 0
    torch.testing.assert_close(F.gaussian_noise(images, mean, sigma, noise, clip=False), exact, rtol=0, atol=1e-9)
    clipped = F.gaussian_noise(images, mean, sigma, noise, clip=True)
    torch.testing.assert_close(clipped, exact.clamp(0, 1), rtol=0, atol=1e-9)


# -- colour


def shifted_hsv(image: Tensor, hue: float, sat: float, val: float) -> Tensor:
    """Return an image shifted by OpenCV in HSV: hue on a scale of 180, saturation and value of 255."""
    hsv = cv2.cvtColor(image.permute(1, 2, 0).numpy(), cv2.COLOR_RGB2HSV)
    hsv[..., 0] = np.mod(hsv[..., 0] + 2 * hue, 360)
    hsv[..., 1] = np.clip(hsv[..., 1] + sat / 255, 0, 1)
    hsv[..., 2] = np.clip(hsv[..., 2] + val / 255, 0, 1)
    return torch.from_numpy(cv2.cvtColor(hsv, cv2.COLOR_HSV2RGB)).permute(2, 0, 1)


@pytest.mark.parametrize("shifts", [(10.0, 40.0, -15.0), (-25.0, -30.0, 20.0), (0.0, 0.0, 35.0)], ids=str)
def test_hue_saturation_value(monkeypatch: pytest.MonkeyPatch, shifts: tuple[float, float, float]) -> None:
    images = example(3, SHAPE)
    layer = ga.HueSaturationValue(*((s, s) for s in shifts), p=1.0)
    expected = torch.stack([shifted_hsv(image, *shifts) for image in images])
    for out in both(monkeypatch, layer, images, drawn(layer, images)):
        torch.testing.assert_close(out, expected, rtol=0, atol=2e-4)


def test_hue_saturation_value_by_what_was_drawn(monkeypatch: pytest.MonkeyPatch) -> None:
    """Each sample by its own three numbers."""
    images = example(6, SHAPE)
    layer = ga.HueSaturationValue(p=1.0)
    params = drawn(layer, images)
    d = params["HueSaturationValue"]
    rows = torch.stack((d.hue_shift, d.sat_shift, d.val_shift), dim=1).tolist()
    expected = torch.stack([shifted_hsv(image, *row) for image, row in zip(images, rows, strict=True)])
    for out in both(monkeypatch, layer, images, params):
        torch.testing.assert_close(out, expected, rtol=0, atol=2e-4)


@pytest.mark.parametrize("by_max", [True, False])
def test_brightness_contrast(monkeypatch: pytest.MonkeyPatch, by_max: bool) -> None:
    images = example(3, SHAPE, torch.float64)
    layer = ga.RandomBrightnessContrast((0.1, 0.1), (-0.3, -0.3), by_max, p=1.0)
    x = images.numpy()
    white = 1.0 if by_max else x.mean((1, 2, 3), keepdims=True)
    expected = torch.from_numpy(np.clip(x * (1 - 0.3) + 0.1 * white, 0, 1))
    for out in both(monkeypatch, layer, images, drawn(layer, images)):
        torch.testing.assert_close(out, expected, rtol=0, atol=1e-6)  # what is drawn is float32


def test_a_number_for_jitter_means_a_range_about_one() -> None:
    layer = ga.ColorJitter(0.4, 0.4, 0.4)
    d = drawn(layer, torch.empty(4000, 3, 2, 3))["ColorJitter"]
    for factor in (d.brightness, d.contrast, d.saturation):
        assert 0.6 - 1e-6 <= factor.min() < 0.65 and 1.35 < factor.max() <= 1.4 + 1e-6
        assert abs(factor.mean() - 1) < 5 * 0.8 / 12**0.5 / 4000**0.5


def test_a_factor_is_never_negative() -> None:
    """A jitter of 2 means 0 to 3."""
    d = drawn(ga.ColorJitter(2, 2, 2), torch.empty(4000, 3, 2, 3))["ColorJitter"]
    for factor in (d.brightness, d.contrast, d.saturation):
        assert 0 <= factor.min() < 0.02 and 2.98 < factor.max() <= 3


def test_photometric_distort_does_what_its_parameters_say(monkeypatch: pytest.MonkeyPatch) -> None:
    """On or off for each of the five, contrast before or after saturation and hue, then the channels' order."""
    images = example(64, (3, 11, 14), torch.float64)
    layer = ga.RandomPhotometricDistort((0.6, 1.4), (0.5, 1.5), (0.5, 1.5), (-0.2, 0.2))
    params = drawn(layer, images)
    d = params["RandomPhotometricDistort"]
    assert len({tuple(row) for row in torch.cat((d.on, d.contrast_last[:, None]), 1).tolist()}) > 30
    expected = []
    for i, image in enumerate(images):
        bright, contrast, saturate, hue, permute = d.on[i].tolist()
        late = bool(d.contrast_last[i])
        image = tv.adjust_brightness(image, d.brightness[i].item()) if bright else image
        image = tv.adjust_contrast(image, d.contrast[i].item()) if contrast and not late else image
        image = tv.adjust_saturation(image, d.saturation[i].item()) if saturate else image
        image = tv.adjust_hue(image, d.hue[i].item()) if hue else image
        image = tv.adjust_contrast(image, d.contrast[i].item()) if contrast and late else image
        expected.append(tv.permute_channels(image, d.order[i].tolist()) if permute else image)
    for out in both(monkeypatch, layer, images, params):
        torch.testing.assert_close(out, torch.stack(expected), rtol=0, atol=1e-5)


def test_photometric_distort_draws_each_independently() -> None:
    """Each of the five with probability p, in its own range; contrast comes last for half; all six orders occur."""
    n, p = 3000, 0.3
    ranges = {"brightness": (0.9, 1.2), "contrast": (0.4, 1.1), "saturation": (0.7, 1.9), "hue": (-0.1, 0.3)}
    d = drawn(ga.RandomPhotometricDistort(**ranges, p=p), torch.empty(n, 3, 2, 3))["RandomPhotometricDistort"]
    five = 5 * (p * (1 - p) / n) ** 0.5
    assert (d.on.double().mean(0) - p).abs().max() < five
    assert torch.corrcoef(d.on.double().T).fill_diagonal_(0).abs().max() < 5 / n**0.5
    assert abs(d.contrast_last.double().mean() - 0.5) < 5 * 0.5 / n**0.5
    assert len(d.order.unique(dim=0)) == 6
    for name, (low, high) in ranges.items():
        value, room = getattr(d, name), 0.02 * (high - low)
        assert low - 1e-6 <= value.min() < low + room and high - room < value.max() <= high + 1e-6


# -- channels


def test_channel_dropout_draws_every_count() -> None:
    n = 3000
    layer = ga.ChannelDropout((1, 3), p=1.0)
    dropped = drawn(layer, torch.empty(n, 5, 2, 3))["ChannelDropout"].dropped
    values, counts = dropped.sum(1).unique(return_counts=True)
    assert values.tolist() == [1, 2, 3]
    assert (counts - n / 3).abs().max() < 5 * (n * 2 / 9) ** 0.5
    assert (dropped.double().mean(0) - 0.4).abs().max() < 5 * (0.4 * 0.6 / n) ** 0.5


@pytest.mark.parametrize("fill", [255, 40, 0.25], ids=str)
def test_channel_dropout_fills_in_the_images_unit(monkeypatch: pytest.MonkeyPatch, fill: float) -> None:
    images = example(8, (5, 9, 13), torch.float32 if fill < 1 else torch.uint8)
    layer = ga.ChannelDropout((1, 3), fill=fill, p=0.7)
    params = drawn(layer, images)
    d = params["ChannelDropout"]
    assert d.gate.any() and not d.gate.all()
    expected = torch.where((d.dropped & d.gate[:, None])[:, :, None, None], torch.tensor(fill).to(images.dtype), images)
    for out in both(monkeypatch, layer, images, params):
        assert torch.equal(out, expected)


# -- tone

TONES: dict[str, tuple[Callable[[float], Any], Callable[[Tensor, Any], Tensor]]] = {
    "RandomInvert": (lambda unit: ga.RandomInvert(), lambda x, d: tv.invert(x)),
    "RandomSolarize": (
        lambda unit: ga.RandomSolarize((0.3 * unit, 0.8 * unit)),
        lambda x, d: tv.solarize(x, d("threshold")),
    ),
    "RandomPosterize": (lambda unit: ga.RandomPosterize((1, 7)), lambda x, d: tv.posterize(x, int(d("bits")))),
    "RandomEqualize": (lambda unit: ga.RandomEqualize(), lambda x, d: tv.equalize(x)),
    "RandomAutocontrast": (lambda unit: ga.RandomAutocontrast(), lambda x, d: tv.autocontrast(x)),
    "RandomGamma": (lambda unit: ga.RandomGamma((40, 250)), lambda x, d: tv.adjust_gamma(x, d("gamma"))),
    "RandomGrayscale": (lambda unit: ga.RandomGrayscale(0.5), lambda x, d: tv.rgb_to_grayscale(x, 3)),
    "RandomAdjustSharpness": (
        lambda unit: ga.RandomAdjustSharpness((0.2, 3.0)),
        lambda x, d: tv.adjust_sharpness(x, d("factor")),
    ),
}
STEPPED = ("RandomInvert", "RandomSolarize", "RandomPosterize", "RandomEqualize")
"""Defined on the levels of uint8, where the others are rounded (torchvision's truncated): these are equal."""


@pytest.mark.parametrize("dtype", [torch.float32, torch.uint8], ids=str)
@pytest.mark.parametrize("name", TONES)
def test_tone_by_what_was_drawn(monkeypatch: pytest.MonkeyPatch, name: str, dtype: torch.dtype) -> None:
    """Where the gate is open, torchvision's function of the sample's own parameters; else the sample as it was."""
    make, function = TONES[name]
    images = example(8, SHAPE, dtype)
    layer = make(255.0 if dtype == torch.uint8 else 1.0)
    params = drawn(layer, images, seed=2)
    d = params[name]
    assert d.gate.any() and not d.gate.all()
    source = images if name in STEPPED or dtype != torch.uint8 else images.double() / 255
    expected = torch.stack(
        [
            function(x, lambda key, i=i: getattr(d, key)[i].item()) if d.gate[i] else x  # type: ignore[misc]
            for i, x in enumerate(source)
        ]
    )
    for out in both(monkeypatch, layer, images, params):
        if dtype != torch.uint8:
            torch.testing.assert_close(out, expected, rtol=0, atol=1e-5)
        elif name in STEPPED:
            assert torch.equal(out, expected)
        else:
            assert levels_apart(out, expected) <= HALF
        assert torch.equal(out[~d.gate], images[~d.gate])


@pytest.mark.parametrize("dtype", [torch.float32, torch.uint8], ids=str)
@pytest.mark.parametrize("channels", [1, 3])
def test_grayscale(monkeypatch: pytest.MonkeyPatch, channels: int, dtype: torch.dtype) -> None:
    images = example(3, SHAPE, dtype)
    layer = ga.Grayscale(channels)
    exact = tv.rgb_to_grayscale(images.double() / (255 if dtype == torch.uint8 else 1), channels)
    for out in both(monkeypatch, layer, images, drawn(layer, images)):
        if dtype == torch.uint8:
            assert levels_apart(out, exact) <= HALF
        else:
            torch.testing.assert_close(out.double(), exact, rtol=0, atol=1e-5)


def test_random_grayscale_keeps_three_channels(monkeypatch: pytest.MonkeyPatch) -> None:
    """Also where there is no gate, which would spread one channel over three."""
    images = example(3, SHAPE)
    layer = ga.RandomGrayscale(p=1.0)
    for out in both(monkeypatch, layer, images, drawn(layer, images)):
        torch.testing.assert_close(out, tv.rgb_to_grayscale(images, 3), rtol=0, atol=1e-5)


def test_gamma_is_given_in_percent(monkeypatch: pytest.MonkeyPatch) -> None:
    images = example(3, SHAPE)
    layer = ga.RandomGamma((70, 70), p=1.0)
    for out in both(monkeypatch, layer, images, drawn(layer, images)):
        torch.testing.assert_close(out, tv.adjust_gamma(images, 0.7), rtol=0, atol=1e-5)


@pytest.mark.parametrize("threshold", [0, 100, 128, 255])
def test_solarize_on_every_level(monkeypatch: pytest.MonkeyPatch, threshold: int) -> None:
    ramp = torch.arange(256, dtype=torch.uint8).view(1, 1, 8, 32)
    layer = ga.RandomSolarize(threshold, p=1.0)
    for out in both(monkeypatch, layer, ramp, drawn(layer, ramp)):
        assert torch.equal(out, tv.solarize(ramp, threshold))


@pytest.mark.parametrize("bits", range(9))
def test_posterize_on_every_level(monkeypatch: pytest.MonkeyPatch, bits: int) -> None:
    """The upper bits of all 256 levels, in a batch of several samples."""
    ramp = torch.arange(256, dtype=torch.uint8).view(1, 1, 8, 32).repeat(3, 2, 1, 1)
    layer = ga.RandomPosterize(bits, p=1.0)
    for out in both(monkeypatch, layer, ramp, drawn(layer, ramp)):
        assert torch.equal(out, ramp & (0xFF << (8 - bits) & 0xFF))


def test_posterize_each_sample_by_its_bits(monkeypatch: pytest.MonkeyPatch) -> None:
    ramp = torch.arange(256, dtype=torch.uint8).view(1, 1, 8, 32).repeat(80, 1, 1, 1)
    layer = ga.RandomPosterize((0, 8), p=1.0)
    params = drawn(layer, ramp)
    bits = params["RandomPosterize"].bits.int()
    assert bits.unique().tolist() == list(range(9))
    masks = torch.tensor([0xFF << (8 - b) & 0xFF for b in bits.tolist()], dtype=torch.uint8).view(-1, 1, 1, 1)
    for out in both(monkeypatch, layer, ramp, params):
        assert torch.equal(out, ramp & masks)


@pytest.mark.parametrize("gain", [0.5, 1.0, 2.0])
def test_gamma_has_a_gain_and_ends_at_white(gain: float) -> None:
    """On values beyond white too, where torchvision clamps only if there is a gain."""
    images = example(4, SHAPE) * 1.3 / 0.9
    images[:, :, 0, 0] = 1.3
    gammas = [0.5, 1.0, 1.7, 2.5]
    expected = torch.stack([tv.adjust_gamma(x, g, gain) for x, g in zip(images, gammas, strict=True)]).clamp(0, 1)
    ours = F.adjust_gamma(images, torch.tensor(gammas), gain=gain)
    torch.testing.assert_close(ours, expected, rtol=0, atol=1e-5)
    assert ours.max() <= 1 and F.adjust_gamma(images[:, :, :1, :1], 1.0).unique().tolist() == [1.0]
