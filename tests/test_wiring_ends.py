"""Blur, the ends of a pipeline and the one rounding, wired by hand: torchvision, NumPy and OpenCV are the truth."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor
from torchvision.transforms import InterpolationMode
from torchvision.transforms.v2 import functional as tv
from ways import both, drawn, levels_apart

import gpuaug as ga
from gpuaug import functional as F
from gpuaug.sampling.params import Params
from gpuaug.testing import example

SHAPE = (3, 19, 29)
HALF = 0.5 + 1e-3
"""Of a level: how far a value that is rounded once may lie from the exact one."""


# -- blur


@pytest.mark.parametrize("size", [(3, 11), (11, 3)], ids=str)
def test_blur_is_as_wide_as_its_kernel_says(monkeypatch: pytest.MonkeyPatch, size: tuple[int, int]) -> None:
    """Horizontal first, as in torchvision; sigma is so large that the ends of both kernels matter."""
    images = example(4, SHAPE)
    layer = ga.GaussianBlur(size, sigma=(1.5, 4.0), p=0.5)
    params = drawn(layer, images, seed=1)
    d = params["GaussianBlur"]
    assert d.gate.any() and not d.gate.all()
    expected = torch.stack(
        [
            tv.gaussian_blur(x, kernel_size=list(size), sigma=[s, s]) if on else x
            for x, s, on in zip(images, d.sigma.tolist(), d.gate.tolist(), strict=True)
        ]
    )
    for out in both(monkeypatch, layer, images, params):
        torch.testing.assert_close(out, expected, rtol=0, atol=1e-5)
    torch.testing.assert_close(
        F.gaussian_blur(images, d.sigma, kernel_size=size)[d.gate], expected[d.gate], rtol=0, atol=1e-5
    )


# -- the ends

MODES = ("standard", "image", "image_per_channel", "min_max", "min_max_per_channel")
MEAN, STD = (0.4, 0.5, 0.3), (0.2, 0.3, 0.25)


def normalized(mode: str, x: np.ndarray) -> Tensor:
    """Return values 0..1 (B, C, H, W), normalised; 1e-4 keeps the division finite, as in Albumentations."""
    axes = (2, 3) if mode.endswith("per_channel") else (1, 2, 3)
    if mode == "standard":
        out = (x - np.reshape(MEAN, (1, 3, 1, 1))) / np.reshape(STD, (1, 3, 1, 1))
    elif mode.startswith("min_max"):
        low, high = x.min(axes, keepdims=True), x.max(axes, keepdims=True)
        out = (x - low) / (high - low + 1e-4)
    else:
        out = (x - x.mean(axes, keepdims=True)) / (x.std(axes, keepdims=True) + 1e-4)
    return torch.from_numpy(out)


def normalize(mode: str, **settings: Any) -> ga.Normalize:
    """Return the transform of a mode."""
    return ga.Normalize(*((MEAN, STD) if mode == "standard" else ()), normalization=mode, **settings)


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64, torch.uint8], ids=str)
@pytest.mark.parametrize("mode", MODES)
def test_normalize_by_mode(monkeypatch: pytest.MonkeyPatch, mode: str, dtype: torch.dtype) -> None:
    # Channels of different spread, so that no mode gives what another does.
    images = example(3, SHAPE, torch.float64) * torch.tensor([1.0, 0.6, 0.3]).view(1, 3, 1, 1)
    images = (images * 255).round().to(dtype) if dtype == torch.uint8 else images.to(dtype)
    unit = 255 if dtype == torch.uint8 else 1
    expected = normalized(mode, images.double().numpy() / unit)
    layer = normalize(mode)
    for out in both(monkeypatch, layer, images, drawn(layer, images)):
        assert out.dtype == (torch.float32 if dtype == torch.uint8 else dtype)
        torch.testing.assert_close(out.double(), expected, rtol=0, atol=1e-5)


@pytest.mark.parametrize("dtype", [torch.float16, torch.bfloat16, torch.float64], ids=str)
@pytest.mark.parametrize("source", [torch.float32, torch.uint8], ids=str)
@pytest.mark.parametrize("mode", ["standard", "image"])
def test_normalize_into_a_dtype(
    monkeypatch: pytest.MonkeyPatch, mode: str, source: torch.dtype, dtype: torch.dtype
) -> None:
    images = example(2, SHAPE, source)
    layer = normalize(mode, dtype=dtype)
    expected = normalized(mode, images.double().numpy() / (255 if source == torch.uint8 else 1))
    # Working values are float32; one rounding to the output's dtype comes on top.
    bound = 1e-5 + (torch.finfo(dtype).eps / 2 * expected.abs() if dtype != torch.float64 else 0)
    for out in both(monkeypatch, layer, images, drawn(layer, images)):
        assert out.dtype == dtype
        assert ((out.double() - expected).abs() <= bound).all()


LAYOUTS = {"contiguous": torch.contiguous_format, "channels_last": torch.channels_last}
ENDS: dict[str, Callable[..., Any]] = {
    "Normalize": lambda **settings: normalize("standard", **settings),
    "Normalize by image": lambda **settings: normalize("image", **settings),
    "ToDtype(float32)": lambda **settings: ga.ToDtype(torch.float32, **settings),
    "ToDtype(uint8)": lambda **settings: ga.ToDtype(torch.uint8, **settings),
    "ToDtype(float16)": lambda **settings: ga.ToDtype(torch.float16, **settings),
}


@pytest.mark.parametrize("source", [torch.float32, torch.uint8], ids=str)
@pytest.mark.parametrize("name", ENDS)
def test_ends_lay_the_output_out(monkeypatch: pytest.MonkeyPatch, name: str, source: torch.dtype) -> None:
    """As asked for, whatever the input's layout; where nothing is asked for, as the input; values are the same."""
    for given in LAYOUTS.values():
        images = example(2, SHAPE, source).contiguous(memory_format=given)
        for asked in (None, *LAYOUTS.values()):
            layer = ENDS[name](memory_format=asked)
            wanted = given if asked is None else asked
            plain = ENDS[name]()(images.contiguous())
            for out in both(monkeypatch, layer, images, drawn(layer, images)):
                assert out.is_contiguous(memory_format=wanted)
                torch.testing.assert_close(out, plain, rtol=0, atol=1e-6)


# -- uint8

SOLARIZE = (ga.RandomSolarize, (100,))
GAMMA = (ga.RandomGamma, ((60, 180),))
JITTER = (ga.ColorJitter, (0.3, 0.3, 0.3))
TURN = (ga.RandomRotation, (25,))


def made(parts: list[tuple[Any, tuple[Any, ...]]]) -> list[Any]:
    """Return transforms, each always applied."""
    return [kind(*given, p=1.0) for kind, given in parts]


@pytest.mark.parametrize(
    "parts",
    [[JITTER, GAMMA, SOLARIZE], [GAMMA, JITTER], [TURN, JITTER, GAMMA], [TURN, GAMMA, SOLARIZE]],
    ids=lambda parts: "-".join(kind.__name__ for kind, _ in parts),
)
def test_without_fusing_each_transform_rounds(
    monkeypatch: pytest.MonkeyPatch, parts: list[tuple[Any, tuple[Any, ...]]]
) -> None:
    """A uint8 chain with fuse=False is its transforms called one by one, bit for bit."""
    images = example(5, SHAPE, torch.uint8)
    chain = ga.Compose(made(parts), seed=4, fuse=False)
    params = chain.sample(images)
    outs = both(monkeypatch, chain, images, params)
    fused = both(monkeypatch, ga.Compose(made(parts)), images, params)
    for out, together, small in zip(outs, fused, (10**9, 0), strict=True):
        monkeypatch.setattr("gpuaug.render.backend.SMALL", small)
        step = images
        for transform in made(parts):
            name = type(transform).__name__
            values = {name: params.values[name]}
            one = Params(values, params.canvas, params.state, params.ids, (name,))
            step = ga.Compose([transform]).replay(step, one)
        assert torch.equal(out, step)
        assert not torch.equal(out, together)  # the roundings matter here


def checkerboard(h: int, w: int, block: int) -> Tensor:
    """Return a uint8 image (3, h, w) of black and white squares."""
    y, x = torch.meshgrid(torch.arange(h) // block, torch.arange(w) // block, indexing="ij")
    return (((x + y) % 2) * 255).to(torch.uint8).expand(3, h, w)


def cubic(t: np.ndarray, a: float) -> np.ndarray:
    """Return Keys' kernel."""
    t = np.abs(t)
    near, far = ((a + 2) * t - (a + 3)) * t * t + 1, ((a * t - 5 * a) * t + 8 * a) * t - 4 * a
    return np.where(t <= 1, near, np.where(t < 2, far, 0.0))


def turned(image: np.ndarray, degrees: float, a: float) -> np.ndarray:
    """Return (H, W) turned counter-clockwise about its middle by Keys' kernel: black outside, not clamped."""
    h, w = image.shape
    y, x = np.meshgrid(np.arange(h) + 0.5 - h / 2, np.arange(w) + 0.5 - w / 2, indexing="ij")
    cosine, sine = np.cos(np.radians(degrees)), np.sin(np.radians(degrees))
    px, py = cosine * x - sine * y + w / 2 - 0.5, sine * x + cosine * y + h / 2 - 0.5
    padded = np.pad(image.astype(np.float64), 40)
    out = np.zeros((h, w))
    for dy in range(-1, 3):
        for dx in range(-1, 3):
            row, column = np.floor(py).astype(int) + dy, np.floor(px).astype(int) + dx
            out += padded[row + 40, column + 40] * cubic(row - py, a) * cubic(column - px, a)
    return out


@pytest.mark.parametrize("antialias", [True, False])
@pytest.mark.parametrize("block", [2, 3])
def test_bicubic_crops_do_not_wrap_around(monkeypatch: pytest.MonkeyPatch, block: int, antialias: bool) -> None:
    """A cubic passes black and white at an edge: uint8 has to stop there.

    The truth is torchvision's crop of the same image in float64, clamped at the end: its crop of uint8 clamps and
    rounds after each axis as well, which moves a checkerboard by more than one level from its own result in floats.
    """
    h, w = 26, 38
    images = checkerboard(h, w, block).repeat(5, 1, 1, 1)
    layer = ga.RandomResizedCrop((33, 47), scale=(0.2, 0.9), interpolation="bicubic", antialias=antialias)
    params = drawn(layer, images)
    d = params["RandomResizedCrop"]
    boxes = torch.stack((d.top, d.left, d.height, d.width), dim=1).int().tolist()

    exact = torch.stack(
        [
            tv.resized_crop(x, *box, [33, 47], interpolation=InterpolationMode.BICUBIC, antialias=antialias)
            for x, box in zip(images.double() / 255, boxes, strict=True)
        ]
    )
    assert exact.max() > 1.02 and exact.min() < -0.02
    for out in both(monkeypatch, layer, images, params):
        assert levels_apart(out, exact.clamp(0, 1)) <= HALF


@pytest.mark.parametrize("antialias", [True, False])
@pytest.mark.parametrize("block", [2, 3])
def test_bicubic_rotations_do_not_wrap_around(monkeypatch: pytest.MonkeyPatch, block: int, antialias: bool) -> None:
    """As Keys' kernel (-0.5 where antialiased, as Pillow's, else -0.75), clamped and rounded once."""
    h, w = 26, 38
    images = checkerboard(h, w, block).repeat(4, 1, 1, 1)
    layer = ga.RandomRotation(40, interpolation="bicubic", antialias=antialias)
    params = drawn(layer, images)
    angles = params["RandomRotation"].angle.tolist()
    a = -0.5 if antialias else -0.75
    exact = np.stack([turned(image[0].numpy(), angle, a) for image, angle in zip(images, angles, strict=True)])
    assert exact.max() > 258 and exact.min() < -3
    expected = torch.from_numpy(np.clip(exact, 0, 255))[:, None].expand(-1, 3, -1, -1)
    for out in both(monkeypatch, layer, images, params):
        assert levels_apart(out, expected / 255) <= HALF


def test_uint8_warps_round(monkeypatch: pytest.MonkeyPatch) -> None:
    """To the nearest level of what torchvision gives in float64, and of what we give there."""
    images = example(4, (3, 37, 53), torch.uint8)
    floats = images.double() / 255
    layer = ga.RandomRotation(40)
    params = drawn(layer, images)
    angles = params["RandomRotation"].angle.tolist()
    theirs = torch.stack([tv.rotate(x, a, InterpolationMode.BILINEAR) for x, a in zip(floats, angles, strict=True)])
    exact = both(monkeypatch, layer, floats, params)
    for out, ours in zip(both(monkeypatch, layer, images, params), exact, strict=True):
        assert levels_apart(out, ours) <= HALF
        assert levels_apart(out, theirs) <= HALF
        assert abs((out.double() - theirs * 255).mean()) < 0.02  # not cut off, which makes darker by half a level
