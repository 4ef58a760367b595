"""HEStain against arithmetic written apart, in float64; stains are found where they were put."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
import torch
from kernels import assert_same, images, rendered
from torch import Tensor

import gpuaug as ga
from gpuaug import functional as F
from gpuaug.testing import example

STAINS = np.array([[0.65, 0.70, 0.29], [0.07, 0.99, 0.11]])
"""The preset "standard"."""


@pytest.fixture(autouse=True)
def seeded() -> None:
    torch.manual_seed(4)


def stained(stains: np.ndarray, h: int = 40, w: int = 50) -> Tensor:
    """Return tissue of two stains (1, 3, h, w), some pixels of one alone, and a clear corner."""
    random = np.random.default_rng(5)
    amount = random.gamma(2.0, 0.35, (2, h, w))
    amount[0, :8], amount[1, 8:16] = 0, 0
    amount[:, -9:, -9:] = 0.01
    density = np.tensordot(stains.T / np.linalg.norm(stains, axis=1), amount, 1)
    return torch.from_numpy(np.exp(-density))[None]


def expected(x: np.ndarray, stains: np.ndarray, scale: Any, shift: Any, background: bool) -> np.ndarray:
    """Least squares, pixel by pixel: how much of each stain, changed, and what light goes through then."""
    pixels = x.reshape(3, -1)
    amount = np.linalg.lstsq(stains.T, -np.log(np.maximum(pixels, 1e-6)), rcond=None)[0]
    changed = amount * np.reshape(scale, (2, 1)) + np.reshape(shift, (2, 1))
    there = np.array([0.299, 0.587, 0.114]) @ pixels < 0.85
    amount = changed if background else np.where(there, changed, amount)
    return np.clip(np.exp(-stains.T @ amount), 0, 1).reshape(x.shape)


@pytest.mark.usefixtures("ways")
@pytest.mark.parametrize("background", [False, True])
def test_amounts_are_those_of_least_squares(background: bool) -> None:
    x = torch.cat((example(2, (3, 12, 17), torch.float64), stained(STAINS, 12, 17)))
    x[0, :, 0] = 0.95  # nothing there
    layer = ga.HEStain("preset", augment_background=background, p=1.0)
    out, params = layer(x, return_params=True)
    drawn = params.values["HEStain"]
    assert drawn["scale"].shape == drawn["shift"].shape == (3, 2) and drawn["stain_matrix"].shape == (3, 2, 3)
    for b in range(3):
        wanted = expected(x[b].numpy(), STAINS, drawn["scale"][b].numpy(), drawn["shift"][b].numpy(), background)
        assert np.abs(out[b].numpy() - wanted).max() < 2e-4
    still = F.he_stain(x[2:], drawn["stain_matrix"][2:], torch.ones(1, 2), torch.zeros(1, 2))
    assert (still - x[2:]).abs().max() < 1e-4  # of two stains alone nothing is lost


def test_each_sample_takes_a_preset() -> None:
    drawn = ga.HEStain(p=1.0).sample(torch.zeros(400, 3, 2, 3)).values["HEStain"]
    assert len({tuple(m.flatten().tolist()) for m in drawn["stain_matrix"]}) == 8
    assert 0.7 <= drawn["scale"].min() < 0.72 and 1.28 < drawn["scale"].max() <= 1.3
    assert -0.2 <= drawn["shift"].min() < -0.19 and 0.19 < drawn["shift"].max() <= 0.2
    same = ga.HEStain("preset", "dark", p=1.0).sample(torch.zeros(2, 3, 2, 3)).values["HEStain"]["stain_matrix"]
    assert torch.allclose(same[1, 0], torch.tensor([0.78, 0.55, 0.28]))


@pytest.mark.parametrize("method", ["macenko", "vahadane"])
def test_stains_are_found_where_they_were_put(method: str) -> None:
    find = {"macenko": F.macenko_stains, "vahadane": F.vahadane_stains}[method]
    own = np.array([[0.60, 0.72, 0.35], [0.10, 0.90, 0.30]])
    x = torch.cat((stained(STAINS), stained(own)))
    found = find(x).numpy()
    for stains, given in zip(found, (STAINS, own), strict=True):
        cosine = (stains * given / np.linalg.norm(given, axis=1, keepdims=True)).sum(axis=1)
        assert (cosine > 0.99).all(), cosine
    layer = ga.HEStain(method, p=1.0)
    layer.reseed(1)
    out, params = layer(x, return_params=True)
    assert np.allclose(params.values["HEStain"]["stain_matrix"].numpy(), found, atol=1e-3) and out.shape == x.shape


def test_macenkos_percentiles() -> None:
    """The paper's steps by NumPy, on an image of which every pixel is looked at."""
    x = example(1, (3, 20, 33), torch.float64) * 0.7
    x[:, 1, :7] = 0.97  # what is clear in one channel says nothing
    density = -np.log(x[0].flatten(1).numpy().T)
    density = density[(density >= 0.15).all(axis=1)]
    axes = np.linalg.eigh(np.cov(density.T))[1][:, [2, 1]]
    axes = axes * np.where(axes.T @ density.mean(axis=0) < 0, -1, 1)
    plane = density @ axes
    angles = np.percentile(np.arctan2(plane[:, 1], plane[:, 0]), [1, 99])
    stains = np.abs(axes @ np.stack([np.cos(angles), np.sin(angles)])).T
    stains = stains[np.argsort(-stains[:, 0])]
    assert np.allclose(F.macenko_stains(x)[0].numpy(), stains, atol=1e-5)
    clear = F.macenko_stains(torch.ones(1, 3, 9, 12))[0].numpy()
    assert np.allclose(clear[0], [0.644211, 0.716556, 0.266844], atol=1e-6)


def test_vahadanes_factors() -> None:
    """Multiplicative updates by NumPy, on an image of which every pixel is looked at."""
    x = stained(STAINS, 20, 33)
    density = -np.log(x[0].flatten(1).numpy().T)
    stains = np.array([[0.644211, 0.716556, 0.266844], [0.092789, 0.954111, 0.283111]])
    amount = np.maximum(density @ (stains / np.linalg.norm(stains, axis=1, keepdims=True)).T, 0)
    for _ in range(100):
        amount *= (density @ stains.T) / (amount @ stains @ stains.T + 1e-6)
        stains *= (amount.T @ density) / (amount.T @ amount @ stains + 1e-6)
        stains /= np.linalg.norm(stains, axis=1, keepdims=True)
    assert np.allclose(F.vahadane_stains(x)[0].numpy(), stains[np.argsort(-stains[:, 0])], atol=1e-5)


def test_large_images_are_looked_at_on_a_lattice() -> None:
    x = stained(STAINS, 80, 130)
    rows, columns = (np.arange(64) * 80 + 40) // 64, (np.arange(64) * 130 + 65) // 64
    part = x[:, :, rows][:, :, :, columns]
    assert torch.equal(F.macenko_stains(x), F.macenko_stains(part))


def test_what_is_refused() -> None:
    for arguments, message in (
        (("random",), "HEStain: method must be one of preset, random_preset, macenko, vahadane, got 'random'"),
        (("preset", "blue"), "HEStain: preset must be one of .* got 'blue'"),
        (("macenko", "dark"), "preset must be one of .* with method='preset', got 'dark'"),
        (("preset", None, (-1, 1)), r"intensity_scale_range must be within \[0, inf\]"),
        (("preset", None, 1.0, 1.5), r"intensity_shift_range must be within \[-1, 1\]"),
    ):
        with pytest.raises(ValueError, match=message):
            ga.HEStain(*arguments)
    with pytest.raises(ValueError, match=r"HEStain: images must have 3 channels, .* got 1"):
        ga.HEStain(p=1.0)(torch.zeros(1, 1, 8, 8))
    with pytest.raises(ValueError, match="HEStain: images must have one size for method='macenko'"):
        ga.HEStain("macenko", p=1.0)([torch.rand(3, 8, 9), torch.rand(3, 9, 8)])
    with pytest.raises(ValueError, match="he_stain: images must have 3 channels, got 4"):
        F.he_stain(torch.rand(1, 4, 2, 2), torch.rand(1, 2, 3), torch.ones(1, 2), torch.zeros(1, 2))


def test_kernels() -> None:
    steps: list[Any] = [ga.RandomGamma(p=0.5), ga.HEStain(p=0.7, channels=(2, 0, 3)), ga.RandomInvert()]
    expected, out = rendered(ga.Compose(steps, seed=4), images((4, 9, 14), torch.float32, 2))
    assert_same(out, expected)
