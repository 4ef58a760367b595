"""MixUp, CutMix, ResizeMix: pixels say whose they are, laws are those of the papers, results those of the peers."""

from __future__ import annotations

import copy
import pickle
from typing import Any

import numpy as np
import pytest
import torch
from scipy import stats
from torch import Tensor
from torchvision.transforms import v2
from torchvision.transforms.v2 import functional as tvf

import gpuaug as ga
from gpuaug import functional as F
from gpuaug.data.batch import Batch
from gpuaug.diagnose import count
from gpuaug.render import backend
from gpuaug.testing import example

MIXES: dict[str, Any] = {"MixUp": ga.MixUp, "CutMix": ga.CutMix, "ResizeMix": ga.ResizeMix}
MODES = ("elem", "pair", "batch")


def coded(batch: int, h: int, w: int) -> Tensor:
    """Images (B, 1, h, w) float64 in which every pixel has a number of its own."""
    return torch.arange(batch * h * w, dtype=torch.float64).view(batch, 1, h, w)


def with_values(params: ga.Params, **given: Tensor) -> ga.Params:
    """Return the parameters of a single transform with other values."""
    changed = copy.deepcopy(params)
    changed.values[changed.names[0]].update(given)
    return changed


@pytest.mark.parametrize("walking", [False, True], ids=["batched", "walked"])
@pytest.mark.parametrize("size", [(8, 6), (7, 9), (21, 40)], ids=str)
@pytest.mark.parametrize("options", [{}, {"cutmix_minmax": (0.2, 0.7)}, {"p": 0.5}], ids=["alpha", "minmax", "p"])
def test_lambda_is_the_share_of_pixels(
    options: dict[str, Any], size: tuple[int, int], walking: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Regressions 25: counted, pixel by pixel; every pixel is in the place that it had in its own image."""
    monkeypatch.setattr(backend, "SMALL", 0 if walking else 1 << 30)
    (h, w), batch = size, 37
    images = coded(batch, h, w)
    mix = ga.CutMix(return_pairs=True, **options)
    mix.reseed(3)
    (out, (own, other, lam)), params = mix(images, torch.arange(batch), return_params=True)
    source, place = (out // (h * w)).long(), out % (h * w)
    assert torch.equal(place, coded(1, h, w).expand_as(out))
    mine = source == torch.arange(batch).view(-1, 1, 1, 1)
    assert ((source == other.view(-1, 1, 1, 1)) | mine).all() and torch.equal(own, torch.arange(batch))
    assert torch.equal(lam, (mine.sum((1, 2, 3)).double() / (h * w)).to(torch.float32))
    for b, (x0, y0, x1, y1) in enumerate(params["CutMix"].box.long().tolist()):
        shown = torch.ones(h, w, dtype=torch.bool)
        shown[y0:y1, x0:x1] = False
        assert torch.equal(shown, mine[b, 0]) and 0 <= x0 <= x1 <= w and 0 <= y0 <= y1 <= h
    if "p" in options:
        assert 0 < int((lam == 1).sum()) < batch


@pytest.mark.parametrize("options", [{}, {"cutmix_minmax": (0.0, 1.0)}], ids=["alpha", "minmax"])
def test_every_legal_position_occurs(options: dict[str, Any]) -> None:
    """Regressions 25: along each axis every size lies at every place, and both ends of the canvas are alike."""
    h, w = 8, 6
    mix = ga.CutMix(**options)
    mix.reseed(1)
    box = mix.sample(torch.zeros(1, 1, h, w).expand(40000, -1, -1, -1))["CutMix"].box.long()
    for low, high, n in ((box[:, 1], box[:, 3], h), (box[:, 0], box[:, 2], w)):
        found = {(a, b) for a, b in zip(low.tolist(), high.tolist(), strict=True) if b > a}
        legal = {(a, b) for a in range(n) for b in range(a + 1, n + 1)}
        # With a share drawn, the whole canvas is covered where that is exactly 0.
        assert found == (legal if options else legal - {(0, n)}), legal ^ found
        middle = ((low + high).double() / 2)[high > low]
        assert abs(middle.mean() - n / 2) < 5 * middle.std() / len(middle) ** 0.5


@pytest.mark.parametrize("alpha", [0.2, 1.0, 4.0])
def test_lambda_follows_beta(alpha: float) -> None:
    images = torch.zeros(1, 1, 4, 5).expand(20000, -1, -1, -1)
    law = stats.beta(alpha, alpha)
    for mix in (ga.MixUp(alpha=alpha), ga.CutMix(alpha=alpha, correct_lam=False)):
        mix.reseed(5)
        lam = mix.sample(images)[type(mix).__name__].lam
        # Kolmogorov and Smirnov's distance, but for shares so near 1 that float32 has no other number for them.
        at = np.concatenate((np.geomspace(1e-7, 0.5, 300), 1 - np.geomspace(1e-6, 0.5, 300)))
        distance = np.abs((lam.double().numpy()[:, None] <= at).mean(0) - law.cdf(at)).max()
        assert stats.kstwobign.sf(distance * len(lam) ** 0.5) > 1e-3
    scale = ga.ResizeMix()
    scale.reseed(2)
    big = torch.zeros(1, 1, 1000, 2000).expand(4000, -1, -1, -1)
    box = scale.sample(big)["ResizeMix"].box
    side = (box[:, 2] - box[:, 0]) / 2000
    assert stats.kstest(side.double().numpy(), stats.uniform(0.1, 0.7).cdf).pvalue > 1e-3
    start = box[:, 0] / (2000 - (box[:, 2] - box[:, 0]))
    assert stats.kstest(start.double().numpy(), stats.uniform(0, 1).cdf).pvalue > 1e-3


def test_everybody_meets_everybody() -> None:
    """In a random circle nobody meets itself, everybody is met once, and every other sample as often."""
    met = torch.zeros(5, 5)
    mix = ga.MixUp()
    mix.reseed(0)
    for _ in range(400):
        mix._advance()
        partner = mix.sample(torch.zeros(5, 1, 2, 3))["MixUp"].partner
        assert sorted(partner.tolist()) == [0, 1, 2, 3, 4]
        met[torch.arange(5), partner] += 1
    assert torch.equal(met.diagonal(), torch.zeros(5))
    others = met[~torch.eye(5, dtype=torch.bool)]
    assert ((others - 100).abs() < 5 * (400 * 0.25 * 0.75) ** 0.5).all()


@pytest.mark.parametrize("name", list(MIXES))
def test_p_applies_once(name: str) -> None:
    """Regressions 7: of images, and of their labels: the same samples."""
    batch, p = 4000, 0.3
    images = torch.arange(batch, dtype=torch.float32).view(-1, 1, 1, 1).expand(-1, 1, 5, 6)
    options = {"cutmix_minmax": (0.3, 0.7)} if name == "CutMix" else {}
    mix = MIXES[name](p=p, return_pairs=True, **options)
    mix.reseed(4)
    out, (_, _, lam) = mix(images, torch.arange(batch))
    changed = (out != images).flatten(1).any(1)
    assert torch.equal(changed, lam < 1)
    assert abs(changed.double().mean() - p) < 5 * (p * (1 - p) / batch) ** 0.5
    outer = ga.RandomApply([MIXES[name](p=0.5, **options)], p=0.5)
    outer.reseed(4)
    assert abs((outer(images) != images).flatten(1).any(1).double().mean() - 0.25) < 5 * (0.25 * 0.75 / batch) ** 0.5


@pytest.mark.parametrize("mode", ["pair", "batch"])
@pytest.mark.parametrize("name", list(MIXES))
def test_gates_are_shared_as_draws_are(name: str, mode: str) -> None:
    """Of the mix itself and of a container around it."""
    batch = 64
    for layer in (MIXES[name](mode=mode, p=0.5), ga.RandomApply([MIXES[name](mode=mode, p=0.8)], p=0.6)):
        layer.reseed(1)
        ons = []
        for _ in range(30 if mode == "batch" else 1):
            drawn = layer.sample(torch.zeros(batch, 1, 6, 9))[name]
            layer._advance()
            for value in (drawn.gate, drawn.lam):
                expected = value.flip(0) if mode == "pair" else value[:1].expand(batch)
                assert torch.equal(value, expected)
            ons.append(drawn.gate)
        on = torch.stack(ons)
        assert 0 < int(on.sum()) < on.numel()


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64], ids=str)
@pytest.mark.parametrize("name", ["MixUp", "CutMix"])
def test_equal_to_torchvision(name: str, dtype: torch.dtype) -> None:
    images, labels = example(6, (3, 21, 34), dtype), torch.randint(0, 9, (6,))
    theirs = getattr(v2, name)(num_classes=9)
    ours = MIXES[name](num_classes=9, mode="batch", pairing="roll")
    ours.reseed(1)
    for turn in range(4):
        torch.manual_seed(turn)
        drawn = theirs.make_params([images])
        theirs.make_params = lambda _, drawn=drawn: drawn
        expected, soft = theirs(images, labels)
        del theirs.make_params
        given: dict[str, Tensor] = {"lam": torch.tensor(drawn.get("lam", drawn.get("lam_adjusted"))).expand(6)}
        if "box" in drawn:
            given["box"] = torch.tensor(drawn["box"], dtype=torch.float32).expand(6, 4)
        out, mixed = ours.replay(images, labels, with_values(ours.sample(images), **given))
        torch.testing.assert_close(out, expected, atol=1e-6, rtol=0)
        torch.testing.assert_close(mixed, soft.float(), atol=1e-6, rtol=0)
        torch.testing.assert_close(out, expected, atol=1e-6, rtol=0)


@pytest.mark.parametrize("multi_label", [False, True], ids=["classes", "multi-label"])
@pytest.mark.parametrize("mode", MODES)
@pytest.mark.parametrize("name", ["MixUp", "CutMix"])
def test_equal_to_timm(name: str, mode: str, multi_label: bool) -> None:
    """Its three modes in float64: samples meet from both ends; smoothed labels, by the pixels that are left."""
    batch, classes, smoothing = 8, 5, 0.1
    images = example(batch, (3, 13, 22), torch.float64)
    labels = torch.randint(0, 2, (batch, classes)) if multi_label else torch.arange(batch) % classes
    options = {"mode": mode, "pairing": "flip", "label_smoothing": smoothing, "multi_label": multi_label}
    mix = MIXES[name](num_classes=classes, p=0.8, **options)
    mix.reseed(7)
    (out, soft), params = mix(images, labels, return_params=True)
    drawn = params[name]
    target = np.zeros((batch, classes))
    for i in range(batch):
        if multi_label:
            target[i] = labels[i].numpy() * (1 - smoothing) + smoothing / 2
        else:
            target[i] = smoothing / classes
            target[i, int(labels[i])] += 1 - smoothing
    for i in range(batch):
        j, lam = batch - 1 - i, float(drawn.lam[i])
        x, y = images[i].numpy().copy(), images[j].numpy()
        if name == "MixUp":
            x = x * lam + y * (1 - lam)
        else:
            x0, y0, x1, y1 = (int(v) for v in drawn.box[i])
            x[:, y0:y1, x0:x1] = y[:, y0:y1, x0:x1]
            lam = 1 - (y1 - y0) * (x1 - x0) / (13 * 22)
        np.testing.assert_allclose(out[i].numpy(), x, atol=1e-6)
        np.testing.assert_allclose(soft[i].numpy(), target[i] * lam + target[j] * (1 - lam), atol=1e-6)
    keys = ("lam", "gate", "box") if name == "CutMix" else ("lam", "gate")
    for key in keys if mode != "elem" else ():
        value = getattr(drawn, key)
        assert torch.equal(value, value.flip(0) if mode == "pair" else value[:1].expand_as(value)), key
    if mode == "elem":
        assert len(set(drawn.lam.tolist())) > 4


def test_a_resized_patch_is_torchvisions() -> None:
    """Down to the smallest of the range, with the filter as wide as it has to be, and cut at the image's border."""
    images = example(24, (3, 40, 60))
    mix = ga.ResizeMix(num_classes=24, scale=(0.1, 0.8))
    mix.reseed(2)
    (out, soft), params = mix(images, torch.arange(24), return_params=True)
    batched = backend.render(images, mix.plan(Batch(images), params.values), walking=False)
    sides = []
    for b, (x0, y0, x1, y1) in enumerate(params["ResizeMix"].box.long().tolist()):
        j = int(params["ResizeMix"].partner[b])
        expected = images[b].clone()
        expected[:, y0:y1, x0:x1] = tvf.resize(images[j], [y1 - y0, x1 - x0], antialias=True)
        torch.testing.assert_close(out[b], expected, atol=1e-5, rtol=0)
        torch.testing.assert_close(batched[b], expected, atol=1e-5, rtol=0)
        share = (y1 - y0) * (x1 - x0) / (40 * 60)
        assert float(soft[b, j]) == pytest.approx(share, abs=1e-6) and float(soft[b].sum()) == pytest.approx(1)
        sides.append((x1 - x0) / 60)
    assert min(sides) < 0.2 and max(sides) > 0.6 and min(sides) >= 0.1 and max(sides) <= 0.8


def test_uint8_is_rounded_once() -> None:
    images = example(9, (3, 50, 60), torch.uint8)
    mix = ga.MixUp()
    mix.reseed(3)
    for walking in (False, True):
        params = mix.sample(images)
        drawn = params["MixUp"]
        out = backend.render(images, mix.plan(Batch(images), params.values), walking=walking)
        lam = drawn.lam.double().view(-1, 1, 1, 1)
        exact = images.double() * lam + images[drawn.partner].double() * (1 - lam)
        assert out.dtype == torch.uint8 and (out.double() - exact).abs().max() <= 0.5 + 1e-4
    cut = ga.CutMix()
    cut.reseed(3)
    out, params = cut(images, return_params=True)
    floating = cut.replay(images.double(), params)
    assert torch.equal(out.double(), floating)


@pytest.mark.parametrize("name", list(MIXES))
@pytest.mark.parametrize("pairing", ["perm", "roll", "flip"])
def test_who_is_alone_stays_as_it_is(name: str, pairing: str) -> None:
    """One sample, the middle of an odd batch that meets from both ends, none at all; its objects are not doubled."""
    mix = MIXES[name](pairing=pairing, num_classes=7)
    mix.reseed(2)
    for batch in (0, 1, 5):
        images, labels = example(6, (3, 9, 14))[:batch], torch.arange(batch)
        boxes = torch.tensor([[1.0, 1, 8, 7]]).expand(batch, 1, 4)
        data = {"image": images, "label": labels, "boxes": boxes, "mask": torch.zeros(batch, 9, 14)}
        out, params = mix(data, return_params=True)
        assert out["image"].shape == images.shape and out["label"].shape == (batch, 7)
        assert out["boxes"].shape == (batch, 2, 4)
        alone = params[name].partner == torch.arange(batch)
        assert int(alone.sum()) == (batch == 1) + (batch == 5 and pairing == "flip")
        assert torch.equal(out["image"][alone], images[alone]) and not out["valid"][alone, 1].any()
        assert torch.equal(out["label"][alone].argmax(1), labels[alone])
        assert not (out["image"][~alone] == images[~alone]).all((1, 2, 3)).any()


def test_partners_of_clips_frame_by_frame() -> None:
    """All frames of a clip meet those of one other clip, each the one of its own time, by one share."""
    clips = torch.arange(4 * 3, dtype=torch.float64).view(4, 3, 1, 1, 1).expand(4, 3, 1, 8, 10)
    out, params = ga.MixUp()(clips, return_params=True)
    lam, partner = params["MixUp"].lam.double().view(-1, 1, 1, 1, 1), params["MixUp"].partner
    torch.testing.assert_close(out, clips * lam + clips[partner] * (1 - lam), atol=1e-6, rtol=0)
    cut, params = ga.CutMix()(clips, return_params=True)
    shown = cut - clips
    assert torch.equal(shown[:, 0], shown[:, 2]) and bool((shown != 0).any())


def test_draws_follow_ids() -> None:
    mix = ga.Compose([ga.CutMix()], seed=3)
    images = example(6, (1, 12, 9))
    ids = torch.tensor([40, 7, 12, 3, 99, 5])
    here, there = mix.sample(images, ids=ids)["CutMix"], mix.sample(images[:3], ids=ids[:3])["CutMix"]
    assert torch.equal(here.box[:3], there.box)


@pytest.mark.parametrize("name", list(MIXES))
def test_params_of_a_mix(name: str) -> None:
    """They can be printed, pickled and replayed; not taken apart, for they name places of the whole batch."""
    augment = ga.Compose([ga.RandomHorizontalFlip(), MIXES[name](num_classes=4, p=0.7)], seed=1)
    images, labels = example(5, (3, 12, 17)), torch.arange(5) % 4
    (out, soft), params = augment(images, labels, return_params=True)
    again = augment.replay(images, labels, pickle.loads(pickle.dumps(params)))
    assert torch.equal(again[0], out) and torch.equal(again[1], soft)
    text = repr(params)
    assert "partner=" in text and "lam=" in text and ("box=[" in text) == (name != "MixUp")
    with pytest.raises(ValueError, match="params of a mix say whom"):
        augment.replay(images[:2], labels[:2], params[:2])
    flipped = ga.Compose([ga.RandomHorizontalFlip()], seed=1).sample(images)
    assert torch.equal(params.matrix, flipped.matrix)  # of each sample's own pixels
    back = augment.replay({"image": images}, params.inverse())["image"]
    assert torch.equal(back, torch.where(params["RandomHorizontalFlip"].gate.view(-1, 1, 1, 1), images.flip(3), images))


def test_images_of_several_sizes_meet_once_they_have_one() -> None:
    images = [torch.rand(3, 20, 31), torch.rand(3, 26, 17), torch.rand(3, 33, 24)]
    for name, make in MIXES.items():
        with pytest.raises(ValueError, match=f"{name}: images must have one size to meet"):
            make()(images)
        augment = ga.Compose([ga.Resize((14, 19)), make(), ga.RandomHorizontalFlip()], seed=4)
        resized = torch.stack([ga.Resize((14, 19))(one) for one in images])
        out, params = augment(images, return_params=True)
        rest = ga.Compose([make(), ga.RandomHorizontalFlip()], seed=4)
        torch.testing.assert_close(out, rest(resized), atol=1e-6, rtol=0)
        assert params[name].partner.shape == (3,)


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda: ga.MixUp(alpha=0), "MixUp: alpha must be a number above 0 and at most 64, got 0"),
        (lambda: ga.CutMix(alpha=65), "CutMix: alpha must be a number above 0 and at most 64, got 65"),
        (lambda: ga.MixUp(mode="all"), "MixUp: mode must be one of elem, pair, batch, got 'all'"),
        (lambda: ga.CutMix(pairing="x"), "CutMix: pairing must be one of perm, roll, flip or None, got 'x'"),
        (lambda: ga.MixUp(mode="pair", pairing="roll"), "MixUp: pairing must be 'flip' or None with mode='pair'"),
        (
            lambda: ga.CutMix(cutmix_minmax=(0.8, 0.2)),
            r"CutMix: cutmix_minmax must be \(low, high\) with low <= high, got",
        ),
        (lambda: ga.ResizeMix(scale=(0.0, 0.5)), "ResizeMix: scale must be above 0 and up to 1"),
        (lambda: ga.ResizeMix(label_smoothing=1), r"ResizeMix: label_smoothing must be in \[0, 1\), got 1"),
        (lambda: ga.MixUp(num_classes=0), "MixUp: num_classes must be a positive integer or None, got 0"),
    ],
)
def test_refusals(make: Any, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        make()


def test_functions_are_the_transforms() -> None:
    images = example(5, (3, 18, 25))
    for name, function, keys in (
        ("MixUp", F.mixup, ("partner", "lam")),
        ("CutMix", F.cutmix, ("partner", "box")),
        ("ResizeMix", F.resize_mix, ("partner", "box")),
    ):
        mix = MIXES[name]()
        mix.reseed(6)
        for given in (images, (images * 255).to(torch.uint8)):
            out, params = mix(given, return_params=True)
            drawn = params[name]
            torch.testing.assert_close(function(given, *(getattr(drawn, key) for key in keys)), out, atol=1e-5, rtol=0)
    place = torch.tensor([1, 0, 3, 4, 2])
    assert torch.equal(F.mixup(images, place, 1.0), images)
    torch.testing.assert_close(F.mixup(images, place, 0.25), images * 0.25 + images[place] * 0.75)
    with pytest.raises(ValueError, match=r"mixup: partner must be int64 \(5,\)"):
        F.mixup(images, place[:3], 0.5)
    with pytest.raises(ValueError, match=r"cutmix: boxes must have shape \(5, 4\)"):
        F.cutmix(images, place, torch.zeros(4, 4))


@pytest.mark.parametrize(("name", "most"), [("MixUp", 25), ("CutMix", 55)])
def test_few_operations(name: str, most: int) -> None:
    """Of draws, labels and all else on a device, beside one for the pixels."""
    images = torch.empty((64, 3, 96, 128), dtype=torch.uint8, device="meta")
    labels = torch.empty(64, dtype=torch.int64, device="meta")
    mix = MIXES[name](alpha=0.2, num_classes=1000)
    plan = mix.plan(Batch(images), mix.sample(images).values)
    whole, pixels = count(mix, images, labels), count(lambda x: backend.render(x, plan), images)
    assert whole.operations - pixels.operations + 1 <= most, whole.names
    assert (whole.synchronising, whole.host_to_device, whole.host_operations) == (0, 0, 0)


def test_gradients_through_images_and_shares() -> None:
    images = example(3, (1, 3, 4), torch.float64).requires_grad_()
    partner = torch.tensor([2, 0, 1])
    lam = torch.tensor([0.3, 0.9, 0.5], dtype=torch.float64, requires_grad=True)
    assert torch.autograd.gradcheck(lambda x, s: F.mixup(x, partner, s), (images, lam))
    boxes = torch.tensor([[0, 1, 3, 3], [1, 0, 4, 2], [0, 0, 0, 0]])
    assert torch.autograd.gradcheck(lambda x: F.cutmix(x, partner, boxes), (images,))
    assert torch.autograd.gradcheck(lambda x: F.resize_mix(x, partner, boxes), (images,))
    labels = torch.rand(3, 4, dtype=torch.float64, requires_grad=True)
    assert torch.autograd.gradcheck(lambda y, s: F.mix_labels(y, partner, s), (labels, lam))
