"""Whole objects taken out by their masks."""

from __future__ import annotations

from typing import Any

import pytest
import torch
from kernels import assert_same
from torch import Tensor
from ways import both

import gpuaug as ga
from gpuaug.testing import annotated, example

H, W = 46, 61


def given(count: int = 6, dtype: torch.dtype = torch.uint8) -> dict[str, Tensor]:
    """Four objects each, of which the third is not there, with a keypoint in the middle of each."""
    x = example(count, (3, H, W), dtype)
    data: dict[str, Tensor] = annotated(x // 2 if dtype == torch.uint8 else x, masks=True)
    boxes = data["boxes"]
    return {**data, "keypoints": (boxes[..., None, :2] + boxes[..., None, 2:]) / 2}


def test_objects_are_gone(monkeypatch: pytest.MonkeyPatch) -> None:
    """Pixels, masks, the class map and points under them; their rows stay, and are not valid."""
    data = given()
    layer = ga.MaskDropout((1, 2), fill=(255, 200, 250), fill_mask=9, p=0.7)
    layer.reseed(1)
    params = layer.sample(data)
    dropped, gate = params["MaskDropout"].taken_out, params["MaskDropout"].gate
    assert torch.equal(dropped.sum(1), gate * params["MaskDropout"].count.long()) and 0 < gate.sum() < 6
    assert not dropped[:, 2].any()
    where = (data["masks"] & dropped[:, :, None, None]).any(1)
    for out in both(monkeypatch, layer, data, params):
        fill = torch.tensor([255, 200, 250], dtype=torch.uint8).view(3, 1, 1)
        assert torch.equal(out["image"], torch.where(where[:, None], fill, data["image"]))
        assert torch.equal(out["mask"], torch.where(where, 9, data["mask"]).to(torch.uint8))
        assert torch.equal(out["valid"], data["valid"] & ~dropped)
        assert torch.equal(out["masks"], data["masks"] & ~where[:, None])
        assert torch.equal(out["boxes"], data["boxes"])
        x, y = data["keypoints"][:, :, 0].long().unbind(-1)
        under = where[torch.arange(6)[:, None], y, x]
        assert torch.equal(out["visible"][..., 0] == 0, under) and under.any()


def test_nothing_else_needs_to_move_or_to_be_filled() -> None:
    """The object is not valid even where masks and points stay; behind a flip and before a crop it is the same one."""
    data = given()
    still = ga.MaskDropout(3, fill_mask=None, hide_keypoints=False, p=1.0)
    out, params = still(data, return_params=True)
    dropped = params["MaskDropout"].taken_out
    assert torch.equal(out["valid"], data["valid"] & ~dropped) and torch.equal(out["masks"], data["masks"])
    assert torch.equal(out["mask"], data["mask"])
    steps: list[Any] = [ga.RandomHorizontalFlip(1.0), ga.MaskDropout(p=1.0), ga.CenterCrop((40, 51))]
    out, params = ga.Compose(steps, seed=0)({k: v for k, v in data.items() if k != "keypoints"}, return_params=True)
    dropped = params["MaskDropout"].taken_out
    where = (data["masks"] & dropped[:, :, None, None]).any(1).flip(2)[:, 3:43, 5:56]
    image = data["image"].flip(3)[:, :, 3:43, 5:56]
    assert torch.equal(out["image"], torch.where(where[:, None], 0, image).to(torch.uint8))
    assert not (out["valid"] & dropped).any()
    # A later one sees who is gone: with as many as there are, all three are.
    steps = [ga.MaskDropout(p=1.0), ga.MaskDropout((9, 9), p=1.0)]
    out, params = ga.Compose(steps, seed=0)(data, return_params=True)
    assert not out["valid"].any() and (params["MaskDropout_2"].taken_out.sum(1) == 2).all()


def test_index_maps_and_class_maps(monkeypatch: pytest.MonkeyPatch) -> None:
    """An index map names rows; of a class map alone each value is an object, drawn among those that are there."""
    data = given()
    row = torch.arange(1, 5).view(1, 4, 1, 1)
    index = torch.where(data["masks"], row, 0).amax(1)
    layer = ga.MaskDropout(p=1.0)
    layer.reseed(0)
    out, params = layer({**data, "masks": index}, return_params=True)
    number = params["MaskDropout"].taken_out.int().argmax(1) + 1
    where = index == number.view(-1, 1, 1)
    assert torch.equal(out["image"], torch.where(where[:, None], 0, data["image"]).to(torch.uint8))
    classes = torch.where(index > 0, index * 50, 0)
    found = set()
    for seed in range(12):
        layer = ga.MaskDropout(fill_mask=3, p=1.0)
        layer.reseed(seed)
        out = layer({"image": data["image"], "mask": classes})
        for before, after, image in zip(classes, out["mask"], out["image"], strict=True):
            gone = before[after != before].unique().tolist()
            assert len(gone) == 1 and gone[0] > 0
            assert ((after == 3) == (before == gone[0])).all() and (image[:, after == 3] == 0).all()
            found.add(gone[0])
    assert found == set(classes.unique().tolist()) - {0}
    none = ga.MaskDropout((5, 5), p=1.0)({"image": data["image"], "mask": classes})
    assert (none["mask"] == 0).all()
    assert torch.equal(ga.MaskDropout(p=1.0)(data["image"]), data["image"])


def test_objects_are_drawn_evenly() -> None:
    data = {
        k: v[:1].expand(3000, *v.shape[1:]) for k, v in given(1).items() if k in ("image", "boxes", "valid", "masks")
    }
    layer = ga.MaskDropout(p=1.0)
    layer.reseed(0)
    counts = layer.sample(data)["MaskDropout"].taken_out.sum(0)
    assert counts[2] == 0 and (counts[[0, 1, 3]] - 1000).abs().max() < 5 * (3000 * 2 / 9) ** 0.5


def test_clips_lose_the_same_object_in_every_frame() -> None:
    data = given(6)
    clip = {k: v.unflatten(0, (2, 3)) for k, v in data.items() if k in ("image", "boxes", "valid", "masks")}
    out, params = ga.Compose([ga.MaskDropout(p=1.0)], seed=0)(clip, return_params=True)
    dropped = params["MaskDropout"].taken_out
    assert dropped.shape == (2, 4) and (dropped.sum(1) == 1).all()
    each = dropped.repeat_interleave(3, 0)
    where = (data["masks"] & each[:, :, None, None]).any(1)
    expected = torch.where(where[:, None], 0, data["image"]).to(torch.uint8)
    assert torch.equal(out["image"].flatten(0, 1), expected)
    assert torch.equal(out["valid"].flatten(0, 1), data["valid"] & ~each)
    classes = {"image": clip["image"], "mask": data["masks"].any(1).long().unflatten(0, (2, 3))}
    out = ga.Compose([ga.MaskDropout(p=1.0)], seed=0)(classes)
    assert (out["mask"] == 0).all() and (out["image"].flatten(0, 1) * data["masks"].any(1)[:, None]).max() == 0


@pytest.mark.parametrize("backend", ["torch", "triton"])
def test_images_of_several_sizes(backend: str) -> None:
    data = given(3, torch.float32)
    sizes = [(46, 61), (30, 61), (40, 33)]
    images = [x[:, :h, :w] for x, (h, w) in zip(data["image"], sizes, strict=True)]
    masks = [m[:h, :w].long() for m, (h, w) in zip(data["mask"], sizes, strict=True)]
    out = ga.Compose([ga.MaskDropout(p=1.0)], seed=0, backend=backend)({"image": images, "mask": masks})
    for before, after, image, given_image in zip(masks, out["mask"], out["image"], images, strict=True):
        gone = before[after != before].unique()
        assert gone.numel() == 1
        expected = torch.where(before == gone, torch.zeros(()), given_image)
        assert_same(image.contiguous(), expected.contiguous())
