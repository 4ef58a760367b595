"""What the CPU's walk does to images of 8 bits as they are: values moved, put, added and summed, rounded once."""

from __future__ import annotations

from typing import Any

import pytest
import torch
from ways import both

import gpuaug as ga
from gpuaug.functional.blur import blur_axis, filter_sums_one, numbers
from gpuaug.functional.unsharp import mask_one
from gpuaug.testing import example

STEPS: dict[str, Any] = {
    "permute": lambda p: [ga.RandomChannelPermutation(p=p)],
    "drop": lambda p: [ga.ChannelDropout((1, 2), 128, p=p)],
    "drop to what is no level": lambda p: [ga.ChannelDropout((1, 1), 0.5, p=p)],
    "erase": lambda p: [ga.RandomErasing(p, max_count=3, value=(9, 90, 200))],
    "erase to what is no level": lambda p: [ga.CoarseDropout((1, 4), fill=0.5, p=p)],
    "salt": lambda p: [ga.SaltAndPepper((0.05, 0.4), p=p)],
    "shift": lambda p: [ga.RGBShift((-250, 250), 0.7, (-9, 30), p=p)],
    "scale": lambda p: [ga.PlanckianJitter(p=p)],
    "light": lambda p: [ga.Illumination("gaussian", p=p)],
    "rain": lambda p: [ga.RandomRain((-9, 9), 5, 2, (90, 200, 255), 3, 0.8, "torrential", p=p)],
    "rain without blur": lambda p: [ga.RandomRain((-4, 4), 9, 1, 200, 1, 1.0, p=p)],
    "box": lambda p: [ga.Blur((3, 13), p=p)],
    "line": lambda p: [ga.MotionBlur((3, 9), p=p)],
    "kernel": lambda p: [ga.Emboss(p=p)],
    "median": lambda p: [ga.MedianBlur((3, 5), p=p)],
    "long blur": lambda p: [ga.RandomApply([ga.GaussianBlur((15, 23), (1.0, 4.0))], p=p)],
}
BESIDE: dict[str, Any] = {
    "alone": lambda step: step,
    "between": lambda step: [ga.RandomRotation(20, fill=50), *step, ga.RandomSolarize(100, p=0.5)],
    "after a table": lambda step: [ga.RandomInvert(p=0.5), *step],
    "normalized": lambda step: [*step, ga.Normalize((0.5,) * 3, (0.2, 0.3, 0.4))],
}


@pytest.mark.parametrize("place", list(BESIDE))
@pytest.mark.parametrize("name", list(STEPS))
def test_the_walk_is_the_definition(name: str, place: str, monkeypatch: pytest.MonkeyPatch) -> None:
    kinds = (torch.uint8, torch.float32) if place == "alone" else (torch.uint8,)
    for dtype in kinds:
        images = example(7, (3, 33, 46), dtype)
        images[1], images[2, 1] = images[0, 0, 0, 0], 0
        before = images.clone()
        for fuse in (True, False) if place == "between" else (True,):
            layer = ga.Compose(BESIDE[place](STEPS[name](0.6)), seed=5, fuse=fuse)
            params = layer.sample(images)
            definition, walked = both(monkeypatch, layer, images, params)
            far = (definition.double() - walked.double()).abs()
            if definition.dtype.is_floating_point:
                assert far.max() < 5e-5
            elif "between" in place:  # the other side of a rounding, and then of a threshold
                assert (far > 1).double().mean() < 2e-3 and (far > 0).double().mean() < 1e-2
            else:  # a tie of a rounding may fall to either side
                assert far.max() <= 1 and (far > 0).double().mean() < 5e-3
        assert torch.equal(images, before)


@pytest.mark.parametrize("axis", [2, 3])
@pytest.mark.parametrize("size", [31, 32, 45])
def test_a_long_blur_is_that_of_its_taps(size: int, axis: int) -> None:
    """Strips of a matrix add up to the sum of weighted neighbours, of sizes that are no multiples of a strip too."""
    x = torch.rand(1, 2, size, size + 3, generator=torch.Generator().manual_seed(0))
    weights = numbers(3.0, 19)
    wide = torch.nn.functional.pad(x.double(), (9,) * 4, mode="reflect")
    n, crop = x.shape[axis], wide.narrow(5 - axis, 9, x.shape[5 - axis])
    expected = sum(crop.narrow(axis, 9 + k, n) * weights[abs(k)] for k in range(-9, 10))
    assert (blur_axis(x, weights, axis) - expected).abs().max() < 2e-6


def test_sums_are_only_of_taps_alike() -> None:
    image = torch.full((1, 1, 9, 9), 255, dtype=torch.uint8)
    kernel = torch.zeros(1, 5, 5)
    kernel[0, :, 2] = 0.2
    made = filter_sums_one(image, kernel)
    assert made is not None and made[0].unique().tolist() == [5 * 255] and abs(made[1] - 5) < 1e-5
    kernel[0, 0, 2] = 0.3
    assert filter_sums_one(image, kernel) is None
    assert filter_sums_one(image, torch.zeros(1, 5, 5)) is None


@pytest.mark.parametrize("threshold", [0.0, 60.0])
def test_an_unsharp_mask_of_few_exceptions(threshold: float) -> None:
    """Few marked pixels, or few that are not, at borders and corners too, make the blurred mask pixel by pixel."""
    taps, alpha = torch.tensor([[0.28125, 0.21875, 0.109375, 0.03125]]), torch.tensor([0.7])
    x = torch.rand(1, 2, 14, 19, generator=torch.Generator().manual_seed(0))
    if threshold:
        x = 0.4 + 0.1 * x
        for c, row, column, value in ((0, 0, 0, 1.0), (0, 1, 2, 0.9), (1, 13, 9, 1.0), (1, 7, 18, 0.0)):
            x[0, c, row, column] = value
    else:  # of an even patch nine pixels equal their blur, but for rounding; sixteenths are exact
        x = (16 * x).round() / 16
        x[0, 1, :5, :5] = 0.5
    wide = torch.nn.functional.pad(x.double(), (3,) * 4, mode="reflect")
    row = torch.tensor([0.03125, 0.109375, 0.21875, 0.28125, 0.21875, 0.109375, 0.03125], dtype=torch.float64)
    kernel = (row[:, None] * row).expand(2, 1, 7, 7)
    residual = x.double() - torch.nn.functional.conv2d(wide, kernel, groups=2)
    marked = (residual.abs() * 255 > threshold).double()
    assert 1 <= min(marked.sum(), (1 - marked).sum()) <= 8
    soft = torch.nn.functional.conv2d(torch.nn.functional.pad(marked, (3,) * 4, mode="reflect"), kernel, groups=2)
    expected = torch.lerp(x.double(), (x + 0.7 * residual).clamp(0, 1), soft)
    assert (mask_one(x, taps, alpha, threshold=threshold) - expected).abs().max() < 2e-6
