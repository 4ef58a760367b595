"""CopyPaste: masks, boxes and points of what is covered and of what is pasted are counted from pixels."""

from __future__ import annotations

import math
from typing import Any

import pytest
import torch
from pasted import H, N, W, blobs, box_of, scene, whole

import gpuaug as ga


def test_an_index_map_says_the_same_as_planes() -> None:
    data = scene(5)
    index = (data["masks"] * (1 + torch.arange(N))[:, None, None]).amax(1)
    planes = ga.Compose([ga.CopyPaste(0.6)], seed=1)
    out, params = planes(data, return_params=True)
    other = ga.Compose([ga.CopyPaste(0.6)], seed=1)({**data, "masks": index})
    assert torch.equal(other["image"], out["image"]) and torch.equal(other["boxes"], out["boxes"])
    assert torch.equal(other["valid"], out["valid"]) and params["CopyPaste"].chosen.any()
    for n in range(2 * N):
        assert torch.equal(other["masks"] == n + 1, out["masks"][:, n])


@pytest.mark.parametrize("scale", [(0.3, 0.9), (1.1, 2.2)], ids=str)
@pytest.mark.parametrize("after", [False, True], ids=["alone", "between geometry"])
def test_boxes_cover_what_is_seen_of_their_object_and_nothing_else(scale: tuple[float, float], after: bool) -> None:
    """By the code of each pixel: masks of one sample hold its pixels only, and together all of them."""
    data = scene(6, seed=2)
    del data["keypoints"], data["visible"]
    before: list[Any] = [ga.RandomHorizontalFlip(), ga.RandomCrop((40, 52))] if after else []
    layer = ga.Compose([*before, ga.CopyPaste(0.7, scale_range=scale, blending=False)], seed=3)
    out, params = layer(data, return_params=True)
    alone = ga.Compose([*before, ga.CopyPaste(0.0)], seed=3)
    untouched, partner = alone(data), params["CopyPaste"].partner
    code = out["image"][:, 0]
    seen = 0
    for b in range(6):
        theirs = (code[b] - (1 + partner[b]) / 16).abs() < 1e-9
        own = (code[b] - (1 + b) / 16).abs() < 1e-9
        assert bool((own | theirs).all())
        masks = out["masks"][b]
        assert torch.equal(masks[N:].any(0), theirs)
        assert not bool((masks[:N] & ~own).any())
        assert torch.equal(out["valid"][b], masks.flatten(1).any(1))
        for n in out["valid"][b].nonzero().flatten().tolist():
            want, box = torch.tensor(box_of(masks[n]), dtype=torch.float32), out["boxes"][b, n]
            if n < N and torch.equal(masks[n], untouched["masks"][b, n]):  # not covered: what the crop left of its box
                assert torch.equal(box, untouched["boxes"][b, n])
            else:
                assert torch.equal(box, want), (b, n)
        seen += int(theirs.sum())
    assert seen > 500


def test_masks_at_a_quarter_of_the_resolution() -> None:
    """Pixels follow the coarse mask; boxes hold what is left and never leave the object's own box."""
    h, w = 48, 64
    coarse = blobs(5, 3, 12, 16, seed=3)
    fine = coarse.repeat_interleave(4, -1).repeat_interleave(4, -2)
    boxes = torch.tensor([[box_of(m) for m in one] for one in fine], dtype=torch.float32)
    boxes = torch.cat((boxes[..., :2] + 1, boxes[..., 2:] - 1), dim=-1)  # nearer than the coarse mask knows
    image = ((1 + torch.arange(5)) / 16)[:, None, None, None].expand(5, 3, h, w)
    data = {"image": image, "boxes": boxes, "valid": fine.flatten(2).any(-1)}
    layer = ga.Compose([ga.CopyPaste(0.7, scale_range=1.0, blending=False)], seed=1)
    out, params = layer({**data, "masks": coarse}, return_params=True)
    want = layer.replay({**data, "masks": fine}, params)
    assert torch.equal(out["image"], want["image"]) and torch.equal(out["valid"], want["valid"])
    assert torch.equal(out["masks"].repeat_interleave(4, -1).repeat_interleave(4, -2), want["masks"])
    drawn = params["CopyPaste"]
    for b in range(5):
        theirs = boxes[int(drawn.partner[b])].clone()
        if drawn.flip[b]:
            theirs[:, [0, 2]] = w - theirs[:, [2, 0]]
        given = torch.cat((boxes[b], theirs))
        for n in out["valid"][b].nonzero().flatten().tolist():
            seen = torch.tensor(box_of(want["masks"][b, n]), dtype=torch.float32)
            tight = torch.cat((torch.maximum(seen[:2], given[n, :2]), torch.minimum(seen[2:], given[n, 2:])))
            expected = tight if bool((tight[2:] > tight[:2]).all()) else seen
            assert out["boxes"][b, n].tolist() == pytest.approx(expected.tolist(), abs=1e-4)


def test_masks_alone_are_enough() -> None:
    data = scene(4)
    given = {key: data[key] for key in ("image", "masks", "valid")}
    layer = ga.Compose([ga.CopyPaste(0.7)], seed=2)
    out, full = layer(given), ga.Compose([ga.CopyPaste(0.7)], seed=2)(data)
    for key in ("image", "masks", "valid"):
        assert torch.equal(out[key], full[key])


def test_a_sample_that_the_gate_leaves_out_comes_out_as_it_was() -> None:
    data = scene(12)
    data["image"] = data["image"].clone()
    data["image"][::2] = math.nan
    data["boxes"] = data["boxes"] + 0.3  # not what the masks say: kept all the same where nothing is covered
    out, params = ga.Compose([ga.CopyPaste(1.0, p=0.5)], seed=3)(data, return_params=True)
    off = ~params["CopyPaste"].gate
    assert 2 < int(off.sum()) < 10
    assert torch.equal(torch.nan_to_num(out["image"][off]), torch.nan_to_num(data["image"][off]))
    assert torch.equal(out["boxes"][off][:, :N], data["boxes"][off]) and not out["valid"][off][:, N:].any()
    assert torch.equal(out["visible"][off][:, :N], data["visible"][off])


def test_visibility_is_what_masks_have_left() -> None:
    """`min_visibility` judges the pixels that are left of a mask, also through a crop that follows."""
    data = {key: value for key, value in scene(8, seed=4).items() if key in ("image", "masks", "boxes", "valid")}
    layer = whole(object_p=1.0, max_ioa=None)
    plain, params = layer(data, return_params=True)
    strict = ga.Compose(
        [ga.CopyPaste(1.0, scale_range=1.0, blending=False)], seed=4, bbox_params=ga.BboxParams(min_visibility=0.5)
    )
    out = strict.replay(data, params)
    left = plain["masks"][:, :N].flatten(2).sum(-1) / data["masks"].flatten(2).sum(-1).clamp(min=1)
    want = plain["valid"][:, :N] & (left >= 0.5)
    assert torch.equal(out["valid"][:, :N], want) and int(want.sum()) < int(plain["valid"][:, :N].sum())


def test_with_rotations_around_it_rows_keep_their_mask() -> None:
    """Boxes, masks, labels and identity columns of one row stay one object's, whatever comes before and after."""
    data = scene(6, seed=6)
    del data["keypoints"], data["visible"]
    layer = ga.Compose(
        [ga.RandomRotation(20), ga.CopyPaste(0.8), ga.RandomAffine(15, scale=(0.8, 1.2))],
        seed=2,
        bbox_params=ga.BboxParams(rotate_method="mask"),
    )
    out, params = layer(data, return_params=True)
    for b in range(6):
        j = int(params["CopyPaste"].partner[b])
        assert torch.equal(out["id"][b], torch.cat((data["id"][b], data["id"][j])))
        for n in out["valid"][b].nonzero().flatten().tolist():
            assert torch.equal(out["boxes"][b, n], torch.tensor(box_of(out["masks"][b, n]), dtype=torch.float32))
    assert int(out["valid"].sum()) > 25
    unfused = ga.Compose(
        [ga.RandomRotation(20), ga.CopyPaste(0.8), ga.RandomAffine(15, scale=(0.8, 1.2))],
        seed=2,
        fuse=False,
        bbox_params=ga.BboxParams(rotate_method="mask"),
    )(data)
    assert torch.equal(unfused["masks"], out["masks"]) and torch.equal(unfused["valid"], out["valid"])


def test_mirrored_objects_change_sides() -> None:
    data = scene(4)
    layer = ga.Compose(
        [ga.CopyPaste(1.0, scale_range=1.0, flip_p=1.0, pairing="roll")],
        seed=0,
        mirror_labels={2: 3},
        keypoint_params=ga.KeypointParams(flip_pairs=[(0, 1)]),
    )
    out = layer(data)
    swapped = {2: 3, 3: 2}
    theirs = data["labels"].roll(1, 0)
    want = torch.tensor([[swapped.get(int(v), int(v)) for v in row] for row in theirs])
    assert torch.equal(out["labels"][:, N:], want) and torch.equal(out["labels"][:, :N], data["labels"])
    points = data["keypoints"].roll(1, 0)[:, :, [1, 0]]
    assert torch.allclose(out["keypoints"][:, N:, :, 0], W - points[..., 0], atol=1e-4)


def test_rotated_boxes_stay_whole() -> None:
    data = scene(4)
    given = {key: data[key] for key in ("image", "masks", "valid")}
    x0, y0, x1, y1 = data["boxes"].unbind(-1)
    given["boxes"] = torch.stack(((x0 + x1) / 2, (y0 + y1) / 2, x1 - x0, y1 - y0, torch.zeros_like(x0)), dim=-1)
    layer = ga.Compose([ga.CopyPaste(1.0, scale_range=1.0, flip_p=0.0)], seed=1, bbox_params=ga.BboxParams("cxcywhr"))
    out, params = layer(given, return_params=True)
    valid = out["valid"]
    both = torch.cat((given["boxes"], given["boxes"][params["CopyPaste"].partner]), dim=1)
    assert torch.equal(valid, out["masks"].flatten(2).any(-1))
    assert (out["masks"][:, :N].flatten(2).sum(-1) < data["masks"].flatten(2).sum(-1)).any()
    corners = ga.Compose([], bbox_params=ga.BboxParams("cxcywhr"))({"image": data["image"], "boxes": both})["boxes"]
    assert torch.allclose(out["boxes"][valid][:, :2], corners[valid][:, :2], atol=1e-4)
    assert torch.allclose(out["boxes"][valid][:, 2:4].prod(-1), corners[valid][:, 2:4].prod(-1), rtol=1e-4)


@pytest.mark.parametrize("form", ["planes", "index"])
def test_frames_of_a_clip_paste_the_same_objects(form: str) -> None:
    """One choice and one map; each frame shows the objects as they are in that frame of the other clip."""
    b, t = 4, 3
    frames = scene(b * t, seed=7)
    keys = ("image", "masks", "boxes", "valid", "labels", "mask")
    data = {key: frames[key].unflatten(0, (b, t)) for key in keys}
    if form == "index":
        data["masks"] = (data["masks"] * (1 + torch.arange(N))[:, None, None]).amax(2)
    data["valid"] = data["valid"] & (torch.arange(b * t * N).view(b, t, N) % 5 != 0)  # some are not there for a while
    weighted = ga.CopyPaste(0.6, blending=False, class_weights=[1.0] * 7)
    out, params = ga.Compose([weighted], seed=1)(data, return_params=True)
    drawn = params["CopyPaste"]
    assert drawn.alpha.shape == (b, t, H, W) and drawn.chosen.shape == (b, N) and drawn.chosen.any()
    for i in range(b):
        for k in range(t):
            code = 1 + int(drawn.partner[i]) * t + k
            theirs = (out["image"][i, k, 0] - code / 16).abs() < 1e-9
            assert torch.equal(theirs, drawn.alpha[i, k])
            masks = out["masks"][i, k]
            union = masks[N:].any(0) if form == "planes" else masks > N
            assert torch.equal(union, theirs)
            assert set(out["mask"][i, k][theirs].tolist()) <= set(data["mask"][drawn.partner[i], k].flatten().tolist())
    for k in range(t):
        one = {key: value[:, k] for key, value in data.items()}
        again = params.map(lambda v: v)
        again.values["CopyPaste"]["alpha"] = drawn.alpha[:, k]
        alone = ga.Compose([ga.CopyPaste(0.6, blending=False)], seed=1).replay(one, again)
        for key in keys:
            assert torch.equal(alone[key], out[key][:, k]), key
    assert not torch.equal(drawn.alpha[:, 0], drawn.alpha[:, 1])
    pasted = drawn.chosen[:, None] & data["valid"][drawn.partner]
    assert (drawn.chosen[:, None] & ~pasted).any() and not (out["valid"][:, :, N:] & ~pasted).any()


def test_what_stands_beside_masks_alone_is_the_objects() -> None:
    """Without boxes too, labels and further columns have a row for each mask, and `valid` says which there are."""
    masks = torch.zeros(2, 2, 20, 24, dtype=torch.bool)
    masks[:, 0, 2:9, 3:9] = True
    masks[:, 1, 8:18, 10:20] = True
    given = {
        "image": torch.rand(2, 3, 20, 24),
        "masks": masks,
        "labels": torch.tensor([[1, 2], [3, 4]]),
        "area": torch.tensor([[10.0, 20], [30, 40]]),
    }
    out = ga.Compose([ga.CopyPaste(1.0, scale_range=(1.0, 1.0))], seed=1)(given)
    assert out["labels"].tolist() == [[1, 2, 3, 4], [3, 4, 1, 2]]
    assert out["area"].tolist() == [[10, 20, 30, 40], [30, 40, 10, 20]]
    assert torch.equal(out["valid"], out["masks"].flatten(2).any(-1))
    assert out["labels"].shape == out["valid"].shape == out["masks"].shape[:2]
    soft = ga.Compose([ga.RandomInvert()])({**given, "labels": torch.tensor([3, 4])})
    assert soft["labels"].tolist() == [3, 4], "the samples' own"
