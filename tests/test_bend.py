"""Displacement fields: content says where points go, torchvision what elastic is, NumPy what lenses and splines are."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
import scipy.interpolate
import torch
from content import H, W, coordinates, read_at
from torchvision.transforms import InterpolationMode
from torchvision.transforms.v2 import functional as tv

import gpuaug as ga
from gpuaug.geometry import bend
from gpuaug.testing import example
from gpuaug.transforms.track import Stage

BENT: dict[str, Any] = {
    "elastic": lambda: [ga.ElasticTransform(60.0, 6.0)],
    "rough elastic": lambda: [ga.ElasticTransform(20.0, 3.0)],
    "grid": lambda: [ga.GridDistortion(4, 0.4, p=1.0)],
    "barrel": lambda: [ga.OpticalDistortion((0.3, 0.5), p=1.0)],
    "pincushion": lambda: [ga.OpticalDistortion((-0.2, -0.15), p=1.0)],
    "spline": lambda: [ga.ThinPlateSpline((0.03, 0.05), p=1.0)],
    "water": lambda: [ga.WaterRefraction((0.02, 0.05), (0.4, 0.8), p=1.0)],
    "elastic, rotation": lambda: [ga.ElasticTransform(60.0, 6.0), ga.RandomRotation(20)],
    "crop, spline, flip": lambda: [
        ga.RandomResizedCrop((52, 60), scale=(0.6, 1.0)),
        ga.ThinPlateSpline((0.02, 0.03), p=1.0),
        ga.RandomHorizontalFlip(),
    ],
    "lens, colour, affine": lambda: [
        ga.OpticalDistortion((0.1, 0.2), p=1.0),
        ga.RandomAffine(10, scale=(0.9, 1.1)),
        ga.RandomInvert(p=0.0),
    ],
}


@pytest.mark.parametrize("small", [0, 10**9], ids=["walk", "definition"])
@pytest.mark.parametrize("name", BENT)
def test_the_content_at_a_moved_point_is_where_it_came_from(
    name: str, small: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Regressions section 1, without exemption: mean below 0.05 px, largest below 0.25 px."""
    monkeypatch.setattr("gpuaug.render.backend.SMALL", small)
    generator = torch.Generator().manual_seed(4)
    points = torch.rand((4, 80, 2), generator=generator, dtype=torch.float64) * torch.tensor([W - 8.0, H - 8.0]) + 4
    layer = ga.Compose(BENT[name](), seed=7, antialias=False)
    out = layer({"image": coordinates(4), "keypoints": points})
    errors = []
    for image, before, after, seen in zip(out["image"], points, out["keypoints"], out["visible"], strict=True):
        value, ok = read_at(image, after)
        ok = ok & (seen > 0)
        errors.append((value[ok] * 100 - before[ok]).norm(dim=1))
    error = torch.cat(errors)
    assert error.numel() >= 100
    assert error.mean() < 0.05 and error.max() < 0.25


@pytest.mark.parametrize("name", BENT)
def test_boxes_hold_their_moved_masks(name: str) -> None:
    generator = torch.Generator().manual_seed(1)
    corner = torch.rand((3, 4, 2), generator=generator) * torch.tensor([36.0, 22.0]) + 6
    boxes = torch.cat((corner, corner + 14), dim=-1).round()
    masks = torch.zeros(3, 4, H, W, dtype=torch.uint8)
    for b in range(3):
        for n in range(4):
            x0, y0, x1, y1 = boxes[b, n].int().tolist()
            masks[b, n, y0:y1, x0:x1] = 9
    out = ga.Compose(BENT[name](), seed=6)({"image": coordinates(3), "boxes": boxes, "masks": masks})
    straight = "rotation" not in name and "affine" not in name
    for b in range(3):
        for n in range(4):
            mask = out["masks"][b, n]
            assert set(mask.unique().tolist()) <= {0, 9}
            rows, cols = (mask > 0).any(1).nonzero(), (mask > 0).any(0).nonzero()
            if len(rows) < 3 or len(cols) < 3:
                continue
            found = torch.tensor([cols[0, 0], rows[0, 0], cols[-1, 0] + 1, rows[-1, 0] + 1]).float()
            box = out["boxes"][b, n]
            assert out["valid"][b, n]
            assert (box[:2] <= found[:2] + 1).all() and (box[2:] >= found[2:] - 1).all()
            if straight:
                assert (box - found).abs().max() <= 1.5


def test_elastic_equals_torchvision_for_the_same_displacement() -> None:
    images = example(3, (3, 40, 56))
    layer = ga.ElasticTransform(30.0, 4.0, antialias=False)
    layer.reseed(1)
    params = layer.sample(images)
    field = params["ElasticTransform"].field
    out = layer.replay(images, params)
    for i in range(3):
        displacement = (field[i] * torch.tensor([2 / 56, 2 / 40]).view(2, 1, 1)).permute(1, 2, 0)[None]
        expected = tv.elastic(images[i], displacement, InterpolationMode.BILINEAR)
        assert (out[i] - expected).abs().max() <= 1e-4


def test_elastic_noise_is_torchvisions_in_law() -> None:
    """Mean zero; the deviation that blurring uniform noise of -1..1 by sigma leaves, times alpha / 2, on both axes."""
    alpha, sigma = 40.0, 3.0
    layer = ga.ElasticTransform(alpha, sigma)
    layer.reseed(2)
    field = layer.sample(torch.empty(40, 1, 60, 90))["ElasticTransform"].field
    kernel = np.exp(-0.5 * (np.arange(-12, 13) / sigma) ** 2)
    kernel /= kernel.sum()
    expected = (1 / np.sqrt(3)) * (kernel**2).sum() * alpha / 2
    inner = field[:, :, 15:-15, 15:-15]
    assert inner.std().item() == pytest.approx(expected, rel=0.05)
    assert abs(inner.mean().item()) < 0.1 * expected
    assert abs(torch.corrcoef(inner.transpose(0, 1).flatten(1))[0, 1]) < 0.1


def test_a_lens_is_its_formula() -> None:
    layer = ga.OpticalDistortion((0.4, 0.4), p=1.0)
    field = layer.sample(torch.empty(1, 1, 30, 50))["OpticalDistortion"].field[0].double()
    for i, j in ((0, 0), (10, 40), (29, 25)):
        x, y = j + 0.5 - 25, i + 0.5 - 15
        stretch = 0.4 * (x * x + y * y) / 25**2
        assert torch.allclose(field[:, i, j], torch.tensor([x * stretch, y * stretch]).double(), atol=1e-4)


def test_a_grid_is_piecewise_linear_and_keeps_its_border() -> None:
    layer = ga.GridDistortion(4, 0.5, p=1.0)
    layer.reseed(3)
    drawn = layer.sample(torch.empty(2, 1, 40, 60))["GridDistortion"]
    for b in range(2):
        for axis, n, steps in ((0, 60, drawn.steps_x[b]), (1, 40, drawn.steps_y[b])):
            edges = np.concatenate([[0], np.cumsum(1 + steps.double().numpy())])
            edges *= n / edges[-1]
            centres = np.arange(n) + 0.5
            source = np.interp(centres, np.linspace(0, n, 5), edges)
            line = drawn.field[b, axis, 5] if axis == 0 else drawn.field[b, axis, :, 5]
            assert np.abs(line.numpy() - (source - centres)).max() < 1e-4


def test_a_spline_equals_scipys() -> None:
    layer: Any = ga.ThinPlateSpline((0.05, 0.05), 3, p=1.0)
    layer.reseed(4)
    drawn = layer.sample(torch.empty(2, 1, 30, 44))["ThinPlateSpline"]
    normal = scipy.stats.norm.ppf(
        np.clip((drawn.shifts.double().numpy() * 2 - 1).clip(-0.9999, 0.9999) / 2 + 0.5, 0, 1)
    )
    axis = np.linspace(-1, 1, 3)
    points = np.array([(y, x) for y in axis for x in axis])
    y, x = np.meshgrid((np.arange(30) + 0.5) / 15 - 1, (np.arange(44) + 0.5) / 22 - 1, indexing="ij")
    for b in range(2):
        spline = scipy.interpolate.RBFInterpolator(points, normal[b].reshape(9, 2) * 0.05, kernel="thin_plate_spline")
        expected = spline(np.stack((y, x), axis=-1).reshape(-1, 2)).reshape(30, 44, 2) * [44, 30]
        assert np.abs(drawn.field[b].permute(1, 2, 0).numpy() - expected).max() < 5e-3


def test_water_is_a_sum_of_waves() -> None:
    layer: Any = ga.WaterRefraction((0.02, 0.05), (0.1, 0.4), (2, 4), p=1.0)
    layer.reseed(4)
    drawn = layer.sample(torch.empty(5, 1, 30, 44))["WaterRefraction"]
    assert len(set(drawn.count.tolist())) > 1
    y, x = np.mgrid[:30, :44] + 0.5
    x, y = x - 22, y - 15
    for b in range(5):
        n, expected = int(drawn.count[b]), np.zeros((2, 30, 44))
        waves = torch.stack((drawn.wavelength[b, :n], drawn.direction[b, :n], drawn.phase[b, :n]), dim=1)
        for length, degrees, phase in waves.tolist():
            way = np.array([np.cos(np.deg2rad(degrees)), np.sin(np.deg2rad(degrees))])
            wave = np.sin(2 * np.pi * ((x * way[0] + y * way[1]) / (length * 30) + phase))
            expected += way[:, None, None] * wave * drawn.amplitude[b].item() * 30 / n
        assert np.abs(drawn.field[b].numpy() - expected).max() < 1e-4
        assert np.hypot(*expected).max() <= drawn.amplitude[b].item() * 30


@pytest.mark.parametrize("name", ["elastic", "spline", "water", "grid"])
def test_autocast_rounds_no_field(name: str) -> None:
    layer = ga.Compose(BENT[name](), seed=3)
    x = torch.empty(2, 1, 30, 44)
    plain = layer.sample(x)
    with torch.autocast("cpu", dtype=torch.bfloat16):
        cast = layer.sample(x)
    (one,), (other,) = plain.values.values(), cast.values.values()
    assert torch.equal(one["field"], other["field"])


def test_points_in_a_fold_lose_sight_and_the_others_do_not() -> None:
    """Newton's residual tells: what is still seen is where its content is, in a field that folds badly."""
    points = torch.rand((2, 300, 2), generator=torch.Generator().manual_seed(0), dtype=torch.float64)
    points = points * torch.tensor([W - 8.0, H - 8.0]) + 4
    layer = ga.Compose([ga.ElasticTransform(300.0, 2.0)], seed=1, antialias=False)
    out = layer({"image": coordinates(2), "keypoints": points})
    seen = out["visible"] > 0
    assert seen.any() and not seen.all()
    for b in range(2):
        value, ok = read_at(out["image"][b], out["keypoints"][b])
        ok = ok & seen[b]
        assert ok.sum() > 20
        assert (value[ok] * 100 - points[b][ok]).norm(dim=1).max() < 0.6


def test_directions_in_a_fold_are_mirrored() -> None:
    """Where a field turns the picture round (x is read at 2 * 20 - x), what points right points left."""
    x = torch.arange(40, dtype=torch.float64) + 0.5
    field = torch.stack((2 * (20 - x).expand(30, 40), torch.zeros(30, 40, dtype=torch.float64)))[None]
    points = torch.tensor([[[12.0, 9.0], [27.0, 20.0]]], dtype=torch.float64)
    vectors = torch.tensor([[[1.0, 0.0], [0.6, -0.8]]], dtype=torch.float64)
    moved = Stage((30, 40), field=field).directions(points, vectors)
    expected = vectors * torch.tensor([-1.0, 1.0])
    assert (moved / moved.norm(dim=-1, keepdim=True) - expected).abs().max() < 1e-6


def test_boxes_are_taken_from_the_points_that_have_a_place() -> None:
    """The field shows the column of x = 20 in all that is right of it: what lies beyond has no place there."""
    x = torch.arange(200, dtype=torch.float64) + 0.5
    field = torch.stack(((20 - x).clamp(max=0).expand(30, 200), torch.zeros(30, 200, dtype=torch.float64)))[None]
    boxes = torch.tensor([[[10.0, 5.0, 30.0, 15.0], [4.0, 3.0, 15.0, 21.0]]], dtype=torch.float64)
    moved = Stage((30, 200), field=field).boxes(boxes, "largest_box")
    assert (moved[0, 1] - boxes[0, 1]).abs().max() < 1e-6
    assert (moved[0, 0, [0, 1, 3]] - boxes[0, 0, [0, 1, 3]]).abs().max() < 1e-6
    assert 17 < moved[0, 0, 2] < 20.6


def test_forward_inverts_a_field() -> None:
    """q + D(q) = p, to rounding, for a smooth field; float64 and differentiable."""
    y, x = torch.meshgrid(torch.linspace(0, 3, 30), torch.linspace(0, 4, 40), indexing="ij")
    field = (3 * torch.stack((torch.sin(x) * torch.cos(y), torch.cos(x + y)))).double()[None].requires_grad_()
    points = torch.rand((1, 50, 2), dtype=torch.float64) * torch.tensor([28.0, 18.0]) + 6
    q, rest = bend.forward(field, points)
    assert rest.max() < 1e-6
    assert torch.autograd.grad(q.sum(), field)[0].isfinite().all()


def test_alpha_of_zero_and_gates_leave_samples_as_they_are() -> None:
    images = example(6, (3, 40, 56), torch.uint8)
    for layer in (
        ga.ElasticTransform(0.0),
        ga.OpticalDistortion((0.0, 0.0), p=1.0),
        ga.GridDistortion(3, (0.0, 0.0), p=1.0),
    ):
        assert torch.equal(layer(images), images)
    layer = ga.Compose([ga.ElasticTransform(p=0.5)], seed=1)
    out, params = layer(images, return_params=True)
    off = ~params["ElasticTransform"].gate
    assert off.any() and torch.equal(out[off], images[off]) and not torch.equal(out[~off], images[~off])


@pytest.mark.parametrize(
    ("build", "message"),
    [
        (lambda: ga.ElasticTransform(-1), "ElasticTransform: alpha must be within .0, inf., got -1"),
        (lambda: ga.ElasticTransform(sigma=0), "ElasticTransform: sigma must be positive, got 0"),
        (lambda: ga.OpticalDistortion(0.5), "OpticalDistortion: distort_limit .*0.5"),
        (lambda: ga.GridDistortion(0), "GridDistortion: num_steps must be an integer >= 1, got 0"),
        (lambda: ga.GridDistortion(3, 1.5), "GridDistortion: distort_limit .*1.5"),
        (
            lambda: ga.WaterRefraction(num_waves_range=(3, 65)),
            "WaterRefraction: num_waves_range must end at 64 at most",
        ),
        (lambda: ga.WaterRefraction(wavelength_range=(0.0, 0.1)), "WaterRefraction: wavelength_range "),
        (lambda: ga.ThinPlateSpline(num_control_points=1), "ThinPlateSpline: num_control_points must be 2 to 8, got 1"),
        (lambda: ga.ThinPlateSpline((-0.1, 0.1)), "ThinPlateSpline: scale_range "),
    ],
)
def test_wrong_arguments_are_refused(build: Any, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        build()


def test_what_bends_has_no_inverse() -> None:
    params = ga.Compose([ga.ElasticTransform()], seed=0).sample(torch.zeros(1, 1, 20, 30))
    with pytest.raises(ValueError, match="Params: a displacement field has no exact inverse"):
        params.inverse()
