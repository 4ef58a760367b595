"""Geometric transforms against torchvision, for the parameters that were drawn, sample by sample."""

from __future__ import annotations

from typing import Any

import pytest
import torch
from torch import Tensor
from torchvision.transforms.v2 import InterpolationMode
from torchvision.transforms.v2 import functional as tv

import gpuaug as ga
from gpuaug.data.batch import Batch
from gpuaug.render.backend import render
from gpuaug.testing import example

SHAPE = (3, 37, 53)


def both_ways(layer: Any, images: Tensor) -> tuple[list[Tensor], Any]:
    """Return the result of the walk and of the batched definition, and the parameters."""
    params = layer.sample(images)
    return both_ways_of(layer, images, params), params


def both_ways_of(layer: Any, images: Tensor, params: Any) -> list[Tensor]:
    """Return the result for given parameters of the walk and of the batched definition."""
    batch = Batch(images)
    return [render(images, layer.plan(batch, params.values), walking=walking) for walking in (True, False)]


@pytest.mark.parametrize("dtype", [torch.float32, torch.uint8, torch.float64], ids=str)
@pytest.mark.parametrize("size", [(20, 31), (37, 53), (64, 90), (20, 90)], ids=str)
@pytest.mark.parametrize("antialias", [True, False])
@pytest.mark.parametrize("mode", ["bilinear", "bicubic"])
def test_resized_crop(mode: str, antialias: bool, size: tuple[int, int], dtype: torch.dtype) -> None:
    images = example(4, SHAPE, dtype)
    layer = ga.RandomResizedCrop(size, interpolation=mode, antialias=antialias)
    layer.reseed(0)
    results, params = both_ways(layer, images)
    drawn = params["RandomResizedCrop"]
    places = torch.stack((drawn.top, drawn.left, drawn.height, drawn.width), dim=-1).int().tolist()
    expected = torch.stack(
        [
            tv.resized_crop(image, *place, size, interpolation=InterpolationMode(mode), antialias=antialias)
            for image, place in zip(images, places, strict=True)
        ]
    )
    tolerance = {torch.float32: 1e-5, torch.uint8: 1, torch.float64: 1e-9}[dtype]
    for result in results:
        assert result.dtype == dtype
        assert (result.double() - expected.double()).abs().max() <= tolerance


@pytest.mark.parametrize("size", [7, 50, (20, 90)], ids=str)
def test_nearest_is_nearest_exact(size: Any) -> None:
    images = example(3, SHAPE)
    results, _ = both_ways(ga.Resize(size, interpolation="nearest"), images)
    expected = tv.resize(images, size if isinstance(size, tuple) else [size], InterpolationMode.NEAREST_EXACT)
    for result in results:
        assert torch.equal(result, expected)


def test_crops_and_pads_are_exact() -> None:
    images = example(6, SHAPE, torch.uint8)
    for layer in (
        ga.RandomCrop((30, 21)),
        ga.RandomCrop((40, 21), padding=(1, 2, 3, 4), fill=7),
        ga.RandomCrop((50, 60), pad_if_needed=True, fill=9),
    ):
        layer.reseed(1)
        results, params = both_ways(layer, images)
        drawn = params["RandomCrop"]
        padded = tv.pad(images, [60, 60, 60, 60], fill=int(layer.fill[0]) if layer.fill else 0)
        for i in range(6):
            top, left = int(drawn.top[i]) + 60, int(drawn.left[i]) + 60
            expected = padded[i, :, top : top + layer.size[0], left : left + layer.size[1]]
            assert all(torch.equal(result[i], expected) for result in results)
    for size in ((20, 20), (36, 52), (51, 70), (20, 71), (37, 53)):
        for result in both_ways(ga.CenterCrop(size), images)[0]:
            assert torch.equal(result, tv.center_crop(images, list(size)))
    for result in both_ways(ga.Pad((1, 2, 3, 4), fill=5), images)[0]:
        assert torch.equal(result, tv.pad(images, [1, 2, 3, 4], fill=5))


def test_flips_and_turns_are_exact() -> None:
    square = example(16, (3, 19, 19), torch.uint8)
    for layer in (ga.RandomRotate90(p=1.0), ga.SquareSymmetry(), ga.RandomTranspose(p=0.5)):
        layer.reseed(2)
        results, params = both_ways(layer, square)
        for i, image in enumerate(square):
            name, drawn = next(iter(params.values.items()))
            if name == "RandomTranspose":
                expected = image.transpose(1, 2) if drawn["gate"][i] else image
            elif name == "RandomRotate90":
                expected = torch.rot90(image, int(drawn["turns"][i]), (1, 2))
            else:
                code = int(drawn["symmetry"][i])
                expected = torch.rot90(image, code % 4, (1, 2))
                expected = expected.flip(2) if code >= 4 else expected
            assert all(torch.equal(result[i], expected) for result in results), name


def test_rotation_and_affine() -> None:
    """Where nothing shrinks ours is torchvision's bilinear reading; its shift is in whole pixels, so none here."""
    images = example(6, SHAPE)
    layer: Any = ga.RandomRotation(180)
    layer.reseed(3)
    results, params = both_ways(layer, images)
    angles = params["RandomRotation"].angle.tolist()
    bilinear = InterpolationMode.BILINEAR
    expected = torch.stack([tv.rotate(x, a, bilinear) for x, a in zip(images, angles, strict=True)])
    for result in results:
        assert (result - expected).abs().max() <= 1e-4
    layer = ga.RandomAffine(40, scale=(1.3, 2.0), shear=(-8, 8), center=(20, 11))
    layer.reseed(4)
    results, params = both_ways(layer, images)
    drawn = params["RandomAffine"]
    expected = torch.stack(
        [
            tv.affine(
                images[i],
                drawn.angle[i].item(),
                [0, 0],
                drawn.scale[i].item(),
                [drawn.shear_x[i].item(), 0.0],
                bilinear,
                center=[20, 11],
            )
            for i in range(6)
        ]
    )
    for result in results:
        assert (result - expected).abs().max() <= 1e-4


def tent(image: Tensor, back: Tensor, canvas: tuple[int, int]) -> Tensor:
    """Return the reading of design section 7 in float64, pixel by pixel, straight from its words."""
    channels, rows, cols = image.shape
    out = torch.zeros((channels, *canvas), dtype=torch.float64)
    y, x = torch.arange(rows, dtype=torch.float64) + 0.5, torch.arange(cols, dtype=torch.float64) + 0.5
    for i in range(canvas[0]):
        for j in range(canvas[1]):
            place = torch.tensor([j + 0.5, i + 0.5], dtype=torch.float64, requires_grad=False)

            def source(p: Tensor) -> Tensor:
                q = back @ torch.cat((p, torch.ones(1, dtype=torch.float64)))
                return q[:2] / q[2]

            jacobian = torch.func.jacrev(source)(place)
            rx, ry = jacobian.norm(dim=1).clamp(1, 4).tolist()
            sx, sy = source(place).tolist()
            everywhere = torch.arange(-20, 120, dtype=torch.float64) + 0.5  # taps off the image count in the norm
            wx, wy = (1 - (x - sx).abs() / rx).clamp(min=0), (1 - (y - sy).abs() / ry).clamp(min=0)
            nx = (1 - (everywhere - sx).abs() / rx).clamp(min=0).sum()
            ny = (1 - (everywhere - sy).abs() / ry).clamp(min=0).sum()
            if nx > 0 and ny > 0:
                out[:, i, j] = torch.einsum("chw,h,w->c", image.double(), wy / ny, wx / nx)
    return out


@pytest.mark.parametrize(
    "layer",
    [ga.RandomAffine(30, scale=(0.4, 0.7), shear=10), ga.RandomPerspective(0.6, p=1.0), ga.RandomRotation(45)],
    ids=["affine", "perspective", "rotation"],
)
def test_any_warp_equals_the_tent_in_float64(layer: Any) -> None:
    images = example(2, (2, 15, 21))
    layer.reseed(5)
    results, params = both_ways(layer, images)
    for i in range(2):
        expected = tent(images[i], torch.linalg.inv(params.matrix[i]), (15, 21))
        for result in results:
            assert (result[i].double() - expected).abs().max() <= 1e-4


def test_fill_is_blended_by_coverage() -> None:
    """A constant image on a fill of the same value stays constant (torchvision dips at the border: regressions 2.6)."""
    images = torch.full((2, 3, 24, 30), 128, dtype=torch.uint8)
    for result in both_ways(ga.RandomRotation((20, 40), fill=128), images)[0]:
        assert (result == 128).all()
    theirs = tv.rotate(images, 30.0, InterpolationMode.BILINEAR, fill=128)
    assert theirs.min() < 100


def test_back_and_forth_is_the_identity_in_one_pass() -> None:
    images = example(3, SHAPE)
    layer = ga.Compose([ga.RandomRotation((15, 15)), ga.RandomRotation((-15, -15))])
    for result in both_ways(layer, images)[0]:
        assert torch.equal(result, images)
    assert len(layer.explain(images).splitlines()) == 1


def test_a_crop_cuts_for_good() -> None:
    """Every pixel outside the crop is marked; after a later rotation no mark is seen, fused or not."""
    images = torch.ones(4, 1, 40, 52)
    images[:, :, 10:30, 16:36] = 0.0
    for fuse in (True, False):
        layer = ga.Compose([ga.CenterCrop(20), ga.RandomAffine(40, scale=(0.5, 0.8))], fuse=fuse, seed=0)
        for result in both_ways(layer, images)[0]:
            assert result.max() == 0.0
        assert ga.Compose([ga.RandomAffine(40, scale=(0.5, 0.8))], seed=0)(images).max() > 0.9


LATTICE = [
    lambda: ga.RandomHorizontalFlip(),
    lambda: ga.RandomCrop(17, padding=2, fill=0.25),
    lambda: ga.SquareSymmetry(),
    lambda: ga.Pad(3, fill=0.25),
    lambda: ga.CenterCrop((19, 23), fill=0.25),
    lambda: ga.RandomVerticalFlip(),
]


def test_lattice_chains_are_exact_however_they_are_fused() -> None:
    images = example(8, (3, 23, 31))
    fused = ga.Compose([make() for make in LATTICE], seed=6)
    apart = ga.Compose([make() for make in LATTICE], seed=6, fuse=False)
    params = fused.sample(images)
    expected = apart.replay(images, params)
    for result in both_ways(fused, images)[0]:
        assert torch.equal(result, expected)


@pytest.mark.parametrize(
    "steps",
    [
        lambda: [ga.RandomResizedCrop((40, 30)), ga.RandomRotation(20)],
        lambda: [ga.RandomRotation(20), ga.RandomAffine(10, (0.1, 0.1), (0.9, 1.2))],
        lambda: [ga.LetterBox((60, 48)), ga.RandomResizedCrop((40, 30), scale=(0.5, 1.0))],
        lambda: [ga.RandomAffine(20), ga.RandomCrop((30, 40)), ga.RandomRotation(15)],
    ],
    ids=["crop-rotate", "rotate-affine", "letterbox-crop", "affine-crop-rotate"],
)
def test_fused_chains_equal_unfused_ones(steps: Any) -> None:
    """On a smooth image, where one reading and two differ by the curvature only; borders, which each blends, apart."""
    h, w = 44, 58
    y, x = torch.meshgrid(torch.linspace(0, 2, h), torch.linspace(0, 2, w), indexing="ij")
    images = (0.5 + 0.25 * torch.stack((torch.sin(x), torch.cos(y), torch.sin(x + y)))).expand(5, -1, -1, -1)
    fused, apart = ga.Compose(steps(), seed=1), ga.Compose(steps(), seed=1, fuse=False)
    params = fused.sample(images)
    gap = (fused.replay(images, params) - apart.replay(images, params)).abs().amax(dim=1)
    assert gap.median() < 2e-3
    assert (gap > 0.02).double().mean() < 0.12


CHAIN = {
    "rotate": lambda: ga.RandomAffine(10, scale=(1.5, 1.6)),
    "flip": lambda: ga.RandomHorizontalFlip(),
    "resize": lambda: ga.Resize((30, 44)),
    "pad": lambda: ga.Pad(6),
    "letterbox": lambda: ga.LetterBox((50, 46)),
    "crop": lambda: ga.RandomCrop((20, 24)),
    "zoom": lambda: ga.RandomResizedCrop((40, 52), scale=(0.2, 0.4)),
}


@pytest.mark.parametrize("last", ["flip", "resize", "pad", "letterbox"])
@pytest.mark.parametrize("cut", ["crop", "zoom"])
@pytest.mark.parametrize("first", ["rotate", "flip", "resize", "crop"])
def test_a_cut_in_any_chain_is_for_good(first: str, cut: str, last: str) -> None:
    """What the unfused pipeline has lost, the fused one does not show: a later zoom out finds fill."""
    images = torch.ones(4, 1, 40, 52)
    for seed in range(3):
        chain = [CHAIN[name]() for name in (first, cut, last)] + [ga.RandomAffine(20, scale=(0.5, 0.7))]
        fused, apart = ga.Compose(chain, seed=seed), ga.Compose(chain, seed=seed, fuse=False)
        params = fused.sample(images)
        expected = apart.replay(images, params)
        for result in both_ways_of(fused, images, params):
            assert ((result > 0.6) & (expected < 0.05)).double().mean() < 0.01
