"""Clips: the frames of one sample share what was drawn, all but the noise of their pixels."""

from __future__ import annotations

from typing import Any

import pytest
import torch
from cases import classification
from torch import Tensor
from torchvision import tv_tensors as tvt

import gpuaug as ga
from gpuaug.testing import example

B, T, H, W = 3, 4, 50, 62


def clips(dtype: torch.dtype = torch.float32) -> Tensor:
    """Distinct frames (B, T, 3, H, W)."""
    return example(B * T, (3, H, W), dtype).unflatten(0, (B, T))


@pytest.mark.parametrize("small", [10**9, 0], ids=["batched", "walked"])
@pytest.mark.parametrize("dtype", [torch.float32, torch.uint8], ids=str)
def test_every_frame_is_the_sample_with_its_parameters(
    monkeypatch: pytest.MonkeyPatch, dtype: torch.dtype, small: int
) -> None:
    """Frame t of a clip is what a batch of the t-th frames gives with the same parameters."""
    monkeypatch.setattr("gpuaug.render.backend.SMALL", small)
    layer = ga.Compose([*classification((40, 30), 5), ga.RandomErasing(p=1.0, value="color")], seed=2)
    given = clips(dtype)
    out, params = layer(given, return_params=True)
    assert out.shape == (B, T, 3, 40, 30) and len(params) == B
    for t in range(T):
        assert torch.equal(out[:, t], layer.replay(given[:, t].contiguous(), params))
    assert torch.equal(layer.replay(given, params), out)
    assert not torch.equal(params.matrix[0], params.matrix[1])


def test_the_noise_of_pixels_differs_from_frame_to_frame() -> None:
    given = torch.full((2, 3, 1, H, W), 0.5)
    for layer in (ga.GaussianNoise(sigma=0.1), ga.RandomErasing(p=1.0, value="random")):
        layer.reseed(0)
        out, params = layer(given, return_params=True)
        again = layer.replay(given, params)
        assert torch.equal(out, again)
        for b in range(2):
            frames = out[b].flatten(1)
            changed = (frames != 0.5).all(0)
            assert changed.float().mean() > 0.02
            correlation = torch.corrcoef(frames[:, changed])
            assert (correlation - torch.eye(3)).abs().max() < 0.15
    color = ga.RandomErasing(p=1.0, value="color")(given)
    assert torch.equal(color[:, 0], color[:, 1])  # a colour does not flicker


def test_annotations_of_every_frame_move_along() -> None:
    """A box, a mask and a point of each frame, against the frame alone."""
    given = {
        "image": clips(),
        "mask": (clips()[:, :, 0] * 3).long(),
        "boxes": (torch.rand(B, T, 5, 4) * 20).cumsum(-1),
        "labels": torch.arange(B * T * 5).view(B, T, 5),
        "keypoints": torch.rand(B, T, 5, 2, 2) * 40,
        "depth": clips()[:, :, :1] * 9,
    }
    layer = ga.Compose([ga.RandomAffine(25, (0.1, 0.1)), ga.RandomHorizontalFlip()], roles={"depth": "dense"}, seed=1)
    out, params = layer(given, return_params=True)
    for t in range(T):
        alone = layer.replay({key: value[:, t].contiguous() for key, value in given.items()}, params)
        assert alone.keys() == out.keys()
        for key, value in alone.items():
            assert torch.equal(out[key][:, t], value), key
    with pytest.raises(ValueError, match=r"Compose: boxes must begin with \(3, 4\)"):
        layer({"image": clips(), "boxes": torch.zeros(B, 5, 4)})


def test_torchvisions_video() -> None:
    given = clips(torch.uint8)
    layer = ga.Compose([ga.RandomResizedCrop((40, 30)), ga.RandomHorizontalFlip()], seed=1)
    mask = (given[:, :, 0] // 64).long()
    plain, params = layer({"image": given, "mask": mask}, return_params=True)
    out = layer.replay({"video": tvt.Video(given), "seg": tvt.Mask(mask), "id": 7}, params)
    assert isinstance(out["video"], tvt.Video) and isinstance(out["seg"], tvt.Mask) and out["id"] == 7
    assert torch.equal(out["video"], plain["image"]) and torch.equal(out["seg"], plain["mask"])
    one, kept = layer.replay((tvt.Video(given[1]), "x"), params[1:2])
    assert kept == "x" and torch.equal(one, plain["image"][1])
    with pytest.raises(ValueError, match="Compose: a Video must be"):
        layer((tvt.Video(given[0]), tvt.BoundingBoxes([[1, 2, 3, 4]], format="XYXY", canvas_size=(H, W))))


def test_edges(monkeypatch: pytest.MonkeyPatch) -> None:
    """No clips, one frame, no frame; eval; compiled; ids are the clips'."""
    layer = ga.Compose([ga.RandomHorizontalFlip(), ga.GaussianNoise()], seed=5)
    assert layer(clips()[:0]).shape == (0, T, 3, H, W)
    one = layer.sample(clips()[:, :1])
    assert torch.equal(layer.replay(clips()[:, :1], one)[:, 0], layer.replay(clips()[:, 0].contiguous(), one))
    with pytest.raises(ValueError, match="Compose: clips must have at least one frame"):
        layer(clips()[:, :0])
    with pytest.raises(ValueError, match="params were drawn for 3 samples"):
        layer.replay(clips()[:2], one)
    evaluated = ga.Compose([ga.RandomHorizontalFlip()]).eval()
    given = clips()
    assert evaluated(given) is given
    small = clips()[..., :20, :26].contiguous()
    ids = torch.tensor([5, 9, 2])
    params = layer.sample(small, ids=ids)
    for i in range(B):
        assert torch.equal(
            layer.sample(small[i : i + 1], ids=ids[i : i + 1])["GaussianNoise"].key[0], params["GaussianNoise"].key[i]
        )
    compiled: Any = torch.compile(
        ga.Compose([ga.RandomAffine(20), ga.RandomGamma(p=0.5)], seed=1), fullgraph=True, backend="aot_eager"
    )
    eager = ga.Compose([ga.RandomAffine(20), ga.RandomGamma(p=0.5)], seed=1)
    assert (compiled(small) - eager(small)).abs().max() < 1e-5
