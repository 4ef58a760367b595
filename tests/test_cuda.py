"""On a CUDA device: the same result as on the CPU, nothing waits for the host, calls are captured.

Collected with `pytest --device cuda` only; `test_kernels_cases.py` and `test_kernels_heads.py` then run there too.
"""

from __future__ import annotations

import gc
import weakref
from typing import Any

import pytest
import torch
from cases import CASES, ROWS, Case, classification
from torch import Tensor

import gpuaug as ga
from gpuaug.render import lowering
from gpuaug.testing import annotated, example

pytestmark = pytest.mark.usefixtures("device")
IDS = [case.name for case in CASES]


def far(a: Tensor, b: Tensor, tolerance: float) -> float:
    """Return the share of values that differ by more."""
    return ((a.double().cpu() - b.double().cpu()).abs() > tolerance).double().mean().item()


def given(layer: Any, images: Tensor) -> Any:
    """Return what a transform needs to draw."""
    return annotated(images, masks=True) if any(node.transform.sees for node in layer.nodes) else images


def shown(out: Any) -> Tensor:
    """Return the images of what a layer returned."""
    image: Tensor = out["image"] if isinstance(out, dict) else out
    return image


def pipeline() -> ga.Compose:
    return ga.Compose(classification((56, 48), 9), seed=0)


@pytest.mark.parametrize("dtype", [torch.uint8, torch.float32, torch.float16, torch.bfloat16], ids=str)
@pytest.mark.parametrize("case", CASES, ids=IDS)
def test_equal_to_the_cpu(case: Case, dtype: torch.dtype, device: torch.device) -> None:
    layer: Any = case.make()
    layer.reseed(3)
    images = example(6, case.shape).mul(255).round().to(torch.uint8)
    images = images if dtype == torch.uint8 else (images / 255).to(dtype)
    params = layer.sample(given(layer, images))
    moved = layer.sample(given(layer, images.to(device)))
    for name, drawn in params.values.items():
        for key, value in drawn.items():
            there = moved.values[name][key]
            assert there.device.type == "cuda"
            assert torch.allclose(value.double(), there.double().cpu(), rtol=1e-5, atol=1e-5), (name, key)
    here, there = layer.replay(images, params), layer.replay(images.to(device), params.to(device))
    assert there.device.type == "cuda" and there.dtype == here.dtype
    if any("key" in drawn for drawn in params.values.values()):  # noise is the same in law only
        assert abs(here.double().mean() - there.double().mean().cpu()) < 0.05 * max(1.0, here.double().std().item())
        return
    tolerance = {torch.uint8: 1.0, torch.float32: 1e-4, torch.float16: 2e-3, torch.bfloat16: 2e-2}[dtype]
    scale = max(1.0, here.abs().max().item()) if here.dtype.is_floating_point else 1.0
    assert far(here, there, tolerance * scale) < 2e-3


@pytest.mark.parametrize("case", CASES, ids=IDS)
def test_nothing_waits_for_the_host(case: Case, device: torch.device) -> None:
    layer: Any = case.make()
    layer.reseed(3)
    images = example(6, case.shape, torch.uint8).to(device)
    inputs = given(layer, images)
    layer(inputs)
    torch.cuda.synchronize()
    torch.cuda.set_sync_debug_mode("error")
    try:
        layer(inputs)
    finally:
        torch.cuda.set_sync_debug_mode("default")


@pytest.mark.parametrize("captured", [False, True])
def test_memory_stays_flat(captured: bool, device: torch.device) -> None:
    layer = pipeline()
    images = example(8, (3, 64, 80), torch.uint8).to(device)
    call = layer.capture(images) if captured else layer
    for _ in range(3):
        call(images)
    before = (torch.cuda.memory_allocated(), torch.cuda.memory_reserved())
    for _ in range(200):
        call(images)
    assert (torch.cuda.memory_allocated(), torch.cuda.memory_reserved()) == before
    del call
    alive = weakref.ref(images)
    del images
    gc.collect()
    assert alive() is None


def test_a_captured_graph_draws_anew(device: torch.device) -> None:
    layer = pipeline()
    images = example(8, (3, 64, 80), torch.uint8).to(device)
    stream = torch.cuda.Stream()
    with torch.cuda.stream(stream):
        for _ in range(3):
            layer(images)
    torch.cuda.current_stream().wait_stream(stream)
    eager = pipeline()
    eager.load_state_dict(layer.state_dict())
    graph = torch.cuda.CUDAGraph()
    with torch.cuda.graph(graph):
        out = layer(images)
    for _ in range(3):
        graph.replay()
        assert far(out, eager(images), 1e-3) < 2e-3


@pytest.mark.parametrize("dtype", [torch.uint8, torch.float32, torch.bfloat16], ids=str)
@pytest.mark.parametrize("case", CASES, ids=IDS)
def test_kernels_equal_their_definition(
    case: Case, dtype: torch.dtype, device: torch.device, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Both backends on the device, from the same parameters and the same noise."""
    layer: Any = case.make()
    layer.reseed(3)
    images = example(6, case.shape).mul(255).round().to(torch.uint8)
    images = (images if dtype == torch.uint8 else (images / 255).to(dtype)).to(device)
    sees = any(node.transform.sees for node in layer.nodes)
    given = annotated(images, masks=True) if sees else images
    params = layer.sample(given)
    ran: list[int] = []
    run = lowering.run
    monkeypatch.setattr(lowering, "run", lambda *given: ran.append(1) or run(*given))
    layer.backend = "torch"
    expected = shown(layer.replay(given, params))
    assert not ran
    layer.backend = None
    out = shown(layer.replay(given, params))
    assert ran or out is images or images.shape[1] > 4
    assert out.dtype == expected.dtype and out.stride() == expected.stride()
    tolerance = {torch.uint8: 1.0, torch.float32: 2e-5, torch.bfloat16: 1.6e-2}[dtype]
    scale = max(1.0, expected.abs().max().item()) if expected.dtype.is_floating_point else 1.0
    assert far(out, expected, tolerance * scale) < 2e-3


@pytest.mark.parametrize("size", [(224, 224), (97, 131)])
def test_tiles_of_large_images(size: tuple[int, int], device: torch.device) -> None:
    """Many tiles for each sample, many jobs for each program of the filter, and what they share: the cache."""
    layer: Any = ga.Compose(classification(size, 23), seed=0)
    images = example(48, (3, 250, 240), torch.uint8).to(device)
    params = layer.sample(images)
    layer.backend = "torch"
    expected = layer.replay(images, params)
    layer.backend = "triton"
    for _ in range(3):
        assert far(layer.replay(images, params), expected, 1e-4) < 2e-3


@pytest.mark.parametrize("dtype", [torch.bool, torch.uint8, torch.int64], ids=str)
def test_masks(dtype: torch.dtype, device: torch.device) -> None:
    images = example(6, (3, 45, 61), torch.uint8).to(device)
    mask = (torch.arange(6 * 45 * 61, device=device).view(6, 45, 61) % 7).to(dtype)
    layer: Any = ga.Compose([ga.RandomResizedCrop((40, 33)), ga.RandomRotation(30), ga.RandomPerspective()], seed=1)
    params = layer.sample({"image": images, "mask": mask})
    layer.backend = "torch"
    expected = layer.replay({"image": images, "mask": mask}, params)["mask"]
    layer.backend = "triton"
    out = layer.replay({"image": images, "mask": mask}, params)["mask"]
    assert out.dtype == dtype and (out != expected).double().mean() < 1e-4


def test_uniforms_are_the_same_bits(device: torch.device) -> None:
    layer = pipeline()
    images = example(8, (3, 64, 80), torch.uint8)
    drawn, there = layer._layout, layer.sample(images.to(device))
    here = pipeline().sample(images)
    assert drawn.names and torch.equal(here["RandomHorizontalFlip"].gate, there["RandomHorizontalFlip"].gate.cpu())
    assert torch.equal(here["RandomErasing"].boxes, there["RandomErasing"].boxes.cpu())


def test_capture(device: torch.device) -> None:
    """A recorded call draws what eager calls draw, bit for bit, and follows the layer's state and bounds."""
    layer, eager = pipeline(), pipeline()
    images = example(8, (3, 64, 80), torch.uint8).to(device)
    other = images.flip(0)
    before = images.clone()
    captured = layer.capture(images)
    for given in (images, other, images):
        assert torch.equal(captured(given), eager(given))
    layer.reseed(9), eager.reseed(9)
    assert torch.equal(captured(other), eager(other))
    layer._layout._table.mul_(0.5), eager._layout._table.mul_(0.5)  # what a schedule does
    assert torch.equal(captured(images), eager(images))
    assert torch.equal(images, before) and int(layer._state[1]) == int(eager._state[1])
    with pytest.raises(ValueError, match="need tensors as the example's"):
        captured(images[:4])
    side = torch.cuda.Stream()
    side.wait_stream(torch.cuda.current_stream())
    with torch.cuda.stream(side):
        out = captured(other).clone()
    torch.cuda.current_stream().wait_stream(side)
    assert torch.equal(out, eager(other))
    layer(images.cpu()), eager(images)  # what the graph reads stays where it is while the layer is elsewhere
    torch.empty(1 << 22, device=device).fill_(7)
    assert torch.equal(captured(images), eager(images)) and torch.equal(layer(images), eager(images))
    (buffer,) = captured.inputs
    buffer.copy_(other)
    assert torch.equal(captured(buffer), eager(other))
    with_ids = ga.Compose([ga.RandomRotation(20)], seed=1)
    ids = torch.arange(8, device=device)
    recorded = with_ids.capture({"image": images, "mask": images[:, 0].contiguous()}, ids=ids)
    expected = with_ids({"image": images, "mask": images[:, 0].contiguous()}, ids=ids + 3)
    out = recorded({"image": images, "mask": images[:, 0].contiguous()}, ids=ids + 3)
    assert torch.equal(out["image"], expected["image"]) and torch.equal(out["mask"], expected["mask"])


def test_capture_of_drawn_sizes(device: torch.device) -> None:
    """One graph for each size; the clock of the host keeps step with the device's."""
    layer, eager = (ga.Compose([ga.RandomShortestSize([40, 48, 60]), ga.RandomRotation(20)], seed=1) for _ in range(2))
    images = example(4, (3, 64, 80), torch.uint8).to(device)
    captured = layer.capture(images)
    shapes = set()
    for _ in range(12):
        out = captured(images)
        assert torch.equal(out, eager(images))
        shapes.add(out.shape)
    assert len(shapes) == 3 and layer._mirror == layer._state.tolist()


def test_capture_of_everything_annotated(device: torch.device) -> None:
    layer, eager = (
        ga.Compose([ga.RandomHorizontalFlip(), ga.RandomAffine(20), ga.GaussianNoise()], seed=1) for _ in "ab"
    )
    batch = annotated(example(4, (3, 64, 80), torch.uint8).to(device))
    captured = layer.capture(batch)
    for _ in range(3):
        out, expected = captured(batch), eager(batch)
        assert all(torch.equal(out[key], expected[key]) for key in expected)


def test_calls_that_wait_are_not_captured(device: torch.device) -> None:
    layer: Any = ga.Compose([ga.RandomResizedCrop(32)], seed=1)
    images = list(example(3, (3, 64, 80), torch.uint8).to(device))
    before = layer.get_extra_state()
    with pytest.raises(RuntimeError, match="calls that never wait for the device"):
        layer.capture(images)
    assert torch.equal(layer.get_extra_state(), before)
    assert torch.cuda.get_sync_debug_mode() == 0
    with torch.inference_mode():
        layer(torch.stack(images))
    assert layer(torch.stack(images)).shape == (3, 3, 32, 32)


def test_compiled(device: torch.device) -> None:
    torch._dynamo.reset()
    layer, eager = pipeline(), pipeline()
    images = example(8, (3, 64, 80), torch.uint8).to(device)
    options = {"max_pointwise_cat_inputs": 0, "max_complex_pointwise_cat_inputs": 0}
    compiled = torch.compile(layer, fullgraph=True, options=options)
    compiled(images)
    eager(images)
    with torch._dynamo.config.patch(error_on_recompile=True):
        for _ in range(5):
            assert far(compiled(images), eager(images), 1e-3) < 2e-3


@pytest.mark.parametrize("case", ROWS, ids=[case.name for case in ROWS])
def test_rows_are_read_where_they_lie(case: Case, device: torch.device) -> None:
    """Other samples and other frames than before: as on the CPU, captured, and without a wait."""
    layer, other = (ga.Compose([case.make(), ga.RandomInvert()], seed=3) for _ in range(2))
    images = example(6, case.shape, torch.uint8)
    given = images.to(device)
    expected = other(images)
    assert far(layer(given), expected, 1.0) == 0
    torch.cuda.synchronize()
    torch.cuda.set_sync_debug_mode("error")
    try:
        second = layer(given)
    finally:
        torch.cuda.set_sync_debug_mode("default")
    assert far(second, other(images), 1.0) == 0
    captured = layer.capture(given)
    for _ in range(2):
        assert far(captured(given), other(images), 1.0) == 0


def test_views_on_the_device(device: torch.device) -> None:
    make = lambda: ga.recipes.dinov2(56, 24, 3, seed=5)  # noqa: E731
    images = example(6, (3, 64, 80), torch.uint8)
    views, other, given = make(), make(), images.to(device)
    expected, params = other(images, return_params=True)
    out = views(given)
    for name, view in expected.items():
        assert out[name].device.type == "cuda" and far(out[name], view, 0.05) < 5e-3
    assert torch.allclose(params.between(0, 4), make().sample(given).between(0, 4).cpu(), atol=1e-3)
    torch.cuda.synchronize()
    torch.cuda.set_sync_debug_mode("error")
    try:
        views(given)
    finally:
        torch.cuda.set_sync_debug_mode("default")
    captured, eager = make().capture(given), make()
    for _ in range(3):
        held, wanted = captured(given), eager(given)
        assert all(far(held[name], wanted[name], 1e-3) < 2e-3 for name in wanted)
