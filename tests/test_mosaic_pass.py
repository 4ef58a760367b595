"""Mosaic and the warps that follow are one pass, with few operations, little memory and one graph."""

from __future__ import annotations

from typing import Any

import pytest
import torch
from content import read_at
from mosaics import AFFINE, WAYS, H, W, objects, params_of, recipe, smaller_way
from torch import Tensor

import gpuaug as ga
from gpuaug.data.batch import Batch
from gpuaug.diagnose import count
from gpuaug.render.backend import render
from gpuaug.testing import example


@WAYS
@pytest.mark.parametrize("name", list(AFFINE))
def test_one_pass_equals_the_canvas_that_is_never_made(monkeypatch: pytest.MonkeyPatch, name: str, way: str) -> None:
    """But near a seam, where one of them blends two images; classes are equal everywhere."""
    smaller_way(monkeypatch, way)
    data = objects(6)
    smooth = example(6, (3, H, W))
    data = {"image": smooth, "mask": data["mask"], "masks": data["masks"], "boxes": data["boxes"]}
    fused = recipe(AFFINE[name](), seed=5, fill=0.5)
    apart = recipe(AFFINE[name](), seed=5, fill=0.5, fuse=False)
    assert fused.explain(smooth).count("pass ") == 1 and apart.explain(smooth).count("pass ") == 3
    params = fused.sample(data)
    one, three = fused.replay(data, params), apart.replay(data, params)
    # Where a tap may reach over a seam: tiles of the canvas, eroded by the filter's reach, seen through the warp.
    seams = torch.ones(6, 1, 2 * H, 2 * W)
    reach = 3 if name == "affine" else 4
    for i, rectangles in enumerate(params.values["Mosaic"]["_rectangle"].tolist()):
        for x0, y0, x1, y1 in rectangles:
            seams[i, 0, int(y0) + reach : max(int(y1) - reach, 0), int(x0) + reach : max(int(x1) - reach, 0)] = 0
    matrix = params.values[next(k for k in params.values if k not in ("Mosaic", "CenterCrop"))]["matrix"]
    back = torch.linalg.inv(params.values["CenterCrop"]["matrix"] @ matrix)
    y, x = torch.meshgrid(torch.arange(H) + 0.5, torch.arange(W) + 0.5, indexing="ij")
    place = back @ torch.stack((x, y, torch.ones_like(x))).flatten(1).double()
    place = place[:, :2] / place[:, 2:]
    column, row = place[:, 0].floor().long(), place[:, 1].floor().long()
    inside = (column >= 0) & (column < 2 * W) & (row >= 0) & (row < 2 * H)
    index = row.clamp(0, 2 * H - 1) * 2 * W + column.clamp(0, 2 * W - 1)
    away = inside & (torch.gather(seams.flatten(1), 1, index) == 0)
    gap = (one["image"] - three["image"]).abs().amax(1).flatten(1)
    assert away.float().mean() > 0.25 and gap[away].max() < 2e-4
    assert torch.equal(one["mask"], three["mask"]) and torch.equal(one["masks"], three["masks"])
    assert (one["boxes"] - three["boxes"]).abs().max() < 1e-3 and torch.equal(one["valid"], three["valid"])


def reach(scale: Tensor) -> Tensor:
    """Return how far from its middle a tent of half-width 1 / scale, normalised over whole pixels, can read."""
    half = torch.clamp(1 / scale.double(), min=1)[:, None, None]
    taps, phase = torch.arange(-4, 6).double(), torch.linspace(0, 1, 201).double()[:, None]
    weight = (1 - (taps - phase).abs() / half).clamp(min=0)
    return ((weight * (taps - phase)).sum(-1) / weight.sum(-1)).abs().amax(-1)


def test_points_and_boxes_stay_on_their_content() -> None:
    """Positions are coded in the pixels; a point shows where it was, in its own image, after mosaic and affine.

    As near as the filter that shrinks is to its own middle, along both axes: nothing else is left of an error.
    """
    count, h, w = 5, 60, 84
    y, x = torch.meshgrid(torch.arange(h) + 0.5, torch.arange(w) + 0.5, indexing="ij")
    image = torch.stack((x / 100, y / 100, torch.ones_like(x))).double().repeat(count, 1, 1, 1)
    generator = torch.Generator().manual_seed(1)
    points = torch.rand((count, 1, 40, 2), generator=generator, dtype=torch.float64) * torch.tensor([w, h])
    low = torch.rand((count, 12, 2), generator=generator) * torch.tensor([w - 20, h - 20])
    boxes = torch.cat((low, low + 4 + 12 * torch.rand((count, 12, 2), generator=generator)), dim=-1).double()
    mosaic = ga.Mosaic(target_size=(2 * h, 2 * w), center_range=(0.25, 0.75), p=0.8)
    steps = [mosaic, ga.RandomAffine(15, (0.05, 0.05), (0.8, 1.3)), ga.CenterCrop((h, w))]
    layer = ga.Compose(steps, seed=4, keypoint_params=ga.KeypointParams(flip_pairs=()))
    params = layer.sample({"image": image, "keypoints": points})
    out = layer.replay({"image": image, "keypoints": points}, params)
    on_canvas = mosaic.replay({"image": image, "keypoints": points}, params_of(params, "Mosaic"))
    partner = params["Mosaic"].partner
    far = reach(params["RandomAffine"].scale) * 2**0.5 + 1e-3
    assert far.max() < 0.25
    found = 0
    for i in range(count):
        for k in range(4):
            start, place = points[partner[i, k], 0], on_canvas["keypoints"][i, k]
            x0, y0, x1, y1 = params["Mosaic"]._rectangle[i, k].tolist()
            inner = (place > torch.tensor([x0, y0]) + 4).all(1) & (place < torch.tensor([x1, y1]) - 4).all(1)
            value, ok = read_at(out["image"][i], out["keypoints"][i, k])
            wrong = (value * 100 - start).norm(dim=1)[inner & ok & (out["visible"][i, k] > 0)]
            found += len(wrong)
            assert wrong.numel() == 0 or wrong.max() < far[i]
    assert found > 100
    boxed = layer.replay({"image": image, "boxes": boxes}, params)
    for i in range(count):
        for k in range(4):
            for n in range(12):
                if not boxed["valid"][i, 12 * k + n]:
                    continue
                box, given = boxed["boxes"][i, 12 * k + n], boxes[partner[i, k], n]
                assert (box[:2] >= 0).all() and (box[2:] <= torch.tensor([w, h])).all() and (box[2:] > box[:2]).all()
                middle = (given[:2] + given[2:]) / 2
                value, ok = read_at(out["image"][i], (box[None, :2] + box[None, 2:]) / 2)
                if ok[0] and (value[0] * 100 - middle).norm() < 0.3:
                    found += 1
    assert found > 140


def test_nothing_synchronises_and_operations_are_few() -> None:
    """Without the image, of which the torch definition makes many: those of parameters and objects."""
    meta = {key: value.to("meta") for key, value in objects(16).items()}
    boxed = {key: meta[key] for key in ("image", "boxes", "labels", "valid")}

    def counted(steps: list[Any], data: dict[str, Tensor]) -> Any:
        rows = ga.BboxParams(min_size=2, min_visibility=0.1, max_aspect=100)
        layer = ga.Compose(steps, seed=0, bbox_params=rows, interpolation="nearest", roles={"depth": "dense"})
        layer(data)
        whole = count(lambda image: layer({**data, "image": image})["image"], data["image"])
        plan = layer.plan(Batch(data["image"]), layer.sample(data).values)
        return whole, whole.operations - count(lambda image: render(image, plan), data["image"]).operations + 1

    everything, _ = counted([ga.RandomHorizontalFlip(), ga.Mosaic(), AFFINE["affine"]()], meta)
    assert (everything.synchronising, everything.host_to_device, everything.host_operations) == (0, 0, 0)
    cells: dict[str, Any] = {"target_size": (72, 100), "cell_shape": (36, 40)}
    for mosaic in (ga.Mosaic(p=1.0), ga.Mosaic(p=0.5), ga.Mosaic(**cells), ga.Mosaic(**cells, fit_mode="cover")):
        whole, operations = counted([mosaic, ga.RandomAffine(10, (0.1, 0.1), (0.5, 1.5))], boxed)
        assert operations <= 150, (mosaic, operations, whole.names)


@pytest.mark.parametrize("dtype", [torch.uint8, torch.float32], ids=str)
def test_peak_memory_of_the_walk(dtype: torch.dtype) -> None:
    images = example(32 if dtype == torch.uint8 else 16, (3, 256, 240), dtype)
    for layer in (ga.Mosaic(p=1.0), recipe(AFFINE["affine"](), size=(256, 240), seed=0)):
        layer(images[:1])
        assert count(layer, images).peak <= 1.5, layer


def test_one_graph_with_all_targets() -> None:
    """Read by the nearest pixel, which is quicker to trace (the contract compiles the rest); earlier samples too."""
    torch._dynamo.reset()
    data = {key: value for key, value in objects(3).items() if key != "depth"}
    data["label"] = torch.tensor([2, 0, 1])

    def make() -> ga.Compose:
        mosaic = ga.Mosaic(target_size=(48, 40), cell_shape=(30, 44), num_classes=3, p=0.6, buffer=2)
        made = ga.Compose([mosaic], interpolation="nearest", seed=3)
        made(data)
        return made

    eager, one = make(), make()
    compiled = torch.compile(one, fullgraph=True, backend="eager")
    compiled(data)
    eager(data)
    with torch._dynamo.config.patch(error_on_recompile=True):
        for turn in (1, 2):
            given = {**data, "image": data["image"].roll(turn, 0), "labels": data["labels"] + 10 * turn}
            out, expected = compiled(given), eager(given)
            for key in expected:
                far = (out[key].double() - expected[key].double()).abs() > 1e-3
                assert far.double().mean() < 2e-3, key
    assert (out["labels"] < 20).any()  # of those before
