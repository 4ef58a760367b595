"""Policies that are learned by gradient, and ones that take the worst of several draws."""

from __future__ import annotations

import json
import pickle
from typing import Any

import pytest
import torch
from torch import Tensor

import gpuaug as ga
from gpuaug.testing import example

IMAGES = example(64, (3, 9, 13)) * 0.5


def test_a_range_is_fitted_so_that_images_match_a_target() -> None:
    """Sorted mean brightnesses of augmented images are brought to those of the target: both ends of the range."""
    hidden = ga.ColorJitter(brightness=(0.6, 1.8))
    hidden.reseed(1)
    base = torch.full((256, 3, 2, 3), 0.5)
    target = hidden(base).mean((1, 2, 3)).sort().values
    low, high = (torch.nn.Parameter(torch.tensor(v)) for v in (0.9, 1.1))
    augment = ga.Compose([ga.ColorJitter(brightness=(ga.Learned(low, 0.1, 1.0), ga.Learned(high, 1.0, 3.0)))], seed=2)
    optimiser = torch.optim.Adam([low, high], lr=0.05)
    for _ in range(80):
        params = augment.sample(base)
        augment._advance()
        loss = (augment.replay(base, params).mean((1, 2, 3)).sort().values - target).square().mean()
        optimiser.zero_grad()
        loss.backward()
        optimiser.step()
    assert abs(low.item() - 0.6) < 0.06 and abs(high.item() - 1.8) < 0.06


def test_gradients_are_those_of_differences() -> None:
    """Through a warp, of a symmetric range, with a gate and columns of its own for every number drawn."""

    def value(d: Tensor) -> Tensor:
        layer = ga.Compose(
            [
                ga.RandomRotation(ga.Learned(d, 0, 40), p=0.8),
                ga.GridDistortion(3, ga.Learned(d / 100, 0, 0.5), p=1.0),
                ga.ColorJitter(ga.Learned(d / 50, 0, 1), contrast=0.2),
            ],
            seed=3,
        )
        x = IMAGES[:8].double()
        weight = torch.linspace(0, 1, x.numel(), dtype=torch.float64).view_as(x)
        out: Tensor = (layer.replay(x, layer.sample(x)) * weight).sum()
        return out

    d = torch.tensor(11.0, requires_grad=True)
    (gradient,) = torch.autograd.grad(value(d), d)
    h = 0.02
    with torch.no_grad():
        difference = (value(d + h) - value(d - h)) / (2 * h)
    assert gradient.item() == pytest.approx(difference.item(), rel=0.03)


def test_the_draw_is_that_of_the_number() -> None:
    value = torch.tensor(7.0)
    learned = ga.Compose([ga.RandomHorizontalFlip(), ga.RandomRotation(ga.Learned(value, 0, 20))], seed=3)
    fixed = ga.Compose([ga.RandomHorizontalFlip(), ga.RandomRotation(7.0)], seed=3)
    angle = learned.sample(IMAGES)["RandomRotation"].angle
    assert torch.equal(angle, fixed.sample(IMAGES)["RandomRotation"].angle)
    learned.set_epoch(3)
    value.mul_(2)  # no call is needed
    assert torch.allclose(learned.sample(IMAGES)["RandomRotation"].angle, 2 * angle)
    value.fill_(99)
    assert learned.sample(IMAGES)["RandomRotation"].angle.abs().max() <= 20
    for back in (ga.from_dict(json.loads(json.dumps(ga.to_dict(learned)))), pickle.loads(pickle.dumps(learned))):
        back.reseed(3), learned.reseed(3)
        assert torch.equal(back(IMAGES), learned(IMAGES))
    torch._dynamo.reset()
    compiled = torch.compile(learned, fullgraph=True, backend="eager")
    for step in range(3):
        value.fill_(3.0 + step)
        with torch._dynamo.config.patch(error_on_recompile=step > 0):
            assert compiled(IMAGES).shape == IMAGES.shape
    torch._dynamo.reset()


def test_the_worst_of_several_draws_for_each_sample() -> None:
    """What the model finds hardest, chosen on the device: every sample its own draw."""
    torch.manual_seed(0)
    model = torch.nn.Sequential(torch.nn.Flatten(), torch.nn.Linear(3 * 9 * 13, 5))
    labels = torch.arange(64) % 5
    augment = ga.Compose([ga.RandomAffine(20, (0.1, 0.1)), ga.ColorJitter(0.5, 0.5), ga.RandomErasing(p=0.5)], seed=1)

    def losses(params: ga.Params) -> Tensor:
        out: Tensor = torch.nn.functional.cross_entropy(model(augment.replay(IMAGES, params)), labels, reduction="none")
        return out

    with torch.no_grad():
        draws = [augment.sample(IMAGES, copy=k) for k in range(4)]
        found = torch.stack([losses(params) for params in draws])
        worst = ga.Params.select(draws, found.argmax(0))
        assert torch.allclose(losses(worst), found.amax(0), atol=1e-5)
        assert set(found.argmax(0).tolist()) == {0, 1, 2, 3} and found.amax(0).mean() > found.mean() + 0.05
    losses(worst).mean().backward()
    meta = [params.to("meta") for params in draws]  # nothing of it looks at a value
    assert ga.Params.select(meta, torch.zeros(64, dtype=torch.int64, device="meta")).matrix.shape == (64, 3, 3)


@pytest.mark.parametrize(
    ("make", "error", "message"),
    [
        (lambda v: ga.Learned(1.0, 0, 1), TypeError, r"Learned: value must be a tensor \(\) of floats, got 1.0"),
        (lambda v: ga.Learned(v, 2, 1), ValueError, r"Learned: \(low, high\) must have low <= high, got \(2, 1\)"),
        (lambda v: ga.RandomInvert(ga.Learned(v, 0, 1)), ValueError, "RandomInvert: p has no gradient and cannot be"),
        (lambda v: ga.Categorical((ga.Learned(v, 1, 2), 1)), ValueError, "Categorical: Learned must be a bound"),
        (lambda v: ga.RandomGamma(ga.Learned(v, -1, 2)), ValueError, "RandomGamma: gamma_range must be within"),
        (lambda v: ga.PerClass({1: ga.Learned(v, 0, 2)}, 1), ValueError, "PerClass: values must be numbers, ranges or"),
    ],
)
def test_refusals(make: Any, error: type[Exception], message: str) -> None:
    with pytest.raises(error, match=message):
        make(torch.tensor(0.5))
