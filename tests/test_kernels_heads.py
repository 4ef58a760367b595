"""How the kernels read: every kind of warp, reading, window, layout and size, against `reading.py` and `pick.py`."""

from __future__ import annotations

from typing import Any

import pytest
import torch
from kernels import DEVICE, SLACK, assert_same, images, rendered
from torch import Tensor

import gpuaug as ga
from gpuaug.data.batch import Batch
from gpuaug.render.backend import render
from gpuaug.render.pick import pick
from gpuaug.render.plan import Plan
from gpuaug.render.settings import Reading
from gpuaug.sampling import kernels, noise
from gpuaug.sampling.generator import _uniform_arithmetic, column_words

WARPS: dict[str, list[Any]] = {
    "lattice": [ga.RandomHorizontalFlip(), ga.RandomCrop((9, 12), padding=2)],
    "crop": [ga.RandomResizedCrop((7, 10)), ga.RandomHorizontalFlip()],
    "enlarged": [ga.RandomVerticalFlip(), ga.RandomResizedCrop((20, 33), scale=(0.2, 0.5))],
    "shrunk": [ga.Resize((4, 5))],
    "rotated": [ga.RandomRotation(40)],
    "affine": [ga.RandomAffine(30, (0.2, 0.1), (0.3, 1.4), 20)],
    "perspective": [ga.RandomPerspective(0.7, p=1.0)],
    "crop of a rotation": [ga.RandomRotation(40), ga.RandomCrop((9, 8)), ga.RandomPerspective(0.3, p=1.0)],
    "rotated crop": [ga.CenterCrop((9, 8)), ga.RandomAffine(30, scale=(0.8, 1.2))],
    "rotated crop of a resize": [ga.Resize((14, 19)), ga.CenterCrop((9, 8)), ga.RandomAffine(30)],
    "rotated resized crop": [ga.RandomResizedCrop((9, 14)), ga.RandomRotation(30)],
    "field": [ga.GridDistortion(3, 0.6)],
    "crop of a field": [ga.ElasticTransform(30.0, 2.0), ga.RandomResizedCrop((7, 10))],
    "window": [ga.RandomHorizontalFlip(), ga.RandomResizedCrop((20, 17), scale=(0.2, 0.9), antialias=False)],
}
READINGS: dict[str, dict[str, Any]] = {
    "bilinear": {},
    "plain": {"antialias": False},
    "nearest": {"interpolation": "nearest"},
    "bicubic": {"interpolation": "bicubic"},
    "plain bicubic": {"interpolation": "bicubic", "antialias": False},
}


# Every head that a warp and a reading can ask of the kernels, mostly once: those left out compile to the same.
PAIRS = {
    "bilinear": [*WARPS],
    "plain": ["lattice", "rotated", "rotated crop", "perspective", "field"],
    "nearest": ["crop", "rotated", "rotated crop", "perspective", "field"],
    "bicubic": ["crop", "enlarged", "window", "rotated", "affine", "rotated crop", "perspective", "field"],
    "plain bicubic": ["rotated", "rotated crop", "perspective", "field"],
}


@pytest.mark.parametrize(("reading", "warp"), [(reading, warp) for reading in PAIRS for warp in PAIRS[reading]])
def test_warp(warp: str, reading: str) -> None:
    layer = ga.Compose(WARPS[warp], seed=1, fill=(0.2, 0.7, 0.4), **READINGS[reading])
    expected, out = rendered(layer, images((3, 9, 12), torch.float32, 2))
    if reading == "nearest":  # a place right between two pixels falls to either
        assert ((out - expected).abs() > 1e-6).double().mean() < 0.02
    else:
        assert_same(out, expected)


@pytest.mark.parametrize("size", [19, 20])
def test_quarter_turns(size: int) -> None:
    layer = ga.Compose([ga.RandomRotate90(), ga.RandomTranspose(), ga.Pad(3, fill=9)], seed=2)
    expected, out = rendered(layer, images((3, size, size), count=6))
    assert torch.equal(out, expected)


def layouts(x: Tensor) -> dict[str, Tensor]:
    wide = x.new_zeros((*x.shape[:3], 2 * x.shape[3]))
    wide[..., ::2] = x
    return {
        "contiguous": x,
        "channels_last": x.contiguous(memory_format=torch.channels_last),
        "every second": wide[..., ::2],
        "transposed": x.transpose(2, 3).contiguous().transpose(2, 3),
        "one for all": x[:1].expand(4, -1, -1, -1),
    }


@pytest.mark.parametrize("memory_format", [None, torch.contiguous_format, torch.channels_last], ids=str)
@pytest.mark.parametrize("layout", list(layouts(torch.zeros(1, 1, 1, 1))))
def test_layouts(layout: str, memory_format: torch.memory_format | None) -> None:
    x = layouts(images((3, 9, 14)))[layout]
    before = x.clone()
    layer = ga.Compose(
        [ga.RandomRotation(20), ga.Normalize((0.5,) * 3, (0.2,) * 3, dtype=torch.float16, memory_format=memory_format)],
        seed=1,
    )
    expected, out = rendered(layer, x)
    assert_same(out, expected)
    assert torch.equal(x, before)


@pytest.mark.parametrize("count", [0, 1])
@pytest.mark.parametrize("shape", [(3, 1, 1), (1, 1, 7), (3, 5, 8)])
def test_small(count: int, shape: tuple[int, int, int]) -> None:
    steps = [
        ga.RandomResizedCrop((5, 6)),
        ga.RandomRotation(20),
        ga.ColorJitter(0.4, 0.4),
        ga.RandomEqualize(),
        ga.GaussianBlur(3, p=0.5),
    ]
    expected, out = rendered(ga.Compose(steps, seed=1), images(shape, count=max(count, 1))[:count])
    assert_same(out, expected, share=0.1)


def test_a_tap_of_weight_zero_is_not_read() -> None:
    """NaN stays where it is looked at, and in its sample."""
    x = images((3, 9, 14), torch.float32)
    x[0, :, 4, 5] = torch.nan
    x[1, :, 0] = torch.inf
    still = [ga.RandomRotation(20, p=0.0)]  # the identity, whose neighbouring taps weigh nothing
    for steps in ([ga.RandomHorizontalFlip(p=1.0)], still, [ga.RandomRotation(20, fill=0.5)], [ga.Resize((14, 20))]):
        expected, out = rendered(ga.Compose(steps, seed=1), x)
        assert steps is not still or torch.equal(out.nan_to_num(), x.nan_to_num())
        assert torch.equal(out.isnan(), expected.isnan()) and torch.equal(out.isinf(), expected.isinf())
        assert out[2].isfinite().all()


@pytest.mark.parametrize("antialias", [True, False])
def test_horizon(antialias: bool) -> None:
    """What lies behind the camera is not seen: half of the canvas here, and all of it where the sign is turned."""
    x = images((3, 11, 15), torch.float32)
    matrix = torch.eye(3, dtype=torch.float64, device=DEVICE).repeat(3, 1, 1)
    matrix[:, 2, 0] = torch.tensor([0.09, -0.02, 0.09], device=DEVICE)
    matrix[2] *= -1
    mask = (x[:, :1] * 50).to(torch.int64) + 1
    seen = []
    for backend in ("torch", "triton"):
        plan = Plan((11, 15), 3, x.dtype)
        plan.backend = backend
        plan.warp(matrix, (11, 15), "warp", Reading("bilinear", antialias, (0.25,)), shrink=9.0, projective=True)
        passes = plan.finish()
        seen.append(
            (render(x, plan, walking=False if backend == "torch" else None), pick(mask, passes, 0, (11, 15), backend))
        )
    (expected, classes), (out, picked) = seen
    assert_same(out, expected)
    assert (
        (picked != classes).double().mean() <= SLACK
        and (picked[0] == 0).any()
        and (picked[0] != 0).any()
        and (picked[2] == 0).all()
    )
    assert torch.allclose(out[2], torch.full_like(out[2], 0.25))


DTYPES = (torch.bool, torch.uint8, torch.int16, torch.int32, torch.int64, torch.float32)


@pytest.mark.parametrize("dtype", DTYPES, ids=str)
@pytest.mark.parametrize("warp", [name for name in WARPS if name != "window"])
def test_masks(warp: str, dtype: torch.dtype) -> None:
    """Classes are picked, not blended: the same pixel to the last bit, in float64."""
    if dtype not in (torch.int64, torch.bool) and warp not in ("crop", "perspective"):
        dtype = torch.uint8
    layer = ga.Compose(WARPS[warp], seed=1)
    x = images((3, 11, 15))
    values = layer.sample(x).values
    reading = Reading("nearest", False, (1.0,))
    for size in ((11, 15), (4, 7)):  # of the image's resolution, and of another
        mask = (images((2, *size), torch.float32) * 2**40).to(torch.int64).to(dtype)
        passes = [layer.plan(Batch(x), values, reading).finish() for _ in range(2)]
        expected = pick(mask, passes[0], 1, (11, 15), "torch")
        out = pick(mask, passes[1], 1, (11, 15), "triton")
        assert out.dtype == dtype and (out != expected).double().mean() <= SLACK


def test_masks_move_with_the_image() -> None:
    """Through the public call, by each backend."""
    x, mask = images((3, 11, 15)), (images((1, 11, 15), torch.float32)[:, 0] * 50).to(torch.int64)
    results = []
    for backend in ("torch", "triton"):
        layer = ga.Compose(WARPS["rotated resized crop"], seed=3, fill={"mask": 255}, backend=backend)
        results.append(layer({"image": x, "mask": mask}))
    assert (results[0]["mask"] != results[1]["mask"]).double().mean() <= SLACK
    assert_same(results[1]["image"], results[0]["image"], share=0.02)


def test_uniforms() -> None:
    """Bit for bit those of the definition, whose known answers are tested elsewhere."""
    state, ids = (torch.tensor(v, device=DEVICE) for v in ([-7, 3, 9], [0, 1, 2**31, -1, 2**40 + 5]))
    words, lanes = column_words("RandomRotation", 9)
    assert lanes == [0, 1, 2, 3, 0, 1, 2, 3, 0]
    blocks, columns = torch.tensor(words[::4], device=DEVICE), torch.tensor([0, 5, 3, 8, 10], device=DEVICE)
    for given in (state[::2], state[:2]):
        for copy in (torch.tensor([1 << 31 | 3], device=DEVICE), torch.arange(5, device=DEVICE)):
            expected = _uniform_arithmetic(given, ids, copy, blocks, columns)
            assert torch.equal(kernels.draw_uniform(given, ids, copy, blocks, columns), expected)
    assert kernels.draw_uniform(state[:2], ids[:0], ids[:1], blocks, columns).shape == (0, 5)


@pytest.mark.parametrize("channels", [1, 3, 6])
def test_noise(channels: int) -> None:
    keys = torch.tensor([0, 2**48 - 1, 12345678901], device=DEVICE)
    drawn = kernels.draw_noise(keys, channels, 7, 5, False)
    assert torch.equal(drawn, noise._uniform_philox(keys, channels, 7, 5))
    drawn = kernels.draw_noise(keys, channels, 7, 5, True)
    assert torch.allclose(drawn, noise._normal_philox(keys, channels, 7, 5), atol=2e-6 if SLACK == 0 else 2e-5)
