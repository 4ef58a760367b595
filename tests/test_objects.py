"""What is kept of objects: filters, rows that stay together, left and right, edges, further inputs."""

from __future__ import annotations

import warnings

import pytest
import torch
from content import H, W, coordinates
from torch import Tensor

import gpuaug as ga
from gpuaug.testing import example


def test_filters() -> None:
    """Against the original area, over a chain of crops (Albumentations A #1322, #875)."""
    boxes = torch.tensor([[[0.0, 0.0, 40.0, 20.0], [20.0, 10.0, 30.0, 20.0], [5.0, 5.0, 5.0, 15.0]]])
    data = {"image": torch.zeros(1, 1, 40, 80), "boxes": boxes, "labels": torch.tensor([[4, 5, 6]])}
    chain = [ga.CenterCrop((40, 60)), ga.CenterCrop((40, 40))]  # cuts x < 10, then x < 20
    for least, expected in ((0.0, [True, True, False]), (0.45, [True, True, False]), (0.55, [False, True, False])):
        layer = ga.Compose(chain, bbox_params=ga.BboxParams(min_visibility=least))
        out = layer(data)
        assert out["valid"].tolist() == [expected] and torch.equal(out["labels"], data["labels"])
    whole = ga.Compose([ga.RandomHorizontalFlip(1.0)], bbox_params=ga.BboxParams(min_visibility=1.0))(data)
    assert whole["valid"].tolist() == [[True, True, False]]
    for params, expected in (
        (ga.BboxParams(min_area=101), [True, False, False]),
        (ga.BboxParams(min_size=11), [True, False, False]),
        (ga.BboxParams(max_aspect=1.5), [False, True, False]),
    ):
        out = ga.Compose([ga.RandomHorizontalFlip(1.0)], bbox_params=params)(data)
        assert out["valid"].tolist() == [expected]


def test_max_objects_keeps_rows_together() -> None:
    boxes = torch.tensor([[[1.0, 1, 3, 3], [40, 20, 44, 26], [2, 2, 4, 4], [30, 18, 36, 24]]])
    data = {
        "image": coordinates(1),
        "boxes": boxes,
        "labels": torch.tensor([[10, 11, 12, 13]]),
        "masks": torch.arange(4).view(1, 4, 1, 1).expand(1, 4, H, W) + 1,
        "keypoints": boxes[:, :, None, :2],
    }
    for most, labels, valid in (
        (3, [11, 13, 10], [True, True, False]),
        (6, [11, 13, 10, 12, 0, 0], [True] * 2 + [False] * 4),
    ):
        layer = ga.Compose([ga.CenterCrop((24, 30))], bbox_params=ga.BboxParams(max_objects=most))
        out = layer(data)
        assert out["labels"].tolist() == [labels] and out["valid"].tolist() == [valid]
        assert out["boxes"].shape == (1, most, 4) and out["keypoints"].shape == (1, most, 1, 2)
        for row, label in enumerate(labels[:2]):
            assert out["masks"][0, row].max() == label - 9


def test_mirrors_exchange_left_and_right() -> None:
    """Exactly where the map's determinant is negative; twice is the identity (regressions 2.12)."""
    points = torch.tensor([[10.0, 5.0], [20.0, 6.0], [30.0, 7.0]]).expand(8, 3, 2)
    visible = torch.tensor([[2, 1, 2]]).expand(8, 3)
    data = {"image": coordinates(8), "keypoints": points, "visible": visible}
    for pairs in ([(0, 1)], [1, 0, 2]):
        settings = ga.KeypointParams(flip_pairs=pairs)
        layer = ga.Compose([ga.RandomHorizontalFlip(), ga.RandomVerticalFlip()], seed=1, keypoint_params=settings)
        out, params = layer(data, return_params=True)
        flips = params["RandomHorizontalFlip"].gate, params["RandomVerticalFlip"].gate
        assert len({(bool(a), bool(b)) for a, b in zip(*flips, strict=True)}) >= 3
        for i in range(8):
            expected = points[i].clone()
            if flips[0][i]:
                expected[:, 0] = W - expected[:, 0]
            if flips[1][i]:
                expected[:, 1] = H - expected[:, 1]
            seen = visible[i]
            if flips[0][i] != flips[1][i]:
                expected, seen = expected[[1, 0, 2]], seen[[1, 0, 2]]
            assert torch.equal(out["keypoints"][i], expected) and torch.equal(out["visible"][i], seen)
        twice = ga.Compose([ga.RandomHorizontalFlip(1.0)] * 1, keypoint_params=settings)
        again = twice(twice(data))
        assert torch.equal(again["keypoints"], points) and torch.equal(again["visible"], visible)
    rows = {
        "image": coordinates(2),
        "boxes": torch.ones(2, 3, 4) * torch.tensor([1, 1, 9, 9]),
        "labels": torch.tensor([[2, 3, 5]] * 2),
    }
    mirrored = ga.Compose([ga.RandomHorizontalFlip(1.0)], mirror_labels={2: 3})(rows)
    assert mirrored["labels"].tolist() == [[3, 2, 5]] * 2
    turned = ga.Compose([ga.RandomRotation((30, 30))], mirror_labels={2: 3})(rows)
    assert turned["labels"].tolist() == [[2, 3, 5]] * 2


def test_ellipses_are_boxed_exactly() -> None:
    """Against the extremes of 20,000 points of the ellipse, for affine maps and homographies."""
    boxes = torch.tensor([[[12.0, 10.0, 40.0, 26.0]]], dtype=torch.float64)
    t = torch.linspace(0, 2 * torch.pi, 20001, dtype=torch.float64)
    ring = torch.stack((26 + 14 * torch.cos(t), 18 + 8 * torch.sin(t)), dim=1)[None]
    for steps in ([ga.RandomRotation((33, 33))], [ga.RandomPerspective(0.3, p=1.0)]):
        layer = ga.Compose(steps, seed=1, bbox_params=ga.BboxParams(rotate_method="ellipse"))
        out, params = layer({"image": coordinates(1), "boxes": boxes}, return_params=True)
        h = torch.cat((ring[0], torch.ones(20001, 1, dtype=torch.float64)), dim=1) @ params.matrix[0].T
        moved = h[:, :2] / h[:, 2:]
        expected = torch.cat((moved.amin(0), moved.amax(0)))
        assert (out["boxes"][0, 0] - expected).abs().max() < 1e-4


def test_nothing_is_lost_at_the_edges() -> None:
    """NaN keypoints, zero-area boxes, boxes a little outside, empty rows, points on the border (A #1500)."""
    data = {
        "image": coordinates(2),
        "boxes": torch.tensor([[[-1e-3, 0, W + 1e-3, H], [5, 5, 5, 5]], [[1, 1, 2, 2], [0, 0, 0, 0]]]),
        "keypoints": torch.tensor([[[[0.0, 0.0], [W, H]], [[torch.nan, 3.0], [W + 1.0, 2.0]]]]).repeat(2, 1, 1, 1),
        "valid": torch.tensor([[True, True], [False, False]]),
    }
    out = ga.Compose([ga.RandomHorizontalFlip(1.0), ga.RandomVerticalFlip(1.0)])(data)
    assert out["valid"].tolist() == [[True, False], [False, False]]
    assert (out["visible"] > 0).tolist() == [[[True, True], [False, False]]] * 2
    empty = {
        "image": coordinates(2),
        "boxes": torch.zeros(2, 0, 4),
        "labels": torch.zeros(2, 0),
        "masks": torch.zeros(2, 0, H, W),
    }
    out = ga.Compose([ga.RandomRotation(20), ga.RandomResizedCrop((20, 30))], seed=0)(empty)
    assert out["boxes"].shape == (2, 0, 4) and out["masks"].shape == (2, 0, 20, 30) and out["valid"].shape == (2, 0)
    none = {"image": torch.zeros(0, 1, H, W), "boxes": torch.zeros(0, 3, 4), "mask": torch.zeros(0, H, W)}
    assert ga.Compose([ga.RandomRotation(20)], seed=0)(none)["boxes"].shape == (0, 3, 4)


def test_further_inputs_by_role() -> None:
    """Depth is moved and blended, classes moved, a second image is coloured too."""
    images = example(4, (3, H, W))
    depth = coordinates(4)[:, :1].float() * 50 + 3  # beyond 1: geometry only, nothing clamps
    ids = torch.arange(H * W).view(1, H, W).repeat(4, 1, 1)
    layer = ga.Compose(
        [ga.RandomHorizontalFlip(1.0), ga.ColorJitter(0.4, p=1.0)],
        seed=1,
        roles={"depth": "dense", "ids": "mask", "other": "image"},
    )
    out = layer({"image": images, "depth": depth, "ids": ids, "other": images, "name": "kept"})
    assert (out["depth"] - depth.flip(3)).abs().max() < 1e-6
    assert torch.equal(out["ids"], ids.flip(2))
    assert torch.equal(out["other"], out["image"]) and out["name"] == "kept"
    with pytest.raises(ValueError, match="Compose: roles must be one of image, dense, mask, got 'depth'"):
        ga.Compose([], roles={"depth": "depth"})


def test_inputs_are_untouched_and_replay_repeats() -> None:
    data = {
        "image": example(3, (3, H, W)),
        "mask": torch.ones(3, H, W, dtype=torch.uint8),
        "boxes": torch.rand(3, 2, 4).cumsum(-1) * 10,
        "keypoints": torch.rand(3, 2, 4, 2) * 40,
        "labels": torch.ones(3, 2),
    }
    kept = {k: v.clone() for k, v in data.items()}
    versions = {k: v._version for k, v in data.items()}
    layer = ga.Compose([ga.RandomAffine(20), ga.RandomHorizontalFlip()], seed=0)
    out, params = layer(data, return_params=True)
    again = layer.replay(data, params)
    assert out.keys() == again.keys() == {*data, "valid", "visible"}
    assert all(torch.equal(out[k], again[k]) for k in out)
    assert all(torch.equal(data[k], kept[k]) and data[k]._version == versions[k] for k in data)
    single = layer.replay({k: v[1] for k, v in data.items()}, params[1:2])
    assert all(torch.equal(single[k], out[k][1]) for k in out)


def test_nothing_synchronises_and_it_compiles_with_all_targets() -> None:
    from gpuaug.diagnose import count

    def data(device: str) -> dict[str, Tensor]:
        return {
            "image": torch.zeros(8, 3, 40, 56, device=device),
            "mask": torch.zeros(8, 40, 56, dtype=torch.int64, device=device),
            "boxes": torch.rand(8, 5, 4, device=device).cumsum(-1) * 10,
            "keypoints": torch.rand(8, 5, 4, 2, device=device) * 40,
        }

    def make() -> ga.Compose:
        return ga.Compose([ga.RandomAffine(20, (0.1, 0.1), (0.8, 1.2)), ga.RandomHorizontalFlip()], seed=0)

    layer, meta = make(), data("meta")
    layer(meta)

    def call(image: Tensor) -> Tensor:
        return layer({**meta, "image": image})["image"]

    counts = count(call, meta["image"])
    assert (counts.synchronising, counts.host_to_device, counts.host_operations) == (0, 0, 0), counts.names
    torch._dynamo.reset()
    compiled, eager = torch.compile(make(), fullgraph=True, backend="eager"), make()
    real = data("cpu")
    compiled(real)
    eager(real)
    with torch._dynamo.config.patch(error_on_recompile=True):
        for _ in range(3):
            out, expected = compiled(real), eager(real)
            for key in expected:
                assert (out[key].double() - expected[key].double()).abs().max() < 1e-3


def test_mirrors_of_keypoints_without_pairs_warn() -> None:
    """Nobody said which points are left and right: a flip says so, () and other transforms do not."""
    given = {"image": coordinates(2), "keypoints": torch.ones(2, 3, 2)}
    with pytest.warns(UserWarning, match="Compose: RandomHorizontalFlip mirrors keypoints, and nobody says"):
        ga.Compose([ga.RandomHorizontalFlip()])(given)
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        ga.Compose([ga.RandomHorizontalFlip()], keypoint_params=ga.KeypointParams(flip_pairs=()))(given)
        ga.Compose([ga.RandomHorizontalFlip()], keypoint_params=ga.KeypointParams(flip_pairs=[(0, 1)]))(given)
        ga.Compose([ga.RandomRotation(20)])(given)
        ga.Compose([ga.RandomHorizontalFlip()])({"image": given["image"]})
