"""Mosaics of samples of earlier batches: pixels, objects, masks and labels say whose they are."""

from __future__ import annotations

import copy
import pickle
from typing import Any

import pytest
import torch
from torch import Tensor

import gpuaug as ga
from gpuaug.diagnose import count
from gpuaug.testing import example

H, W, BATCH = 14, 20, 4


def batch(first: int, size: int = BATCH, rows: int = 1) -> dict[str, Tensor]:
    """Samples `first`, `first + 1`, ...: every pixel, the mask, the object and the label hold the sample's number."""
    number = torch.arange(first, first + size)
    box = torch.tensor([[2.0, 3, 17, 12]]).expand(size, rows, 4)
    planes = torch.zeros(size, rows, H, W, dtype=torch.bool)
    planes[:, :, 3:12, 2:17] = True
    return {
        "image": number.view(-1, 1, 1, 1).expand(size, 1, H, W).to(torch.uint8),
        "mask": number.view(-1, 1, 1).expand(size, H, W).to(torch.uint8),
        "boxes": box.contiguous(),
        "labels": number[:, None].expand(size, rows).contiguous(),
        "masks": planes,
        "keypoints": torch.tensor([[[5.0, 6.0]]]).expand(size, rows, 1, 2).contiguous(),
        "depth": number.view(-1, 1, 1, 1).expand(size, 1, H, W).float(),
        "label": torch.nn.functional.one_hot(number, 64).float(),
    }


def mosaic(buffer: int, *after: Any, seed: int = 0, **options: Any) -> ga.Compose:
    options = {"p": 1.0, "interpolation": "nearest", **options}
    points = ga.KeypointParams(flip_pairs=())
    steps = [ga.Mosaic(buffer=buffer, **options), *after]
    return ga.Compose(steps, seed=seed, roles={"depth": "dense"}, keypoint_params=points)


def run(layer: ga.Compose, batches: int = 5, **options: Any) -> list[Any]:
    return [layer(batch(BATCH * i), **options) for i in range(batches)]


def members(image: Tensor) -> list[set[int]]:
    return [set(one.unique().tolist()) for one in image]


def test_partners_are_the_batch_and_the_last_samples_before_it() -> None:
    """Each as often; fewer at first, and never one that is older than the buffer."""
    layer, met = mosaic(6), torch.zeros(64)
    for turn in range(120):
        drawn = layer(batch(BATCH * turn % 64)["image"], return_params=True)[1]
        kept = drawn.kept["Mosaic"]["image"][:, 0, 0, 0]
        place = drawn["Mosaic"].partner
        whose = kept[place].long()
        now = BATCH * turn % 64 + torch.arange(BATCH)
        assert torch.equal(whose[:, 0], now)
        age = (now[-1] - whose[:, 1:]) % 64
        assert int(age.max()) < min(BATCH * (turn + 1), 6 + BATCH)
        if turn > 1:
            met += torch.bincount(age.flatten(), minlength=64)
    share = met[:10] / met.sum()
    assert float(met[10:].sum()) == 0 and ((share - 0.1).abs() < 5 * (0.1 * 0.9 / met.sum()) ** 0.5).all()


def test_everything_follows_its_sample() -> None:
    """After a flip too: what a box, a mask, a class, a depth or a label names is what the pixels under it show."""
    layer = mosaic(9, ga.RandomHorizontalFlip())
    older = 0
    for i in range(5):
        out, params = layer(batch(1 + BATCH * i), return_params=True)
        image = out["image"][:, 0]
        assert torch.equal(out["mask"], image) and torch.equal(out["depth"][:, 0], image.float())
        older += sum(min(found - {0}) < 1 + BATCH * i for found in members(image))
        drawn = params["Mosaic"]
        for b in range(BATCH):
            assert out["boxes"].shape[1] == 4
            for row in out["valid"][b].nonzero().flatten().tolist():
                name = int(out["labels"][b, row])
                x0, y0, x1, y1 = out["boxes"][b, row].int().tolist()
                assert (image[b, y0:y1, x0:x1] == name).all()
                assert (image[b][out["masks"][b, row]] == name).all() and out["masks"][b, row].any()
                if out["visible"][b, row, 0]:
                    x, y = out["keypoints"][b, row, 0].int().tolist()
                    assert image[b, min(y, H - 1), min(x, W - 1)] == name
            area = torch.zeros(64)
            for k in range(4):
                x0, y0, x1, y1 = drawn._rectangle[b, k].tolist()
                whose = int(params.kept["Mosaic"]["image"][drawn.partner[b, k], 0, 0, 0])
                area[whose] += max(x1 - x0, 0) * max(y1 - y0, 0)
            torch.testing.assert_close(out["label"][b], area / area.sum())
    assert older > 8


def test_the_same_seed_and_batches_give_the_same() -> None:
    first, again = run(mosaic(6)), run(mosaic(6))
    for a, b in zip(first, again, strict=True):
        for key in a:
            assert torch.equal(a[key], b[key]), key
    layer = mosaic(6)
    run(layer)
    layer.reseed(0)  # starts over: nobody is left
    fresh = mosaic(6)
    for a, b in zip(run(layer, 2), run(fresh, 2), strict=True):
        assert torch.equal(a["image"], b["image"])
    assert members(run(mosaic(6, seed=1), 1)[0]["image"]) <= [set(range(BATCH))] * BATCH


def test_params_carry_whom_they_met() -> None:
    """Replayed after the buffer has moved on, pickled; on other values of the same samples; not taken apart."""
    layer = mosaic(6)
    pairs = run(layer, 4, return_params=True)
    for i, (out, params) in enumerate(pairs):
        again = layer.replay(batch(BATCH * i), pickle.loads(pickle.dumps(params)))
        for key in out:
            assert torch.equal(again[key], out[key]), key
    out, params = pairs[-1]
    inverted = {**batch(BATCH * 3), "image": 200 - batch(BATCH * 3)["image"]}
    changed = layer.replay(inverted, params)["image"]
    own = [set(range(BATCH * 3, BATCH * 4))] * BATCH
    for found, before, mine in zip(members(changed), members(out["image"]), own, strict=True):
        assert found == {200 - v if v in mine else v for v in before}
    with pytest.raises(ValueError, match="params of a mix say whom"):
        layer.replay(batch(0, 2), params[:2])
    with pytest.raises(ValueError, match="params carry image of earlier batches"):
        layer.replay({**batch(0), "image": batch(0)["image"].float()}, params)
    with pytest.raises(ValueError, match="inputs must have the same, got image"):
        layer.replay({"image": batch(0)["image"]}, params)
    with pytest.raises(ValueError, match="to_dict holds no images"):
        params.to_dict()
    assert params.to("meta").kept["Mosaic"]["image"].device.type == "meta"


def test_sampling_leaves_the_buffer_alone() -> None:
    """So do eval(), a mosaic that is switched off, and inference mode; and what came in is never written to."""
    layer, other = mosaic(6), mosaic(6)
    run(layer, 3), run(other, 3)
    drawn = layer.sample(batch(40))
    layer.eval()(batch(44))
    layer.train()[0].enabled = False
    layer(batch(48))
    layer[0].enabled = True
    with torch.inference_mode():
        inferred = layer(batch(50))
    layer.sample(batch(40, 7))  # larger than the first: it would start anew
    given = batch(12)
    before = copy.deepcopy(given)
    other._state.copy_(layer._state)  # the call that was switched off advanced the clock
    a, b = layer(given), other(given)
    assert all(torch.equal(a[key], b[key]) for key in a) and all(torch.equal(given[k], before[k]) for k in given)
    assert max(max(m) for m in members(a["image"])) < 40
    assert max(max(m) for m in members(inferred["image"])) < 54
    assert torch.equal(layer.replay(batch(40), drawn)["image"], layer.replay(batch(40), drawn)["image"])


def test_when_it_starts_anew() -> None:
    layer = mosaic(6)

    def older(data: dict[str, Tensor], first: int) -> bool:
        drawn = layer(data, return_params=True)[1]
        kept = drawn.kept["Mosaic"]["image"][:, 0, 0, 0]
        return bool((kept[drawn["Mosaic"].partner] < first).any())

    run(layer, 3)
    assert older(batch(20, 3), 20)  # a smaller batch, as the last of an epoch
    assert older(batch(30, 4, rows=3), 30)  # more objects than there were
    out = layer(batch(34, 4, rows=2))
    assert out["boxes"].shape[1] == 12 and not out["valid"].view(4, 4, 3)[:, 0, 2].any()
    assert not older(batch(40, 5), 40)  # a larger one
    assert older(batch(45, 5), 45)
    assert not older({k: v.float() if k == "image" else v for k, v in batch(50, 5).items()}, 50)
    twin = copy.deepcopy(layer)
    assert twin[0].kept.total is None and layer[0].kept.total is not None and twin[0].kept.samples == 6
    assert pickle.loads(pickle.dumps(layer))[0].kept.parts == {}
    assert not any("kept" in key for key in layer.state_dict())


def test_left_out_samples_stay_and_are_kept_all_the_same() -> None:
    layer = mosaic(4, p=0.5)
    older = False
    for i in range(6):
        data = batch(BATCH * i)
        out, params = layer(data, return_params=True)
        on = params["Mosaic"].gate
        for key in ("image", "mask", "depth"):
            assert torch.equal(out[key][~on], data[key][~on])
        assert torch.equal(out["label"][~on], data["label"][~on])
        older |= any(min(m) < BATCH * i for m, o in zip(members(out["image"]), on.tolist(), strict=True) if o)
    assert older


def test_gradients_reach_the_batch_and_no_older_one() -> None:
    layer = mosaic(4, interpolation="bilinear")
    images = [example(2, (1, 6, 8), torch.float64).requires_grad_() for _ in range(3)]
    for one in images:
        out = layer(one)
    out.sum().backward()
    assert images[0].grad is None and images[1].grad is None
    shown = out.detach()
    assert images[2].grad is not None and 0 < float(images[2].grad.sum()) <= shown.numel()
    torch.testing.assert_close(images[2].grad.unique(), images[2].grad.unique().round())


def test_nothing_waits() -> None:
    data = {key: value.to("meta") for key, value in batch(0).items()}
    layer = mosaic(6)
    layer(data)
    keys = list(data)
    counts = count(lambda *t: layer(dict(zip(keys, t, strict=True))), *data.values())
    assert (counts.synchronising, counts.host_to_device, counts.host_operations) == (0, 0, 0), counts.names


def test_refusals() -> None:
    with pytest.raises(ValueError, match="Mosaic: a buffer keeps samples as they come in: it must come first, got it"):
        ga.Compose([ga.RandomHorizontalFlip(), ga.Mosaic(buffer=3)])
    with pytest.raises(ValueError, match="Mosaic: buffer must be a whole number of samples, not negative, got -1"):
        ga.Mosaic(buffer=-1)
    with pytest.raises(ValueError, match="Mosaic: a buffer keeps images of one size, got image of several sizes"):
        ga.Mosaic(target_size=9, buffer=3)([torch.rand(3, 5, 6), torch.rand(3, 6, 5)])
    with pytest.raises(ValueError, match="Mosaic: a buffer keeps images of one size, got clips"):
        ga.Mosaic(buffer=3)(torch.rand(2, 3, 1, 5, 6))
    with pytest.raises(ValueError, match="capture cannot record a buffer of earlier batches"):
        ga.Mosaic(buffer=3).capture(torch.rand(2, 1, 5, 6))
    assert ga.Mosaic(buffer=3)(torch.rand(0, 1, 5, 6)).shape == (0, 1, 5, 6)
