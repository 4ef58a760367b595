"""Images of more than four channels by the kernels: groups of channels, one after another."""

from __future__ import annotations

from typing import Any

import pytest
import torch
from kernels import assert_same, images, rendered

import gpuaug as ga
from gpuaug.data.batch import Batch
from gpuaug.render import lowering, ops
from gpuaug.render.groups import channel_groups
from gpuaug.render.settings import Reading
from gpuaug.sampling import noise

RGB = (3, 0, 6)
STEPS: dict[str, list[Any]] = {
    "warp": [ga.RandomAffine(25, (0.1, 0.1), (0.6, 1.3), fill=(0.1, 0.2, 0.3, 0.4, 0.5, 0.6, 0.7))],
    "by channel": [
        ga.RandomResizedCrop((9, 8)),
        ga.RandomGamma(p=0.5),
        ga.RandomInvert(p=0.5),
        ga.RandomSolarize(0.5),
        ga.RandomBrightnessContrast(p=1.0),
        ga.ChannelDropout((1, 4), fill=0.3, p=1.0),
        ga.Normalize([0.1 * c for c in range(7)], [0.2 + 0.1 * c for c in range(7)]),
        ga.CoarseDropout((1, 3), fill=tuple(float(c) for c in range(7))),
        ga.GridDropout(0.4, unit_size_range=(4, 8)),
    ],
    "colours of three": [
        ga.RandomRotation(20),
        ga.ColorJitter(0.4, 0.4, 0.4, 0.2, channels=RGB),
        ga.HueSaturationValue(channels=RGB, p=0.7),
        ga.RandomGrayscale(0.4, channels=RGB),
        ga.RandomChannelPermutation(p=0.7, channels=(1, 6)),
        ga.RandomGamma(p=1.0, channels=(2, 5)),
    ],
    "statistics": [
        ga.RandomBrightnessContrast(brightness_by_max=False, p=0.7),
        ga.RandomAutocontrast(p=0.6),
        ga.RandomAutocontrast(p=0.6, channels=(5, 1)),
        ga.ColorJitter(contrast=0.5, channels=(4,)),
    ],
    "histograms": [ga.RandomEqualize(p=0.6), ga.RandomEqualize(p=0.6, channels=(6, 2))],
    "noise": [ga.GaussianNoise(p=0.7), ga.RandomErasing(p=0.7, value="random"), ga.ColorJitter(0.3, channels=RGB)],
    "filters": [
        ga.RandomHorizontalFlip(),
        ga.RandomGamma(p=0.5),
        ga.GaussianBlur(5, (0.5, 2.0), p=0.6, channels=(1, 5, 6)),
        ga.RandomAdjustSharpness(2.0, p=0.6),
        ga.ColorJitter(0.3, 0.3, 0.3, 0.1, channels=RGB),
    ],
}


@pytest.mark.parametrize("name", STEPS)
def test_seven_channels(name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    ran: list[int] = []
    run = lowering.run
    monkeypatch.setattr(lowering, "run", lambda *a: ran.append(1) or run(*a))
    for dtype in (torch.float32, torch.uint8) if name in ("warp", "colours of three") else (torch.float32,):
        if dtype == torch.uint8 and name == "warp":
            continue  # its fill is of floats
        expected, out = rendered(ga.Compose(STEPS[name], seed=6), images((7, 13, 18), dtype), monkeypatch)
        if name in ("by channel", "histograms"):  # operations that jump
            assert ((out - expected).abs() > 1e-5).double().mean() < 0.01 and out.shape == expected.shape
        else:
            assert_same(out, expected, share=0.02)
    assert ran


@pytest.mark.parametrize("mode", ["image", "image_per_channel", "min_max", "min_max_per_channel"])
def test_normalize_by_image(mode: str) -> None:
    layer = ga.Compose([ga.RandomRotation(20), ga.Normalize(normalization=mode)], seed=1)
    expected, out = rendered(layer, images((6, 9, 12), count=2))
    assert_same(out, expected)


def test_channels_last_and_ragged(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(ops, "normal_noise", noise._normal_philox)
    x = images((5, 13, 18)).contiguous(memory_format=torch.channels_last)
    steps = [ga.RandomHorizontalFlip(), ga.ColorJitter(0.4, 0.4, 0.4, 0.1, channels=(4, 2, 0)), ga.GaussianNoise()]
    expected, out = rendered(ga.Compose(steps, seed=1), x)
    assert_same(out, expected, share=0.02)
    given = ga.Ragged.pack([image[:, : 13 - i, : 12 + i] for i, image in enumerate(x)])
    one, other = (ga.Compose(steps, seed=1, backend=backend)(given) for backend in ("torch", "triton"))
    for a, b in zip(one, other, strict=True):
        assert_same(b, a, share=0.02)


def test_groups() -> None:
    """At most four, and what an operation needs at once in one of them; None where that cannot be."""

    def groups(channels: int, *steps: Any) -> Any:
        x = images((channels, 4, 5), torch.float32)
        layer = ga.Compose(list(steps))
        return channel_groups(channels, layer.plan(Batch(x), layer.sample(x).values).finish())

    assert groups(4) == [(0, 1, 2, 3)] and groups(2) == [(0, 1)]
    assert groups(6) == [(0, 1, 2, 3), (4, 5)]
    assert groups(13, ga.ColorJitter(hue=0.1, channels=(3, 2, 1))) == [(0, 4, 5, 6), (1, 2, 3), (7, 8, 9, 10), (11, 12)]
    one, two = ga.ColorJitter(hue=0.1, channels=(3, 2, 1)), ga.RandomChannelPermutation(channels=(3, 5))
    assert groups(6, one, two) == [(0, 4), (1, 2, 3, 5)]
    assert groups(6, one, ga.RandomChannelPermutation(channels=(3, 5, 4))) is None
    assert groups(6, ga.RandomChannelPermutation()) is None and groups(33) is None
    assert groups(6, ga.ColorJitter(brightness=0.1)) == [(0, 1, 2, 3), (4, 5)]


def test_what_does_not_go_takes_torch(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(lowering, "run", None)
    for channels, steps in ((6, [ga.RandomChannelPermutation(p=1.0)]), (33, [ga.RandomInvert(p=1.0)])):
        expected, out = rendered(ga.Compose(steps, seed=1), images((channels, 5, 8), torch.float32))
        assert_same(out, expected)


def test_a_reading_of_many_channels() -> None:
    """A map of nine channels that is moved and blended, with fill."""
    x = images((9, 11, 15), torch.float32, 2)
    layer = ga.Compose([ga.RandomPerspective(0.5, p=1.0)], seed=1)
    values = layer.sample(x).values
    from gpuaug.render.backend import render

    plans = [layer.plan(Batch(x), values, Reading("bicubic", True, (0.5,))) for _ in range(2)]
    plans[1].backend = "triton"
    assert_same(render(x, plans[1]), render(x, plans[0], walking=False))
