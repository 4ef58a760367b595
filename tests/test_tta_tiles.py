"""Large images in tiles give what whole ones give."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from predicting import Pointwise, finding
from torch import nn
from torch.nn import functional as nnf

import gpuaug as ga
from gpuaug import tta
from gpuaug.testing import example

H, W = 33, 47


@pytest.mark.parametrize("overlap", [0, 5, 9])
@pytest.mark.parametrize("size", [(H, W), (16, 24), (10, 100), (40, 48)])
def test_tiles_give_what_the_whole_gives(size: tuple[int, int], overlap: int) -> None:
    x = example(2, (3, *size))
    for most in (None, 1, 7):
        out = tta.Tiled(Pointwise(), (16, 24), overlap, max_batch=most)(x)
        assert out.shape == x.shape and (out - Pointwise()(x)).abs().max() < 1e-5
    both = ga.TTA(Pointwise(), "d4", tile=(16, 24), overlap=overlap)(x)
    assert (both - Pointwise()(x)).abs().max() < 1e-5


def test_tiles_of_a_network_with_strides() -> None:
    """Means of 4 x 4 pixels: places of tiles are multiples of the stride."""
    x = example(1, (3, 37, 50))
    out = tta.Tiled(nn.AvgPool2d(4), 16, 6)(x)
    padded = nnf.pad(x, (0, 2, 0, 3), mode="replicate")
    assert out.shape == (1, 3, 10, 13) and (out - nnf.avg_pool2d(padded, 4)).abs().max() < 1e-5


def test_boxes_in_tiles() -> None:
    x = torch.zeros(2, 3, 60, 90)
    x[0, :, 20:26, 33:41] = 1.0
    x[1, :, 50:58, 80:88] = 1.0
    out = tta.Tiled(finding, (32, 48), 24, outputs="boxes", iou_threshold=0.3)(x)
    assert out[0]["boxes"][0].tolist() == [33.0, 20.0, 41.0, 26.0]
    assert out[1]["boxes"][0].tolist() == [80.0, 50.0, 88.0, 58.0]


def test_where_tiles_overlap_their_middles_count_most() -> None:
    """A model that says how far from the left of its tile each pixel lies; by hand along a row."""
    out = tta.Tiled(lambda x: torch.arange(8.0).expand(len(x), 1, 8, 8), 8, 4)(torch.rand(1, 3, 8, 12))
    share = np.minimum(np.arange(8), np.arange(8)[::-1]) + 0.5
    first, second = np.zeros((2, 12)), np.zeros((2, 12))
    first[:, :8], second[:, 4:] = (share, np.arange(8)), (share, np.arange(8))
    expected = (first[0] * first[1] + second[0] * second[1]) / (first[0] + second[0])
    assert np.abs(out[0, 0].numpy() - expected).max() < 1e-5


def test_labels_of_tiles_are_averaged() -> None:
    x = example(2, (3, 16, 48))
    out = tta.Tiled(lambda x: x.mean((2, 3)), (16, 24))(x)
    assert torch.allclose(out, x.mean((2, 3)), atol=1e-6)
