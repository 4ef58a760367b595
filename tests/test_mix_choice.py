"""A choice of mixes: each sample meets another as it was before any of them, and what it meets is its label."""

from __future__ import annotations

import copy
from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor

import gpuaug as ga
from gpuaug.data.batch import Batch
from gpuaug.diagnose import count
from gpuaug.render import backend
from gpuaug.testing import example

B, H, W, CLASSES = 24, 21, 34, 7


def switch(prob: float = 0.8, switch_prob: float = 0.5, **options: Any) -> ga.RandomChoice:
    """timm's `Mixup(mixup_alpha=0.8, cutmix_alpha=1.0, prob, switch_prob)`."""
    given: dict[str, Any] = {"num_classes": CLASSES, "pairing": "flip", "p": prob, **options}
    mixes = [ga.MixUp(alpha=0.8, **given), ga.CutMix(alpha=1.0, **given)]
    return ga.RandomChoice(mixes, p=[1 - switch_prob, switch_prob])


def timms(images: Tensor, labels: Tensor, params: ga.Params, smoothing: float) -> tuple[np.ndarray, np.ndarray]:
    """Mix the samples one after another, as timm's `Mixup` does, each with the unmixed one from the other end."""
    x, batch = images.numpy().astype(np.float64), len(images)
    target = np.full((batch, CLASSES), smoothing / CLASSES)
    target[np.arange(batch), labels.numpy()] += 1 - smoothing
    out, soft = x.copy(), target.copy()
    use_cutmix = params["RandomChoice"].index.numpy() == 1
    for i in range(batch):
        j, lam = batch - 1 - i, 1.0
        name = "CutMix" if use_cutmix[i] else "MixUp"
        if params[name].gate[i]:
            if use_cutmix[i]:
                x0, y0, x1, y1 = params["CutMix"].box[i].int().tolist()
                out[i][:, y0:y1, x0:x1] = x[j][:, y0:y1, x0:x1]
                lam = 1 - (y1 - y0) * (x1 - x0) / (H * W)
            else:
                lam = float(params["MixUp"].lam[i])
                out[i] = x[i] * lam + x[j] * (1 - lam)
        soft[i] = target[i] * lam + target[j] * (1 - lam)
    return out, soft


@pytest.mark.parametrize("walking", [False, True], ids=["batched", "walked"])
@pytest.mark.parametrize("mode", ["elem", "pair", "batch"])
def test_equal_to_timms_switch(mode: str, walking: bool, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(backend, "SMALL", 0 if walking else 1 << 30)
    images, labels = example(B, (3, H, W), torch.float64), torch.arange(B) % CLASSES
    layer = switch(mode=mode, label_smoothing=0.1)
    kinds = set()
    for seed in range(2 if mode == "elem" else 6):
        layer.reseed(seed)
        (out, soft), params = layer(images, labels, return_params=True)
        if mode == "elem":
            expected, target = timms(images, labels, params, 0.1)
        else:  # the first sample of a pair, or of all, decides
            lead = torch.arange(B) if mode == "pair" else torch.zeros(B, dtype=torch.int64)
            index = params["RandomChoice"].index[torch.minimum(lead, B - 1 - lead) if mode == "pair" else lead]
            own = copy.deepcopy(params)
            own.values["RandomChoice"]["index"] = index
            expected, target = timms(images, labels, own, 0.1)
            kinds |= set(index.tolist())
        np.testing.assert_allclose(out.numpy(), expected, atol=1e-6)
        np.testing.assert_allclose(soft.numpy(), target, atol=1e-6)
        changed = (out != images).flatten(1).any(1)
        assert mode == "batch" or 0 < int(changed.sum()) < B
    assert mode == "elem" or kinds == {0, 1}


def test_uint8_is_exact_where_pixels_are_chosen() -> None:
    images = example(B, (3, 48, 60), torch.uint8)
    layer = switch(1.0)
    layer.reseed(1)
    params = layer.sample(images)
    plain = layer.replay(images.double(), params)
    cut = params["RandomChoice"].index == 1
    for walking in (False, True):
        out = backend.render(images, layer.plan(Batch(images), params.values), walking=walking)
        assert torch.equal(out[cut].double(), plain[cut]) and 0 < int(cut.sum()) < B
        assert (out.double() - plain).abs().max() <= 0.5 + 1e-4


def test_any_of_three_and_one_within_another() -> None:
    """Also with a mix that makes the other image smaller, and a choice in a choice."""
    images = example(B, (3, 40, 50))
    inner = ga.RandomChoice([ga.MixUp(num_classes=3), ga.CutMix(num_classes=3)])
    layer = ga.RandomChoice(
        [ga.RandomApply([ga.ResizeMix(num_classes=3, scale=(0.6, 0.8))], p=0.5), inner, ga.RandomInvert(p=1.0)]
    )
    layer.reseed(3)
    out, params = layer(images, return_params=True)
    taken = params["RandomChoice"].index
    which = torch.where(taken == 1, 3 + params["RandomChoice_2"].index, taken)
    assert set(which.tolist()) == {0, 2, 3, 4}
    alone = {0: ga.ResizeMix, 3: ga.MixUp, 4: ga.CutMix}
    for number, make in alone.items():
        mix = make(scale=(0.6, 0.8)) if number == 0 else make()
        single = mix.sample(images)
        single.values[make.__name__].update(params.values[make.__name__])
        chosen = which == number
        torch.testing.assert_close(out[chosen], mix.replay(images, single)[chosen], atol=1e-6, rtol=0)
    torch.testing.assert_close(out[which == 2], 1 - images[which == 2])
    resized = (which == 0) & params["ResizeMix"].gate
    assert 0 < int(resized.sum()) < int((which == 0).sum())
    assert torch.equal(out[(which == 0) & ~resized], images[(which == 0) & ~resized])


def test_the_other_is_as_it_was_before_the_choice() -> None:
    """Whatever it has taken itself: a mix of its own, a colour, a rotation; after it all of one move on."""
    codes = torch.arange(B, dtype=torch.float32).view(B, 1, 1, 1).expand(B, 1, 12, 18) / B
    geometry = [ga.RandomHorizontalFlip(), switch(1.0), ga.RandomVerticalFlip()]
    choice = ga.RandomChoice([ga.RandomInvert(p=1.0), ga.RandomRotation(90), ga.CutMix(cutmix_minmax=(0.3, 0.8))])
    for layer in (ga.Compose(geometry, seed=2), ga.Compose([choice], seed=5)):
        out, params = layer(codes, return_params=True)
        cut = params["CutMix"]
        on = cut.gate if layer[0] is choice else cut.gate & (params["RandomChoice"].index == 1)
        for b in on.nonzero().flatten().tolist():
            assert set((out[b] * B).round().unique().int().tolist()) <= {b, int(cut.partner[b])}
            torch.testing.assert_close(
                (out[b] * B - out[b].mul(B).round()).abs().max(), torch.tensor(0.0), atol=1e-4, rtol=0
            )


def test_between_geometry_pixels_and_objects_agree() -> None:
    """Every target after flips, a choice and a crop is that of the mix alone, for the samples that took it."""
    data = {
        "image": example(B, (3, 36, 50)),
        "mask": torch.randint(0, 9, (B, 36, 50)),
        "boxes": torch.tensor([[2.0, 3, 20, 21], [16, 9, 45, 33]]).expand(B, 2, 4),
        "labels": torch.arange(2 * B).view(B, 2),
        "keypoints": torch.tensor([[5.0, 6], [33, 20]]).expand(B, 2, 2).unsqueeze(2).contiguous(),
        "masks": torch.rand(B, 2, 36, 50) > 0.4,
        "label": torch.arange(B) % CLASSES,
    }

    def around(middle: list[Any]) -> ga.Compose:
        params = ga.KeypointParams(flip_pairs=())
        steps = [ga.RandomHorizontalFlip(), *middle, ga.RandomCrop((30, 40))]
        return ga.Compose(steps, seed=7, keypoint_params=params, bbox_params=ga.BboxParams(min_visibility=0.2))

    chosen = around([switch(0.9)])
    out, params = chosen(data, return_params=True)
    index = params["RandomChoice"].index
    for number, make in enumerate((ga.MixUp, ga.CutMix)):
        alone = around([make(num_classes=CLASSES, pairing="flip", p=0.9)])
        single = alone.sample(data)
        for name in single.names:
            single.values[name].update({k: v for k, v in params.values[name].items() if k in single.values[name]})
        expected, rows = alone.replay(data, single), index == number
        assert rows.any()
        for key, value in expected.items():
            if key == "boxes" or key == "keypoints":
                shown = expected["valid"][rows]
                assert torch.equal(out["valid"][rows], shown)
                torch.testing.assert_close(out[key][rows][shown], value[rows][shown], atol=1e-5, rtol=0)
            elif value.is_floating_point():
                torch.testing.assert_close(out[key][rows], value[rows], atol=1e-6, rtol=0)
            elif key == "masks":
                shown = expected["valid"][rows]
                assert torch.equal(out[key][rows][shown], value[rows][shown])
            else:
                assert torch.equal(out[key][rows], value[rows]), key


def test_index_maps_of_a_choice() -> None:
    """Where MixUp keeps a sample's own objects on top and CutMix does not."""
    maps = torch.zeros(B, H, W, dtype=torch.int64)
    maps[:, 3:15, 4:22] = 1
    maps[::2, 8:20, 10:30] = 2
    data = {"image": example(B, (3, H, W)), "masks": maps, "valid": torch.ones(B, 2, dtype=torch.bool)}
    data["boxes"] = torch.tensor([[4.0, 3, 22, 15], [10, 8, 30, 20]]).expand(B, 2, 4)
    layer = ga.Compose([switch(1.0)], seed=4)
    out, params = layer(data, return_params=True)
    index, cut, up = params["RandomChoice"].index, params["CutMix"], params["MixUp"]
    for b in range(B):
        own, other = maps[b], maps[B - 1 - b]
        moved = torch.where(other > 0, other + 2, 0)
        if index[b] == 1:
            x0, y0, x1, y1 = cut.box[b].int().tolist()
            expected = own.clone()
            expected[y0:y1, x0:x1] = moved[y0:y1, x0:x1]
        else:
            first, second = (own, moved) if up.lam[b] >= 0.5 else (moved, own)
            expected = torch.where(first > 0, first, second)
        assert torch.equal(out["masks"][b].long(), expected), b


def test_one_pass_and_few_operations() -> None:
    """One image-sized operation for both, and no more tiny ones than for each alone."""
    layer = ga.Compose([switch()], seed=0)
    images, labels = example(4, (3, 64, 80)), torch.arange(4)
    text = layer.explain(images, labels)
    assert text.count("pass ") == 1, text
    meta, classes = torch.empty((64, 3, 96, 128), device="meta"), torch.empty(64, dtype=torch.int64, device="meta")
    plan = layer.plan(Batch(meta), layer.sample(meta).values)
    assert len(plan.finish()) == 1
    whole, pixels = count(layer, meta, classes), count(lambda x: backend.render(x, plan), meta)
    assert whole.operations - pixels.operations + 1 <= 25 + 55, whole.names
    assert (whole.synchronising, whole.host_to_device, whole.host_operations) == (0, 0, 0)


def test_one_graph() -> None:
    torch._dynamo.reset()
    images, labels = example(4, (3, 20, 28)), torch.arange(4)
    eager, compiled = ga.Compose([switch()], seed=3), ga.Compose([switch()], seed=3)
    once = torch.compile(compiled, fullgraph=True, backend="eager")
    for _ in range(2):
        for found, expected in zip(once(images, labels), eager(images, labels), strict=True):
            torch.testing.assert_close(found, expected, atol=1e-6, rtol=0)


def test_switched_off_and_pairs() -> None:
    layer = ga.RandomChoice([ga.MixUp(return_pairs=True, pairing="roll"), ga.CutMix(return_pairs=True, pairing="roll")])
    layer.reseed(0)
    images, labels = example(8, (3, 10, 14)), torch.arange(8)
    (out, (own, other, lam)), params = layer(images, labels, return_params=True)
    assert torch.equal(own, labels) and torch.equal(other, labels.roll(1))
    taken = params["RandomChoice"].index
    assert torch.equal(lam, torch.where(taken == 0, params["MixUp"].lam, params["CutMix"].lam))
    layer[0].enabled = False
    out, params = layer(images, return_params=True)
    still = params["RandomChoice"].index == 0
    assert torch.equal(out[still], images[still]) and not torch.equal(out[~still], images[~still])
    layer[1].enabled = False
    assert layer(images) is images
    assert layer.eval()(images) is images


def test_clips_and_small_batches() -> None:
    clips = torch.arange(4 * 3, dtype=torch.float64).view(4, 3, 1, 1, 1).expand(4, 3, 1, 8, 10)
    layer = ga.RandomChoice([ga.MixUp(), ga.CutMix(cutmix_minmax=(0.4, 0.6))])
    layer.reseed(2)
    out, params = layer(clips, return_params=True)
    drawn = params["RandomChoice.mix"]
    assert drawn.partner.shape == (4,) and set(params["RandomChoice"].index.tolist()) == {0, 1}
    for b, j in enumerate(drawn.partner.tolist()):
        shown = out[b] - clips[b]
        seen = (shown != 0).expand_as(out[b])
        ratio = shown[seen] / (clips[j] - clips[b])[seen]
        torch.testing.assert_close(ratio, drawn.share[b].double().expand_as(ratio), atol=1e-6, rtol=0)
    for batch in (0, 1):
        images = example(2, (3, 9, 14))[:batch]
        out, soft = switch()(images, torch.arange(batch))
        assert torch.equal(out, images) and soft.shape == (batch, CLASSES)


def test_mixes_must_agree() -> None:
    for name, first, second in (("mode", "elem", "batch"), ("num_classes", 3, 4), ("label_smoothing", 0.1, 0.0)):
        with pytest.raises(ValueError, match=f"RandomChoice: mixes to choose from must agree in {name}"):
            ga.RandomChoice([ga.MixUp(**{name: first}), ga.CutMix(**{name: second})])
    for mixes in ([ga.MixUp(class_counts=(9, 1)), ga.CutMix()], [ga.CutMix(), ga.MixUp(class_counts=(9, 1))]):
        with pytest.raises(ValueError, match="must agree in class_counts"):  # Remix has labels of its own
            ga.RandomChoice(mixes)
