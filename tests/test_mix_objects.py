"""What is annotated follows where samples meet: counted pixel by pixel, in NumPy."""

from __future__ import annotations

import copy
from functools import partial
from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor
from torchvision import tv_tensors

import gpuaug as ga
from gpuaug.diagnose import count
from gpuaug.testing import example

NO_SIDES = ga.KeypointParams(flip_pairs=())
B, N, H, W = 7, 3, 24, 34
MIXES: dict[str, Any] = {"MixUp": ga.MixUp, "CutMix": ga.CutMix, "ResizeMix": ga.ResizeMix}


def annotated(index_map: bool = False) -> dict[str, Tensor]:
    """Samples with rectangles of whole pixels, their masks, two points in each, and classes of background."""
    generator = torch.Generator().manual_seed(5)
    low = torch.stack([torch.randint(0, n - 4, (B, N), generator=generator) for n in (W, H)], dim=-1)
    size = torch.stack([torch.randint(2, 14, (B, N), generator=generator) for _ in range(2)], dim=-1)
    boxes = torch.cat((low, torch.minimum(low + size, torch.tensor([W, H]))), dim=-1)
    y, x = torch.arange(H)[:, None], torch.arange(W)
    x0, y0, x1, y1 = boxes[..., None, None].unbind(2)
    masks = (x >= x0) & (x < x1) & (y >= y0) & (y < y1)
    valid = torch.rand((B, N), generator=generator) < 0.8
    masks = masks & valid[..., None, None]
    points = torch.stack((low + 0.5, boxes[..., 2:] - 0.5), dim=2)
    data = {
        "image": example(B, (3, H, W)),
        "boxes": boxes.float(),
        "valid": valid,
        "labels": torch.arange(B * N).view(B, N),
        "masks": masks.to(torch.uint8),
        "keypoints": points,
        "mask": torch.randint(0, 200, (B, H, W), generator=generator),
    }
    if index_map:  # later rows lie on top
        numbers = torch.arange(1, N + 1).view(1, N, 1, 1) * masks
        data["masks"] = numbers.amax(1)
    return data


def tight(seen: np.ndarray) -> list[float]:
    """Return the box around pixels."""
    y, x = np.nonzero(seen)
    return [x.min(), y.min(), x.max() + 1, y.max() + 1]


@pytest.mark.parametrize("visibility", [0.0, 0.4])
def test_cutmix_counted(visibility: float) -> None:
    """A row is there with what can be seen of its rectangle; its box is the tightest around that."""
    data = annotated()
    augment = ga.Compose([ga.CutMix(p=0.8)], seed=4, bbox_params=ga.BboxParams(min_visibility=visibility))
    out, params = augment(data, return_params=True)
    drawn = params["CutMix"]
    gone = partly = 0
    for b in range(B):
        x0, y0, x1, y1 = drawn.box[b].long().tolist()
        cut = np.zeros((H, W), dtype=bool)
        cut[y0:y1, x0:x1] = True
        j = int(drawn.partner[b])
        rows = [(b, n, ~cut) for n in range(N)] + [(j, n, cut) for n in range(N)]
        for row, (sample, n, shown) in enumerate(rows):
            whole = data["masks"][sample, n].numpy() > 0
            seen = whole & shown
            share = seen.sum() / max(whole.sum(), 1)
            there = bool(data["valid"][sample, n]) and seen.any() and share >= visibility
            assert bool(out["valid"][b, row]) == there, (b, row, share)
            assert int(out["labels"][b, row]) == sample * N + n
            np.testing.assert_array_equal(out["masks"][b, row].numpy() > 0, seen)
            for k, (x, y) in enumerate(data["keypoints"][sample, n].tolist()):
                assert bool(out["visible"][b, row, k] > 0) == bool(shown[int(y), int(x)]), (b, row, k)
            if there:
                np.testing.assert_allclose(out["boxes"][b, row].numpy(), tight(seen), atol=1e-4)
                partly += 0 < share < 1
            gone += bool(data["valid"][sample, n]) and not there
        mask = np.where(cut, data["mask"][j].numpy(), data["mask"][b].numpy())
        np.testing.assert_array_equal(out["mask"][b].numpy(), mask)
    assert gone > 5 and partly > 5


@pytest.mark.parametrize("name", ["MixUp", "CutMix"])
def test_index_maps(name: str) -> None:
    """Numbers name the rows that come out; in MixUp the sample of larger share lies on top."""
    data = annotated(index_map=True)
    augment = ga.Compose([MIXES[name](p=0.8)], seed=4)
    out, params = augment(data, return_params=True)
    drawn = params[name]
    for b in range(B):
        own, other = data["masks"][b].numpy(), data["masks"][int(drawn.partner[b])].numpy()
        moved = np.where(other > 0, other + N, 0)
        if name == "CutMix":
            x0, y0, x1, y1 = drawn.box[b].long().tolist()
            expected = own.copy()
            expected[y0:y1, x0:x1] = moved[y0:y1, x0:x1]
        elif not drawn.gate[b]:
            expected = own
        elif drawn.lam[b] >= 0.5:
            expected = np.where(own > 0, own, moved)
        else:
            expected = np.where(moved > 0, moved, own)
        shown = set(np.unique(expected)) - {0}
        kept = {n + 1 for n in range(2 * N) if bool(out["valid"][b, n])}
        expected = np.where(np.isin(expected, list(kept)), expected, 0)
        np.testing.assert_array_equal(out["masks"][b].numpy(), expected)
        assert shown


def test_the_larger_share_lies_on_top() -> None:
    """On both sides of one half, and at it."""
    maps = torch.ones(4, 6, 8, dtype=torch.int64)
    data = {"image": torch.zeros(4, 1, 6, 8), "masks": maps, "boxes": torch.tensor([[[0.0, 0, 8, 6]]]).expand(4, 1, 4)}
    mix = ga.MixUp(pairing="roll")
    params = mix.sample(data)
    params.values["MixUp"]["lam"] = torch.tensor([0.45, 0.4999, 0.5, 0.55])
    assert mix.replay(data, params)["masks"][:, 0, 0].tolist() == [2, 2, 1, 1]


def test_mixup_keeps_objects_of_both() -> None:
    data = annotated()
    out, params = ga.Compose([ga.MixUp(p=0.7)], seed=2)(data, return_params=True)
    drawn = params["MixUp"]
    assert 0 < int(drawn.gate.sum()) < B
    for key in ("boxes", "labels", "keypoints"):
        other = slice(None) if key != "boxes" else drawn.gate  # boxes of rows that are not there mean nothing
        assert torch.equal(out[key][:, :N], data[key])
        assert torch.equal(out[key][other, N:], data[key][drawn.partner][other]), key
    assert torch.equal(out["valid"][:, :N], data["valid"])
    assert torch.equal(out["valid"][:, N:], data["valid"][drawn.partner] & drawn.gate[:, None])
    assert torch.equal(out["masks"][drawn.gate, N:], data["masks"][drawn.partner][drawn.gate])


def test_masks_of_mixup() -> None:
    """Classes are the larger share's; probabilities are blended; both in what is moved along with a role."""
    classes = torch.randint(0, 9, (B, H, W))
    soft = torch.rand(B, 4, H, W, dtype=torch.float64).softmax(1)
    depth = torch.rand(B, 1, H, W)
    augment = ga.Compose([ga.MixUp()], seed=3, roles={"soft": "mask", "depth": "dense", "second": "image"})
    data = {"image": example(B, (3, H, W)), "mask": classes, "soft": soft, "depth": depth}
    data["second"] = data["image"].flip(0)
    out, params = augment(data, return_params=True)
    lam, partner = params["MixUp"].lam, params["MixUp"].partner
    own = (lam >= 0.5).view(-1, 1, 1)
    assert torch.equal(out["mask"], torch.where(own, classes, classes[partner])) and 0 < int(own.sum()) < B
    share = lam.double().view(-1, 1, 1, 1)
    for key in ("soft", "depth", "second"):
        value = data[key].double()
        expected = value * share + value[partner] * (1 - share)
        torch.testing.assert_close(out[key].double(), expected, atol=1e-6, rtol=0)
    assert (out["soft"].sum(1) - 1).abs().max() < 1e-6


def test_resizemix_moves_what_is_annotated() -> None:
    """Boxes and points by the map of the patch; masks by the pixel that lies under each centre."""
    data = annotated()
    out, params = ga.Compose([ga.ResizeMix(scale=(0.3, 0.9))], seed=6)(data, return_params=True)
    drawn = params["ResizeMix"]
    for b in range(B):
        x0, y0, x1, y1 = drawn.box[b].double().tolist()
        j, scale, start = int(drawn.partner[b]), np.array([(x1 - x0) / W, (y1 - y0) / H]), np.array([x0, y0])
        boxes = data["boxes"][j].double().numpy().reshape(N, 2, 2) * scale + start
        np.testing.assert_allclose(out["boxes"][b, N:].numpy(), boxes.reshape(N, 4), atol=1e-4)
        points = data["keypoints"][j].double().numpy() * scale + start
        np.testing.assert_allclose(out["keypoints"][b, N:].numpy(), points, atol=1e-4)
        expected = data["mask"][b].numpy().copy()
        patch = data["masks"][j].numpy()
        masks, sure = np.zeros((N, H, W)), np.ones((H, W), dtype=bool)
        for y in range(int(y0), int(y1)):
            for x in range(int(x0), int(x1)):
                place = (np.array([y, x]) + 0.5 - [y0, x0]) / scale[::-1]
                if (abs(place - np.round(place)) < 1e-3).any():  # on a border between two pixels
                    sure[y, x] = False
                at = place.astype(int)
                expected[y, x] = data["mask"][j, at[0], at[1]]
                masks[:, y, x] = patch[:, at[0], at[1]]
        np.testing.assert_array_equal(out["mask"][b].numpy()[sure], expected[sure])
        np.testing.assert_array_equal(out["masks"][b, N:].numpy()[:, sure], masks[:, sure])
        assert sure.mean() > 0.5
        hidden = data["masks"][b].numpy().copy()
        hidden[:, int(y0) : int(y1), int(x0) : int(x1)] = 0
        np.testing.assert_array_equal(out["masks"][b, :N].numpy(), hidden)


def test_rotated_boxes_are_judged_by_what_is_seen() -> None:
    """They keep their corners; a fine grid of points counts how much of each is left."""
    generator = torch.Generator().manual_seed(1)
    centre = torch.rand((B, N, 2), generator=generator) * torch.tensor([W * 0.8, H * 0.8]) + 3
    sides = torch.rand((B, N, 2), generator=generator) * 8 + 4
    angle = torch.rand((B, N, 1), generator=generator) * 180
    data = {"image": example(B, (3, H, W)), "boxes": torch.cat((centre, sides, angle), dim=-1)}
    rules = ga.BboxParams(format="cxcywhr", min_visibility=0.5)
    out, params = ga.Compose([ga.CutMix()], seed=3, bbox_params=rules)(data, return_params=True)
    drawn = params["CutMix"]
    u, v = np.meshgrid(np.linspace(-0.5, 0.5, 201), np.linspace(-0.5, 0.5, 201))
    left = []
    for b in range(B):
        x0, y0, x1, y1 = drawn.box[b].tolist()
        for row in range(2 * N):
            sample = b if row < N else int(drawn.partner[b])
            x, y, w, h, r = data["boxes"][sample, row % N].double().tolist()
            cos, sin = np.cos(np.radians(r)), np.sin(np.radians(r))
            px, py = x + u * w * cos + v * h * sin, y - u * w * sin + v * h * cos
            cut = (px >= x0) & (px < x1) & (py >= y0) & (py < y1)
            canvas = (px >= 0) & (px < W) & (py >= 0) & (py < H)
            share = float(((cut if row >= N else ~cut) & canvas).mean())
            if abs(share - 0.5) > 0.02:
                assert bool(out["valid"][b, row]) == (share > 0.5), (b, row, share)
                left.append(share > 0.5)
    assert 5 < sum(left) < len(left) - 5


def test_what_is_left_counts_later_too() -> None:
    """What a first meeting has hidden of an object is not there for the rule at the end."""
    box = torch.tensor([[[2.0, 2.0, 22.0, 12.0]], [[2.0, 2.0, 22.0, 12.0]]])
    data = {"image": example(2, (3, H, W)), "boxes": box}
    for least, kept in ((0.3, True), (0.5, False)):
        rules = ga.BboxParams(min_visibility=least)
        augment = ga.Compose([ga.CutMix(), ga.CenterCrop((H, 16))], seed=1, bbox_params=rules)
        params = augment.sample(data)
        params.values["CutMix"]["box"] = torch.tensor([[12.0, 0, 34, 24], [0, 0, 0, 0]])  # half is left: x < 12
        out = augment.replay(data, params)  # the crop begins at x = 9: 3 of 20 columns are left
        assert not out["valid"][0, 0]
        augment = ga.Compose([ga.CutMix(), ga.RandomHorizontalFlip(p=1.0)], seed=1, bbox_params=rules)
        params = augment.sample(data)
        params.values["CutMix"]["box"] = torch.tensor([[10.0, 0, 34, 24], [0, 0, 0, 0]])  # 8 of 20 columns
        assert bool(augment.replay(data, params)["valid"][0, 0]) == kept


def test_a_box_is_the_one_around_what_a_hole_leaves() -> None:
    """Every box of a canvas of 5x4 pixels with every hole, one that lies beside it too, against counted pixels."""
    h, w = 4, 5
    spans = {n: [(a, b) for a in range(n) for b in range(a + 1, n + 1)] for n in (h, w)}
    boxes = torch.tensor([[x0, y0, x1, y1] for x0, x1 in spans[w] for y0, y1 in spans[h]])
    y, x = torch.meshgrid(torch.arange(h), torch.arange(w), indexing="ij")
    inner = (x >= boxes[:, 0, None, None]) & (x < boxes[:, 2, None, None])
    inner &= (y >= boxes[:, 1, None, None]) & (y < boxes[:, 3, None, None])
    count = len(boxes)
    data = {"image": torch.zeros(count, 1, h, w), "boxes": boxes.float()[None].expand(count, -1, -1)}
    mix = ga.CutMix(pairing="roll")
    params = mix.sample(data)
    params.values["CutMix"]["box"] = boxes.float()  # sample b has the b-th as its hole
    out = mix.replay(data, params)
    left = inner[None] & ~inner[:, None]  # (holes, boxes, h, w)
    columns, rows = left.any(2), left.any(3)
    there = left.flatten(2).any(2)
    expected = torch.stack(
        (
            columns.int().argmax(2),
            rows.int().argmax(2),
            w - columns.flip(2).int().argmax(2),
            h - rows.flip(2).int().argmax(2),
        ),
        dim=-1,
    )
    assert torch.equal(out["valid"][:, :count], there) and 0 < int(there.sum()) < there.numel()
    assert torch.equal(out["boxes"][:, :count][there].long(), expected[there])


def test_what_two_meetings_have_left_is_counted_together() -> None:
    """A half of a half, though each alone leaves enough; and a twentieth is something where nobody asks for more."""
    data = {"image": example(2, (3, H, W)), "boxes": torch.tensor([[[2.0, 2.0, 22.0, 12.0]]]).expand(2, 1, 4)}
    for least, left in ((0.3, False), (0.2, True)):
        rules = ga.BboxParams(min_visibility=least)
        augment = ga.Compose([ga.CutMix(), ga.CutMix()], seed=1, bbox_params=rules)
        params = augment.sample(data)
        params.values["CutMix"]["box"] = torch.tensor([[12.0, 0, 34, 24], [0, 0, 0, 0]])  # x < 12 is left: a half
        params.values["CutMix_2"]["box"] = torch.tensor([[7.0, 0, 12, 24], [0, 0, 0, 0]])  # x < 7: a half of it
        assert bool(augment.replay(data, params)["valid"][0, 0]) == left
    for rules in (ga.BboxParams(), ga.BboxParams(min_visibility=0.04)):
        augment = ga.Compose([ga.CutMix()], seed=1, bbox_params=rules)
        params = augment.sample(data)
        params.values["CutMix"]["box"] = torch.tensor([[3.0, 0, 34, 24], [0, 0, 0, 0]])
        out = augment.replay(data, params)
        assert out["valid"][0, 0] and out["boxes"][0, 0].tolist() == [2, 2, 3, 12]


def test_detection_targets_in_lists() -> None:
    """Targets of torchvision's form: rows of both, of images that have got one size."""
    images = [torch.rand(3, 20, 31), torch.rand(3, 26, 17), torch.rand(3, 33, 24)]
    boxes = [torch.tensor([[2.0, 3, 14, 15]]), torch.tensor([[1.0, 2, 9, 20], [3, 3, 16, 25]]), torch.zeros(0, 4)]
    targets = [
        {
            "boxes": tv_tensors.BoundingBoxes(rows, format="XYXY", canvas_size=tuple(image.shape[1:])),
            "labels": torch.arange(len(rows)) + 10 * i,
            "masks": tv_tensors.Mask(torch.ones(len(rows), *image.shape[1:])),
        }
        for i, (image, rows) in enumerate(zip(images, boxes, strict=True))
    ]
    augment = ga.Compose([ga.Resize((16, 22)), ga.MixUp()], seed=1)
    (_, found), params = augment(images, targets, return_params=True)
    partner = params["MixUp"].partner.tolist()
    for i, j in enumerate(partner):
        assert found[i]["labels"].tolist() == [*targets[i]["labels"].tolist(), *targets[j]["labels"].tolist()]
        rows = [(k, n) for k in (i, j) for n in range(len(boxes[k]))]
        assert found[i]["masks"].shape == (len(rows), 16, 22) and len(found[i]["boxes"]) == len(rows)
        for row, (k, n) in enumerate(rows):
            h, w = images[k].shape[1:]
            expected = boxes[k][n] * torch.tensor([22 / w, 16 / h, 22 / w, 16 / h])
            torch.testing.assert_close(found[i]["boxes"][row].as_subclass(Tensor), expected)


def test_ultralytics_and_yolox_rows() -> None:
    """Packed rows are written sample by sample, padded ones get room for the other's."""
    data = {
        "img": (example(3, (3, H, W)) * 255).to(torch.uint8),
        "batch_idx": torch.tensor([0.0, 0.0, 2.0]),
        "cls": torch.tensor([[4.0], [5.0], [6.0]]),
        "bboxes": torch.tensor([[0.5, 0.5, 0.4, 0.4], [0.2, 0.3, 0.2, 0.2], [0.6, 0.6, 0.2, 0.5]]),
        "extra": torch.tensor([7, 8, 9]),
    }
    out, params = ga.Compose([ga.MixUp()], seed=2, format="ultralytics")(data, return_params=True)
    own = [[0, 1], [], [2]]
    expected = [(b, row) for b, j in enumerate(params["MixUp"].partner.tolist()) for row in own[b] + own[j]]
    assert out["batch_idx"].tolist() == [float(b) for b, _ in expected]
    rows = [row for _, row in expected]
    for key in ("cls", "extra", "bboxes"):
        torch.testing.assert_close(out[key], data[key][rows])
    padded = torch.tensor([[[4.0, 10, 10, 6, 6], [5, 20, 12, 4, 4]], [[6.0, 9, 9, 4, 4], [0, 0, 0, 0, 0]]])
    _, found = ga.Compose([ga.MixUp()], seed=2, format="yolox")(example(2, (3, H, W)) * 255, padded)
    assert found.shape == (2, 4, 5)
    for b in range(2):
        lines = [*padded[b].tolist(), *padded[1 - b].tolist()]
        assert found[b].tolist() == sorted(lines, key=lambda line: line[3] == 0)


def augmenting(mix: Any) -> ga.Compose:
    return ga.Compose([copy.deepcopy(mix), ga.RandomHorizontalFlip()], seed=1, keypoint_params=NO_SIDES)


@pytest.mark.parametrize("name", list(MIXES))
def test_everything_compiles_and_nothing_waits(name: str) -> None:
    """All targets at once: one graph for ten draws; no synchronisation and no copy to the device."""
    data = annotated() | {"label": torch.arange(B)}
    torch._dynamo.reset()
    options = {"scale": (0.5, 0.8)} if name == "ResizeMix" else {}
    make = partial(augmenting, MIXES[name](num_classes=B, p=0.7, **options))
    compiled, eager = torch.compile(make(), fullgraph=True, backend="eager"), make()
    compiled(data)
    eager(data)
    with torch._dynamo.config.patch(error_on_recompile=True):
        for _ in range(10):
            out, expected = compiled(data), eager(data)
    for key, value in expected.items():
        torch.testing.assert_close(out[key], value, atol=1e-5, rtol=0, msg=key)
    layer = make()
    keys = list(data)
    ghosts = [data[key].to("meta") for key in keys]

    def call(*tensors: Tensor) -> Any:
        return layer(dict(zip(keys, tensors, strict=True)))

    call(*ghosts)
    counts = count(call, *ghosts)
    assert (counts.synchronising, counts.host_to_device, counts.host_operations) == (0, 0, 0), counts.names
