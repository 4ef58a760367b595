"""Domain adaptation and Fancy PCA against arithmetic written apart, in float64."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
import torch
from kernels import assert_same, images, rendered
from torch import Tensor

import gpuaug as ga
from gpuaug import functional as F
from gpuaug.functional._axes import by_kernel, jacobi
from gpuaug.functional.adapt import frame_change
from gpuaug.testing import example
from gpuaug.transforms import domain

X = example(4, (3, 14, 19), torch.float64)
Y = example(8, (3, 11, 23), torch.float64)[4:].pow(2)  # another number of pixels, another distribution


@pytest.fixture(autouse=True)
def seeded() -> None:
    torch.manual_seed(3)


@pytest.mark.parametrize("count", [1, 2, 3, 4, 6])
def test_principal_axes(count: int) -> None:
    """Jacobi's rotations, which devices take, against NumPy's solver: alike values, spread ones, and none."""
    generator = torch.Generator().manual_seed(count)
    half = torch.randn((6, count, count), generator=generator)
    matrix = half @ half.transpose(1, 2)
    matrix[1], matrix[2], matrix[3] = torch.eye(count), 0.0, torch.diag(torch.logspace(-6, 0, count))
    values, vectors = jacobi(matrix)
    expected = np.linalg.eigvalsh(matrix.double().numpy())[:, ::-1]
    assert np.allclose(values.numpy(), expected, atol=2e-6 * float(matrix.abs().max()))
    assert torch.allclose(vectors.transpose(1, 2) @ vectors, torch.eye(count).expand(6, -1, -1), atol=2e-6)
    back = vectors @ torch.diag_embed(values) @ vectors.transpose(1, 2)
    assert torch.allclose(back, matrix, atol=2e-6 * float(matrix.abs().max()))
    if count < 4:  # the interpreter is slow
        turned = by_kernel(matrix[:2])
        assert torch.allclose(turned[0], values[:2], atol=2e-6 * float(matrix.abs().max()))
        again = turned[1] @ torch.diag_embed(turned[0]) @ turned[1].transpose(1, 2)
        assert torch.allclose(again, matrix[:2], atol=2e-6 * float(matrix.abs().max()))
    solved = torch.ops.gpuaug.principal_axes(matrix)
    assert torch.allclose(solved[0], values, atol=2e-6 * float(matrix.abs().max()))
    nothing = torch.full((1, count, count), torch.nan)
    for find in (torch.ops.gpuaug.principal_axes, by_kernel)[: 1 + (count == 2)]:
        assert all(torch.isfinite(t).all() for t in find(nothing))


@pytest.mark.usefixtures("ways")
@pytest.mark.parametrize("channels", [1, 2, 3, 6])
def test_fancy_pca(channels: int) -> None:
    x = example(3, (channels, 12, 17), torch.float64) * 0.5 + 0.2
    layer = ga.FancyPCA(9.0, p=1.0)
    out, params = layer(x, return_params=True)
    alpha = params.values["FancyPCA"]["alpha"].double().numpy()
    assert alpha.shape == (3, channels)
    for b in range(3):
        values, axes = np.linalg.eigh(np.atleast_2d(np.cov(x[b].flatten(1).numpy())))
        shift = np.zeros(channels)
        for k in range(channels):
            value, axis = values[-1 - k], axes[:, -1 - k]
            axis = axis * np.sign((axis * 0.25 ** np.arange(channels)).sum())
            shift += alpha[b, k] * value * axis
        expected = np.clip(x[b].numpy() + shift[:, None, None], 0, 1)
        assert np.allclose(out[b].numpy(), expected, atol=1e-6) and np.abs(shift).max() > 0.003
    with pytest.raises(ValueError, match=r"FancyPCA: alpha must not be negative, got -1"):
        ga.FancyPCA(-1)


def matched(source: np.ndarray, other: np.ndarray) -> np.ndarray:
    """Return levels of one channel with the histogram of another: NumPy's interpolation between quantiles."""
    _, inverse, counts = np.unique(source, return_inverse=True, return_counts=True)
    others, other_counts = np.unique(other, return_counts=True)
    shares, other_shares = np.cumsum(counts) / source.size, np.cumsum(other_counts) / other.size
    return np.interp(shares, other_shares, others)[inverse].reshape(source.shape)


@pytest.mark.usefixtures("ways")
@pytest.mark.parametrize("dtype", [torch.uint8, torch.float64])
def test_histograms_of_given_references(dtype: torch.dtype) -> None:
    x, y = ((v if dtype.is_floating_point else (v * 255).round().to(dtype)) for v in (X, Y))
    layer = ga.HistogramMatching(y, (0.2, 1.0), p=1.0)
    out, params = layer(x, return_params=True)
    drawn = params.values["HistogramMatching"]
    unit = 255 if dtype == torch.uint8 else 1
    for b, (source, share) in enumerate(zip(drawn["source"].tolist(), drawn["blend_ratio"].tolist(), strict=True)):
        for c in range(3):
            own, other = (np.floor(v[c].double().numpy() / unit * 255.999) for v in (x[b], y[source]))
            expected = (1 - share) * x[b, c].double().numpy() + share * matched(own, other) * unit / 255
            assert np.abs(out[b, c].double().numpy() - expected).max() < (0.501 if unit == 255 else 1e-5)
    same = ga.HistogramMatching(x[:1], 1.0, p=1.0)(x[:1])
    assert (same - x[:1]).double().abs().max() <= (0 if unit == 255 else 1 / 255)


def frame(x: np.ndarray, kind: str) -> tuple[np.ndarray, np.ndarray]:
    """Return scale or axes, and origin, of pixels (C, N)."""
    mean = x.mean(axis=1)
    if kind == "pca":
        return np.linalg.eigh(np.cov(x))[1][:, ::-1], mean
    if kind == "standard":
        return np.diag(x.std(axis=1)), mean
    return np.diag(x.max(axis=1) - x.min(axis=1)), x.min(axis=1)


@pytest.mark.usefixtures("ways")
@pytest.mark.parametrize("kind", ["pca", "standard", "minmax"])
def test_distributions_of_the_others_in_the_batch(kind: str) -> None:
    layer = ga.PixelDistributionAdaptation(blend_ratio=(0.2, 1.0), transform_type=kind, p=1.0)
    x = X * torch.tensor([0.3, 0.9, 0.6, 1.0]).double().view(4, 1, 1, 1)
    out, params = layer(x, return_params=True)
    drawn = params.values["PixelDistributionAdaptation"]
    source = drawn["source"].tolist()
    assert sorted(source) == [0, 1, 2, 3] and all(n != b for b, n in enumerate(source))
    for b in range(4):
        pixels, others = (x[n].flatten(1).numpy() for n in (b, source[b]))
        (own, origin), (other, there) = frame(pixels, kind), frame(others, kind)
        if kind == "pca":
            other = other * np.where((own * other).sum(axis=0) < 0, -1, 1)
        moved = other @ np.linalg.inv(own) @ (pixels - origin[:, None]) + there[:, None]
        share = float(drawn["blend_ratio"][b])
        expected = (1 - share) * pixels + share * np.clip(moved, 0, 1)
        assert np.allclose(out[b].flatten(1).numpy(), expected, atol=2e-6)
    if kind != "pca":  # the frame is that of the other image then
        done = F.adapt_pixels(x[:1] * 0.5 + 0.2, F.frame_of(x[1:2] * 0.5 + 0.2, kind), 1.0, kind)
        assert torch.allclose(F.frame_of(done, kind), F.frame_of(x[1:2] * 0.5 + 0.2, kind), atol=1e-6)


def test_a_constant_image_is_moved_only() -> None:
    flat = torch.full((1, 2, 3, 4), 0.25, dtype=torch.float64)
    for kind in ("standard", "minmax"):
        change = frame_change(kind, F.frame_of(flat, kind), F.frame_of(Y[:1, :2], kind))
        assert torch.isfinite(change).all()
    out = F.adapt_pixels(flat, F.frame_of(Y[:1, :2], "standard"), 1.0, "standard")
    assert torch.allclose(out.mean((2, 3)), Y[:1, :2].mean((2, 3)), atol=1e-6)


@pytest.mark.usefixtures("ways")
@pytest.mark.parametrize("size", [(14, 19), (18, 15)])
def test_spectra(size: tuple[int, int]) -> None:
    """The paper's arithmetic on a whole, shifted spectrum."""
    h, w = size
    x = example(4, (3, h, w), torch.float64) * 0.4 + 0.3  # so that nothing is clamped
    beta = torch.tensor([0.0, 0.05, 0.2, 0.4])
    layer = ga.FDA(beta_limit=0.45, p=1.0)
    params = layer.sample(x)
    source = params.values["FDA"]["source"].tolist()
    params.values["FDA"]["beta"] = beta
    out = layer.replay(x, params)
    middle, centre = h // 2, w // 2
    for b in range(4):
        if b == 0:
            assert torch.allclose(out[0], x[0], atol=1e-12)
            continue
        waves = np.fft.fftshift(np.fft.fft2(x[b].numpy()), axes=(1, 2))
        others = np.fft.fftshift(np.fft.fft2(x[source[b]].numpy()), axes=(1, 2))
        reach = int(np.floor(float(beta[b]) * min(h, w) + 1e-4))
        window = np.s_[:, middle - reach : middle + reach + 1, centre - reach : centre + reach + 1]
        size_of = np.abs(waves)
        size_of[window] = np.abs(others)[window]
        mixed = np.fft.ifft2(np.fft.ifftshift(size_of * np.exp(1j * np.angle(waves)), axes=(1, 2))).real
        assert np.allclose(out[b].numpy(), np.clip(mixed, 0, 1), atol=1e-5)
        assert np.abs(mixed - x[b].numpy()).max() > 0.02


def test_references_of_another_size_and_dtype() -> None:
    """They are resized for the spectrum; an image adapted to itself stays."""
    big = torch.nn.functional.interpolate(X[:1].float(), (28, 38), mode="nearest")
    out = ga.FDA((big * 255).round().to(torch.uint8), (0.3, 0.3), p=1.0)(X[:1])
    assert (out - X[:1]).abs().max() < 0.02
    for name in ("pca", "standard", "minmax"):
        kept = ga.PixelDistributionAdaptation([X[0]], 1.0, name, p=1.0)(X[:1])
        assert torch.allclose(kept, X[:1], atol=1e-5)


def test_only_what_a_gate_lets_through_is_measured(monkeypatch: pytest.MonkeyPatch) -> None:
    layer, seen = ga.HistogramMatching(p=0.5), []
    layer.reseed(1)
    measured = layer.measured
    monkeypatch.setattr(layer, "measured", lambda x, context: seen.append(len(x)) or measured(x, context))
    gate = layer.sample(example(9)).values["HistogramMatching"]["gate"]
    assert 0 < int(gate.sum()) < 9 and seen == [1] * int(gate.sum())


def test_bands_ranges_and_clips() -> None:
    """A reference is on the scale of the images, of the bands that are adapted, and of a clip's first frame."""
    x = example(4, (4, 9, 12))
    layer = ga.PixelDistributionAdaptation(blend_ratio=1.0, transform_type="minmax", p=1.0, channels=(3, 1))
    out, params = layer(x, return_params=True)
    source = params.values["PixelDistributionAdaptation"]["source"]
    assert torch.equal(out[:, ::2], x[:, ::2])
    for ends in (torch.amin, torch.amax):
        wanted = ends(x, (2, 3)).index_select(0, source)[:, [1, 3]]
        assert torch.allclose(ends(out, (2, 3))[:, [1, 3]], wanted, atol=1e-5)
    whole = ga.Compose([ga.HistogramMatching(p=1.0)], value_range=(0, 1000), seed=2)
    fine = (x * 1000).round().to(torch.int16)
    plain = ga.Compose([ga.HistogramMatching(p=1.0)], seed=2)
    assert ((whole(fine).float() / 1000) - plain(fine.float() / 1000)).abs().max() < 1e-3
    clips = x[:, None].expand(-1, 3, -1, -1, -1).contiguous()
    clips[:, 1:] *= 0.5
    params = layer.sample(clips)
    assert params.values["PixelDistributionAdaptation"]["reference"].shape == (4, 2, 3)
    assert layer.replay(clips, params).shape == clips.shape


def test_what_is_refused() -> None:
    mixed = [torch.rand(3, 8, 9), torch.rand(3, 7, 12)]
    for make in (ga.HistogramMatching, ga.PixelDistributionAdaptation, ga.FDA):
        name = make.__name__
        with pytest.raises(ValueError, match=f"{name}: images must have one size to be adapted to one another"):
            make(p=1.0)(mixed)
        with pytest.raises(ValueError, match=f"{name}: reference_images must have 1 channels, as the images, got 3"):
            make(Y, p=1.0)(X[:, :1])
        with pytest.raises(TypeError, match=f"{name}: reference_images must be a tensor"):
            make("photo.png")
        with pytest.raises(ValueError, match=rf"{name}: reference_images must have shape \(N, C, H, W\), got \(3, 4\)"):
            make(torch.rand(3, 4))
    with pytest.raises(ValueError, match="transform_type must be one of pca, standard, minmax, got 'ica'"):
        ga.PixelDistributionAdaptation(transform_type="ica")
    with pytest.raises(ValueError, match=r"FDA: beta_limit must be within \[0, 0\.5\]"):
        ga.FDA(beta_limit=0.7)


def test_ragged_batches_with_references() -> None:
    mixed = [X[0].float(), Y[1].float()]
    for layer in (ga.HistogramMatching(Y, 1.0, p=1.0), ga.FancyPCA(2.0, p=1.0)):
        layer.reseed(4)
        out, params = layer(mixed, return_params=True)
        for n, image in enumerate(mixed):
            values = {k: v[n : n + 1] for k, v in params.values[type(layer).__name__].items()}
            alone = layer.sample(image[None])
            alone.values[type(layer).__name__] = values
            assert torch.allclose(layer.replay(image[None], alone)[0], out[n], atol=1e-5)


STEPS: list[Any] = [
    ga.HistogramMatching(Y, p=0.7),
    ga.FancyPCA(4.0, p=0.7),
    ga.PixelDistributionAdaptation(Y, p=0.7),
    ga.PixelDistributionAdaptation(Y, transform_type="standard", p=0.7),
    ga.PixelDistributionAdaptation(Y, transform_type="minmax", p=0.7),
]


@pytest.mark.parametrize("dtype", [torch.uint8, torch.float32], ids=str)
def test_kernels(dtype: torch.dtype) -> None:
    """What is measured, in the middle of a program; an image of several parts."""
    steps: list[Any] = [*STEPS, ga.RandomInvert()]
    expected, out = rendered(
        ga.Compose(steps, seed=4), images((3, 66, 63) if dtype == torch.uint8 else (3, 13, 18), dtype, 2)
    )
    # A level of a histogram that falls to the other side makes a step.
    assert ((out.double() - expected.double()).abs() > (1 if dtype == torch.uint8 else 1e-4)).double().mean() < 0.005
    four = ga.Compose([ga.FancyPCA(4.0, p=1.0), ga.PixelDistributionAdaptation(p=1.0)], seed=1)
    expected, out = rendered(four, images((4, 13, 18), dtype))
    assert_same(out, expected, share=0.01)


def test_gradients_take_statistics_as_given() -> None:
    x: Tensor = X.clone().requires_grad_()
    (grad,) = torch.autograd.grad(F.fancy_pca(x, torch.zeros(4, 3)).sum(), x)
    assert torch.equal(grad, torch.ones_like(grad))


def remixed(lam: float, own: float, other: float, kappa: float, tau: float) -> float:
    """Return the share of the own label, case by case as in the paper."""
    if own / other >= kappa and lam < tau:
        return 0.0
    if own / other <= 1 / kappa and 1 - lam < tau:
        return 1.0
    return lam


@pytest.mark.parametrize("soft", [False, True])
def test_remix(soft: bool) -> None:
    """Labels of rare classes win; pixels are blended as ever, and who is left out keeps its label."""
    counts, x = (900, 300, 100, 10), example(64, (1, 4, 5))
    labels = torch.arange(64) % 4
    given = torch.nn.functional.one_hot(labels, 4).float() if soft else labels
    layer = ga.MixUp(alpha=1.0, num_classes=4, p=0.8, class_counts=torch.tensor(counts), kappa=3.0, tau=0.4)
    layer.reseed(2)
    (out, mixed), params = layer(x, given, return_params=True)
    drawn = params.values["MixUp"]
    partner, lam = drawn["partner"], drawn["lam"]
    assert torch.allclose(out, lam.view(-1, 1, 1, 1) * x + (1 - lam.view(-1, 1, 1, 1)) * x[partner], atol=1e-6)
    cases = set()
    for b in range(64):
        own, other, share = int(labels[b]), int(labels[partner[b]]), float(lam[b])
        kept = remixed(share, counts[own], counts[other], 3.0, 0.4)
        cases.add((kept == 0, kept == 1, share == 1))
        expected = torch.zeros(4)
        expected[own] += kept
        expected[other] += 1 - kept
        assert torch.allclose(mixed[b], expected, atol=1e-6)
    assert cases == {(True, False, False), (False, True, False), (False, False, False), (False, True, True)}
    plain = ga.MixUp(num_classes=4, p=0.8, class_counts=counts, tau=0.0)
    usual = ga.MixUp(num_classes=4, p=0.8)
    plain.reseed(5), usual.reseed(5)
    assert torch.equal(plain(x, given)[1], usual(x, given)[1])


def test_remix_of_pairs_and_what_it_refuses() -> None:
    layer = ga.MixUp(class_counts=[100, 1], return_pairs=True)
    layer.reseed(1)
    (_, (own, other, share)), params = layer(torch.rand(8, 1, 3, 4), torch.arange(8) % 2, return_params=True)
    lam, counts = params.values["MixUp"]["lam"].tolist(), [100, 1]
    wanted = [remixed(v, counts[a], counts[b], 3.0, 0.5) for v, a, b in zip(lam, own, other, strict=True)]
    assert torch.allclose(share, torch.tensor(wanted)) and 0.0 in wanted and wanted != lam
    assert "class_counts=[100.0, 1.0]" in repr(layer)
    assert ga.fingerprint(ga.from_dict(ga.to_dict(layer))) == ga.fingerprint(layer)
    for arguments, message in (
        ({"class_counts": [1, -1]}, "class_counts must be finite and not negative"),
        ({"class_counts": [1, 2], "num_classes": 3}, "class_counts must have 3 numbers, as num_classes, got 2"),
        ({"class_counts": [1, 2], "multi_label": True}, "class_counts must be None with multi_label"),
        ({"kappa": 1.0}, r"kappa must be above 1, got 1\.0"),
        ({"tau": 1.5}, r"tau must be between 0 and 1, got 1\.5"),
    ):
        with pytest.raises(ValueError, match=message):
            ga.MixUp(**arguments)
    with pytest.raises(ValueError, match="class_counts must have 3 numbers, one for each class of the labels, got 2"):
        ga.MixUp(class_counts=[1, 2])(torch.rand(2, 1, 3, 4), torch.eye(3)[:2])


@pytest.mark.parametrize("channels", [3, 6])
def test_references_are_measured_by_kernels(channels: int, monkeypatch: pytest.MonkeyPatch) -> None:
    """On a device; of more than four channels in groups, where no products are needed."""
    x = example(3, (channels, 9, 14))
    for layer in (
        ga.HistogramMatching(p=1.0),
        *(ga.PixelDistributionAdaptation(transform_type=kind, p=1.0) for kind in ("standard", "minmax")),
    ):
        name = type(layer).__name__
        layer.reseed(1)
        wanted = layer.sample(x).values[name]["reference"]
        with monkeypatch.context() as patched:
            patched.setattr(domain, "by_kernels", lambda images: True)
            assert torch.allclose(layer.sample(x).values[name]["reference"], wanted, atol=1e-5)
