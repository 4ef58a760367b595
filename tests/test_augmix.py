"""AugMix: chains and weights drawn for each sample, summed as torchvision sums them; and its loss."""

from __future__ import annotations

from typing import Any

import pytest
import torch
from scipy import stats
from torch import Tensor
from torch.nn import functional as F
from torchvision.transforms import v2

import gpuaug as ga
from gpuaug.data.batch import Batch
from gpuaug.diagnose import count
from gpuaug.render import backend
from gpuaug.testing import example

MANY = 20_000


def drawn_by_many(layer: Any) -> Any:
    layer.reseed(2)
    return layer.sample(torch.zeros(1, 3, 30, 40).expand(MANY, -1, -1, -1))["AugMix"]


@pytest.mark.parametrize("way", ["batched", "walk"])
@pytest.mark.parametrize("all_ops", [True, False])
def test_the_sum_is_torchvisions(way: str, all_ops: bool, photos: Tensor, monkeypatch: pytest.MonkeyPatch) -> None:
    """What torchvision's operations give one after another, with our draws; where it cuts the sum, we round."""
    monkeypatch.setattr(backend, "SMALL", 10**9 if way == "batched" else 0)
    # Without what may come out a level apart and is then drawn apart further.
    exact = {"TranslateX", "TranslateY", "Posterize", "Solarize", "Equalize"}
    layer = ga.AugMix(9, 2, all_ops=all_ops, interpolation="nearest")
    theirs = v2.AugMix(9, 2, all_ops=all_ops, interpolation=v2.InterpolationMode.NEAREST)
    images = F.interpolate(photos[:2].float(), (41, 57), mode="area").round().to(torch.uint8).repeat(150, 1, 1, 1)
    layer.reseed(0)
    out, params = layer(images, return_params=True)
    drawn, compared = params["AugMix"], 0
    for i, (image, result) in enumerate(zip(images, out, strict=True)):
        total, ok = drawn.weights[i, 0] * image, True
        for chain in range(2):
            made, last = image, False
            for step in range(3 * chain, 3 * chain + 3):
                if not drawn.applied[i, step]:
                    continue
                name = layer.space.names[int(drawn.op[i, step])]
                ok, last = ok and not last and not name.startswith(("Shear", "Rotate")), last or name not in exact
                magnitude = float(drawn.magnitude[i, step])
                made = theirs._apply_image_or_video_transform(made, name, magnitude, theirs.interpolation, theirs._fill)
            total = total + drawn.weights[i, 1 + chain] * made
        if ok:
            compared += 1
            # A chain of ours is rounded where torchvision's is cut: a level apart, and Color two.
            assert (result - total).abs().max() <= 0.5 + 2 * float(1 - drawn.weights[i, 0]) + 1e-3
    assert compared > 50


def test_weights_follow_their_laws() -> None:
    for alpha, width in ((1.0, 3), (0.4, 4), (2.0, 1)):
        weights = drawn_by_many(ga.AugMix(alpha=alpha, mixture_width=width)).weights.double()
        assert weights.shape == (MANY, 1 + width) and (weights >= 0).all()
        assert (weights.sum(1) - 1).abs().max() < 1e-5
        assert stats.kstest(weights[:, 0].numpy(), stats.beta(alpha, alpha).cdf).pvalue > 1e-4
        for chain in range(width if width > 1 else 0):
            share = weights[:, 1 + chain] / (1 - weights[:, 0])
            law = stats.beta(alpha, alpha * (width - 1))
            assert stats.kstest(share[weights[:, 0] < 0.999].numpy(), law.cdf).pvalue > 1e-4


def test_chains_are_drawn_as_torchvisions() -> None:
    layer = ga.AugMix(3)
    drawn = drawn_by_many(layer)
    depth = drawn.applied.view(MANY, 3, 3).long().sum(-1)
    assert stats.chisquare(depth.flatten().bincount(minlength=4)[1:].numpy()).pvalue > 1e-4
    assert torch.equal(drawn.applied.view(MANY, 3, 3), torch.arange(3) < depth[:, :, None])
    assert stats.chisquare(drawn.op.flatten().bincount(minlength=13).numpy()).pvalue > 1e-4
    turned = drawn.magnitude[drawn.op == layer.space.names.index("Rotate")].abs()
    expected = torch.linspace(0.0, 30.0, 10)[:3]
    counts = (turned[:, None] == expected).sum(0)
    assert int(counts.sum()) == len(turned) and stats.chisquare(counts.numpy()).pvalue > 1e-4
    fixed = ga.AugMix(chain_depth=2)
    assert drawn_by_many(fixed).op.shape == (MANY, 6) and fixed.depth == 2
    layer = ga.AugMix(chain_depth=0)  # is -1, as in torchvision
    layer.reseed(2)
    assert torch.equal(layer.sample(torch.zeros(99, 3, 30, 40))["AugMix"].applied, drawn.applied[:99])


def test_gates_and_containers() -> None:
    images = example(30, (3, 23, 17))
    layer = ga.RandomApply([ga.AugMix()], p=0.5)
    layer.reseed(0)
    out, params = layer(images, return_params=True)
    off = ~params["AugMix"].gate
    assert 5 < off.sum() < 25 and torch.equal(out[off], images[off]) and not torch.equal(out[~off], images[~off])
    after = ga.Compose([ga.AugMix(), ga.RandomHorizontalFlip(p=1.0), ga.RandomInvert(p=1.0)], seed=3)
    plain = ga.Compose([ga.AugMix()], seed=3)
    assert (after(images) - (1 - plain(images).flip(-1))).abs().max() < 1e-5
    assert len(set(map(tuple, params["AugMix"].op.tolist()))) == 30


def test_annotations_are_refused_and_labels_pass() -> None:
    images, labels = example(3, (3, 23, 17)), torch.arange(3)
    assert torch.equal(ga.AugMix()(images, labels)[1], labels)
    for key, value in (
        ("mask", torch.zeros(3, 23, 17)), ("boxes", torch.zeros(3, 1, 4)), ("depth", torch.zeros(3, 1, 23, 17))
    ):  # fmt: skip
        with pytest.raises(TypeError, match="AugMix: it shows an image in several places at once"):
            ga.Compose([ga.AugMix()], roles={"depth": "dense"})({"image": images, key: value})
    padding = {"image": images, "padding_mask": torch.zeros(3, 23, 17, dtype=torch.bool)}  # is no annotation
    assert ga.Compose([ga.AugMix()], roles={"padding_mask": "mask"})(padding)["padding_mask"].shape == (3, 23, 17)
    with pytest.raises(ValueError, match=r"AugMix.* needs values between black and white and may not follow Normalize"):
        ga.Compose([ga.Normalize((0.5,) * 3, (0.2,) * 3), ga.AugMix()])


def test_integer_images_are_rounded_after_every_operation() -> None:
    layer, images = ga.AugMix(mixture_width=2, chain_depth=2), example(3, (3, 23, 17), torch.uint8)
    (step,) = layer.plan(Batch(images), layer.sample(images).values).finish()
    assert step.mix is not None and len(step.mix.chains) == 2 and not step.rounds
    for chain in step.mix.chains:
        assert [one.rounds for one in chain] == [False, True, False, True]


def test_nothing_waits() -> None:
    images = torch.empty((8, 3, 32, 40), dtype=torch.uint8, device="meta")
    for name in ("torch", "triton"):
        layer = ga.Compose([ga.AugMix()], seed=0, backend=name)
        layer(images)
        counts = count(layer, images)
        assert (counts.synchronising, counts.host_to_device, counts.host_operations) == (0, 0, 0)


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda: ga.AugMix(0), "AugMix: severity must be at least 1, got 0"),
        (lambda: ga.AugMix(11), "AugMix: severity must be at least 1 and at most 10, got 11"),
        (lambda: ga.AugMix(mixture_width=0), "AugMix: mixture_width must be at least 1, got 0"),
        (lambda: ga.AugMix(alpha=0), "AugMix: alpha must be positive, and at most 32 here, got 0"),
        (lambda: ga.AugMix(chain_depth=2.0), "AugMix: chain_depth must be a whole number, got 2.0"),
    ],
)
def test_refusals(make: Any, message: str) -> None:
    with pytest.raises((TypeError, ValueError)) as error:
        make()
    assert message in str(error.value)


def test_the_loss_is_the_mean_entropy_gained_by_mixing() -> None:
    """The divergence is the entropy of the mean less the mean of the entropies."""
    logits = torch.randn(3, 7, 5, generator=torch.Generator().manual_seed(0), requires_grad=True)
    p = logits.detach().double().softmax(-1).numpy()
    expected = (stats.entropy(p.mean(0), axis=-1) - stats.entropy(p, axis=-1).mean(0)).mean()
    loss = ga.jensen_shannon(*logits)
    assert abs(loss.item() - expected) < 1e-6
    loss.backward()
    assert logits.grad is not None and logits.grad.abs().max() > 0
    half = logits.detach().bfloat16()  # as under autocast
    assert torch.equal(ga.jensen_shannon(*half), ga.jensen_shannon(*half.float()))
    alike = torch.randn(200, 1, 6, generator=torch.Generator().manual_seed(1))
    assert all(ga.jensen_shannon(row, row, row) >= 0 for row in alike)
    far = torch.eye(3)[:, None] * 1e4
    assert abs(ga.jensen_shannon(*far).item() - torch.tensor(3.0).log().item()) < 1e-6
