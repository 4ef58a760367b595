"""Sizes drawn for a whole batch: torchvision's, the same on every rank, kept by parameters and state."""

from __future__ import annotations

import copy
import pickle
from collections import Counter
from typing import Any

import pytest
import torch
from torch import Tensor
from torch._subclasses.fake_tensor import FakeTensorMode
from torchvision.transforms import v2

import gpuaug as ga
from gpuaug.testing import example

H, W = 37, 53
SIZES = [(60, 70), (37, 64), (51, 99)]


def sizes_of(layer: Any, count: int, images: Tensor | None = None) -> list[tuple[int, ...]]:
    """Return the canvases of some calls."""
    images = torch.zeros(2, 1, H, W) if images is None else images
    return [tuple(layer(images).shape[2:]) for _ in range(count)]


@pytest.mark.parametrize(("size", "most"), [(20, None), (20, 24), (64, 70), (31, 1000)])
def test_sizes_equal_torchvision(size: int, most: int | None) -> None:
    for shape in [(H, W), (W, H), *SIZES]:
        image = torch.rand(1, *shape)
        ours = ga.RandomShortestSize(size, most)(image)
        theirs = v2.RandomShortestSize(size, most)(image)
        assert ours.shape == theirs.shape and (ours - theirs).abs().max() < 1e-5
    wanted = v2.RandomResize(size, size + 1)(torch.rand(1, H, W))
    assert abs(ga.RandomResize(size, size + 1)(torch.rand(1, H, W)).shape[2] - wanted.shape[2]) == 0


def test_every_size_is_drawn_evenly_and_one_for_the_batch() -> None:
    found = Counter(sizes_of(ga.Compose([ga.RandomShortestSize([10, 14, 21])], seed=0), 300))
    assert {h for h, _ in found} == {10, 14, 21} and min(found.values()) > 70  # 100 +- 8
    heights = Counter(h for h, _ in sizes_of(ga.Compose([ga.RandomResize(9, 14)], seed=0), 300))
    assert set(heights) == {9, 10, 11, 12, 13} and min(heights.values()) > 35  # 60 +- 7
    two = ga.Compose([ga.RandomShortestSize([10, 20]), ga.RandomShortestSize([11, 21])], seed=0)
    params = [two.sample(torch.zeros(1, 1, H, W)).sizes for _ in range(1)]
    assert set(params[0]) == {"RandomShortestSize", "RandomShortestSize_2"}
    draws = []
    for _ in range(80):
        draws.append(tuple(two.sample(torch.zeros(1, 1, H, W)).sizes.values()))
        two._advance()
    assert len(set(draws)) == 4  # drawn apart


def test_ranks_agree_on_the_size_and_on_nothing_else() -> None:
    images = example(4, (3, H, W))
    layers = [
        ga.Compose([ga.RandomShortestSize([10, 14, 21, 30]), ga.RandomRotation(30)], seed=5, rank=r) for r in (0, 1)
    ]
    for _ in range(6):
        (a, p), (b, q) = (layer(images, return_params=True) for layer in layers)
        assert a.shape == b.shape and p.sizes == q.sizes
        assert not torch.equal(p["RandomRotation"].angle, q["RandomRotation"].angle)


def test_parameters_and_state_keep_it() -> None:
    """Replay, sample, pickled parameters, a restored and a copied layer; a global seed."""

    def make() -> ga.Compose:
        return ga.Compose([ga.RandomShortestSize([10, 14, 21, 30]), ga.RandomHorizontalFlip()], seed=3)

    images, layer = example(4, (3, H, W)), make()
    sizes_of(layer, 3)
    saved, twin = copy.deepcopy(layer.state_dict()), copy.deepcopy(layer)
    drawn = layer.sample(images)
    out, params = layer(images, return_params=True)
    assert params.sizes == drawn.sizes and torch.equal(layer.replay(images, params), out)
    assert torch.equal(layer.replay(images, pickle.loads(pickle.dumps(params))), out)
    assert torch.equal(layer.replay(images[1:3], params[1:3]), out[1:3])
    assert torch.equal(twin(images), out)
    restored = make()
    restored.load_state_dict(saved)
    after = sizes_of(layer, 5)
    assert torch.equal(restored(images), out) and sizes_of(restored, 5) == after
    layer.reseed(3)
    assert sizes_of(layer, 5) == sizes_of(make(), 5)
    torch.manual_seed(1)
    first = sizes_of(ga.Compose([ga.RandomShortestSize([10, 14, 21, 30])]), 6)
    torch.manual_seed(1)
    assert sizes_of(ga.Compose([ga.RandomShortestSize([10, 14, 21, 30])]), 6) == first


def test_images_of_several_sizes_padded_with_what_is_on_them() -> None:
    """As torchvision's detection recipe does it."""
    images = [torch.rand(3, *size) for size in SIZES]
    boxes = torch.tensor([[[5.0, 6.0, 30.0, 25.0]]] * 3)
    layer = ga.Compose([ga.RandomHorizontalFlip(p=0.0), ga.RandomShortestSize([20, 33], 60)], pad_divisor=32, seed=1)
    seen = set()
    for _ in range(8):
        out, params = layer({"image": images, "boxes": boxes}, return_params=True)
        size = params.sizes["RandomShortestSize"]
        seen.add(size)
        for i, image in enumerate(images):
            exact = v2.functional.resize(image, list(v2.RandomShortestSize(size, 60)(image).shape[1:]))
            h, w = exact.shape[1:]
            assert out["sizes"][i].tolist() == [h, w] and (out["image"][i, :, :h, :w] - exact).abs().max() < 1e-5
            scale = torch.tensor([w / SIZES[i][1], h / SIZES[i][0]]).repeat(2)
            assert torch.allclose(out["boxes"][i], boxes[i] * scale, atol=1e-4)
        assert out["image"].shape[2] % 32 == out["image"].shape[3] % 32 == 0
    assert seen == {20, 33}


def test_in_eval_mode_the_largest_and_without_values() -> None:
    layer = ga.Compose([ga.RandomShortestSize([10, 14, 21])], seed=0).eval()
    assert set(sizes_of(layer, 4)) == {(21, 30)}
    layer.train()
    with FakeTensorMode(allow_non_fake_inputs=True):
        assert layer(torch.empty(2, 3, H, W)).shape[2] in (10, 14, 21)
    assert layer(torch.empty(2, 3, H, W, device="meta")).shape[2] in (10, 14, 21)
    assert "pass 1: RandomShortestSize" in layer.explain(torch.zeros(1, 3, H, W))


def test_refusals() -> None:
    with pytest.raises(ValueError, match="RandomShortestSize: min_size must have at least one size"):
        ga.RandomShortestSize([])
    with pytest.raises(TypeError, match="RandomShortestSize: min_size must be an integer"):
        ga.RandomShortestSize([1.5])  # type: ignore[list-item]
    with pytest.raises(ValueError, match="RandomResize: min_size must be below max_size, got 5 and 5"):
        ga.RandomResize(5, 5)


def test_one_used_alone_draws_on() -> None:
    """Its own clock goes on, as that of a pipeline does."""
    for make in (lambda: ga.RandomResize(10, 60), lambda: ga.RandomShortestSize(list(range(10, 60)))):
        layer, piped = make(), ga.Compose([make()], seed=3)
        layer.reseed(3)
        images = torch.zeros(1, 1, 61, 70)
        sizes = [layer(images).shape[2] for _ in range(6)]
        assert len(set(sizes)) > 3 and sizes == [piped(images).shape[2] for _ in range(6)]
