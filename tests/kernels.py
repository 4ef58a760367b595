"""What the tests of the Triton kernels share: one plan rendered by both backends.

The kernels run in Triton's interpreter or, with `pytest --device cuda`, on the device.
"""

from __future__ import annotations

import os
from typing import Any

import pytest
import torch
from torch import Tensor

from gpuaug.data.batch import Batch
from gpuaug.render import ops
from gpuaug.render.backend import render
from gpuaug.render.plan import Plan
from gpuaug.sampling import noise
from gpuaug.testing import annotated, example

DEVICE = torch.device(os.environ.get("GPUAUG_TEST_DEVICE", "cpu"))
SLACK = 0.005 if DEVICE.type == "cuda" else 0.0
"""Share of places where a tie between two pixels may fall otherwise: a device contracts products and sums."""
TOLERANCE = {
    torch.uint8: 1.0,
    torch.uint16: 1.0,
    torch.int16: 1.0,
    torch.float16: 1e-3,
    torch.bfloat16: 8e-3,  # the interpreter cuts float32 to bfloat16 where a device rounds
    torch.float32: 5e-6,
}


def images(shape: tuple[int, ...], dtype: torch.dtype = torch.uint8, count: int = 3) -> Tensor:
    """Return distinct images (B, C, H, W)."""
    x = example(count, shape).to(DEVICE)
    if dtype.is_floating_point:
        return x.to(dtype)
    white = {torch.uint8: 255, torch.uint16: 65535, torch.int16: 1000}[dtype]
    return x.mul(white).round().to(torch.int32).to(dtype)


def plans(layer: Any, x: Tensor) -> tuple[Plan, Plan]:
    """Return the same plan twice, for torch and for Triton: rendering uses a plan up."""
    sees = any(node.transform.sees for node in layer.nodes)
    values = layer.sample(annotated(x, masks=True) if sees else x).values
    torch_plan, triton_plan = layer.plan(Batch(x), values), layer.plan(Batch(x), values)
    torch_plan.backend, triton_plan.backend = "torch", "triton"
    return torch_plan, triton_plan


def rendered(layer: Any, x: Tensor, monkeypatch: pytest.MonkeyPatch | None = None) -> tuple[Tensor, Tensor]:
    """Return what the definition gives, and what the kernels give; with a patch, by the same noise."""
    if monkeypatch is not None:
        monkeypatch.setattr(ops, "normal_noise", noise._normal_philox)
        monkeypatch.setattr(ops, "uniform_noise", noise._uniform_philox)
    definition, kernels = plans(layer, x)
    return render(x, definition, walking=False), render(x, kernels)


def assert_same(out: Tensor, expected: Tensor, share: float = 0.002) -> None:
    """Hold the kernels to the definition: shape, dtype, strides, and values but for ties of rounding."""
    assert out.shape == expected.shape and out.dtype == expected.dtype and out.stride() == expected.stride()
    if out.numel() == 0:
        return
    tolerance = TOLERANCE[out.dtype]
    if DEVICE.type == "cuda":  # products and sums are contracted there: a last bit may decide a step of a few values
        far = (out.double() - expected.double()).abs().nan_to_num()
        scale = max(1.0, expected.double().nan_to_num().abs().max().item()) if out.dtype.is_floating_point else 1.0
        assert torch.equal(out.isnan(), expected.isnan())
        assert (far > (4 if out.dtype.is_floating_point else 1) * tolerance * scale).double().mean().item() <= 0.002
        return
    if out.dtype.is_floating_point:
        scale = max(1.0, expected.double().nan_to_num().abs().max().item())
        assert torch.equal(out.isnan(), expected.isnan())
        far = (out.double() - expected.double()).abs().nan_to_num()
        assert far.max().item() <= tolerance * scale, far.max().item()
        return
    far = (out.double() - expected.double()).abs()
    assert far.max().item() <= tolerance and (far > 0).double().mean().item() <= share, far.max().item()
