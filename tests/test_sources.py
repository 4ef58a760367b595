"""Where samples are read from: rows of the source by an index, by every way of rendering, with masks."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from typing import Any

import pytest
import torch
from kernels import assert_same, images
from torch import Tensor

import gpuaug as ga
from gpuaug.data.batch import Batch
from gpuaug.diagnose import count
from gpuaug.render import ops
from gpuaug.render.backend import render
from gpuaug.render.pick import pick
from gpuaug.render.plan import Pass, Plan
from gpuaug.render.settings import Reading
from gpuaug.sampling import noise
from gpuaug.transforms import carry

ROWS = torch.tensor([2, 0, 0, 1, 2])
STEPS: dict[str, list[Any]] = {
    "warp": [ga.RandomAffine(30, (0.2, 0.1), (0.5, 1.4), fill=0.3)],
    "flip": [ga.RandomHorizontalFlip()],
    "program": [ga.ColorJitter(0.4, 0.4, 0.4, 0.1), ga.RandomEqualize(p=0.5)],
    "warp and program": [ga.RandomResizedCrop((9, 8)), ga.RandomAutocontrast(p=0.6), ga.RandomErasing(p=0.5)],
    "filter": [ga.GaussianBlur(5, (0.5, 2.0), p=0.6)],
    "warp, filter, warp": [ga.RandomRotation(20), ga.RandomAdjustSharpness(2.0), ga.RandomPerspective(0.3, p=1.0)],
    "field": [ga.ElasticTransform(20.0, 2.0)],
    "nothing": [],
}


def planned(layer: ga.Compose, like: Tensor, rows: Tensor | None, reading: Reading | None = None) -> Plan:
    """The plan of as many samples as `like` has, which read `rows` of a source."""

    class Indexed(Plan):
        def __init__(self, *given: Any) -> None:
            super().__init__(*given)
            if rows is not None:
                self.index(rows)

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("gpuaug.transforms.layer.Plan", Indexed)
        return layer.plan(Batch(like), layer.sample(like).values, reading)


def by_torch(x: Tensor, plan: Plan) -> Tensor:
    return render(x, plan, walking=False)


def by_walk(x: Tensor, plan: Plan) -> Tensor:
    return render(x, plan, walking=True)


def by_triton(x: Tensor, plan: Plan) -> Tensor:
    plan.backend = "triton"
    return render(x, plan)


WAYS = {"torch": by_torch, "walk": by_walk, "triton": by_triton}


# The kernels see the rows and the dtype apart from each other: each pipeline with one of two dtypes.
GATHERED = [
    (name, dtype, way)
    for i, name in enumerate(STEPS)
    for k, dtype in enumerate((torch.uint8, torch.float32))
    for way in WAYS
    if way != "triton" or i % 2 == k
]


@pytest.mark.parametrize(("name", "dtype", "way"), GATHERED, ids=str)
def test_an_index_is_a_gather(name: str, dtype: torch.dtype, way: str) -> None:
    """Bit for bit what the same way gives for rows that were gathered."""
    x = images((3, 11, 14), dtype)
    kept = x.clone()
    gathered = x[ROWS]
    layer = ga.Compose(STEPS[name], seed=4)
    expected = WAYS[way](gathered, planned(layer, gathered, None))
    out = WAYS[way](x, planned(layer, gathered, ROWS))
    assert torch.equal(out, expected) and out.dtype == expected.dtype and torch.equal(x, kept)
    assert not torch.equal(out[1], out[2]) or name in ("nothing", "flip", "program", "filter")
    assert_same(out, by_torch(x, planned(layer, gathered, ROWS)), share=0.02)


@pytest.mark.parametrize("way", WAYS)
@pytest.mark.parametrize("name", ["warp and program", "filter", "nothing"])
def test_no_samples(name: str, way: str) -> None:
    """Of a source that has rows, and of one that has none."""
    layer = ga.Compose(STEPS[name], seed=4)
    none = torch.zeros(0, dtype=torch.int64)
    for x in (images((3, 11, 14)), images((3, 11, 14))[:0]):
        out = WAYS[way](x, planned(layer, x[:0], none))
        assert out.shape[:2] == (0, 3)


def test_layouts_and_strides() -> None:
    """A source that is channels_last, and an index with a stride."""
    x = images((3, 11, 14)).contiguous(memory_format=torch.channels_last)
    layer = ga.Compose(STEPS["warp and program"], seed=4)
    rows = torch.stack((ROWS, 2 - ROWS), dim=1)[:, 0]
    results = [way(x, planned(layer, x[ROWS], rows)) for way in WAYS.values()]
    for out in results[1:]:
        assert_same(out.contiguous(), results[0].contiguous(), share=0.02)


@pytest.mark.parametrize("name", ["warp", "warp, filter, warp", "nothing", "field"])
def test_plans_of_one_sample(name: str) -> None:
    """A sample's plan reads its row of the whole source."""
    x = images((3, 11, 14), torch.float32)
    layer = ga.Compose(STEPS[name], seed=4)
    whole = by_torch(x, planned(layer, x[ROWS], ROWS))
    plan = planned(layer, x[ROWS], ROWS)
    plan.finish()
    for b in range(len(ROWS)):
        assert torch.allclose(by_torch(x, plan.of(b))[0], whole[b], atol=1e-6)


@pytest.mark.parametrize("backend", ["torch", "triton"])
@pytest.mark.parametrize("name", ["warp", "field", "nothing", "warp, filter, warp"])
def test_masks(name: str, backend: str) -> None:
    x = images((3, 11, 14))
    mask = (images((2, 11, 14), torch.float32) * 2**40).to(torch.int64)
    layer = ga.Compose(STEPS[name], seed=4)
    reading = Reading("nearest", False, (7.0,))

    def picked(source: Tensor, rows: Tensor | None) -> Tensor:
        return pick(source, planned(layer, x[ROWS], rows, reading).finish(), 7, (11, 14), backend)

    out = picked(mask, ROWS)
    assert out.shape == (5, 2, 11, 14) and torch.equal(out, picked(mask[ROWS], None))


def test_an_index_comes_first() -> None:
    plan = Plan((5, 6), 3, torch.float32)
    plan.slot()
    with pytest.raises(ValueError, match="index must be given before anything joins"):
        plan.index(ROWS)


def test_the_walk_copies_no_rows(monkeypatch: pytest.MonkeyPatch) -> None:
    """It reads the rows where they lie."""
    seen: list[int] = []
    gather: Callable[..., Tensor] = Tensor.index_select
    monkeypatch.setattr(Tensor, "index_select", lambda *a: seen.append(1) or gather(*a))
    x = images((3, 60, 64))
    layer = ga.Compose(STEPS["warp"], seed=4)
    render(x, planned(layer, x[ROWS], ROWS))
    assert not seen
    by_torch(x, planned(layer, x[ROWS], ROWS))
    assert seen


SIZES = [(19, 23), (26, 20), (19, 23), (13, 31)]
RAGGED: dict[str, list[Any]] = {
    "one size": [ga.RandomResizedCrop((10, 12)), ga.RandomHorizontalFlip(), ga.ColorJitter(0.4, 0.4, 0.4, 0.1)],
    "letterbox": [ga.LetterBox((16, 20), fill=114), ga.RandomAffine(20, (0.1, 0.1), (0.8, 1.2)), ga.GaussianBlur(5)],
    "flip and colours": [ga.RandomHorizontalFlip(), ga.ColorJitter(0.4, 0.4, 0.4, 0.1)],
    "statistics": [ga.RandomAutocontrast(p=0.6), ga.RandomEqualize(p=0.6), ga.RandomErasing(p=0.7, value="random")],
    "many passes": [ga.Resize(11), ga.GaussianBlur(5, p=0.6), ga.RandomAffine(25), ga.RandomPerspective(0.4, p=1.0)],
    "other channels": [ga.RandomGamma(p=1.0), ga.Grayscale(1), ga.GaussianBlur(3), ga.Pad(2), ga.GaussianNoise()],
    "halves": [ga.Pad(3), ga.Normalize((0.5,) * 3, (0.2,) * 3, dtype=torch.bfloat16), ga.RandomTranspose(p=1.0)],
}


def ragged(dtype: torch.dtype = torch.uint8, channels: int = 3) -> ga.Ragged:
    return ga.Ragged.pack([images((channels, *size), dtype, i + 1)[i] for i, size in enumerate(SIZES)])


@pytest.mark.parametrize("name", RAGGED)
def test_images_of_several_sizes(name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """The kernels read one flat buffer, and write one where sizes still differ."""
    dtype = torch.uint8 if len(name) % 2 else torch.float32
    monkeypatch.setattr(ops, "normal_noise", noise._normal_philox)
    monkeypatch.setattr("gpuaug.transforms.carry._alone", None)  # not sample by sample
    given = ragged(dtype)
    kept = given.buffer.clone()
    layer = ga.Compose(RAGGED[name], seed=2, backend="triton")
    out, params = layer(given, return_params=True)
    monkeypatch.undo()
    monkeypatch.setattr(ops, "normal_noise", noise._normal_philox)
    expected = ga.Compose(RAGGED[name], seed=2, backend="torch").replay(given, params)
    assert type(out) is type(expected) and torch.equal(given.buffer, kept)
    if isinstance(out, ga.Ragged):
        assert out.host == expected.host and torch.equal(out.table, expected.table)
    for one, other in zip(out, expected, strict=True):
        assert_same(one, other, share=0.02)


@pytest.mark.parametrize("name", ["one size", "flip and colours", "many passes"])
def test_masks_of_several_sizes(name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    given = {"image": ragged(), "mask": ragged(torch.float32, 1)}
    values = (given["mask"].values * 50).to(torch.int16)
    host = given["mask"].host
    pieces = values.split([h * w for h, w in host])
    given["mask"] = ga.Ragged.pack([p.view(1, h, w) for p, (h, w) in zip(pieces, host, strict=True)])
    results = []
    for backend in ("torch", "triton"):
        with monkeypatch.context() as patch:
            if backend == "triton":
                patch.setattr("gpuaug.transforms.carry._alone", None)
            results.append(ga.Compose(RAGGED[name], seed=2, backend=backend, fill={"mask": 9})(given)["mask"])
    for one, other in zip(*results, strict=True):
        assert one.dtype == torch.int16 and torch.equal(one, other)


def test_differing_canvases_of_one_size_and_an_index() -> None:
    """Rows of a flat buffer, by an index, onto one canvas and onto canvases that differ."""
    given, rows = ragged(), torch.tensor([3, 1, 1, 0, 2, 3])
    gathered = ga.Ragged.pack([given[i] for i in rows.tolist()])
    for name in ("one size", "flip and colours"):
        layer = ga.Compose(RAGGED[name], seed=2, backend="triton")
        params = layer.sample(gathered)
        expected = carry.rendered(gathered, layer.plan(Batch(gathered), params.values))
        for backend in ("triton", "torch"):
            plan = layer.plan(Batch(gathered), params.values)
            plan._open, plan.passes, plan.backend = Pass(gathered.canvas), plan.finish(), backend
            plan.passes[0].index = rows
            out = carry.rendered(given, plan)
            for one, other in zip(out, expected, strict=True):
                assert_same(one, other, share=0.02)


@pytest.mark.parametrize("name", ["one size", "flip and colours"])
def test_operations_do_not_grow_with_the_batch(name: str) -> None:
    """A launch for all samples: on `meta`, which stands for a device."""
    counts = []
    layer = ga.Compose(RAGGED[name], seed=2, backend="triton")
    for copies in (1, 8):
        sizes = SIZES * copies
        given = ga.Ragged.pack([torch.zeros((3, *size), dtype=torch.uint8) for size in sizes]).to("meta")
        mask = ga.Ragged.pack([torch.zeros((1, *size), dtype=torch.uint8) for size in sizes]).to("meta")

        def call(buffer: Tensor, given: ga.Ragged = given, mask: ga.Ragged = mask) -> Any:
            return layer({"image": replace(given, buffer=buffer), "mask": mask})

        call(given.buffer)
        counts.append(count(call, given.buffer))
    few, many = counts
    assert few.names == many.names and few.names["gpuaug.render.default"] == 1 == few.names["gpuaug.pick.default"]
    assert (many.synchronising, many.host_to_device, many.host_operations) == (0, 0, 0), many.names
    assert many.operations <= 140
