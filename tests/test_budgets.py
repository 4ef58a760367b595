"""What a call asks of a device, counted: on `meta` tensors, which stand for one, and in memory on the CPU."""

from __future__ import annotations

import pytest
import torch
from cases import CASES
from torch import Tensor

import gpuaug as ga
from gpuaug.data.batch import Batch
from gpuaug.diagnose import count
from gpuaug.render.groups import choices_of
from gpuaug.render.registry import OPERATIONS, statistics
from gpuaug.transforms.base import Photometric


def pipelines() -> dict[str, ga.Compose]:
    normalize = ga.Normalize(ga.IMAGENET_MEAN, ga.IMAGENET_STD)
    return {
        "basic": ga.Compose([ga.RandomResizedCrop(224), ga.RandomHorizontalFlip(), normalize], seed=0),
        "classification": ga.Compose(
            [
                ga.RandomResizedCrop(224),
                ga.RandomHorizontalFlip(),
                ga.RandomApply([ga.ColorJitter(0.4, 0.4, 0.4, 0.1)], p=0.8),
                ga.RandomGrayscale(0.2),
                ga.RandomApply([ga.GaussianBlur(23, (0.1, 2.0))], p=0.5),
                normalize,
                ga.RandomErasing(p=0.25),
            ],
            seed=0,
        ),
        "geometry": ga.Compose(
            [
                ga.RandomRotation(15),
                ga.RandomAffine(10, (0.1, 0.1), (0.9, 1.1)),
                ga.RandomPerspective(0.5, p=0.5),
            ],
            seed=0,
        ),
    }


@pytest.mark.parametrize("name", list(pipelines()))
def test_nothing_synchronises_and_nothing_is_copied_to_the_device(name: str) -> None:
    layer = pipelines()[name]
    images = torch.empty((16, 3, 96, 80), dtype=torch.uint8, device="meta")
    layer(images)  # constants move to the device once
    counts = count(layer, images)
    assert (counts.synchronising, counts.host_to_device, counts.host_operations) == (0, 0, 0), counts.names


@pytest.mark.parametrize("dtype", [torch.uint8, torch.float32], ids=str)
@pytest.mark.parametrize("name", ["basic", "classification", "geometry"])
def test_peak_memory_of_the_walk(name: str, dtype: torch.dtype) -> None:
    """At most half of the output beside it: intermediate images are one sample's, not the batch's."""
    layer = pipelines()[name]
    images = (torch.rand((32, 3, 256, 256)) * 255).to(torch.uint8)
    if dtype.is_floating_point:
        images = images.float() / 255
    layer(images)
    assert count(layer, images).peak <= 1.5


def test_the_counter_counts() -> None:
    """Functions whose counts are known."""
    images = torch.empty((4, 3, 16, 16), device="meta")

    counts = count(lambda x: (x + 1).mul(2), images)
    assert counts.operations == counts.image_sized == 2
    assert counts.bytes_moved == 4 * images.numel() * 4 and counts.traffic == 2.0

    def copying(x: Tensor) -> Tensor:
        return x + torch.ones(16).to(x.device)

    counts = count(copying, images)
    assert (counts.host_to_device, counts.host_operations) == (1, 1)

    real = torch.ones(4, 3, 16, 16)
    for waiting in (lambda x: x[x > 0], lambda x: x.nonzero(), lambda x: x.sum().item(), lambda x: torch.unique(x)):
        assert count(waiting, real).synchronising >= 1


def test_peak_memory_is_followed() -> None:
    def three_alive(x: Tensor) -> Tensor:
        a, b = x + 1, x + 2
        return a + b

    assert count(three_alive, torch.zeros(4, 3, 16, 16)).peak == 3.0
    assert count(lambda x: (x + 1).add_(1), torch.zeros(4, 3, 16, 16)).peak == 1.0


def test_pixel_operations_join_the_pass_they_stand_in() -> None:
    """Every one of the catalogue, after a flip: one kernel over the image, and one for each statistic it measures."""
    joined = []
    for case in CASES:
        layer = ga.Compose([ga.RandomHorizontalFlip(), case.make()], seed=0, backend="triton")
        kinds = {type(node.transform) for node in layer.nodes}
        if case.shape[0] != 3 or not all(issubclass(kind, Photometric) for kind in kinds - {ga.RandomHorizontalFlip}):
            continue
        if any(node.transform.sees for node in layer.nodes):
            continue
        images = torch.empty((16, 3, 224, 200), dtype=torch.uint8, device="meta")
        choices = list(choices_of(layer.plan(Batch(images), layer.sample(images).values).finish()))
        if len(layer.nodes) != 2 or not all(choice.name in OPERATIONS for choice in choices):
            continue
        measured = sum(len(statistics(choice)) for choice in choices)
        counts = count(layer, images)
        assert counts.image_sized == 1 + measured, (case.name, counts.names)
        assert (counts.synchronising, counts.host_to_device, counts.host_operations) == (0, 0, 0), case.name
        joined.append(case.name)
    assert len(joined) > 45, joined
