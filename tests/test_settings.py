"""What a pipeline says for all its transforms, what it is in eval() mode, and how structures come back."""

from __future__ import annotations

from typing import Any

import pytest
import torch

import gpuaug as ga
from gpuaug.diagnose import count
from gpuaug.testing import example

IMAGES = example(3, (3, 20, 26))


def test_settings_reach_transforms_eval_and_slices() -> None:
    """Fill, interpolation and antialiasing of the Compose; a transform's own setting wins."""
    layer = ga.Compose([ga.Pad(2), ga.Pad(1, fill=0.9), ga.RandomInvert(p=0.0)], fill=0.3, seed=0)
    for pipeline in (layer, ga.Compose([ga.Pad(2), ga.Pad(1, fill=0.9)], fill=0.3).eval(), layer[:2]):
        out = pipeline(IMAGES)
        assert (out[:, :, 0] == 0.9).all() and (out[:, :, 1, 1:-1] == 0.3).all()
    nearest = ga.Compose([ga.RandomRotation((20, 20))], interpolation="nearest", seed=0)
    own = ga.Compose([ga.RandomRotation((20, 20), interpolation="nearest")], seed=0)
    other = ga.Compose([ga.RandomRotation((20, 20), interpolation="bilinear")], interpolation="nearest", seed=0)
    assert torch.equal(nearest(IMAGES), own(IMAGES))
    assert not torch.equal(nearest(IMAGES), other(IMAGES))
    assert set(nearest(IMAGES).flatten().tolist()) <= {0.0, *IMAGES.flatten().tolist()}
    assert torch.equal(nearest[:1].replay(IMAGES, own.sample(IMAGES)), own.replay(IMAGES, own.sample(IMAGES)))
    plain = ga.Compose([ga.RandomAffine((9, 9), scale=(0.4, 0.4))], seed=0, antialias=False)
    assert not torch.equal(plain(IMAGES), ga.Compose([ga.RandomAffine((9, 9), scale=(0.4, 0.4))], seed=0)(IMAGES))


def test_fill_and_interpolation_by_target() -> None:
    layer = ga.Compose([ga.Pad(2)], fill={"image": 0.25, "mask": 7}, seed=0)
    out = layer({"image": IMAGES, "mask": torch.ones(3, 20, 26, dtype=torch.int64)})
    assert (out["image"][:, :, :2] == 0.25).all() and (out["mask"][:, :2] == 7).all()
    assert (out["mask"][:, 2:-2, 2:-2] == 1).all()


def test_eval_stated_outright_wins() -> None:
    layer = ga.Compose([ga.RandomResizedCrop(8), ga.RandomInvert(p=1.0)], eval=[ga.Resize((5, 7))], seed=0).eval()
    assert layer(IMAGES).shape == (3, 3, 5, 7)
    assert layer.train()(IMAGES).shape == (3, 3, 8, 8) and len(layer) == 2  # and only then
    alone = ga.RandomApply([ga.Grayscale(3)], p=0.5).eval()
    assert alone(IMAGES) is IMAGES
    assert not torch.equal(ga.RandomApply([ga.Grayscale(3)], p=1.0).eval()(IMAGES), IMAGES)


def test_slices_and_checkpoints_do_not_share_the_clock() -> None:
    layer = ga.Compose([ga.RandomRotation(30), ga.RandomInvert()], seed=0)
    layer(IMAGES)
    part, saved = layer[:1], layer.state_dict()
    kept = {k: v.clone() for k, v in saved.items()}
    step = part._state.clone()
    layer(IMAGES)
    assert torch.equal(part._state, step)
    other = ga.Compose([ga.RandomRotation(30), ga.RandomInvert()], seed=1)
    other.load_state_dict(saved)
    other(IMAGES)
    assert all(torch.equal(saved[k], v) for k, v in kept.items())


def test_reseed_forgets_the_epoch() -> None:
    layer, ids = ga.Compose([ga.RandomRotation(30)], seed=4), torch.arange(3)
    first = layer(IMAGES, ids=ids)
    layer.set_epoch(9)
    assert not torch.equal(layer(IMAGES, ids=ids), first)
    layer.reseed(4)
    assert torch.equal(layer(IMAGES, ids=ids), first)


def test_the_rank_of_the_environment_counts(monkeypatch: pytest.MonkeyPatch) -> None:
    """torchrun sets RANK, whether or not a process group is there."""
    draws = []
    for rank in ("0", "1", "1"):
        monkeypatch.setenv("RANK", rank)
        draws.append(ga.Compose([ga.RandomRotation(30)], seed=0).sample(IMAGES)["RandomRotation"].angle)
    assert not torch.isclose(draws[0], draws[1]).any() and torch.equal(draws[1], draws[2])


def test_params_count_from_the_end() -> None:
    params = ga.Compose([ga.RandomRotation(30)], seed=0).sample(IMAGES)
    assert params[-1] == params[2] and params[-3] == params[0]


@pytest.mark.parametrize("kind", [list, tuple])
def test_a_pair_comes_back_as_it_came(kind: Any) -> None:
    labels = torch.tensor([1, 2, 3])
    out = ga.Compose([ga.RandomInvert()], seed=0)(kind((IMAGES, labels)))
    assert type(out) is kind and out[1] is labels and out[0].shape == IMAGES.shape
    both = ga.Compose([ga.RandomInvert()], seed=0)(IMAGES, labels)
    assert type(both) is tuple and both[1] is labels


@pytest.mark.parametrize("make", [ga.RandomInvert, lambda channels: ga.GaussianBlur(3, channels=channels)])
@pytest.mark.parametrize("channels", [(-1,), (), (0.5,), (True,), "rgb"])
def test_channels_are_checked(make: Any, channels: Any) -> None:
    with pytest.raises(ValueError, match=r"(RandomInvert|GaussianBlur): channels must be indices of bands, got"):
        make(channels=channels)


def test_gradients_of_samples_that_are_left_out_are_one(monkeypatch: pytest.MonkeyPatch) -> None:
    """Where the operation has no finite gradient too."""

    def rooted(x: torch.Tensor) -> torch.Tensor:
        return (x - x).sqrt()  # an infinite derivative everywhere

    from gpuaug.render.plan import Choice

    layer: Any = ga.RandomInvert(p=0.5)
    layer.reseed(1)
    monkeypatch.setattr(layer, "choices", lambda values, plan, context: [[Choice("rooted", rooted)]])
    images = example(8, (1, 6, 7)).requires_grad_()
    params = layer.sample(images)
    out = layer.replay(images, params)
    (grad,) = torch.autograd.grad(out.sum(), images)
    off = ~params["RandomInvert"].gate
    assert off.any() and (~off).any()
    assert (grad[off] == 1).all()


def test_bytes_of_an_expanded_tensor_are_counted_once() -> None:
    images = torch.empty((1, 3, 16, 16), device="meta").expand(4, -1, -1, -1)
    counts = count(lambda x: x + 1, images)
    assert counts.bytes_moved == (1 + 4) * 3 * 16 * 16 * 4
