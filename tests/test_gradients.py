"""Gradients reach the image and what was drawn, through homographies and displacement fields."""

from __future__ import annotations

from typing import Any

import pytest
import torch
from torch import Tensor

import gpuaug as ga

H, W = 7, 9


def smooth(batch: int = 2) -> Tensor:
    """Smooth images (B, 2, H, W) float64, away from the ends of the range."""
    y, x = torch.meshgrid(torch.linspace(0, 2, H), torch.linspace(0, 3, W), indexing="ij")
    phase = torch.arange(batch * 2).view(batch, 2, 1, 1)
    return (0.5 + 0.3 * torch.sin(x + phase) * torch.cos(y)).double()


WARPS: dict[str, Any] = {
    "affine": lambda **k: ga.RandomAffine(20, (0.1, 0.1), (0.8, 1.2), 5, **k),
    "perspective": lambda **k: ga.RandomPerspective(0.3, p=1.0, **k),
    "elastic": lambda **k: ga.ElasticTransform(4.0, 2.0, **k),
    "water": lambda **k: ga.WaterRefraction((0.02, 0.05), (0.4, 0.8), **k),
    "spline": lambda **k: ga.ThinPlateSpline((0.02, 0.05), 3, **k),
    "grid": lambda **k: ga.GridDistortion(3, 0.2, **k),
    "optical": lambda **k: ga.OpticalDistortion((0.1, 0.2), **k),
}


@pytest.mark.parametrize("settings", [{}, {"antialias": False}, {"interpolation": "bicubic"}], ids=str)
@pytest.mark.parametrize("name", WARPS)
def test_warps(name: str, settings: dict[str, Any]) -> None:
    """By finite differences, where the filter has no corner: off the centres of pixels, at scales that are not 1."""
    layer = WARPS[name](**settings)
    layer.reseed(3)
    images = smooth().requires_grad_()
    drawn = layer.sample(images.detach())
    (step,) = drawn.values
    key = "field" if "field" in drawn.values[step] else "matrix"
    generator = torch.Generator().manual_seed(0)
    found = drawn.values[step][key].double()
    free = (found + 1e-3 * torch.randn(found.shape, generator=generator, dtype=found.dtype)).requires_grad_()

    def run(image: Tensor, map_: Tensor) -> Tensor:
        drawn.values[step][key] = map_
        out: Tensor = layer.replay(image, drawn)
        return out

    assert torch.autograd.gradcheck(run, (images, free), eps=1e-7, atol=1e-4, fast_mode=True)


def test_points_and_boxes() -> None:
    """A keypoint's and a box's place is differentiable in the map."""
    layer = ga.Compose([ga.RandomAffine(20), ga.RandomPerspective(0.2, p=1.0)], seed=1)
    given = {
        "image": smooth(),
        "boxes": torch.tensor([[[2.0, 2, 6, 5]], [[1.5, 1, 5, 4]]]).double().requires_grad_(),
        "keypoints": torch.tensor([[[[3.0, 3.5]]], [[[4.0, 2.5]]]]).double().requires_grad_(),
    }
    drawn = layer.sample(given)
    matrices = [values["matrix"].clone().requires_grad_() for values in drawn.values.values()]

    def run(boxes: Tensor, points: Tensor, *maps: Tensor) -> tuple[Tensor, Tensor]:
        for values, map_ in zip(drawn.values.values(), maps, strict=True):
            values["matrix"] = map_
        out = layer.replay({**given, "boxes": boxes, "keypoints": points}, drawn)
        assert out["valid"].all() and (out["visible"] > 0).all()
        return out["boxes"], out["keypoints"]

    assert torch.autograd.gradcheck(
        run, (given["boxes"], given["keypoints"], *matrices), eps=1e-7, atol=1e-5, fast_mode=True
    )


def test_a_chain_with_colour_and_a_left_out_sample() -> None:
    """The image's gradient through warp, blur and colour; exactly one where nothing is done."""
    blur = ga.RandomApply([ga.GaussianBlur(3)], p=0.4)
    layer = ga.Compose([ga.RandomAffine(15, p=0.4), blur, ga.RandomGamma(p=0.4), ga.ColorJitter(0.3, p=0.4)], seed=2)
    images = smooth(12).requires_grad_()
    drawn = layer.sample(images.detach())
    gates = torch.stack([values["gate"] for values in drawn.values.values()])
    assert gates.any() and not gates.all()

    def run(image: Tensor) -> Tensor:
        out: Tensor = layer.replay(image, drawn)
        return out

    assert torch.autograd.gradcheck(run, (images,), eps=1e-7, atol=1e-4, fast_mode=True)
    (gradient,) = torch.autograd.grad(run(images).sum(), images)
    untouched = ~gates.any(0)
    assert untouched.any() and (gradient[untouched] == 1).all()
