"""Occlusion of the catalogue: stripes, turned grids, and what noise and holes do to depth."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
import torch
from kernels import assert_same, images, rendered
from ways import both, drawn_by

import gpuaug as ga
from gpuaug import functional as F
from gpuaug.testing import example


def test_stripes_cross_the_whole_image(monkeypatch: pytest.MonkeyPatch) -> None:
    """As many as counted and as long as drawn; masks and keypoints as asked."""
    layer = ga.XYMasking((1, 3), (2, 2), (4, 6), (1, 3), fill=200, fill_mask=9, p=1.0, hide_keypoints=True)
    x = example(6, (3, 40, 57), torch.uint8) // 2
    layer.reseed(0)
    params = layer.sample(x)
    drawn = params["XYMasking"]
    boxes = drawn.boxes.tolist()
    gone = np.zeros((6, 40, 57), dtype=bool)
    for i, rows in enumerate(boxes):
        along, across = rows[:3], rows[3:]
        assert sum(b[2] > 0 for b in along) == drawn.count_x[i] and sum(b[2] > 0 for b in across) == 2
        for top, left, height, width in along:
            assert (height, top) in ((40, 0), (0, 0)) and (width in (4, 5, 6) or height == 0)
            gone[i, :, left : left + width] |= height > 0
        for top, left, height, width in across:
            assert (width, left) == (57, 0) and height in (1, 2, 3)
            gone[i, top : top + height] = True
    expected = np.where(gone[:, None], 200, x.numpy())
    for out in both(monkeypatch, layer, x, params):
        assert np.array_equal(out.numpy(), expected)
    points = torch.tensor([[20.5, 10.5], [50.5, 30.5]]).expand(6, 2, 2)
    mask = torch.ones(6, 40, 57, dtype=torch.int64)
    out = layer.replay({"image": x, "mask": mask, "keypoints": points}, params)
    assert np.array_equal(out["mask"].numpy(), np.where(gone, 9, 1))
    assert np.array_equal(out["visible"].numpy() == 0, gone[:, [10, 30], [20, 50]])


def test_stripes_are_drawn_evenly_and_inside() -> None:
    boxes = drawn_by(ga.XYMasking(1, 0, (3, 5), 0, p=1.0), 3000, 8, 9).boxes[:, 0]
    there = boxes[boxes[:, 2] > 0]
    assert abs(len(there) - 1500) < 5 * 750**0.5  # 0 or 1 of them
    assert set(there[:, 3].tolist()) == {3, 4, 5} and (there[:, 1] + there[:, 3]).max() == 9
    of_three = there[there[:, 3] == 3]
    counts = torch.bincount(of_three[:, 1], minlength=7)
    assert counts.numel() == 7 and (counts - len(of_three) / 7).abs().max() < 5 * (len(of_three) / 7) ** 0.5
    long = drawn_by(ga.XYMasking(0, (1, 1), 0, (50, 90), p=1.0), 3, 8, 9).boxes
    assert long.tolist() == [[[0, 0, 8, 9]]] * 3  # longer than the image: all of it
    for wrong in ((), (1, 1), (0, 0, 5, 5), (-1, 0, 3), ((3, 1), 0, 3), (1.5, 0, 3)):
        with pytest.raises((ValueError, TypeError), match=r"XYMasking|iterable"):
            ga.XYMasking(*wrong)


def test_turned_grid_is_the_papers() -> None:
    """In float64, pixel by pixel; borders of squares may fall otherwise in float32."""
    x = example(3, (3, 41, 60), torch.uint8) // 2
    unit, hole = torch.tensor([10.0, 7.5, 23.0]), torch.tensor([0.5, 0.3, 0.8])
    shift = torch.tensor([[0.0, 0.0], [0.3, 0.6], [0.9, 0.2]])
    degrees = torch.tensor([0.0, 33.0, 200.0])
    out = F.grid_mask(x, unit, hole, shift, degrees, fill=255).numpy()
    y, z = np.mgrid[:41, :60] + 0.5
    for i in range(3):
        t, d, r = np.deg2rad(degrees[i].item()), unit[i].item(), hole[i].item()
        u = ((z * np.cos(t) + y * np.sin(t)) / d - shift[i, 1].item()) % 1
        v = ((y * np.cos(t) - z * np.sin(t)) / d - shift[i, 0].item()) % 1
        expected = np.where((u < r) & (v < r), 255, x[i].numpy())
        assert (out[i] != expected).mean() < (1e-9 if i == 0 else 2e-3)
    assert out[0, 0, :5, :5].tolist() == [[255] * 5] * 5 and (out[0, 0, 5:10] != 255).all()


def test_grid_mask_drops_the_share_of_its_squares(monkeypatch: pytest.MonkeyPatch) -> None:
    layer = ga.GridMask((0.1, 0.2), (0.3, 0.7), fill=7.0, fill_mask=5, p=0.8)
    layer.reseed(3)
    x = example(6, (3, 150, 180))
    params = layer.sample(x)
    drawn = params["GridMask"]
    assert drawn.unit.min() >= 15 and drawn.unit.max() <= 30 and drawn.angle.max() > 180
    for out in both(monkeypatch, layer, x, params):
        gone = (out == 7).all(1)
        share = gone.double().mean((1, 2))
        assert (share[~drawn.gate] == 0).all() and 0 < drawn.gate.sum() < 6
        assert ((share - (1 - drawn.ratio) ** 2).abs()[drawn.gate] < 0.05).all()
    mask = torch.zeros(6, 150, 180, dtype=torch.uint8)
    assert torch.equal(layer.replay({"image": x, "mask": mask}, params)["mask"] == 5, gone)
    assert set(drawn_by(ga.GridMask((9, 11), p=1.0), 99, 30, 40).unit.tolist()) == {9.0, 10.0, 11.0}
    assert torch.equal(ga.GridMask(ratio=1.0, p=1.0)(x), x)
    for wrong in ({"ratio": 1.5}, {"unit_size_range": (5, 3)}, {"unit_size_range": (0.5, 1.5)}):
        with pytest.raises(ValueError, match=f"GridMask: {next(iter(wrong))} must"):
            ga.GridMask(**wrong)


@pytest.mark.parametrize("small", [10**9, 0], ids=["batched", "walked"])
def test_holes_and_noise_for_depth_alone(monkeypatch: pytest.MonkeyPatch, small: int) -> None:
    """`keys=`: the depth map has holes and noise of its own, and the image none; a draw each where both have."""
    monkeypatch.setattr("gpuaug.render.backend.SMALL", small)
    batch = {"image": example(3, (3, 50, 62)), "depth": example(3, (1, 50, 62)) * 0.8 + 0.1}
    own: list[Any] = [
        ga.CoarseDropout((2, 4), p=1.0, keys=("depth",)),
        ga.PixelDropout(0.2, p=1.0, keys=("depth",)),
        ga.GridMask(p=1.0, keys=("depth",)),
        ga.XYMasking((1, 2), 0, (3, 5), p=1.0, keys=("depth",)),
        ga.GaussianNoise(sigma=0.1, keys=("depth",)),
        ga.SaltAndPepper(p=1.0, keys=("depth",)),
        ga.MultiplicativeNoise((0.5, 1.5), elementwise=True, p=1.0, keys=("depth",)),
        ga.ShotNoise(p=1.0, keys=("depth",)),
        ga.BandingNoise(p=1.0, keys=("depth",)),
        ga.ISONoise((0.1, 0.2), (1.0, 2.0), p=1.0, keys=("depth",)),
        ga.JPEG(10, keys=("depth",)),
    ]
    for step in own:
        out = ga.Compose([ga.RandomHorizontalFlip(1.0), step], roles={"depth": "dense"}, seed=0)(batch)
        assert torch.equal(out["image"], batch["image"].flip(3)), step
        assert not torch.equal(out["depth"], batch["depth"].flip(3)) and out["depth"].shape == (3, 1, 50, 62), step
    twice = [ga.PixelDropout(0.2, p=1.0, keys=(key,)) for key in ("image", "depth")]
    out = ga.Compose(twice, roles={"depth": "dense"}, seed=0)(batch)
    assert not torch.equal((out["image"] == 0).all(1), (out["depth"] == 0).all(1))


def test_kernels() -> None:
    steps = [ga.RandomVerticalFlip(), ga.XYMasking((1, 2), (1, 2), 5, 4), ga.GridMask((0.3, 0.6), p=0.7)]
    for channels, dtype in ((1, torch.uint8), (6, torch.float32)):
        expected, out = rendered(ga.Compose(steps, seed=2), images((channels, 17, 22), dtype, 4))
        assert_same(out, expected)
    many = [ga.GridMask((5, 9), fill=(0.1, 0.2, 0.3, 0.4, 0.5, 0.6)), ga.XYMasking((4, 9), 0, 3)]
    expected, out = rendered(ga.Compose(many, seed=2), images((6, 17, 22), torch.float32, 4))
    assert_same(out, expected)
