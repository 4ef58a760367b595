"""Medians: the definition, the walk's network and the kernel, against OpenCV and NumPy."""

from __future__ import annotations

from typing import Any

import cv2
import numpy as np
import pytest
import torch
from kernels import assert_same, images, rendered
from torch import Tensor

import gpuaug as ga
from gpuaug import functional as F
from gpuaug.functional.median import median_one
from gpuaug.testing import example


def medians(image: Tensor, size: int) -> np.ndarray:
    """Return the medians of (C, H, W), window by window."""
    reach = size // 2
    padded = np.pad(image.numpy(), ((0, 0), (reach, reach), (reach, reach)), mode="edge")
    windows = np.lib.stride_tricks.sliding_window_view(padded, (size, size), axis=(1, 2))
    return np.median(windows, axis=(3, 4))


@pytest.mark.parametrize("size", [3, 5, 7, 9])
def test_is_opencvs(size: int) -> None:
    """Exactly, for bytes; and for floats NumPy's, by the network too."""
    x = example(2, (3, 13, 18), torch.uint8)
    expected = np.stack([[cv2.medianBlur(plane.numpy(), size) for plane in image] for image in x])
    assert np.array_equal(F.median_blur(x, size, largest=9).numpy(), expected)
    floats = example(2, (3, 13, 18), torch.float64)
    for image in floats:
        one = median_one(image[None], torch.tensor([size]), 9)
        assert np.array_equal(one[0].numpy(), medians(image, size))


def test_sides_of_samples() -> None:
    x = example(12, (3, 13, 18), torch.float64)
    layer = ga.MedianBlur((1, 7), p=1.0)
    layer.reseed(2)
    out, params = layer(x, return_params=True)
    sizes = params.values["MedianBlur"]["size"].int().tolist()
    assert len(set(sizes)) > 2
    for b, size in enumerate(sizes):
        assert np.array_equal(out[b].numpy(), medians(x[b], size))


def test_kernel() -> None:
    """Behind a warp and before a program, limited to channels, with samples left out."""
    steps: list[Any] = [
        ga.RandomAffine(20),
        ga.MedianBlur((1, 5), p=0.7),
        ga.RandomInvert(),
        ga.MedianBlur(3, p=1.0, channels=(0, 2)),
    ]
    expected, out = rendered(ga.Compose(steps, seed=3), images((3, 9, 12), torch.float32, 4))
    assert_same(out, expected)


def test_kernel_of_odd_values() -> None:
    """Equal ones, infinite ones, powers of two that halve the span badly, neighbours of a number, and none at all."""
    x = images((1, 9, 10), torch.float32, 5)
    x[0] = 0.3
    x[1, 0, ::2] = torch.inf
    x[1, 0, ::3] = -torch.inf
    x[2] = torch.exp2((x[2] * 200 - 100).round())
    x[3] = torch.nextafter(torch.ones(()), torch.tensor(2.0)) * (x[3] > 0.5) + (x[3] <= 0.5)
    x[4, 0, 5, 5] = torch.nan
    layer = ga.MedianBlur((5, 5), p=1.0)
    expected, out = rendered(layer, x)
    assert torch.equal(out.isnan(), expected.isnan()) and expected[4].isnan().sum() == 25
    assert torch.equal(out.nan_to_num(), expected.nan_to_num())
    assert torch.equal(expected[2, 0].double(), torch.from_numpy(medians(x[2].double(), 5))[0])


def test_gradient_goes_to_the_median() -> None:
    x = example(1, (1, 5, 6), torch.float64).requires_grad_()
    (grad,) = torch.autograd.grad(F.median_blur(x, 3, largest=5)[0, 0, 2, 3], x)
    window = x.detach()[0, 0, 1:4, 2:5]
    assert grad.sum() == 1 and torch.equal(grad[0, 0, 1:4, 2:5] == 1, window == window.median())
    assert torch.autograd.gradcheck(lambda t: F.median_blur(t, torch.tensor([3.0])), (x,))
