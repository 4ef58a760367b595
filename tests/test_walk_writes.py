"""What the CPU's walk writes into the output itself: of all samples at once where one operation is all there is."""

from __future__ import annotations

from typing import Any

import pytest
import torch
from ways import both

import gpuaug as ga
from gpuaug.render import walk
from gpuaug.testing import example

STEPS: dict[str, Any] = {
    "invert": lambda p, white: ga.RandomInvert(p),
    "permute": lambda p, white: ga.RandomChannelPermutation(p=p),
    "drop": lambda p, white: ga.ChannelDropout((1, 2), 0.5 * white, p=p),
    "erase": lambda p, white: ga.RandomErasing(p, max_count=3, value=(0.1 * white, 0.6 * white, white)),
    "erase alike": lambda p, white: ga.CoarseDropout((1, 4), fill=0.3 * white, p=p),
    "shift by channel": lambda p, white: ga.RGBShift((-250, 250), 0.7, (-9, 30), p=p),
    "shift": lambda p, white: ga.RandShiftIntensity(0.4, p=p),
    "scale": lambda p, white: ga.RandScaleIntensity(0.6, p=p, channel_wise=True),
    "scale alike": lambda p, white: ga.RandScaleIntensity((0.29731, 0.29731), p=p),
    "scale and shift": lambda p, white: ga.RandomBrightnessContrast(0.3, 0.3, p=p, per_channel=True),
    "light": lambda p, white: ga.PlanckianJitter(p=p),
    "sepia": lambda p, white: ga.ToSepia(p=p),
    "gray": lambda p, white: ga.RandomGrayscale(p),
    "one gray channel": lambda p, white: ga.Grayscale(),
    "gamma": lambda p, white: ga.RandomGamma((40, 220), p=p),
    "stretch": lambda p, white: ga.RandomAutocontrast(p=p),
    "equalize": lambda p, white: ga.RandomEqualize(p=p),
    "whiten": lambda p, white: ga.LinearTransformation(torch.rand(3, 3), torch.rand(3)),
    "normalize": lambda p, white: ga.Normalize((0.5, 0.4, 0.3), (0.2, 0.3, 0.4)),
    "blend": lambda p, white: ga.MixUp(p=p),
    "paste": lambda p, white: ga.CutMix(p=p),
}
TOLERANCE = {torch.float32: 3e-6, torch.float64: 2e-7}
"""Of parameters that are float32."""


@pytest.mark.parametrize("name", list(STEPS))
def test_what_is_written_is_the_definition(name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """Alone, with many and few samples left out, after a warp, in another layout."""
    torch.manual_seed(0)
    for dtype in (torch.uint8, torch.float32, torch.float64):
        images = example(9, (3, 21, 26), dtype)
        images[1] = images[0, 0, 0, 0]
        for p, before, layout in ((1.0, 0, 0), (0.7, 0, 1), (0.3, 0, 0), (0.7, 1, 0)):
            step = STEPS[name](p, 255 if dtype == torch.uint8 else 1.0)
            layer = ga.Compose([ga.RandomRotation(20, fill=0.4)] * before + [step], seed=2)
            form = torch.channels_last if layout else torch.contiguous_format
            given = images.clone(memory_format=form)
            definition, walked = both(monkeypatch, layer, given, layer.sample(given))
            far = (definition.double() - walked.double()).abs()
            assert definition.dtype == walked.dtype and walked.is_contiguous(memory_format=form)
            if not definition.dtype.is_floating_point:  # a tie of a rounding may fall to either side
                assert far.max() <= 1 and (far > 0).double().mean() < 5e-3
            elif before:
                assert far.max() < 5e-5
            else:
                assert far.max() <= TOLERANCE[definition.dtype] * definition.abs().max().clamp(min=1)
            assert torch.equal(given, images)


@pytest.mark.parametrize("dtype", [torch.uint8, torch.float32], ids=str)
def test_one_operation_goes_to_the_whole_batch(dtype: torch.dtype, monkeypatch: pytest.MonkeyPatch) -> None:
    """Not where many samples are left out, and nothing else goes before."""
    monkeypatch.setattr("gpuaug.render.backend.SMALL", 0)
    found: list[bool] = []
    plain = walk._written_at_once

    def noted(*args: Any) -> bool:
        found.append(plain(*args))
        return found[-1]

    monkeypatch.setattr(walk, "_written_at_once", noted)
    images = example(8, (3, 9, 12), dtype)
    for name in ("invert", "permute", "drop", "erase", "light", "sepia", "gray"):
        for p, at_once in ((1.0, True), (0.05, False)):
            layer = ga.Compose([STEPS[name](p, 1.0)], seed=1)
            layer(images)
            assert found.pop() is at_once, (name, p)
    ga.Compose([ga.RandomRotation(20), ga.RandomGrayscale(1.0)], seed=0)(images)
    assert not found
