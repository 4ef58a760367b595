"""JPEG on the device is the codec's own, to the last bit: Pillow writes and reads the files."""

from __future__ import annotations

import io
from typing import Any

import numpy as np
import pytest
import torch
from kernels import DEVICE, assert_same, images, rendered
from PIL import Image
from torch import Tensor
from ways import both, drawn_by

import gpuaug as ga
from gpuaug import functional as F
from gpuaug.diagnose import count
from gpuaug.testing import example

NUMBERS = {"4:4:4": 0, "4:2:2": 1, "4:2:0": 2}


def by_pillow(x: Tensor, qualities: list[int], subsampling: str = "4:2:0") -> Tensor:
    """Write and read files of uint8 images."""
    out = []
    for image, quality in zip(x.permute(0, 2, 3, 1).numpy(), qualities, strict=True):
        file = io.BytesIO()
        Image.fromarray(image if image.shape[2] == 3 else image[..., 0]).save(
            file, "JPEG", quality=quality, subsampling=NUMBERS[subsampling]
        )
        out.append(np.array(Image.open(file)).reshape(image.shape))
    return torch.from_numpy(np.stack(out)).permute(0, 3, 1, 2)


@pytest.mark.parametrize("subsampling", NUMBERS)
def test_equals_the_codec(photos: Tensor, subsampling: str) -> None:
    """Photographs and noise, each of its own quality, of sizes that blocks do and do not divide."""
    photos = photos.cpu()
    noise = torch.randint(0, 256, photos.shape, generator=torch.Generator().manual_seed(0), dtype=torch.uint8)
    for h, w in ((120, 160), (117, 153), (33, 17), (9, 6), (5, 4), (3, 2), (1, 1)):
        for x, qualities in ((photos, [1, 35, 50, 92]), (noise, [12, 49, 76, 100])):
            x = x[:, :, :h, 7 : w + 7].contiguous()
            out = F.jpeg(x, torch.tensor(qualities), subsampling)
            assert torch.equal(out, by_pillow(x, qualities, subsampling)), (h, w)


def test_gray_and_bands(photos: Tensor) -> None:
    gray = photos.cpu()[:, 1:2, :50, :77].contiguous()
    assert torch.equal(F.jpeg(gray, 30), by_pillow(gray, [30] * 4))
    bands = torch.cat((photos, photos.flip(0)), dim=1)[:, :, :30, :43]
    out = ga.JPEG(20, channels=(4, 0, 2))(bands)
    chosen = bands[:, [4, 0, 2]].cpu().contiguous()
    assert torch.equal(out[:, [4, 0, 2]].cpu(), by_pillow(chosen, [20] * 4))
    assert torch.equal(out[:, [1, 3, 5]], bands[:, [1, 3, 5]])


def test_floats_are_files_of_8_bits(monkeypatch: pytest.MonkeyPatch) -> None:
    """Values between levels, and beyond black and white, are those of the nearest level."""
    x = example(3, (3, 52, 61)) * 1.4 - 0.2
    levels = (x.clamp(0, 1) * 255).round().to(torch.uint8)
    layer = ga.JPEG((10, 90))
    params = layer.sample(x)
    expected = by_pillow(levels, params["JPEG"].quality.int().tolist())
    for out in both(monkeypatch, layer, x, params):
        assert torch.equal((out * 255).round().to(torch.uint8), expected)
        assert ((out * 255).round() / 255 - out).abs().max() < 1e-6


def test_quality_is_drawn_as_whole_numbers() -> None:
    quality = drawn_by(ga.JPEG((48, 51)), 800, 8, 8).quality
    counts = torch.bincount(quality.long(), minlength=52)[48:]
    assert set(quality.tolist()) == {48.0, 49.0, 50.0, 51.0}
    assert (counts - 200).abs().max() < 5 * (800 * 3 / 16) ** 0.5
    assert drawn_by(ga.JPEG(7), 2, 8, 8).quality.tolist() == [7.0, 7.0]
    x = example(2, (3, 20, 30), torch.uint8)
    assert torch.equal(F.jpeg(x, 39.7), F.jpeg(x, 40)) and not torch.equal(F.jpeg(x, 39), F.jpeg(x, 40))


def test_gradients_pass_straight_through() -> None:
    """The finest steps leave an image as it is, and a gradient too; coarse ones share it within a block."""
    x = example(2, (1, 16, 24), torch.float64)[:, :, :13, :19].requires_grad_()
    weight = torch.linspace(-1, 1, x.numel(), dtype=torch.float64).view(x.shape)
    for quality in (100, 10):
        out = F.jpeg(x, quality)
        (grad,) = torch.autograd.grad((out * weight).sum(), x)
        inner = grad[:, :, :8, :16]  # blocks that nothing is repeated in
        assert (inner - weight[:, :, :8, :16]).abs().max() < 2e-3, quality
    colour = example(1, (3, 16, 16)).requires_grad_()
    (grad,) = torch.autograd.grad(F.jpeg(colour, 50, "4:2:0").sum(), colour)
    # The sum of an image follows its mean: red, green and blue weigh one each, whatever the chroma is halved.
    assert (grad - 1).abs().max() < 0.01 and torch.isfinite(grad).all()
    with torch.no_grad():
        assert torch.equal(F.jpeg(colour, 50), F.jpeg(colour.detach(), 50))
    assert torch.equal(F.jpeg(colour, 50).detach(), F.jpeg(colour.detach(), 50))


@pytest.mark.parametrize("subsampling", NUMBERS)
def test_kernels(subsampling: str) -> None:
    """Behind a warp and before operations; alone on sizes of an edge; some samples left out."""
    dtype = torch.float32 if subsampling == "4:2:2" else torch.uint8
    steps: list[Any] = [ga.RandomHorizontalFlip(), ga.JPEG((20, 90), subsampling, p=0.6), ga.RandomInvert(p=0.5)]
    expected, out = rendered(ga.Compose(steps, seed=2), images((3, 21, 37), dtype, 5))
    assert_same(out, expected, share=0.0)
    for shape in ((3, 1, 1), (3, 9, 4), (1, 12, 9)):
        expected, out = rendered(ga.JPEG(25, subsampling), images(shape, dtype))
        assert_same(out, expected, share=0.0)


def test_kernels_take_any_layout() -> None:
    x = images((3, 19, 26), torch.uint8).contiguous(memory_format=torch.channels_last)
    expected, out = rendered(ga.Compose([ga.JPEG((20, 90), p=0.5)], seed=1), x)
    assert_same(out, expected, share=0.0)


@pytest.mark.skipif(DEVICE.type == "cuda", reason="bytes are counted on tensors without values")
def test_bytes() -> None:
    """The images are read for the planes and, where a sample is left out, to be copied; planes are half as large."""
    for dtype, most in ((torch.uint8, 3.2), (torch.float32, 2.7)):
        x = torch.empty((16, 3, 96, 80), dtype=dtype, device="meta")
        layer = ga.Compose([ga.JPEG((30, 90), p=0.5)], seed=0, backend="triton")
        layer(x)
        counts = count(layer, x)
        assert (counts.synchronising, counts.host_to_device, counts.host_operations) == (0, 0, 0), counts.names
        assert counts.traffic <= most and counts.image_sized <= 4
        layer = ga.Compose([ga.JPEG((30, 90), p=0.5)], seed=0, backend="torch")
        layer(x)
        counts = count(layer, x)
        assert (counts.synchronising, counts.host_to_device, counts.host_operations) == (0, 0, 0), counts.names


def test_refusals() -> None:
    with pytest.raises(ValueError, match="JPEG: quality must be"):
        ga.JPEG((0, 50))
    with pytest.raises(ValueError, match="JPEG: quality must be"):
        ga.JPEG(101)
    with pytest.raises(ValueError, match="JPEG: subsampling must be one of 4:4:4, 4:2:2, 4:2:0, got '4:1:1'"):
        ga.JPEG(50, "4:1:1")
    with pytest.raises(ValueError, match=r"JPEG: images must have 1 or 3 channels.*got 4"):
        ga.JPEG(50)(torch.zeros(2, 4, 8, 9))
    with pytest.raises(ValueError, match="jpeg: image must have 1 or 3 channels, got 2"):
        F.jpeg(torch.zeros(2, 2, 8, 9), 50)
    with pytest.raises(ValueError, match="jpeg: subsampling must be one of"):
        F.jpeg(torch.zeros(2, 3, 8, 9), 50, "4:1:1")
