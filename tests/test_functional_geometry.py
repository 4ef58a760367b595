"""The plain functions that move pixels, against torchvision and torch, each sample with its own parameters."""

from __future__ import annotations

from collections.abc import Callable

import pytest
import torch
from torch import Tensor
from torchvision.transforms import InterpolationMode
from torchvision.transforms.v2 import functional as tv

import gpuaug.functional as F
from gpuaug.testing import example

BILINEAR = InterpolationMode.BILINEAR
IMAGES = example(4, (3, 37, 53))
SQUARE = example(4, (3, 21, 21), torch.uint8)
NUMBERS = torch.tensor([12.0, -35.0, 90.0, 170.0])


def loop(function: Callable[[Tensor, int], Tensor], images: Tensor = IMAGES) -> Tensor:
    return torch.stack([function(image, i) for i, image in enumerate(images)])


def test_flips_turns_and_crops_are_exact() -> None:
    on = torch.tensor([True, False, True, False])
    turns, places = torch.tensor([0, 1, 2, 7]), torch.tensor([0, 5, -3, 30])
    for images in (IMAGES, (IMAGES * 255).to(torch.uint8)):
        assert torch.equal(F.horizontal_flip(images, on), loop(lambda x, i: x.flip(2) if on[i] else x, images))
        assert torch.equal(F.vertical_flip(images, on), loop(lambda x, i: x.flip(1) if on[i] else x, images))
        out = F.crop(images, places, places.flip(0), 20, 31, fill=0)
        expected = loop(lambda x, i: tv.crop(x, int(places[i]), int(places[3 - i]), 20, 31), images)
        assert torch.equal(out, expected)
        assert torch.equal(F.rot90(images, 1), torch.rot90(images, 1, (2, 3)))
        assert torch.equal(F.transpose(images), images.transpose(2, 3))
    assert torch.equal(F.rot90(SQUARE, turns), loop(lambda x, i: torch.rot90(x, int(turns[i]), (1, 2)), SQUARE))
    assert torch.equal(F.transpose(SQUARE, on), loop(lambda x, i: x.transpose(1, 2) if on[i] else x, SQUARE))


def test_warps_equal_torchvision() -> None:
    out = F.rotate(IMAGES, NUMBERS, center=(20, 11))
    expected = loop(lambda x, i: tv.rotate(x, NUMBERS[i].item(), BILINEAR, center=[20, 11]))
    assert (out - expected).abs().max() <= 1e-4
    scale, shear = torch.tensor([0.6, 1.0, 1.4, 2.0]), torch.tensor([-9.0, 0.0, 5.0, 12.0])
    out = F.affine(IMAGES, NUMBERS, (shear, 3.5), scale, (shear, -4.0), antialias=False)
    expected = loop(
        lambda x, i: tv.affine(
            x, NUMBERS[i].item(), [shear[i].item(), 3.5], scale[i].item(), [shear[i].item(), -4.0], BILINEAR
        )
    )
    assert (out - expected).abs().max() <= 1e-4
    start = torch.tensor([[0.0, 0.0], [52.0, 0.0], [52.0, 36.0], [0.0, 36.0]])
    end = start + torch.linspace(-9, 11, 32).view(4, 4, 2)
    out = F.perspective(IMAGES, start, end, antialias=False)
    expected = loop(lambda x, i: tv.perspective(x, start.tolist(), end[i].tolist(), BILINEAR))
    assert (out - expected).abs().max() <= 1e-4


@pytest.mark.parametrize("antialias", [True, False])
def test_resized_crop_equals_torchvision(antialias: bool) -> None:
    top, height = torch.tensor([0, 3, 10, 7]), torch.tensor([37, 20, 27, 9])
    left, width = torch.tensor([0, 11, 3, 40]), torch.tensor([53, 12, 50, 13])
    out = F.resized_crop(IMAGES, top, left, height, width, (19, 24), antialias=antialias)
    boxes = torch.stack((top, left, height, width), dim=1).tolist()
    expected = loop(lambda x, i: tv.resized_crop(x, *boxes[i], [19, 24], antialias=antialias))
    assert (out - expected).abs().max() <= 1e-5


def test_warp_by_a_matrix_moves_content_there() -> None:
    """A shift by whole pixels is a slice; a scaling by 2 of a ramp is the ramp at half the slope."""
    shift = torch.eye(3).repeat(4, 1, 1)
    shift[:, 0, 2], shift[:, 1, 2] = 5, -3
    out = F.warp(IMAGES, shift, fill=0.25)
    assert torch.equal(out[:, :, :34, 5:], IMAGES[:, :, 3:, :48])
    assert (out[:, :, 34:] == 0.25).all() and (out[..., :5] == 0.25).all()
    ramp = ((torch.arange(30) + 0.5) / 30).expand(1, 1, 20, 30)
    double = torch.diag(torch.tensor([2.0, 2.0, 1.0]))[None]
    out = F.warp(ramp, double, (40, 60))
    expected = (torch.arange(60) + 0.5) / 60
    assert (out[0, 0, 2:-2, 2:-2] - expected[2:-2]).abs().max() < 1e-6


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (lambda: F.rotate(IMAGES, torch.zeros(3)), r"rotate: angle must .* each of the 4 samples, got shape \(3,\)"),
        (lambda: F.rot90(IMAGES, torch.zeros(4)), r"rot90: images must be square .* got \(37, 53\)"),
        (lambda: F.transpose(IMAGES, torch.ones(4).bool()), "transpose: images must be square"),
        (lambda: F.warp(IMAGES, torch.eye(3)), r"warp: matrix must have shape \(B, 3, 3\), got \(3, 3\)"),
        (lambda: F.warp(IMAGES, torch.eye(3)[None]), "warp: matrix must be of 4 samples.*got 1"),
        (lambda: F.perspective(IMAGES, torch.zeros(3, 2), torch.zeros(4, 2)), "perspective: startpoints must"),
        (lambda: F.affine(IMAGES, fill=(1, 2)), r"affine: fill must be one number or 3 numbers, got \(1, 2\)"),
        (lambda: F.rotate(IMAGES, 3.0, "area"), "rotate: interpolation must be one of"),
    ],
)
def test_wrong_arguments_are_refused(call: Callable[[], Tensor], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        call()


def test_one_graph_of_public_functions() -> None:
    """Also where numbers follow the image without their names."""

    def both(images: Tensor) -> Tensor:
        return F.horizontal_flip(F.solarize(images, 0.5))

    torch._dynamo.reset()
    assert torch.equal(torch.compile(both, fullgraph=True, backend="eager")(IMAGES), both(IMAGES))
    with pytest.raises(TypeError, match="solarize: takes at most 1 arguments after image, got 2"):
        F.solarize(IMAGES, 0.5, 0.5)  # type: ignore[call-arg]
