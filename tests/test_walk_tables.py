"""What the CPU's walk does in another way than the definition: tables of 8-bit levels, nearest pixels, one sample."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
import torch
import torchvision.transforms.v2.functional as tv
from torch import Tensor
from ways import both

import gpuaug as ga
from gpuaug.functional import replace_one
from gpuaug.render import table
from gpuaug.render.plan import Choice
from gpuaug.render.sampler import nearest_pixels
from gpuaug.testing import example

CHAINS: dict[str, Any] = {
    "one after another": lambda: [
        ga.RandomBrightnessContrast(contrast_range=0.0, p=0.6),
        ga.RandomSolarize(100, p=0.5),
        ga.RandomPosterize(3, p=0.5),
        ga.RandomInvert(p=0.5),
    ],
    "measured first": lambda: [ga.RandomAutocontrast(p=0.5), ga.RandomEqualize(p=0.5), ga.RandomInvert(p=0.5)],
    "measured last": lambda: [ga.RandomInvert(p=0.5), ga.RandomSolarize(90, p=0.6), ga.RandomEqualize(p=0.5)],
    "before a filter": lambda: [ga.RandomInvert(p=0.5), ga.RandomAdjustSharpness((0.0, 3.0), p=0.6)],
    "before a warp": lambda: [ga.RandomSolarize(100, p=0.5), ga.RandomRotation(20, fill=50, p=0.6), ga.RandomInvert()],
    "some channels": lambda: [ga.RandomInvert(p=0.5, channels=(0, 2)), ga.RandomSolarize(90, p=0.5)],
    "in any order": lambda: [ga.ColorJitter(0.4, 0.4, 0.4), ga.RandomPosterize(4, p=0.5)],
    "normalized": lambda: [ga.RandomSolarize(90, p=0.5), ga.Normalize((0.5,) * 3, (0.2, 0.3, 0.4))],
}


@pytest.mark.parametrize("fuse", [True, False])
@pytest.mark.parametrize("name", list(CHAINS))
def test_the_walk_is_the_definition(name: str, fuse: bool, monkeypatch: pytest.MonkeyPatch) -> None:
    images = example(24, (3, 19, 26), torch.uint8)
    images[3], images[4, 1] = 77, 0
    layer = ga.Compose(CHAINS[name](), seed=3, fuse=fuse)
    params = layer.sample(images)
    definition, walked = both(monkeypatch, layer, images, params)
    far = (definition.double() - walked.double()).abs()
    if definition.dtype.is_floating_point:
        assert far.max() < 2e-5
    else:  # a tie of a rounding may fall to either side
        assert far.max() <= 1 and (far > 0).double().mean() < 2e-3


def test_an_image_is_looked_up_once(monkeypatch: pytest.MonkeyPatch) -> None:
    """Operations that follow one another are done to the table; the image they go to is read once and rounded once."""
    monkeypatch.setattr("gpuaug.render.backend.SMALL", 0)
    looked: list[str] = []

    def counted(name: str) -> Any:
        plain = getattr(table.Table, name)

        def look(self: table.Table) -> Tensor:
            looked.append(name)
            return plain(self)

        return look

    for name in ("pixels", "rounded"):
        monkeypatch.setattr(table.Table, name, counted(name))
    steps = [ga.RandomInvert(p=1.0), ga.RandomSolarize(90, p=1.0), ga.RandomBrightnessContrast(0.1, 0.0, p=1.0)]
    ga.Compose(steps, seed=0)(example(5, (3, 19, 26), torch.uint8))
    assert looked == ["rounded"] * 5


def test_what_no_table_can_do() -> None:
    """Other dtypes, some channels, ranges of values, and what looks at its neighbours or at other channels."""
    image = example(1, (3, 9, 12), torch.uint8)
    invert = Choice("invert", ga.functional.invert.working)
    assert table.tabled(image, 255, None, invert, 0, 255, torch.float32) is not None
    assert table.tabled(image.float(), 1.0, None, invert, 0, 255, torch.float32) is None
    for other in (
        Choice("invert", ga.functional.invert.working, channels=(0,)),
        Choice("adjust_saturation", ga.functional.adjust_saturation.working, (torch.ones(1),)),
        Choice("brightness_contrast", ga.functional.brightness_contrast.working, static={"brightness_by_max": False}),
    ):
        assert table.tabled(image, 255, None, other, 0, 255, torch.float32) is None
    known = table.Table(image, torch.rand(1, 256))
    equalize = Choice("equalize", ga.functional.equalize.working)
    assert table.tabled(image, 255, known, equalize, 0, 255, torch.float32) is None


@pytest.mark.parametrize("dtype", [torch.uint8, torch.float32, torch.float64], ids=str)
@pytest.mark.parametrize("fill", [None, (0.3, 0.5, 0.7)])
def test_nearest_pixels_are_the_definitions(dtype: torch.dtype, fill: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    images = example(30, (3, 31, 44), dtype)
    for steps in (
        [ga.RandomAffine(40, (0.2, 0.2), (0.6, 1.5), 20, interpolation="nearest", fill=fill)],
        [ga.RandomCrop((25, 33)), ga.RandomRotation(30, interpolation="nearest", fill=fill)],
    ):
        layer = ga.Compose(steps, seed=1)
        definition, walked = both(monkeypatch, layer, images, layer.sample(images))
        assert torch.equal(definition, walked)


@pytest.mark.parametrize("name", ["invert", "posterize", "solarize"])
def test_bytes_are_changed_as_torchvision_changes_them(name: str) -> None:
    """Every level, at every threshold and number of bits."""
    image = torch.arange(256, dtype=torch.uint8).repeat(3).view(1, 3, 16, 16)
    given: dict[str, list[Any]] = {"invert": [None], "posterize": list(range(9)), "solarize": list(range(257))}
    for value in given[name]:
        operands = () if value is None else (torch.tensor([value / 255 if name == "solarize" else float(value)]),)
        ours = getattr(replace_one, f"{name}_bytes")(image, 255.0, *operands)
        assert ours is not None
        # torchvision refuses a threshold beyond white, at which nothing is inverted
        theirs = image if value == 256 else getattr(tv, name)(image, *([] if value is None else [value]))
        assert torch.equal(ours, theirs), value
    assert (image[0, 0].flatten() == torch.arange(256)).all()  # the input is as it was


@pytest.mark.parametrize("side", [60, 4200])  # the second has more pixels than float32 has whole numbers
def test_nearest_pixels_of_any_size(side: int) -> None:
    source = torch.randint(256, (1, 2, side, side + 3), dtype=torch.uint8)
    turn = [[0.8, 0.31, side * 0.55], [-0.3, 0.7, side - 15.3], [0.0, 0.0, 1.0]]
    found = nearest_pixels(source, turn, (13, 17), (0, 0, side + 3, side), (7.0,), torch.float32)
    x, y = np.meshgrid(np.arange(17) + 0.5, np.arange(13) + 0.5)
    column, row = (np.floor(m[0] * x + m[1] * y + m[2]).astype(int) for m in turn[:2])
    assert column.min() > 0 and row.min() > 0 and max(column.max(), row.max()) < side  # far from ties, and inside
    assert np.array_equal(found[0].numpy(), source[0].numpy()[:, row, column])
