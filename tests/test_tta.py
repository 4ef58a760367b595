"""Predictions of many views come back to the frame of the images, and are merged as a loop by hand would."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
import torch
from predicting import Pointwise, finding
from torch import Tensor, nn
from torch.nn import functional as nnf
from torchvision.transforms.v2 import functional as tv

import gpuaug as ga
from gpuaug import tta
from gpuaug.testing import example

H, W = 33, 47
SYMMETRIES = ("none", "hflip", "vflip", "flips", "rot90", "d4")


def by_hand(views: list[Tensor], mode: str) -> Tensor:
    """Return the merge of predictions (views, ...), in float64."""
    v = torch.stack(views).double()
    return {
        "mean": v.mean(0),
        "gmean": v.prod(0) ** (1 / len(v)),
        "max": v.amax(0),
        "min": v.amin(0),
        "sum": v.sum(0),
        "tsharpen": v.sqrt().mean(0),
    }[mode]


@pytest.mark.parametrize("mode", ["mean", "gmean", "max", "min", "sum", "tsharpen"])
@pytest.mark.parametrize("views", [*SYMMETRIES, "five_crop", "ten_crop"])
def test_maps_of_an_equivariant_model_come_back_exactly(views: str, mode: str) -> None:
    x = example(2, (3, H, W))
    alone = Pointwise()(x)
    layer = ga.TTA(Pointwise(), views, mode)
    out = layer(x)
    count = {"hflip": 2, "vflip": 2, "flips": 4, "rot90": 4, "d4": 8, "none": 1}.get(views)
    if mode == "sum" and count is None:  # corners are seen by fewer crops than the middle
        times = out / alone
        assert (times - times.round()).abs().max() < 1e-4 and times.min() > 0.999
        return
    expected = by_hand([alone] * (count or 1), mode)
    assert out.shape == alone.shape and (out - expected).abs().max() < 1e-5


@pytest.mark.parametrize("views", SYMMETRIES)
@pytest.mark.parametrize("size", [(32, 48), (33, 47), (31, 31)])
def test_maps_at_a_fraction_of_the_resolution(views: str, size: tuple[int, int]) -> None:
    """A filter that has no left and right, at half the resolution, rounded up."""

    def half(x: Tensor) -> Tensor:
        small = [-(-n // 2) for n in x.shape[2:]]
        return nnf.interpolate(x, small, mode="bilinear", align_corners=False, antialias=True)

    x = example(2, (3, *size))
    out = ga.TTA(half, views)(x)
    assert out.shape == half(x).shape and (out - half(x)).abs().max() < 1e-5


@pytest.mark.parametrize("divisor", [1, 8])
def test_scales_come_back_to_the_pixel(divisor: int) -> None:
    """A plane is what any filter keeps up to its border and to where its taps fall: 0.05 pixels."""
    y, x = torch.meshgrid(torch.arange(40) / 40, torch.arange(56) / 56, indexing="ij")
    images = torch.stack((x, y, (x + y) / 2))[None]
    layer = ga.TTA(nn.Identity(), tta.multiscale((0.5, 0.75, 1.0, 1.6), divisor))
    out = layer(images)
    assert out.shape == images.shape
    assert (out - images)[:, :, 4:-4, 4:-4].abs().max() < 0.05 / 40 and not out.isnan().any()
    assert (ga.TTA(nn.Identity(), "multiscale")(torch.full((1, 3, H, W), 0.3)) - 0.3).abs().max() < 1e-5


@pytest.mark.parametrize("mode", ["mean", "gmean", "max", "min", "sum", "tsharpen"])
def test_labels_are_merged_as_by_hand(mode: str) -> None:
    """Of a net that knows left from right, against torchvision's flips one by one."""
    torch.manual_seed(0)
    net = nn.Sequential(nn.Conv2d(3, 6, 5), nn.ReLU(), nn.Flatten(), nn.LazyLinear(4)).eval()
    x = example(3, (3, 21, 30))
    views = [x, tv.horizontal_flip(x), tv.vertical_flip(x), tv.vertical_flip(tv.horizontal_flip(x))]
    with torch.no_grad():
        expected = by_hand([net(view).softmax(1) for view in views], mode)
        out, spread = ga.TTA(net, "flips", mode, activation="softmax", std=True)(x)
    assert (out - expected).abs().max() < 1e-6
    each = np.stack([net(view).softmax(1).detach().double().numpy() for view in views])
    assert np.abs(spread.numpy() - each.std(0)).max() < 1e-6 and spread.min() > 1e-4


def test_ten_crops_are_torchvisions() -> None:
    seen: list[Tensor] = []

    def model(x: Tensor) -> Tensor:
        seen.extend(x.split(2))
        return x.mean((2, 3))

    x = example(2, (3, H, W), torch.uint8)
    ga.TTA(lambda x: model(x.float()), tta.ten_crop((20, 29)))(x)
    expected = tv.ten_crop(x, [20, 29])
    assert len(seen) == 10
    for one in expected:
        assert any(torch.equal(one.float(), other) for other in seen)


@pytest.mark.parametrize(("most", "sizes"), [(None, [12]), (5, [5, 5, 2]), (1, [1] * 12), (3, [3] * 4), (100, [12])])
def test_views_go_through_the_model_together(most: int | None, sizes: list[int]) -> None:
    calls: list[int] = []

    def model(x: Tensor) -> Tensor:
        calls.append(len(x))
        return Pointwise()(x)

    x = example(3, (3, H, W))
    out = ga.TTA(model, "flips", max_batch=most)(x)
    assert calls == sizes and (out - Pointwise()(x)).abs().max() < 1e-6
    calls.clear()
    ga.TTA(model, "d4")(x)  # of two sizes
    assert calls == [12, 12]


def test_no_images() -> None:
    out = ga.TTA(Pointwise(), "d4")(torch.rand(0, 3, H, W))
    assert out.shape == (0, 3, H, W)


def brightest(x: Tensor) -> Tensor:
    """Find the centre of the brightest pixel of each of two channels."""
    at = x[:, :2].flatten(2).argmax(-1)
    return torch.stack((at % x.shape[3], at // x.shape[3]), dim=-1) + 0.5


@pytest.mark.parametrize("scaled", [False, True])
@pytest.mark.parametrize("views", ["hflip", "d4", "ten_crop"])
def test_keypoints(views: str, scaled: bool) -> None:
    """Points 0 and 1 are left and right: of a mirrored picture the model says them the other way round."""
    x = torch.rand(2, 3, H, W) * 0.5
    places = torch.tensor([[[20, 11], [25, 18]], [[30, 20], [22, 9]]])
    for i in range(2):
        for k in range(2):
            x[i, k, places[i, k, 1], places[i, k, 0]] = 1.0

    def sided(x: Tensor) -> Tensor:
        # A third channel that grows to the right tells whether the picture is mirrored.
        points = brightest(x)
        turned = torch.linalg.det(frame_of(x)) < 0
        points = torch.where(turned[:, None, None], points.flip(1), points)
        score = torch.ones_like(points[..., :1])
        out = points / torch.tensor([x.shape[3], x.shape[2]]) if scaled else points
        return torch.cat((out, score), dim=-1)

    def frame_of(x: Tensor) -> Tensor:
        down, across = (x[:, 2:].diff(dim=d).mean((1, 2, 3)) for d in (2, 3))
        down2, across2 = (x[:, 3:].diff(dim=d).mean((1, 2, 3)) for d in (2, 3))
        return torch.stack((torch.stack((across, down), -1), torch.stack((across2, down2), -1)), dim=-2)

    x = torch.cat(
        (x[:, :2], (torch.arange(W) / W).expand(2, 1, H, W), (torch.arange(H)[:, None] / H).expand(2, 1, H, W)), 1
    )
    params = ga.KeypointParams(flip_pairs=[(0, 1)])
    out = ga.TTA(sided, views, "gmean", outputs="keypoints", scaled=scaled, keypoint_params=params)(x)
    expected = places + 0.5
    if scaled:
        expected = expected / torch.tensor([W, H])
    assert (out[..., :2] - expected).abs().max() < 1e-4 and torch.equal(out[..., 2], torch.ones(2, 2))


@pytest.mark.parametrize("views", ["d4", "ten_crop", "d4*multiscale"])
def test_boxes_and_their_masks(views: str) -> None:
    x = torch.rand(3, 3, H, W) * 0.3
    boxes = torch.tensor([[10.0, 8, 30, 25], [12, 12, 22, 28]])
    for i, (x0, y0, x1, y1) in enumerate(boxes.int().tolist()):
        x[i, :, y0:y1, x0:x1] = 1.0
    out = ga.TTA(finding, views, outputs="boxes", iou_threshold=0.4)(x)
    assert [len(one["boxes"]) for one in out] == [1, 1, 0]
    for i in range(2):
        assert (out[i]["boxes"][0] - boxes[i]).abs().max() < (1e-4 if "scale" not in views else 1.5)
        x0, y0, x1, y1 = boxes[i].int().tolist()
        mask = torch.zeros(H, W)
        mask[y0:y1, x0:x1] = 1
        assert out[i]["masks"].shape == (1, 1, H, W)
        if "scale" not in views:
            assert torch.equal(out[i]["masks"][0, 0] > 0.5, mask > 0.5)


def test_weighted_boxes_fusion_of_views() -> None:
    """A detector that errs to the right: mirrored it errs to the left, and the mean is right."""
    x = torch.zeros(1, 1, H, W)
    x[:, :, 10:20, 14:30] = 1.0

    def erring(x: Tensor) -> list[dict[str, Tensor]]:
        found = [{k: v for k, v in one.items() if k != "masks"} for one in finding(x)]
        for one in found:
            one["boxes"] = one["boxes"] + torch.tensor([1.5, 0, 1.5, 0])
        return found

    out = ga.TTA(erring, "hflip", outputs="boxes", box_merge="wbf")(x)
    assert (out[0]["boxes"] - torch.tensor([[14.0, 10, 30, 20]])).abs().max() < 1e-4
    assert torch.allclose(out[0]["scores"], x.mean()[None])


def test_weighted_boxes_fusion_against_the_paper() -> None:
    """Two classes, three views, one object that one view alone found; by hand."""
    boxes = torch.tensor([[0.0, 0, 10, 10], [1, 0, 11, 10], [0, 1, 10, 11], [40, 40, 50, 50], [0, 0, 10, 10]])
    scores, labels = torch.tensor([0.9, 0.6, 0.3, 0.8, 0.5]), torch.tensor([1, 1, 1, 1, 2])
    out = tta.weighted_boxes_fusion({"boxes": boxes, "scores": scores, "labels": labels}, views=3)
    fused = (boxes[:3].double() * scores[:3, None]).sum(0) / scores[:3].sum()
    assert torch.allclose(out["boxes"][0].double(), fused, atol=1e-5)
    assert torch.allclose(out["scores"], torch.tensor([0.6, 0.8 / 3, 0.5 / 3]))
    assert out["labels"].tolist() == [1, 1, 2]


def test_outputs_in_dicts_and_tuples() -> None:
    x = example(2, (3, H, W))

    def model(x: Tensor) -> dict[str, Any]:
        return {"seg": Pointwise()(x) * 9, "cls": x.mean((2, 3)) * 3, "name": "net"}

    layer = ga.TTA(model, "d4", outputs={"seg": "mask", "cls": "label"}, activation={"cls": "softmax"}, std=True)
    out, spread = layer(x)
    assert set(out) == {"seg", "cls"} == set(spread)
    assert (out["seg"] - model(x)["seg"]).abs().max() < 1e-4
    assert (out["cls"] - model(x)["cls"].softmax(1)).abs().max() < 1e-6
    assert spread["seg"].abs().max() < 2e-3
    both = ga.TTA(lambda x: (model(x)["cls"], model(x)["seg"]), "hflip", outputs=("label", "mask"))(x)
    assert isinstance(both, tuple) and (both[1] - model(x)["seg"]).abs().max() < 1e-4


def test_a_pipeline_that_draws() -> None:
    """The same draws at every call, one after another by hand too; a view that shows a part counts there only."""
    x = example(2, (3, H, W))
    layer = ga.Compose([ga.RandomAffine(20, (0.1, 0.1)), ga.ColorJitter(0.3)], seed=5)
    augmented = ga.TTA(Pointwise(), layer, n=4)
    out = augmented(x)
    torch.testing.assert_close(out, augmented(x), rtol=0, atol=0, equal_nan=True)
    total, weight = torch.zeros_like(out), torch.zeros(2, 1, H, W)
    for k in range(4):
        params = layer.sample(x, copy=k)
        prediction = Pointwise()(layer.replay(x, params))
        back = params.inverse()
        plain = ga.Compose(list(layer)[:1], seed=5)
        total += plain.replay(prediction, back)
        weight += plain.replay(torch.ones(2, 1, H, W), back)
    seen = (weight > 0.01).expand_as(out)
    assert (out - total / weight)[seen].abs().max() < 1e-3 and out[weight.expand_as(out) == 0].isnan().all()


def test_places_that_no_view_shows() -> None:
    crop = ga.CenterCrop((20, 30))
    for mode in ("mean", "gmean", "max", "min", "sum"):
        out = ga.TTA(Pointwise(), [crop], mode)(example(1, (3, H, W)))
        seen = ~out.isnan()
        assert int(seen.sum()) == 3 * 20 * 30
        assert (out - Pointwise()(example(1, (3, H, W))))[seen].abs().max() < 1e-5


REFUSED: dict[str, tuple[Any, str]] = {
    "name": (lambda: ga.TTA(Pointwise(), "mirror"), "views must be of none, hflip.*got 'mirror'"),
    "no views": (lambda: ga.TTA(Pointwise(), []), "views must not be empty"),
    "mix": (lambda: ga.TTA(Pointwise(), [ga.MixUp(num_classes=3)]), "no samples may meet, got MixUp"),
    "mode": (lambda: ga.TTA(Pointwise(), merge_mode="median"), "merge_mode must be one of mean.*got 'median'"),
    "kind": (lambda: ga.TTA(Pointwise(), outputs={"a": "masks"}), "outputs must be of label"),
    "activation": (lambda: ga.TTA(Pointwise(), activation="relu"), "activation must be None.*got 'relu'"),
    "n": (lambda: ga.TTA(Pointwise(), "hflip", n=3), "n must be a positive integer, and go with one pipeline"),
    "batch": (lambda: ga.TTA(Pointwise(), max_batch=0), "max_batch must be a positive integer or None, got 0"),
    "std": (lambda: ga.TTA(finding, outputs="boxes", std=True), "std must be False with boxes"),
    "scale": (lambda: tta.multiscale((1.0, 0.0)), r"scales must be positive, got \(1.0, 0.0\)"),
    "images": (lambda: ga.TTA(Pointwise())(torch.rand(3, H, W)), r"images must be one tensor \(B, C, H, W\), got"),
    "shape": (lambda: ga.TTA(lambda x: x[0])(torch.rand(1, 3, H, W)), "outputs must say what the model gives"),
    "key": (
        lambda: ga.TTA(lambda x: {"b": x}, outputs={"a": "mask"})(torch.rand(1, 3, H, W)),
        r"a dict with a \(outputs=\), got b",
    ),
    "bent": (
        lambda: ga.TTA(Pointwise(), [ga.GridDistortion(p=1.0)])(torch.rand(1, 3, H, W)),
        "a view that bends has no way back",
    ),
    "crop": (lambda: ga.TTA(Pointwise(), tta.five_crop(40))(torch.rand(1, 3, H, W)), "size must be at most the canvas"),
    "overlap": (lambda: tta.Tiled(Pointwise(), 16, 16), "overlap must be at least 0 and less than the tile"),
}


@pytest.mark.parametrize("name", REFUSED)
def test_refused(name: str) -> None:
    call, message = REFUSED[name]
    with pytest.raises((ValueError, TypeError), match=message):
        call()


def test_labels_of_views_that_bend() -> None:
    layer = ga.TTA(lambda x: x.mean((2, 3)), [ga.GridDistortion(p=1.0), ga.Compose([])], outputs="label")
    assert layer(example(2, (3, H, W))).shape == (2, 3)


def test_keypoints_are_averaged_whatever_the_mode() -> None:
    """What is said of a mirrored picture, of pixels by their centres, counts from the other side."""
    said = torch.tensor([[[10.0, 7.0]]])
    for origin, expected in (("edge", (10 + W - 10) / 2), ("center", (10 + W - 1 - 10) / 2)):
        params = ga.KeypointParams(origin=origin, flip_pairs=())
        out = ga.TTA(lambda x: said.expand(len(x), -1, -1), "hflip", "max", "keypoints", keypoint_params=params)(
            torch.rand(1, 3, H, W)
        )
        assert torch.allclose(out, torch.tensor([[[expected, 7.0]]]), atol=1e-4)


def test_boxes_end_where_the_image_does() -> None:
    found = {"boxes": torch.tensor([[-3.0, 5, 12, 60]]), "scores": torch.ones(1), "labels": torch.ones(1)}
    out = ga.TTA(lambda x: [found] * len(x), "none", outputs="boxes")(torch.rand(1, 3, H, W))
    assert out[0]["boxes"].tolist() == [[0.0, 5.0, 12.0, float(H)]]


def test_a_transposed_view_alone() -> None:
    """Its maps at a fraction of the resolution have the size of the images' own, not of an exchanged one."""
    turned = [ga.Compose([ga.RandomTranspose(p=1.0)])]
    x = example(1, (3, 33, 46))

    def half(x: Tensor) -> Tensor:
        small = [-(-n // 2) for n in x.shape[2:]]
        return nnf.interpolate(x, small, mode="bilinear", align_corners=False, antialias=True)

    out = ga.TTA(half, turned)(x)
    assert out.shape == (1, 3, 17, 23) and (out - half(x)).abs().max() < 1e-5


def test_a_pipeline_that_draws_says_how_often() -> None:
    with pytest.raises(ValueError, match="TTA: n must say how often a pipeline that draws is drawn, got None"):
        ga.TTA(nn.Identity(), ga.RandomAffine(10))
    assert ga.TTA(nn.Identity(), ga.RandomHorizontalFlip(1.0), outputs="mask")(torch.rand(1, 2, 6, 8)).shape == (
        1,
        2,
        6,
        8,
    )
