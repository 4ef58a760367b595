"""Every transform by the kernels, in Triton's interpreter, against the torch definition."""

from __future__ import annotations

from typing import Any

import pytest
import torch
from cases import CASES, Case
from kernels import assert_same, images, plans, rendered

import gpuaug as ga
from gpuaug.render import lowering, registry
from gpuaug.render.plan import Choice
from gpuaug.render.registry import CODES, FILTERS, HEADS, TORCH_ONLY, has_kernel
from gpuaug.transforms.base import Filter, Photometric

IDS = [case.name for case in CASES]


def choices(layer: Any, shape: tuple[int, int, int]) -> list[Choice]:
    plan, _ = plans(layer, images(shape, torch.float32))
    return [
        choice
        for step in plan.finish()
        for choice in [c for slot in step.program for c in slot.choices] + ([step.filter] if step.filter else [])
    ]


@pytest.mark.parametrize("case", CASES, ids=IDS)
def test_every_operation_has_a_kernel_or_is_listed(case: Case) -> None:
    """An operation that is added without its kernel must say so."""
    layer: Any = case.make()
    found = choices(layer, case.shape)
    if isinstance(layer, Photometric | Filter):
        assert found
    for choice in found:
        assert (choice.name in {**CODES, **FILTERS, **HEADS}) != (choice.name in TORCH_ONLY), choice.name
        assert has_kernel(choice) != (choice.name in TORCH_ONLY), (choice.name, choice.static)


@pytest.mark.parametrize("dtype", [torch.uint8, torch.float32], ids=str)
@pytest.mark.parametrize("case", CASES, ids=IDS)
def test_case(case: Case, dtype: torch.dtype, monkeypatch: pytest.MonkeyPatch) -> None:
    layer: Any = case.make()
    layer.reseed(3)
    expected, out = rendered(layer, images(case.shape, dtype), monkeypatch)
    # Stretched integers often fall right between two levels.
    assert_same(out, expected, share=0.5 if case.name == "RandomAutocontrast" else 0.01)


@pytest.mark.parametrize("dtype", [torch.uint8, torch.float32], ids=str)
def test_operations_of_timm(dtype: torch.dtype) -> None:
    """Those that no public class has: light added to what is dark."""
    layer: Any = ga.auto_augment("rand-m6-n1-p1")
    layer.reseed(0)
    x = images((3, 19, 26), dtype, 24)
    names = [layer.space.names[n] for n in layer.sample(x).values["TimmRandAugment"]["op"][:, 0].tolist()]
    assert "SolarizeAdd" in names
    expected, out = rendered(layer, x)
    assert_same(out, expected, share=0.05)


@pytest.mark.parametrize("dtype", [torch.float16, torch.bfloat16, torch.uint16, torch.int16], ids=str)
def test_dtypes(dtype: torch.dtype) -> None:
    threshold = 0.5 if dtype.is_floating_point else 400
    steps = [ga.RandomRotation(30), ga.ColorJitter(0.4, 0.4, 0.4, 0.1), ga.RandomSolarize(threshold)]
    layer = ga.Compose(steps, seed=1, value_range=(0, 1000) if dtype == torch.int16 else None)
    x = images((3, 13, 18), dtype)
    expected, out = rendered(layer, x)
    assert_same(out, expected, share=0.01)


@pytest.mark.parametrize("value_range", [(0, 200), ((0, 10, 20), (200, 255, 250))])
def test_value_ranges(value_range: Any) -> None:
    """The image keeps its own scale; operations see 0..1."""
    steps = [
        ga.RandomGamma(p=0.5),
        ga.ColorJitter(0.4, 0.4),
        ga.RandomAutocontrast(p=0.5),
        ga.GaussianBlur(3, p=0.5),
        ga.Normalize((0.5,) * 3, (0.2,) * 3),
    ]
    for layer in (ga.Compose(steps, value_range=value_range, seed=2), ga.Compose(steps[:3], value_range=value_range)):
        expected, out = rendered(layer, images((3, 9, 14)))
        assert_same(out, expected, share=0.01)


@pytest.mark.parametrize("channels", [1, 2, 4])
def test_channels(channels: int) -> None:
    steps = [
        ga.RandomAffine(20, fill=0.3),
        ga.RandomBrightnessContrast(brightness_by_max=False),
        ga.RandomGamma(p=1.0),
        ga.RandomInvert(),
        ga.RandomSolarize(0.4),
        ga.RandomPosterize(3),
        ga.RandomAutocontrast(),
        ga.RandomEqualize(),
        ga.RandomChannelPermutation(p=0.5),
        ga.CoarseDropout((1, 3), fill=tuple(0.1 * c for c in range(channels))),
        ga.GridDropout(0.4, unit_size_range=(4, 8)),
    ]
    if channels != 2:
        steps.insert(3, ga.ColorJitter(0.3, 0.3, 0.3, 0.2, channels=None if channels == 1 else (2, 0, 3)))
        steps.insert(5, ga.HueSaturationValue(p=1.0, channels=None if channels == 1 else (3, 1, 2)))
    layer = ga.Compose(steps, seed=4)
    expected, out = rendered(layer, images((channels, 13, 18), torch.float32))
    # Operations that jump (posterize, equalize) make a last bit into a step.
    assert ((out - expected).abs() > 1e-5).double().mean() < 0.01 and out.shape == expected.shape


def test_gray_to_rgb_and_back() -> None:
    for channels, count in ((1, 3), (3, 1), (3, 3)):
        layer = ga.Compose([ga.RandomHorizontalFlip(), ga.Grayscale(count), ga.RandomGamma(p=1.0)], seed=1)
        expected, out = rendered(layer, images((channels, 5, 8)))
        assert out.shape[1] == count
        assert_same(out, expected)


@pytest.mark.parametrize("mode", ["image", "image_per_channel", "min_max", "min_max_per_channel"])
def test_normalize_by_image(mode: str) -> None:
    layer = ga.Compose([ga.RandomRotation(20), ga.RandomGrayscale(0.5), ga.Normalize(normalization=mode)], seed=1)
    expected, out = rendered(layer, images((3, 9, 12)))
    assert_same(out, expected)


def test_measured_in_parts() -> None:
    """An image of several parts, each by a program of its own; contrast after half of the orders' operations."""
    steps = [ga.ColorJitter(0.5, 0.5, 0.5, 0.3, p=0.7), ga.RandomAutocontrast(), ga.RandomEqualize()]
    expected, out = rendered(ga.Compose(steps, seed=1), images((3, 100, 130), torch.float32, 2))
    assert ((out - expected).abs() > 1e-5).double().mean() < 0.005


def test_filters_joined() -> None:
    """What stands before a filter is rendered inside it, and what follows too; a statistic ends the kernel."""
    steps = [
        ga.RandomResizedCrop((20, 27)),
        ga.RandomGrayscale(0.5),
        ga.GaussianBlur((7, 11), (0.2, 2.5), p=0.6),
        ga.RandomSolarize(0.5),
        ga.RandomAdjustSharpness(2.0),
        ga.ColorJitter(0.3, 0.3),
        ga.GaussianBlur(3, channels=(2, 0)),
        ga.RandomAutocontrast(p=1.0),
    ]
    expected, out = rendered(ga.Compose(steps, seed=5), images((3, 23, 17), torch.float32))
    assert ((out - expected).abs() > 1e-5).double().mean() < 0.005


@pytest.mark.parametrize("shape", [(3, 1, 1), (3, 2, 9), (3, 9, 2)])
def test_sharpness_of_small_images(shape: tuple[int, int, int]) -> None:
    expected, out = rendered(ga.Compose([ga.RandomAdjustSharpness(3.0, p=1.0)]), images(shape, torch.float32))
    assert_same(out, expected)


def test_unfused() -> None:
    """Every pass rounds."""
    steps = [ga.RandomRotation(30), ga.RandomGamma(p=1.0), ga.RandomResizedCrop((9, 14)), ga.ToDtype(torch.float32)]
    for layer in (ga.Compose(steps, seed=1, fuse=False), ga.Compose(steps[:3], seed=1, fuse=False)):
        expected, out = rendered(layer, images((3, 13, 18)))
        assert ((out.double() - expected.double()).abs() > 1e-5).double().mean() < 0.01 and out.dtype == expected.dtype


def test_what_has_no_kernel_takes_its_definition(monkeypatch: pytest.MonkeyPatch) -> None:
    """In the middle of a program, and as a filter."""
    layer = ga.Compose(
        [
            ga.RandomHorizontalFlip(),
            ga.RandomGamma(p=1.0),
            ga.RandomInvert(p=0.5),
            ga.ColorJitter(0.3, 0.3),
            ga.GaussianBlur(3, p=0.5),
            ga.RandomSolarize(0.5),
        ],
        seed=1,
    )
    x = images((3, 7, 10), torch.float32)
    expected, _ = rendered(layer, x)
    for missing in ("invert", "gaussian_blur", "adjust_contrast", "adjust_gamma"):
        codes, filters = {**CODES}, {**FILTERS}
        codes.pop(missing, None), filters.pop(missing, None)
        monkeypatch.setattr(registry, "CODES", codes)
        monkeypatch.setattr(registry, "FILTERS", filters)
        _, kernels = plans(layer, x)
        out = lowering.run(x, kernels, kernels.finish())
        assert_same(out, expected)


def test_a_jitter_of_nothing() -> None:
    """No operation, or one, needs no order."""
    for jitter in (ga.ColorJitter(), ga.ColorJitter(0.4)):
        layer = ga.Compose([ga.RandomHorizontalFlip(), jitter], seed=1)
        expected, out = rendered(layer, images((3, 5, 8)))
        assert_same(out, expected)
        assert_same(layer.replay(images((3, 5, 8)), layer.sample(images((3, 5, 8)))), expected, share=0.0)
