"""A kernel given for each sample: its definition, the walk, and the kernels of the Triton backend."""

from __future__ import annotations

from typing import Any

import pytest
import torch
from kernels import assert_same, images, rendered
from scipy import ndimage
from torch import Tensor

import gpuaug as ga
from gpuaug import functional as F
from gpuaug.data.batch import Batch
from gpuaug.functional.blur import filter_one
from gpuaug.render.backend import render
from gpuaug.render.plan import Choice
from gpuaug.transforms.base import Filter
from gpuaug.transforms.color import choice


def kernels(count: int, high: int, wide: int, dense: bool = True) -> Tensor:
    """Distinct, none of them symmetric; sparse ones are lines."""
    generator = torch.Generator().manual_seed(high * 100 + wide)
    found = torch.rand((count, high, wide), generator=generator)
    if not dense:
        found = found * (torch.arange(high)[:, None] == torch.arange(wide) * high // wide)
    return found / found.sum(dim=(1, 2), keepdim=True)


class Given(Filter):
    """Correlates with given kernels."""

    def __init__(self, kernel: Tensor, **settings: Any) -> None:
        super().__init__(settings.pop("p", 1.0), settings.pop("channels", None), None)
        self.kernel = kernel

    def choice(self, values: Any, plan: Any, context: Any) -> Choice:
        return choice(F.filter2d, self.kernel[: context.like.shape[0]])


@pytest.mark.parametrize("dense", [True, False])
@pytest.mark.parametrize("size", [(3, 3), (5, 9), (9, 1), (21, 27)])
def test_definition(size: tuple[int, int], dense: bool) -> None:
    """Against SciPy in float64, whose "mirror" does not repeat the border either."""
    x = images((3, 14, 17), torch.float64)
    kernel = kernels(3, *size, dense)
    out = F.filter2d(x, kernel)
    for b in range(3):
        taps = kernel[b].double().numpy()
        expected = torch.stack([torch.from_numpy(ndimage.correlate(p.numpy(), taps, mode="mirror")) for p in x[b]])
        assert torch.allclose(out[b], expected, atol=1e-12)
        assert torch.allclose(filter_one(x[b : b + 1], kernel[b : b + 1])[0], expected, atol=1e-7)


def test_definition_at_its_edges() -> None:
    x = images((3, 6, 7), torch.float32)
    still = torch.zeros(3, 3, 5)
    still[:, 1, 2] = 1
    assert torch.equal(F.filter2d(x, still), x)
    assert F.filter2d(x[:0], still[:0]).shape == (0, 3, 6, 7)
    whole = (x * 255).round().to(torch.uint8)
    assert torch.equal(F.filter2d(whole, still), whole)
    for wrong in (still[:2], still[:, :2], still[:, :, :4], still[0]):
        with pytest.raises(ValueError, match=r"filter2d: kernel must have shape \(3, kh, kw\), kh and kw odd"):
            F.filter2d(x, wrong)
    kernel = still.double().requires_grad_()
    assert torch.autograd.gradcheck(F.filter2d, (x.double().requires_grad_(), kernel))


@pytest.mark.parametrize("dtype", [torch.uint8, torch.float32], ids=str)
@pytest.mark.parametrize("size", [(3, 3), (5, 9), (15, 15)])
def test_kernel_of_triton(size: tuple[int, int], dtype: torch.dtype) -> None:
    """Behind a warp and a program, before another program; switched off for some samples."""
    steps = [
        ga.RandomAffine(20),
        ga.RandomGamma(p=0.5),
        Given(kernels(4, *size, size[0] < 15), p=0.6),
        ga.RandomInvert(),
    ]
    layer = ga.Compose(steps, seed=3)
    x = images((3, 17, 21), dtype, 4)
    expected, out = rendered(layer, x)
    assert_same(out, expected, share=0.01)
    plan = layer.plan(Batch(x), layer.sample(x).values)
    assert (layer.sample(x)["Given"].gate.unique()).numel() == 2
    walked = render(x, plan, walking=True)
    assert_same(walked, expected, share=0.01)


def test_some_channels_and_sizes() -> None:
    """Bands that it is limited to; images of several sizes; a Gaussian limited to bands, too."""
    x = images((4, 15, 18), torch.float32)
    for step in (Given(kernels(3, 5, 7), channels=(0, 3)), ga.GaussianBlur(5, (0.5, 2.0), channels=(1, 3))):
        expected, out = rendered(ga.Compose([ga.RandomHorizontalFlip(), step], seed=1), x)
        assert_same(out, expected)
    given = ga.Ragged.pack([image[:, : 12 + i, : 18 - i] for i, image in enumerate(x)])
    steps = [ga.RandomHorizontalFlip(), Given(kernels(3, 5, 7))]
    one, other = (ga.Compose(steps, seed=1, backend=backend)(given) for backend in ("torch", "triton"))
    for a, b in zip(one, other, strict=True):
        assert_same(b, a)


def test_taps_of_zero_are_not_read() -> None:
    """NaN reaches where a tap that counts lies on it, and no further."""
    x = images((3, 9, 12), torch.float32)
    x[1, :, 4, 5] = torch.nan
    kernel = torch.zeros(3, 3, 3)
    kernel[:, 0, 2] = 1.0
    _, out = rendered(ga.Compose([Given(kernel)]), x)
    assert out[1].isnan().nonzero().tolist() == [[c, 5, 4] for c in range(3)]
    assert out[[0, 2]].isfinite().all()
