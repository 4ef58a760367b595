"""Images that are not 0..255 or 0..1: what black and white are is said, and nothing is lost beyond them."""

from __future__ import annotations

from typing import Any

import pytest
import torch
from torch import Tensor
from torchvision.transforms.v2 import functional as tv
from ways import both

import gpuaug as ga

H, W = 60, 74


def hounsfield(batch: int = 4) -> Tensor:
    """Smooth (B, 1, H, W) int16 from -1024 to 3071."""
    y, x = torch.meshgrid(torch.linspace(0, 3, H), torch.linspace(0, 4, W), indexing="ij")
    phase = torch.arange(batch)[:, None, None, None]
    return (1023.5 + 2047.5 * torch.sin(x + phase) * torch.cos(y * 2)).round().to(torch.int16)


COLOUR = {
    "contrast": (lambda: ga.RandomBrightnessContrast(p=1.0), None),
    "gamma": (lambda: ga.RandomGamma((60, 150), p=1.0), None),
    "invert": (lambda: ga.RandomInvert(p=1.0), None),
    "noise": (lambda: ga.GaussianNoise(sigma=0.05), None),
    "blur": (lambda: ga.GaussianBlur(5), None),
    "equalize": (lambda: ga.RandomEqualize(p=1.0), None),
    "autocontrast": (lambda: ga.RandomAutocontrast(p=1.0), None),
    "posterize": (lambda: ga.RandomPosterize(3, p=1.0), None),
}


@pytest.mark.parametrize("name", COLOUR)
@pytest.mark.parametrize("dtype", [torch.int16, torch.uint16, torch.float64], ids=str)
def test_operations_see_black_as_0_and_white_as_1(
    monkeypatch: pytest.MonkeyPatch, name: str, dtype: torch.dtype
) -> None:
    """Equal to scaling by hand, drawing, and scaling back: to half a level of integers."""
    make = COLOUR[name][0]
    black, white = (0.0, 4095.0) if dtype == torch.uint16 else (-1024.0, 3071.0)
    images = (hounsfield().to(torch.int32) + (1024 if dtype == torch.uint16 else 0)).to(dtype)
    layer, plain = ga.Compose([make()], value_range=(black, white), seed=3), ga.Compose([make()], seed=3)
    unit = (images.double() - black) / (white - black)
    params = layer.sample(images)
    expected = plain.replay(unit, params).double() * (white - black) + black
    half = 0.5 if not dtype.is_floating_point else 0.0
    for out in both(monkeypatch, layer, images, params):
        assert out.dtype == dtype
        far = (out.double() - expected).abs() > half + 4e-3
        assert far.double().mean() < 2e-3  # steps of equalize and posterize may fall on the other side


def test_solarize_takes_its_threshold_in_the_images_unit() -> None:
    images = hounsfield()
    out = ga.Compose([ga.RandomSolarize(500, p=1.0)], value_range=(-1024, 3071), seed=0)(images)
    exact = torch.where(images >= 500, 3071 - 1024 - images.int(), images.int())
    assert (out.int() - exact).abs().max() <= 1


@pytest.mark.parametrize("dtype", [torch.int16, torch.uint16], ids=str)
def test_geometry_keeps_what_lies_beyond_the_range(monkeypatch: pytest.MonkeyPatch, dtype: torch.dtype) -> None:
    """No clamp to black and white, no rounding but the last; the window is for pixel operations only."""
    images = (hounsfield().to(torch.int32) + 1024).to(dtype)
    layer = ga.Compose([ga.RandomAffine((20, 20), fill=77)], value_range=(1000, 1200), seed=0)
    params = layer.sample(images)
    exact = ga.Compose([ga.RandomAffine((20, 20), fill=77)], seed=0).replay(images.double(), params)
    for out in both(monkeypatch, layer, images, params):
        assert out.dtype == dtype and (out.double() - exact).abs().max() <= 0.5 + 1e-2
        assert out.to(torch.int32).max() > 3000


def test_lattice_maps_keep_sixteen_bits_exactly(monkeypatch: pytest.MonkeyPatch) -> None:
    images = (torch.arange(2 * H * W) * 7 % 65536).view(2, 1, H, W).to(torch.uint16)
    layer = ga.Compose([ga.RandomHorizontalFlip(p=1.0), ga.CenterCrop((40, 50))])
    exact = images.to(torch.int32).flip(-1)[:, :, 10:50, 12:62]
    for out in both(monkeypatch, layer, images, layer.sample(images)):
        assert out.dtype == torch.uint16 and torch.equal(out.to(torch.int32), exact)


def test_images_between_minus_one_and_one(monkeypatch: pytest.MonkeyPatch) -> None:
    """As diffusion models take them: against torchvision on 0..1, fill black, and left-out samples bit-identical."""
    torch.manual_seed(0)
    images = torch.rand(6, 3, H, W) * 2 - 1
    layer = ga.Compose(
        [ga.ColorJitter((1.3, 1.3), p=0.5), ga.RandomErasing(p=0.5, value=0.5)], value_range=(-1, 1), seed=4
    )
    params = layer.sample(images)
    jittered, erased = params["ColorJitter"].gate, params["RandomErasing"].gate
    assert 0 < jittered.sum() < 6 and 0 < erased.sum() < 6
    for out in both(monkeypatch, layer, images, params):
        for i in range(6):
            want = images[i]
            if jittered[i]:
                want = tv.adjust_brightness((want + 1) / 2, 1.3) * 2 - 1
            inside = torch.zeros(H, W, dtype=torch.bool)
            if erased[i]:
                top, left, height, width = params["RandomErasing"].boxes[i, 0].tolist()
                inside[top : top + height, left : left + width] = True
                assert (out[i][:, inside] - 0.5).abs().max() < 1e-6
            assert (out[i] - want)[:, ~inside].abs().max() < 1e-6
            if not jittered[i] and not erased[i]:
                assert torch.equal(out[i], images[i])
    padded = ga.Compose([ga.Pad(2)], value_range=(-1, 1))(images)
    assert (padded[:, :, :2] == -1).all() and torch.equal(padded[:, :, 2:-2, 2:-2], images)


def test_normalize_and_to_dtype_leave_the_range(monkeypatch: pytest.MonkeyPatch) -> None:
    """After them black is what they make of it; ranges by channel."""
    images = torch.stack((hounsfield(2)[:, 0], hounsfield(2)[:, 0] // 4), dim=1)
    black, white = (-1024, -256), (3071, 768)
    unit = (images.double() - torch.tensor(black)[:, None, None]) / (
        torch.tensor(white) - torch.tensor(black)
    ).double()[:, None, None]
    cases = [
        (
            ga.Normalize((0.4, 0.5), (0.2, 0.3)),
            (unit - torch.tensor([0.4, 0.5])[:, None, None].double())
            / torch.tensor([0.2, 0.3])[:, None, None].double(),
        ),
        (ga.ToDtype(torch.float32), unit),
        (ga.ToDtype(torch.uint8), (unit * 255).round().clamp(0, 255)),
    ]
    for end, exact in cases:
        layer = ga.Compose([ga.RandomHorizontalFlip(p=0.0), end], value_range=(black, white))
        for out in both(monkeypatch, layer, images, layer.sample(images)):
            assert (out.double() - exact).abs().max() < (1.01 if out.dtype == torch.uint8 else 1e-5)
            if out.dtype == torch.uint8:
                assert ((out.double() - exact).abs() > 0).double().mean() < 1e-3


def test_every_transform_of_its_own_rounds_once_each_and_agrees() -> None:
    steps = [ga.RandomRotation(20), ga.RandomBrightnessContrast(p=1.0), ga.RandomGamma(p=1.0)]
    images = hounsfield()
    fused = ga.Compose(steps, value_range=(-1024, 3071), seed=1)(images)
    alone = ga.Compose(steps, value_range=(-1024, 3071), seed=1, fuse=False)(images)
    assert fused.dtype == alone.dtype == torch.int16
    assert (fused.int() - alone.int()).abs().max() <= 4


def test_it_compiles() -> None:
    layer = ga.Compose([ga.RandomGamma(p=0.5), ga.RandomHorizontalFlip()], value_range=(-1, 1), seed=1)
    images = torch.rand(3, 3, 20, 26) * 2 - 1
    eager = layer(images)
    layer.reseed(1)
    compiled = torch.compile(layer, fullgraph=True, backend="aot_eager")
    assert (compiled(images) - eager).abs().max() < 1e-5


@pytest.mark.parametrize(
    ("value", "kind", "message"),
    [
        (3, TypeError, r"value_range must be \(black, white\), got 3"),
        ((1, 1), ValueError, "value_range must have black below white"),
        (((0, 1), (2, 3, 4)), ValueError, "value_range must have as many numbers for black as for white"),
        (("a", 1), TypeError, "value_range must be numbers"),
    ],
)
def test_ranges_that_make_no_sense(value: Any, kind: type[Exception], message: str) -> None:
    with pytest.raises(kind, match=f"Compose: {message}"):
        ga.Compose([], value_range=value)


def test_int16_needs_a_range_and_channels_must_fit() -> None:
    with pytest.raises(ValueError, match="RandomInvert: int16 images need Compose"):
        ga.RandomInvert()(hounsfield())
    layer = ga.Compose([ga.RandomInvert()], value_range=((0, 0), (1, 1)))
    with pytest.raises(ValueError, match="value_range must have one number or 3"):
        layer(torch.zeros(1, 3, 8, 9))
    layer = ga.Compose([ga.RandomSolarize(0.5, p=1.0)], value_range=((0, 0), (1, 2)))
    with pytest.raises(ValueError, match="RandomSolarize: value_range must be the same for all channels"):
        layer(torch.zeros(1, 2, 8, 9))


def test_bytes_with_a_range_of_their_own_are_posterized_in_it() -> None:
    """Between its black and white, 2 ** bits steps, as for floats: the upper bits of a byte know nothing of them."""
    image = torch.arange(16, 236, dtype=torch.uint8).view(1, 1, 10, 22)
    out = ga.Compose([ga.RandomPosterize(2, p=1.0)], value_range=(16, 235))(image)
    unit = (image.double() - 16) / 219
    expected = ((unit * 4).floor().clamp(max=3) / 4 * 219 + 16).round()
    assert set(out.unique().tolist()) == {16, 71, 126, 180}
    assert (out != expected).double().mean() < 0.02  # on the border of two steps
