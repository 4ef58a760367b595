"""Noise of the catalogue: given the noise, arithmetic of float64 or OpenCV; drawn, the law that it claims."""

from __future__ import annotations

from typing import Any

import cv2
import numpy as np
import pytest
import torch
from kernels import assert_same, images, rendered
from scipy import stats
from torch import Tensor
from ways import both, close, drawn_by

import gpuaug as ga
from gpuaug import functional as F
from gpuaug.functional.noise import poisson
from gpuaug.testing import example


def gray(level: float, count: int = 2, channels: int = 3) -> Tensor:
    return torch.full((count, channels, 90, 130), level)


def within(share: Tensor, p: float, n: int) -> bool:
    """Tell whether a share of n independent draws is p, to five standard deviations."""
    return abs(share.double().mean().item() - p) < 5 * (p * (1 - p) / n) ** 0.5


def test_salt_and_pepper() -> None:
    x = example(2, (3, 9, 14), torch.float64)
    u = torch.rand((2, 1, 9, 14), generator=torch.Generator().manual_seed(1))
    out = F.salt_and_pepper(x, torch.tensor([0.5, 0.3]), torch.tensor([0.2, 0.9]), u)
    for i, (amount, salt) in enumerate(((0.5, 0.2), (0.3, 0.9))):
        v = u[i].double().numpy()
        expected = np.where(v < amount * salt, 1.0, np.where(v < amount, 0.0, x[i].numpy()))
        assert np.array_equal(out[i].numpy(), expected)


def test_salt_and_pepper_has_its_shares(monkeypatch: pytest.MonkeyPatch) -> None:
    layer = ga.SaltAndPepper((0.1, 0.5), (0.2, 0.8), p=1.0)
    x = gray(0.5, 5)
    layer.reseed(0)
    params = layer.sample(x)
    drawn = params["SaltAndPepper"]
    for out in both(monkeypatch, layer, x, params):
        assert torch.equal(out[:, 0], out[:, 1]) and torch.equal(out[:, 0], out[:, 2])
        for one, amount, salt in zip(out[:, 0], drawn.amount.tolist(), drawn.salt_vs_pepper.tolist(), strict=True):
            assert within(one == 1, amount * salt, one.numel()) and within(one == 0, amount * (1 - salt), one.numel())
            assert set(one.unique().tolist()) == {0.0, 0.5, 1.0}
    assert drawn.amount.min() >= 0.1 and drawn.amount.max() <= 0.5 and drawn.amount.unique().numel() == 5


@pytest.mark.parametrize("elementwise", [False, True])
@pytest.mark.parametrize("per_channel", [False, True])
def test_multiplicative_noise(per_channel: bool, elementwise: bool) -> None:
    layer = ga.MultiplicativeNoise((0.5, 1.5), per_channel, elementwise, p=1.0)
    layer.reseed(1)
    factor = layer(gray(0.5)) / 0.5
    assert factor.min() >= 0.5 and factor.max() <= 1.5
    alike = torch.equal(factor[:, 0], factor[:, 1])
    still = bool((factor == factor[:, :, :1, :1]).all())
    assert alike != per_channel and still != elementwise and not torch.equal(factor[0], factor[1])
    if elementwise:
        one = factor[0, 0].flatten()
        assert stats.kstest(one.double().numpy(), stats.uniform(0.5, 1).cdf).pvalue > 1e-4
    assert layer(gray(0.9)).max() <= 1


def test_multiplicative_noise_of_ranges() -> None:
    x = gray(0.25)
    out = ga.MultiplicativeNoise(ga.Constant(2.0), p=1.0)(x)
    assert torch.equal(out, torch.full_like(x, 0.5))
    with pytest.raises(TypeError, match="MultiplicativeNoise: multiplier must be a range of numbers"):
        ga.MultiplicativeNoise(ga.Normal(1.0, 0.1), elementwise=True)
    with pytest.raises(ValueError, match="MultiplicativeNoise: multiplier must"):
        ga.MultiplicativeNoise((-0.1, 1.1), elementwise=True)
    layer = ga.MultiplicativeNoise(ga.PerClass({0: (0.0, 0.5)}, default=(1.5, 2.0)), elementwise=True, p=1.0)
    out, _ = layer(x, torch.tensor([0, 1]))
    assert out[0].max() <= 0.125 and out[1].min() >= 0.375
    weak = ga.MultiplicativeNoise((0.0, 3.0), True, True, p=1.0)
    assert torch.equal(weak(x, strength=0.0), x)
    half = weak(x, strength=0.5)
    assert 0.125 <= half.min() < 0.126 and 0.499 < half.max() <= 0.5


@pytest.mark.parametrize("per_channel", [False, True])
def test_pixel_dropout(monkeypatch: pytest.MonkeyPatch, per_channel: bool) -> None:
    x = (example(3, (3, 90, 130)) * 200).to(torch.uint8) + 20
    layer = ga.PixelDropout((0.1, 0.4), per_channel, (1, 255, 3), p=1.0)
    layer.reseed(2)
    params = layer.sample(x)
    for out in both(monkeypatch, layer, x, params):
        gone = out == torch.tensor([1, 255, 3], dtype=torch.uint8).view(1, 3, 1, 1)
        assert torch.equal(torch.where(gone, x, out), x)
        assert torch.equal(gone[:, 0], gone[:, 2]) != per_channel
        for one, share in zip(gone, params["PixelDropout"].dropout_prob.tolist(), strict=True):
            for plane in one:
                assert within(plane, share, plane.numel())


def test_pixel_dropout_fills_masks_and_draws_colours() -> None:
    x = example(3, (3, 40, 50)) * 0.8 + 0.1
    mask = torch.ones(3, 40, 50, dtype=torch.int64)
    layer = ga.PixelDropout(0.3, drop_value=0.0, mask_drop_value=7, p=0.5)
    layer.reseed(2)
    out = layer({"image": x, "mask": mask})
    gone = (out["image"] == 0).all(1)
    assert torch.equal(out["mask"], torch.where(gone, 7, mask)) and 0 < gone.sum() < gone.numel()
    out = ga.PixelDropout(0.3, drop_value=None, p=1.0)(x)
    for one, given in zip(out, x, strict=True):
        colors = one[:, (one != given).any(0)]
        assert colors.shape[1] > 100 and (colors == colors[:, :1]).all()
    with pytest.raises(ValueError, match="PixelDropout: mask_drop_value must be None with per_channel"):
        ga.PixelDropout(per_channel=True, mask_drop_value=1)
    with pytest.raises(ValueError, match="PixelDropout: images must have one size"):
        layer({"image": ga.Ragged.pack([x[0], x[1, :, :20]]), "mask": ga.Ragged.pack([mask[:1], mask[:1, :20]])})


def test_counts_are_the_inverse_of_the_law() -> None:
    """Exact below six; above, another count for one in a thousand, and the mean to 5e-4."""
    u = (torch.arange(2**15, dtype=torch.float64) + 0.5) / 2**15
    normal = torch.special.ndtri(u)
    for rate in (1e-6, 0.01, 0.4, 1.0, 3.3, 5.99, 6.0, 9.0, 40.0, 900.0):
        expected = torch.from_numpy(stats.poisson.ppf(u.numpy(), rate))
        for dtype in (torch.float64, torch.float32):
            count = poisson(torch.full_like(u, rate).to(dtype), normal.to(dtype)).double()
            most = (0 if dtype == torch.float64 else 2e-4) if rate < 6 else 1.5e-3
            assert (count != expected).double().mean() <= most and (count - expected).abs().max() <= 1, rate
            assert abs((count - expected).mean().item()) < 5e-4
    far = poisson(torch.full((1,), 3.0), torch.full((1,), 6.0))  # where float32's sum no longer rises
    assert far.item() == stats.poisson.ppf(1 - 2.0**-19, 3.0)


def test_shot_noise_is_of_photons() -> None:
    """Given the noise, against SciPy's law; drawn, mean and variance of linear light follow Poisson's."""
    x, scale = example(2, (3, 20, 31), torch.float64), torch.tensor([0.02, 0.4], dtype=torch.float64)
    normal = torch.randn(x.shape, generator=torch.Generator().manual_seed(0), dtype=torch.float64)
    out = F.shot_noise(x, scale, normal)
    rate = x.numpy() ** 2.2 / scale.view(-1, 1, 1, 1).numpy() + 1e-6
    count = stats.poisson.ppf(stats.norm.cdf(normal.numpy()), rate)
    expected = np.clip(count * scale.view(-1, 1, 1, 1).numpy(), 0, 1) ** (1 / 2.2)
    assert (np.abs(out.numpy() - expected) > 1e-9).mean() < 2e-3
    layer = ga.ShotNoise((0.01, 0.05), p=1.0)
    layer.reseed(0)
    values, params = layer(gray(0.5, 3), return_params=True)
    light = values.double() ** 2.2
    for one, s in zip(light, params["ShotNoise"].scale.tolist(), strict=True):
        n, mean = one.numel(), 0.5**2.2
        assert abs(one.mean() - mean) < 5 * (mean * s / n) ** 0.5
        assert abs(one.var() / (mean * s) - 1) < 5 * (2 / n + s / mean / n) ** 0.5 + 2e-3
        assert ((one / s) - (one / s).round()).abs().max() < 1e-3  # whole photons


def test_shot_noise_of_no_scale_and_its_gradient() -> None:
    x = example(2, (3, 5, 7)).requires_grad_()
    noise = torch.randn(2, 3, 5, 7)
    assert torch.equal(F.shot_noise(x, 0.0, noise), x)
    (grad,) = torch.autograd.grad(F.shot_noise(x, torch.tensor([0.0, 0.1]), noise).sum(), x)
    assert (grad[0] == 1).all() and (grad[1] == 0).all()
    assert torch.equal(ga.ShotNoise(p=1.0)(x.detach(), strength=0.0), x)


def test_iso_noise_is_opencvs_hls() -> None:
    x = example(2, (3, 30, 41))
    noise = torch.randn((2, 2, 30, 41), generator=torch.Generator().manual_seed(0))
    shift, intensity = torch.tensor([0.05, 0.3]), torch.tensor([0.4, 3.0])
    out = F.iso_noise(x, shift, intensity, noise)
    for i in range(2):
        hls = cv2.cvtColor(x[i].permute(1, 2, 0).numpy().copy(), cv2.COLOR_RGB2HLS).astype(np.float64)
        s = intensity[i].item()
        count = stats.poisson.ppf(stats.norm.cdf(noise[i, 1].double().numpy()), hls[..., 1].std() * s)
        assert count.max() >= 2
        hls[..., 0] = (hls[..., 0] + 360 * shift[i].item() * s * noise[i, 0].numpy()) % 360
        hls[..., 1] = np.minimum(hls[..., 1] + count * s * (1 - hls[..., 1]), 1)
        expected = cv2.cvtColor(hls.astype(np.float32), cv2.COLOR_HLS2RGB)
        far = np.abs(out[i].permute(1, 2, 0).numpy() - expected)
        assert (far > 2e-5).mean() < 1e-3, far.max()
    one = F.iso_noise(x[:, :1], shift, intensity, noise)
    assert (one >= x[:, :1] - 1e-6).all() and (one > x[:, :1] + 0.01).any()
    assert torch.allclose(F.iso_noise(x, 0.3, 0.0, noise), x, atol=1e-6)


@pytest.mark.parametrize("direction", ["rows", "columns"])
def test_banding_noise(monkeypatch: pytest.MonkeyPatch, direction: str) -> None:
    layer = ga.BandingNoise((0.02, 0.04), direction, p=1.0)
    layer.reseed(0)
    x = torch.full((4, 3, 400, 420), 0.5)
    params = layer.sample(x)
    for out in both(monkeypatch, layer, x, params):
        lines = (out - 0.5).transpose(2, 3) if direction == "columns" else out - 0.5
        assert (lines == lines[:, :1, :, :1]).all()
        for one, sigma in zip(lines[:, 0, :, 0], params["BandingNoise"].sigma.tolist(), strict=True):
            assert abs(one.std().item() / sigma - 1) < 5 / (2 * one.numel()) ** 0.5
            assert abs(one.mean().item()) < 5 * sigma / one.numel() ** 0.5
    colored = ga.BandingNoise(0.1, direction, True, p=1.0)(x)
    assert not torch.equal(colored[:, 0], colored[:, 1])
    with pytest.raises(ValueError, match="BandingNoise: direction must be 'rows' or 'columns', got 'x'"):
        ga.BandingNoise(direction="x")


def test_shares_are_drawn_in_their_ranges() -> None:
    drawn = drawn_by(ga.ISONoise((0.2, 0.3), (0.5, 0.7), p=1.0), 200, 8, 9)
    close(drawn.color_shift.aminmax()[0][None], torch.tensor([0.2]), 0.005)
    assert drawn.intensity.min() >= 0.5 and drawn.intensity.max() <= 0.7
    for wrong in (lambda: ga.ISONoise((0.5, 1.5)), lambda: ga.SaltAndPepper((0.5, 1.5)), lambda: ga.ShotNoise(-0.1)):
        with pytest.raises(ValueError, match="must"):
            wrong()


STEPS: dict[str, list[Any]] = {
    "alike": [
        ga.SaltAndPepper(0.3),
        ga.MultiplicativeNoise((0.5, 1.2), False, True),
        ga.PixelDropout(0.2, False, 0.25),
    ],
    "own": [
        ga.MultiplicativeNoise((0.5, 1.2), True, False),
        ga.PixelDropout(0.2, True, None),
        ga.BandingNoise(0.1, "columns", True),
    ],
    "photons": [ga.ShotNoise((0.001, 0.3)), ga.BandingNoise(0.1)],
}


@pytest.mark.parametrize("name", STEPS)
def test_kernels(name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """Of one, of some and of many channels, which go in groups; behind a warp."""
    for channels in (1, 6):
        layer = ga.Compose([ga.RandomHorizontalFlip(), *STEPS[name]], seed=2)
        expected, out = rendered(layer, images((channels, 9, 14), torch.float32), monkeypatch)
        far = (out - expected).abs()
        # A count may fall on the other side of a whole number.
        assert (far > 5e-6).double().mean() < (0.01 if name == "photons" else 1e-9)


def test_kernel_of_iso_noise_measures_each_sample(monkeypatch: pytest.MonkeyPatch) -> None:
    """In several parts, of one channel, and of some bands."""
    steps = [ga.RandomGamma(p=1.0), ga.ISONoise((0.1, 0.2), (0.5, 2.0), p=0.7)]
    expected, out = rendered(ga.Compose(steps, seed=1), images((3, 80, 97), torch.float32), monkeypatch)
    assert ((out - expected).abs() > 1e-5).double().mean() < 1e-3
    expected, out = rendered(ga.Compose(steps, seed=1), images((1, 9, 12), torch.float32), monkeypatch)
    assert_same(out, expected)
    bands = [ga.ISONoise((0.1, 0.2), (0.5, 2.0), channels=(4, 0, 2), p=0.7)]
    expected, out = rendered(ga.Compose(bands, seed=1), images((5, 9, 12), torch.float32), monkeypatch)
    assert_same(out, expected)
