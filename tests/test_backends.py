"""Which backend takes a batch; operators under compilers, fake tensors and counters."""

from __future__ import annotations

from typing import Any

import pytest
import torch
from kernels import images
from torch._dynamo.backends.registry import lookup_backend
from torch._subclasses.fake_tensor import FakeTensorMode

import gpuaug as ga
from gpuaug.diagnose import count
from gpuaug.render import backend, lowering, lowering_pick

STEPS: list[Any] = [
    ga.RandomResizedCrop(224),
    ga.RandomHorizontalFlip(),
    ga.RandomApply([ga.ColorJitter(0.4, 0.4, 0.4, 0.1)], p=0.8),
    ga.RandomGrayscale(0.2),
    ga.RandomApply([ga.GaussianBlur(23, (0.1, 2.0))], p=0.5),
]
NORMALIZE = ga.Normalize(ga.IMAGENET_MEAN, ga.IMAGENET_STD)
HALVES = ga.Normalize(
    ga.IMAGENET_MEAN, ga.IMAGENET_STD, dtype=torch.bfloat16, memory_format=torch.channels_last
)  # fmt: skip


@pytest.fixture
def used(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """The kernels' runs of a test."""
    found: list[str] = []
    run, run_pick = lowering.run, lowering_pick.run_pick
    monkeypatch.setattr(lowering, "run", lambda *a: found.append("run") or run(*a))
    monkeypatch.setattr(lowering_pick, "run_pick", lambda *a: found.append("run_pick") or run_pick(*a))
    return found


def test_cpu_takes_torch(used: list[str]) -> None:
    for chosen in (None, "torch"):
        ga.Compose([ga.RandomRotation(20), ga.RandomInvert()], backend=chosen)(images((3, 5, 8)))
    assert used == []
    ga.Compose([ga.RandomRotation(20), ga.RandomInvert()], backend="triton")(images((3, 5, 8)))
    assert used == ["run"]


def test_cuda_takes_triton_where_it_is_installed(monkeypatch: pytest.MonkeyPatch) -> None:
    class Elsewhere:
        device = torch.device("cuda")

    assert backend.uses_triton(Elsewhere(), None) and not backend.uses_triton(Elsewhere(), "torch")  # type: ignore[arg-type]
    monkeypatch.setattr(backend, "TRITON", False)
    assert not backend.uses_triton(Elsewhere(), None)  # type: ignore[arg-type]
    with pytest.raises(RuntimeError, match="needs Triton"):
        ga.Compose([ga.RandomInvert()], backend="triton")(images((3, 5, 8)))


def test_gradients_float64_and_many_bands_take_torch(used: list[str]) -> None:
    layer = ga.Compose([ga.RandomRotation(20), ga.RandomGamma(p=1.0)], backend="triton", seed=0)
    x = images((3, 5, 8), torch.float32).requires_grad_()
    layer(x).sum().backward()
    assert x.grad is not None and x.grad.abs().sum() > 0
    layer(images((3, 5, 8), torch.float32).double())
    layer(images((33, 5, 8), torch.float32))
    assert used == []
    with torch.no_grad():
        layer(x)
    assert used == ["run"]


def test_the_cpu_needs_the_interpreter(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("TRITON_INTERPRET")
    with pytest.raises(ValueError, match="needs images on a CUDA device, got cpu"):
        ga.Compose([ga.RandomInvert()], backend="triton")(images((3, 5, 8)))


def test_unknown_backend() -> None:
    with pytest.raises(ValueError, match="backend must be 'torch', 'triton' or None, got 'cuda'"):
        ga.Compose([ga.RandomInvert()], backend="cuda")


def test_repr_names_the_backend() -> None:
    assert "backend='triton'" in repr(ga.Compose([ga.RandomInvert()], backend="triton"))
    assert "backend=None" in repr(ga.Compose([ga.RandomInvert()]))


def test_evaluation_keeps_the_backend(used: list[str]) -> None:
    ga.Compose([ga.Resize((4, 5)), ga.RandomInvert()], backend="triton").eval()(images((3, 5, 8)))
    assert used == ["run"]


def test_compiles_in_one_graph() -> None:
    """Operators are opaque to the compiler, and in the graph; every call draws anew."""
    torch._dynamo.reset()
    steps = [
        ga.RandomResizedCrop((9, 12)),
        ga.ColorJitter(0.4, 0.4, 0.4, 0.1, p=0.8),
        ga.RandomEqualize(),
        ga.GaussianBlur(3, p=0.5),
        ga.Normalize((0.5,) * 3, (0.2,) * 3),
        ga.RandomErasing(p=0.5),
    ]
    layer, eager = ga.Compose(steps, seed=3, backend="triton"), ga.Compose(steps, seed=3, backend="triton")
    x, mask = images((3, 13, 10)), torch.arange(130).view(1, 13, 10).repeat(3, 1, 1)
    used: list[str] = []

    def listed(graph: torch.fx.GraphModule, inputs: Any) -> Any:
        used.extend(str(node.target) for node in graph.graph.nodes if str(node.target).startswith("gpuaug"))
        return lookup_backend("aot_eager")(graph, inputs)

    compiled = torch.compile(layer, fullgraph=True, backend=listed)
    for _ in range(2):
        out, expected = compiled({"image": x, "mask": mask}), eager({"image": x, "mask": mask})
        assert torch.equal(out["mask"], expected["mask"])
        assert torch.allclose(out["image"], expected["image"], atol=1e-4)
    kernels = ["prepare", "measure", "measure", "table", "filtered", "prepare", "pick"]
    assert used == [f"gpuaug.{name}.default" for name in kernels]  # as when it is not compiled


@pytest.mark.parametrize("device", ["cpu", "meta"])
def test_fake_tensors(device: str) -> None:
    """Shapes, dtypes and strides without values."""
    layer = ga.Compose([*STEPS, HALVES], seed=0, backend="triton")
    shape = (4, 3, 256, 250)
    if device == "meta":
        out = layer(torch.empty(shape, dtype=torch.uint8, device="meta"))
    else:
        with FakeTensorMode(allow_non_fake_inputs=True):
            out = layer(torch.empty(shape, dtype=torch.uint8))
    assert out.shape == (4, 3, 224, 224) and out.dtype == torch.bfloat16
    assert out.is_contiguous(memory_format=torch.channels_last)


@pytest.mark.parametrize("normalize", [NORMALIZE, HALVES], ids=["float32", "bfloat16"])
@pytest.mark.parametrize(
    ("steps", "image_sized", "operations", "traffic"),
    [
        (STEPS[:2], 1, 100, 1.05),
        (STEPS[:4], 2, 130, 1.5),
        (STEPS, 2, 130, 3.0),
        ([*STEPS, "erase"], 2, 130, 3.0),
    ],
    ids=["basic", "without blur", "classification", "with erasing"],
)
def test_budgets(steps: list[Any], image_sized: int, operations: int, traffic: float, normalize: ga.Normalize) -> None:
    """Kernels of the size of an image, all operations, bytes, memory: on `meta`, which stands for a device."""
    after = [ga.RandomErasing(p=0.25)] if steps[-1] == "erase" else []
    layer = ga.Compose([*(s for s in steps if s != "erase"), normalize, *after], seed=0, backend="triton")
    x = torch.empty((64, 3, 256, 256), dtype=torch.uint8, device="meta")
    layer(x)
    counts = count(layer, x)
    assert (counts.synchronising, counts.host_to_device, counts.host_operations) == (0, 0, 0)
    assert counts.image_sized <= image_sized and counts.operations <= operations, counts.names
    assert counts.traffic <= traffic and counts.peak <= (1.2 if len(steps) < 5 else 1.8)  # small for its scratch


@pytest.mark.parametrize("normalize", [NORMALIZE, HALVES], ids=["float32", "bfloat16"])
def test_budget_of_memory(normalize: ga.Normalize) -> None:
    """With the filter's scratch, for the multiprocessors of an H200."""
    layer = ga.Compose([*STEPS, normalize, ga.RandomErasing(p=0.25)], seed=0, backend="triton")
    x = torch.empty((256, 3, 256, 256), dtype=torch.uint8, device="meta")
    layer(x)
    counts = count(layer, x)
    scratch = counts.peak_temporary - counts.output_bytes
    programs = (2 if normalize is HALVES else 3) * 132
    assert programs * 3 * 54 * 86 * 4 <= scratch <= 0.2 * counts.output_bytes and counts.traffic <= 3.0


def test_budget_with_annotations() -> None:
    """Image, mask, boxes and keypoints: one kernel for the image, one for the mask, little else."""
    settings = ga.KeypointParams(flip_pairs=[(0, 1)])
    steps = [ga.RandomAffine(20, (0.1, 0.1), (0.8, 1.2)), ga.RandomHorizontalFlip()]
    layer = ga.Compose(steps, seed=0, backend="triton", keypoint_params=settings)
    shapes = {"image": (16, 3, 96, 112), "mask": (16, 96, 112), "boxes": (16, 5, 4), "keypoints": (16, 5, 3, 2)}
    batch = {key: torch.empty(shape, device="meta") for key, shape in shapes.items()}
    batch["mask"] = batch["mask"].to(torch.int64)
    layer(batch)
    counts = count(lambda *values: layer(dict(zip(batch, values, strict=True))), *batch.values())
    assert (counts.synchronising, counts.host_to_device, counts.host_operations) == (0, 0, 0)
    assert counts.operations <= 130 and counts.image_sized <= 2 and counts.traffic <= 2, counts.names
    assert counts.names["gpuaug.pick.default"] == 1 and counts.names["gpuaug.render.default"] == 1
