"""What was made in the output's frame goes back to the input's."""

from __future__ import annotations

from typing import Any

import pytest
import torch

import gpuaug as ga
from gpuaug.testing import example

H, W = 40, 56

EXACT: dict[str, Any] = {
    "flips": lambda: [ga.RandomHorizontalFlip(), ga.RandomVerticalFlip()],
    "pad": lambda: [ga.Pad((1, 2, 3, 4)), ga.RandomHorizontalFlip()],
    "turn": lambda: [ga.RandomTranspose(p=1.0), ga.RandomVerticalFlip()],
}


@pytest.mark.parametrize("name", EXACT)
def test_pixels_that_went_to_pixels_come_back(name: str) -> None:
    images = example(6, (3, H, W))
    ids = torch.arange(6 * H * W).view(6, H, W)
    layer = ga.Compose([*EXACT[name](), ga.ColorJitter(0.4)], seed=1)
    out, params = layer({"image": images, "mask": ids}, return_params=True)
    moved = ga.Compose(EXACT[name](), seed=1).replay(images, params)
    back = layer.replay({"image": moved, "mask": out["mask"]}, params.inverse())
    assert torch.equal(back["image"], images) and torch.equal(back["mask"], ids)


def test_a_crop_comes_back_to_its_place() -> None:
    images = example(4, (3, H, W), torch.uint8)
    layer = ga.Compose([ga.RandomCrop((20, 30)), ga.RandomHorizontalFlip()], seed=2, fill=7)
    out, params = layer(images, return_params=True)
    back = layer.replay(out, params.inverse())
    d = params["RandomCrop"]
    for i in range(4):
        t, x = int(d.top[i]), int(d.left[i])
        expected = torch.full_like(images[i], 7)
        expected[:, t : t + 20, x : x + 30] = images[i, :, t : t + 20, x : x + 30]
        assert torch.equal(back[i], expected)


@pytest.mark.parametrize("small", [0, 10**9], ids=["walk", "definition"])
def test_points_boxes_and_smooth_images_come_back(small: int, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("gpuaug.render.backend.SMALL", small)
    y, x = torch.meshgrid(torch.linspace(0, 2, H), torch.linspace(0, 2, W), indexing="ij")
    images = (0.5 + 0.25 * torch.stack((torch.sin(x), torch.cos(y), torch.sin(x + y)))).expand(3, -1, -1, -1)
    points = torch.rand((3, 5, 2), generator=torch.Generator().manual_seed(0)) * torch.tensor([20.0, 14.0]) + 15
    boxes = torch.tensor([[[20.0, 12.0, 30.0, 25.0]]] * 3)
    straight = ga.Compose([ga.Resize((80, 70)), ga.RandomHorizontalFlip()], seed=3)
    bent = ga.Compose([ga.RandomAffine(20, scale=(0.9, 1.1)), ga.RandomPerspective(0.2, p=1.0)], seed=3)
    for layer in (straight, bent):
        out, params = layer({"image": images, "keypoints": points}, return_params=True)
        back = layer.replay(out, params.inverse())
        assert (back["keypoints"] - points).abs().max() < 1e-3 and (back["visible"] > 0).all()
        inner = (slice(None), slice(None), slice(14, 26), slice(20, 36))
        assert (back["image"][inner] - images[inner]).abs().max() < 0.01
        assert back["image"].shape == images.shape
    out, params = straight({"image": images, "boxes": boxes}, return_params=True)
    assert (straight.replay(out, params.inverse())["boxes"] - boxes).abs().max() < 1e-3


def test_an_upscaled_image_comes_back_to_the_border() -> None:
    """No fill is blended in at the border of a resize and its inverse."""
    images = torch.full((2, 1, H, W), 0.7)
    layer = ga.Compose([ga.Resize((90, 33))])
    out, params = layer(images, return_params=True)
    assert (layer.replay(out, params.inverse()) - 0.7).abs().max() < 1e-5


def test_predictions_are_not_judged_on_the_way_back() -> None:
    """What the training asks of objects, and its padding, are not asked of what a model found."""
    strict = ga.BboxParams(min_area=300, min_visibility=0.9, min_size=15, max_aspect=1.1, max_objects=2)
    layer = ga.Compose([ga.LetterBox((64, 64))], bbox_params=strict, pad_to=100)
    images = torch.rand(2, 3, 40, 80)
    params = layer.sample(images)
    found = torch.tensor([[4.0, 20, 9, 40], [10, 20, 20, 30], [1, 17, 60, 46], [30, 30, 33, 31]])
    back = layer.replay({"image": torch.rand(2, 3, 64, 64), "boxes": found.expand(2, 4, 4)}, params.inverse())
    assert back["image"].shape == (2, 3, 40, 80) and back["valid"].all()
    exact = (found - torch.tensor([0.0, 16.0, 0.0, 16.0])) * 80 / 64
    assert torch.allclose(back["boxes"], exact.expand(2, 4, 4), atol=1e-4)
