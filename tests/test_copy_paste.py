"""CopyPaste: every pixel says whose it is; what is chosen, where it goes, and what batches and modes there are."""

from __future__ import annotations

import math
from typing import Any

import pytest
import torch
from pasted import H, N, W, box_of, scene, slow, whole
from torchvision.transforms.v2 import functional as tv

import gpuaug as ga
from gpuaug.diagnose import count
from gpuaug.functional import copy_paste
from gpuaug.testing import annotated


@pytest.mark.parametrize("pairing", ["perm", "roll", "flip", "self"])
def test_every_target_is_what_a_loop_makes_of_it(pairing: str) -> None:
    data = scene(5)
    layer = whole(pairing=pairing, p=0.8)
    out, params = layer(data, return_params=True)
    drawn = params["CopyPaste"]
    pasted_rows = 0
    for b, want in enumerate(slow(data, params)):
        assert torch.equal(out["image"][b], want["image"])
        assert torch.equal(out["mask"][b], want["mask"])
        assert torch.equal(out["masks"][b], want["masks"])
        valid = want["masks"].flatten(1).any(1)
        assert torch.equal(out["valid"][b], valid)
        found = [box_of(m) for m in want["masks"]]
        assert torch.equal(out["boxes"][b][valid], torch.tensor(found, dtype=torch.float32)[valid])
        j = want["partner"]
        for key in ("id", "score", "labels"):
            assert torch.equal(out[key][b], torch.cat((data[key][b], data[key][j])))
        points = data["keypoints"][j].clone()
        if want["flip"]:
            points[..., 0] = W - points[..., 0]
        assert torch.allclose(out["keypoints"][b], torch.cat((data["keypoints"][b], points)), atol=1e-5)
        for n in range(N):
            for k in range(2):
                x, y = (int(v) for v in data["keypoints"][b, n, k])
                known = int(data["visible"][b, n, k])
                assert int(out["visible"][b, n, k]) == (1 if want["alpha"][y, x] else known)
        chosen = drawn.chosen[b]
        assert torch.equal(out["visible"][b, N:][chosen], data["visible"][j][chosen])
        pasted_rows += int(chosen.sum())
    on = drawn.gate if pairing != "flip" else drawn.gate & (torch.arange(5) != 2)
    assert torch.equal(drawn.chosen.any(1) & ~on, torch.zeros(5, dtype=torch.bool))
    assert pasted_rows > 2 and drawn.flip.any() and not drawn.flip.all()


def test_pasted_pixels_come_from_where_the_map_says() -> None:
    """Coordinates of the other sample, read back through the map that the parameters name."""
    data = scene(6)
    out, params = ga.Compose([ga.CopyPaste(0.7, scale_range=(0.5, 1.8), blending=False)], seed=3)(
        data, return_params=True
    )
    drawn = params["CopyPaste"]
    checked = 0
    for b in range(6):
        s, (tx, ty) = float(drawn.scale[b]), drawn.shift[b].tolist()
        for n in drawn.chosen[b].nonzero().flatten().tolist():
            for y, x in out["masks"][b, N + n].nonzero().tolist()[::7]:
                u, v = (x + 0.5 - tx) / s, (y + 0.5 - ty) / s
                u = W - u if drawn.flip[b] else u
                assert data["masks"][int(drawn.partner[b]), n, math.floor(v), math.floor(u)]
                r = max(1.0, 1 / s)
                if r < u < W - r and r < v < H - r:  # near the border the filter is cut
                    off = 1e-6 if s >= 1 else 0.1 / 64  # a widened triangle on pixels is not quite symmetric
                    assert out["image"][b, 1:, y, x].tolist() == pytest.approx([u / 64, v / 64], abs=off)
                    checked += 1
    assert checked > 50


def test_what_is_chosen_stays_in_view_where_it_fits() -> None:
    data = scene(40, seed=5)
    data = {key: data[key] for key in ("image", "masks", "boxes", "valid")}
    _, params = ga.Compose([ga.CopyPaste(0.4, scale_range=(0.3, 2.5))], seed=8)(data, return_params=True)
    drawn = params["CopyPaste"]
    fitting = 0
    for b in range(40):
        chosen, s = drawn.chosen[b], float(drawn.scale[b])
        if not chosen.any():
            continue
        theirs = data["boxes"][int(drawn.partner[b])][chosen].double()
        low, high = theirs[:, :2].amin(0), theirs[:, 2:].amax(0)
        if drawn.flip[b]:
            low[0], high[0] = W - high[0], W - low[0]
        low, high = low * s + drawn.shift[b], high * s + drawn.shift[b]
        for axis, size in enumerate((W, H)):
            if high[axis] - low[axis] <= size:
                assert low[axis] > -1e-3 and high[axis] < size + 1e-3
                fitting += 1
            else:
                assert low[axis] < 1e-3 and high[axis] > size - 1e-3
    assert fitting > 30


def test_the_edge_is_blended_over_the_blurred_mask() -> None:
    """Alpha is torchvision's Gaussian of 5 pixels and sigma 2; annotations and maps follow the hard mask."""
    data = scene(4)
    hard = ga.Compose([ga.CopyPaste(scale_range=1.0, flip_p=0.0, blending=False)], seed=2)
    soft = ga.Compose([ga.CopyPaste(scale_range=1.0, flip_p=0.0)], seed=2)
    a, params = hard(data, return_params=True)
    b = soft(data)
    alpha = params["CopyPaste"].alpha
    blurred = tv.gaussian_blur(alpha[:, None].double(), [5, 5], [2.0, 2.0])
    other = data["image"][params["CopyPaste"].partner]
    want = data["image"] * (1 - blurred) + other * blurred
    assert torch.allclose(b["image"], want, atol=1e-6)
    assert not torch.allclose(a["image"], b["image"], atol=1e-2)
    for key in ("masks", "boxes", "mask", "valid"):
        assert torch.equal(a[key], b[key])
    for blending, image in ((False, a["image"]), (True, b["image"])):
        assert torch.allclose(copy_paste(data["image"], other, alpha, blending), image, atol=1e-6)
    levels = (data["image"] * 255).to(torch.uint8)
    got = copy_paste(levels, levels[params["CopyPaste"].partner], alpha)
    exact = levels.double() * (1 - blurred) + levels[params["CopyPaste"].partner].double() * blurred
    assert (got.double() - exact).abs().max() < 0.51
    assert (soft.replay({**data, "image": levels}, params)["image"].double() - exact).abs().max() < 0.51


def test_a_blended_edge_does_not_darken_at_the_border_of_a_small_image() -> None:
    """Where an object touches the border of its image, which is made smaller, nothing beyond is blended in."""
    image = torch.ones(2, 3, H, W)
    masks = torch.zeros(2, 1, H, W, dtype=torch.bool)
    masks[..., 10:30, :8] = True
    boxes = torch.tensor([[[0.0, 10, 8, 30]]]).expand(2, 1, 4)
    out = ga.Compose([ga.CopyPaste(1.0, scale_range=0.6)], seed=0)({"image": image, "masks": masks, "boxes": boxes})
    assert torch.allclose(out["image"], torch.ones_like(image), atol=1e-6)


def test_each_object_is_pasted_with_its_probability() -> None:
    """Frequencies by class within five standard deviations, and their chi-square."""
    batch, rows = 800, 6
    masks = torch.zeros(batch, rows, 8, 12, dtype=torch.bool)
    for n in range(rows):
        masks[:, n, 1:7, 2 * n : 2 * n + 2] = True
    boxes = torch.tensor([[2.0 * n, 1, 2 * n + 2, 7] for n in range(rows)]).expand(batch, rows, 4)
    labels = (torch.arange(batch)[:, None] + torch.arange(rows)) % 4
    data = {"image": torch.zeros(batch, 1, 8, 12), "masks": masks, "boxes": boxes, "labels": labels}
    weights = {1: 2.0, 2: 0.0, 3: 5.0}
    share = {0: 0.3, 1: 0.6, 2: 0.0, 3: 1.0}
    table = torch.tensor([1.0, 2.0, 0.0, 5.0])
    for given in (weights, table, table.tolist()):
        layer = ga.Compose([ga.CopyPaste(0.3, class_weights=given)], seed=5)
        drawn = layer.sample(data)["CopyPaste"]
        theirs = labels[drawn.partner]
        chi = 0.0
        for label, p in share.items():
            there = theirs == label
            n, hits = int(there.sum()), int((drawn.chosen & there).sum())
            if p in (0.0, 1.0):
                assert hits == n * p
            else:
                chi += (hits - n * p) ** 2 / (n * p * (1 - p))
        assert chi < 13.8  # two degrees of freedom, one in a thousand
    plain = ga.Compose([ga.CopyPaste(0.3)], seed=5).sample(data)["CopyPaste"]
    assert abs(plain.chosen.double().mean().item() - 0.3) < 5 * math.sqrt(0.21 / (batch * rows))
    pairs = (plain.chosen[:, 0] & plain.chosen[:, 1]).double().mean().item()  # rows are independent
    assert abs(pairs - 0.09) < 5 * math.sqrt(0.09 * 0.91 / batch)


def test_labels_without_a_weight_of_their_own_count_once() -> None:
    data = {key: value for key, value in scene(30).items() if key in ("image", "masks", "boxes", "valid")}
    data["labels"] = torch.arange(30)[:, None].expand(30, N) - 3  # from -3 on: below 0 is no class
    weighted = ga.Compose([ga.CopyPaste(0.5, class_weights={5: 0.0})], seed=1).sample(data)["CopyPaste"]
    plain = ga.Compose([ga.CopyPaste(0.5)], seed=1).sample(data)["CopyPaste"]
    spared = data["labels"][plain.partner] != 5
    assert torch.equal(weighted.chosen, plain.chosen & spared) and plain.chosen.any()


def test_objects_that_would_cover_others_are_not_pasted() -> None:
    data = scene(30, seed=9)
    data = {key: data[key] for key in ("image", "masks", "boxes", "valid")}
    options: dict[str, Any] = {"scale_range": (0.5, 1.5)}
    free = ga.Compose([ga.CopyPaste(0.8, **options)], seed=2).sample(data)["CopyPaste"]
    kept = ga.Compose([ga.CopyPaste(0.8, max_ioa=0.3, **options)], seed=2).sample(data)["CopyPaste"]
    refused = 0
    for b in range(30):
        own = data["boxes"][b][data["valid"][b]]
        for n in range(N):
            if not free.chosen[b, n]:
                assert not kept.chosen[b, n]
                continue
            box = data["boxes"][int(free.partner[b]), n].double() * float(free.scale[b])
            if free.flip[b]:
                box[[0, 2]] = W * float(free.scale[b]) - box[[2, 0]]
            x0, y0, x1, y1 = (box + free.shift[b].repeat(2)).tolist()
            worst = 0.0
            for a0, b0, a1, b1 in own.tolist():
                inner = max(0.0, min(x1, a1) - max(x0, a0)) * max(0.0, min(y1, b1) - max(y0, b0))
                worst = max(worst, inner / ((a1 - a0) * (b1 - b0)))
            assert bool(kept.chosen[b, n]) == (worst < 0.3), (b, n, worst)
            refused += worst >= 0.3
    assert refused > 5 and kept.chosen.sum() > 5


@pytest.mark.parametrize("batch", [0, 1, 3])
def test_batches_of_any_size(batch: int) -> None:
    data = scene(max(batch, 1))
    data = {key: value[:batch] for key, value in data.items()}
    out, params = ga.Compose([ga.CopyPaste(1.0)], seed=0)(data, return_params=True)
    assert out["boxes"].shape == (batch, 2 * N, 4) and out["masks"].shape == (batch, 2 * N, H, W)
    if batch == 1:  # nobody else is there: it stays as it is
        assert torch.equal(out["image"], data["image"]) and not out["valid"][:, N:].any()
        assert torch.equal(out["masks"][:, :N], data["masks"]) and torch.equal(out["boxes"][:, :N], data["boxes"])
    if batch == 3:
        assert params["CopyPaste"].chosen.any(1).all()


def test_samples_without_objects() -> None:
    """They take those of others and give none; a batch without a row, or without a valid one, stays as it is."""
    data = scene(4)
    data["valid"] = data["valid"].clone()
    data["valid"][1] = False
    out, params = ga.Compose([ga.CopyPaste(1.0, pairing="roll", scale_range=1.0)], seed=0)(data, return_params=True)
    chosen = params["CopyPaste"].chosen
    assert not chosen[2].any() and chosen[1].any() and torch.equal(out["image"][2], data["image"][2])
    assert not out["valid"][1, :N].any() and not out["valid"][2, N:].any()
    data["valid"] = torch.zeros_like(data["valid"])
    out = ga.Compose([ga.CopyPaste(1.0)], seed=0)(data)
    assert torch.equal(out["image"], data["image"]) and not out["valid"].any()
    none = {"image": data["image"], "boxes": torch.zeros(4, 0, 4), "masks": torch.zeros(4, 0, H, W)}
    for extra in ({}, {"masks": torch.zeros(4, H, W, dtype=torch.int64)}):
        out = ga.Compose([ga.CopyPaste(1.0, max_ioa=0.3)], seed=0)({**none, **extra})
        assert torch.equal(out["image"], data["image"]) and out["boxes"].shape == (4, 0, 4)


def test_parameters_can_be_replayed_on_other_inputs() -> None:
    """A depth map has no objects: what is pasted was decided when drawing."""
    data = scene(5)
    layer = ga.Compose([ga.CopyPaste(0.8, scale_range=1.0, flip_p=0.0, blending=False)], seed=3)
    out, params = layer(data, return_params=True)
    depth = torch.rand(5, 1, H, W)
    moved = layer.replay(depth, params)
    alpha, partner = params["CopyPaste"].alpha[:, None], params["CopyPaste"].partner
    assert torch.equal(moved, torch.where(alpha, depth[partner], depth))
    with_depth = ga.Compose([ga.CopyPaste(0.8, scale_range=1.0, flip_p=0.0)], seed=3, roles={"depth": "dense"})
    assert torch.allclose(with_depth({**data, "depth": depth})["depth"], moved)
    again = layer.replay(data, params)
    assert all(torch.equal(again[key], out[key]) for key in out)


def test_gradients_go_where_pixels_came_from() -> None:
    data = scene(5)
    layer = ga.Compose([ga.CopyPaste(0.8, scale_range=1.0, blending=False, pairing="roll")], seed=3)
    image = data["image"].clone().requires_grad_()
    params = layer.sample(data)
    out = layer.replay({**data, "image": image}, params)["image"]
    (grad,) = torch.autograd.grad(out.sum(), image)
    drawn = params["CopyPaste"]
    want = (~drawn.alpha).double()
    for b in range(5):
        seen = drawn.alpha[b].double()
        want[int(drawn.partner[b])] += seen.flip(-1) if drawn.flip[b] else seen
    assert torch.allclose(grad, want[:, None].expand_as(grad)) and (want > 1).any()
    soft = ga.Compose([ga.CopyPaste(0.8)], seed=3)
    (grad,) = torch.autograd.grad(soft({**data, "image": image})["image"].sum(), image)
    assert torch.isfinite(grad).all() and grad.abs().sum() > 0


def test_evaluation_leaves_everything_alone() -> None:
    data = scene(3)
    layer = ga.Compose([ga.CopyPaste(1.0)]).eval()
    out = layer(data)
    assert all(out[key] is data[key] or torch.equal(out[key], data[key]) for key in data)
    images = torch.rand(2, 3, 8, 9)  # without objects, too
    assert layer(images) is images


def test_params_say_what_was_pasted() -> None:
    shown = repr(ga.Compose([ga.CopyPaste(1.0, flip_p=1.0)], seed=0).sample(scene(3)))
    assert "CopyPaste(partner=" in shown and "chosen=[0, 1, 2, 3]" in shown and "alpha" not in shown


def test_nothing_waits_and_few_operations_are_asked_for() -> None:
    layer = ga.Compose([ga.CopyPaste(class_weights={1: 2.0}, max_ioa=0.3)], seed=0)
    data = annotated(torch.empty((8, 3, 96, 80), device="meta"), masks=True)
    layer(data)
    counts = count(lambda images: layer({**data, "image": images}), data["image"])
    assert (counts.synchronising, counts.host_to_device) == (0, 0), counts.names
    plain = ga.Compose([ga.CopyPaste(blending=False)], seed=0)
    params = plain.sample(data)
    drawing = count(lambda images: plain.sample({**data, "image": images}), data["image"])
    pixels = count(lambda images: plain.replay(images, params), data["image"])
    assert drawing.operations <= 150 and pixels.operations <= 340


def test_what_is_refused() -> None:
    data = scene(2)
    layer = ga.Compose([ga.CopyPaste()])
    with pytest.raises(ValueError, match=r"CopyPaste: masks of the objects must be given.*got no objects"):
        layer(data["image"])
    with pytest.raises(ValueError, match=r"CopyPaste: masks of the objects must be given.*boxes or keypoints alone"):
        layer({"image": data["image"], "boxes": data["boxes"]})
    with pytest.raises(ValueError, match="class_weights need labels"):
        ga.Compose([ga.CopyPaste(class_weights={1: 2.0})])({k: data[k] for k in ("image", "masks", "boxes")})
    with pytest.raises(ValueError, match="one size"):
        ga.Compose([ga.CopyPaste()])([torch.rand(3, 8, 9), torch.rand(3, 9, 8)])
    for options, message in (
        ({"object_p": 1.5}, "object_p must be between 0 and 1, got 1.5"),
        ({"flip_p": -1}, "flip_p must be between 0 and 1, got -1"),
        ({"max_ioa": 0.0}, "max_ioa must be above 0 and at most 1, got 0.0"),
        ({"pairing": "next"}, "pairing must be one of perm, roll, flip, self, got 'next'"),
        ({"class_weights": {-1: 2.0}}, "class_weights must have labels from 0"),
        ({"class_weights": [1.0, -2.0]}, "class_weights must be finite and not negative"),
        ({"scale_range": (0.0, 1.0)}, "scale_range"),
    ):
        with pytest.raises(ValueError, match=message):
            ga.CopyPaste(**options)  # type: ignore[arg-type]


def test_labels_of_samples_are_mixed_by_what_follows() -> None:
    """CopyPaste looks for none; MixUp after it does."""
    data = {key: value for key, value in scene(4).items() if key in ("image", "masks", "boxes", "valid")}
    out = ga.Compose([ga.CopyPaste(), ga.MixUp(num_classes=9)], seed=0)({**data, "label": torch.arange(4)})
    assert out["label"].shape == (4, 9) and torch.allclose(out["label"].sum(1), torch.ones(4))
    assert out["boxes"].shape == (4, 4 * N, 4)
    alone = ga.Compose([ga.CopyPaste()], seed=0)({**data, "label": torch.arange(4)})
    assert torch.equal(alone["label"], torch.arange(4))
