"""Sums of lines on the CPU against dense matrices in float64."""

from __future__ import annotations

import numpy as np
import pytest
import torch
import torch.nn.functional as F
from torchvision.transforms.v2.functional import center_crop

import gpuaug as ga
from gpuaug.functional._bags import bagged, blurred, mirrored, sum_lines
from gpuaug.render.resample import read_axes
from gpuaug.render.settings import Reading


def _dense(index: torch.Tensor, weight: torch.Tensor, size: int) -> np.ndarray:
    matrix = np.zeros((len(index), size))
    for row, (places, shares) in enumerate(zip(index.tolist(), weight.tolist(), strict=True)):
        for place, share in zip(places, shares, strict=True):
            matrix[row, place] += share
    return matrix


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
def test_lines_are_summed_by_the_weights(dtype: torch.dtype) -> None:
    planes = torch.rand(3, 7, 9, dtype=dtype)
    sides = []
    for size, n in ((7, 5), (9, 11)):
        index, weight = torch.randint(size, (n, 4)), torch.rand(n, 4, dtype=dtype)
        weight[torch.rand(n, 4) < 0.4] = 0
        weight[:, 0] += 0.1
        sides.append((index, weight, size))
    down, across = (_dense(*side) for side in sides)
    expected = np.einsum("nh,chw,mw->cnm", down, planes.double().numpy(), across)
    rows, columns = (bagged(index.numpy(), weight.numpy(), size, 3, dtype) for index, weight, size in sides)
    np.testing.assert_allclose(sum_lines(planes, rows, columns).double(), expected, rtol=0, atol=3e-6)
    flipped = sum_lines(planes, mirrored(rows, 7, 3), None)
    expected = np.einsum("nh,chw->cnw", down, planes.flip(1).double().numpy())
    np.testing.assert_allclose(flipped.double(), expected, rtol=0, atol=3e-6)


def test_a_weight_of_zero_silences_nan() -> None:
    planes = torch.ones(2, 4, 5)
    planes[:, 2] = torch.nan
    weight = np.array([[0.5, 0.5], [1.0, 0.0], [0.5, 0.5]])
    bags = bagged(np.array([[0, 1], [1, 2], [3, 2]]), weight, 4, 2, torch.float32)
    found = sum_lines(planes, bags, None)
    assert found[:, :2].eq(1).all() and found[:, 2].isnan().all()


@pytest.mark.parametrize("reach", [(0, 3), (5, 0), (10, 2)])
def test_blurs_reflect_at_the_border(reach: tuple[int, int]) -> None:
    image = torch.rand(1, 2, 12, 9, dtype=torch.float64)
    sides = [torch.rand(n + 1).tolist() if n else [1.0] for n in reach]
    kernels = [torch.tensor([*side[:0:-1], *side], dtype=torch.float64) for side in sides]
    padded = F.pad(image, (reach[1], reach[1], reach[0], reach[0]), mode="reflect")
    weight = torch.outer(*kernels).expand(2, 1, -1, -1)
    torch.testing.assert_close(blurred(image, *sides), F.conv2d(padded, weight, groups=2), rtol=0, atol=1e-12)


@pytest.mark.parametrize("interpolation", ["bilinear", "bicubic"])
@pytest.mark.parametrize("antialias", [True, False])
@pytest.mark.parametrize("size", [(5, 31), (29, 8)])
def test_a_mirrored_crop_is_torchs_resampler(interpolation: str, antialias: bool, size: tuple[int, int]) -> None:
    image = torch.rand(1, 3, 20, 23)
    image[..., 17:] = torch.nan  # beside the crop
    reading = Reading(interpolation, antialias)  # type: ignore[arg-type]
    axes = [(12 / size[0], 4.0), (-11 / size[1], 16.0)]  # rows 4..16, columns 16..5
    hard = [5.0, 4.0, 16.0, 16.0]
    found = read_axes(image, axes, size, None, hard, (0.0,), reading, torch.float32, None)
    part = image[..., 4:16, 5:16].double()
    expected = F.interpolate(part, size, mode=interpolation, antialias=antialias, align_corners=False).flip(3)
    torch.testing.assert_close(found.double(), expected, rtol=0, atol=3e-6)


def test_what_all_samples_share_is_moved_at_once() -> None:
    images = torch.arange(2 * 3 * 5 * 7, dtype=torch.uint8).view(2, 3, 5, 7)
    turned = ga.RandomTranspose(p=1.0)(images)
    assert torch.equal(turned, images.transpose(2, 3))
    padded = ga.Compose([ga.RandomTranspose(p=1.0), ga.Pad((1, 2), fill=9)])(images)
    assert torch.equal(padded, F.pad(images.transpose(2, 3), (1, 1, 2, 2), value=9))
    inverted = ga.Compose([ga.CenterCrop((3, 4)), ga.RandomInvert(p=1.0)])(images)
    assert torch.equal(inverted, 255 - center_crop(images, [3, 4]))
    assert torch.equal(images.flatten(), torch.arange(210, dtype=torch.uint8))
