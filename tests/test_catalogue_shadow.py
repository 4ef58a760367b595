"""Polygons of shadow, soft shadows over pages and creases, against float64 arithmetic and OpenCV."""

from __future__ import annotations

import itertools
from typing import Any

import cv2
import numpy as np
import pytest
import torch
from test_catalogue_light import drawn

import gpuaug as ga
from gpuaug.functional.light_one import cast_shadows_one
from gpuaug.testing import example

SHAPE = (3, 61, 83)
H, W = SHAPE[1:]


def enclosed(corners: Any) -> Any:
    """Return where (H, W) pixels are enclosed an odd number of times, by the angle that the sides sweep.

    That angle is a winding number only for polygons that do not cross themselves; triangles are summed instead: a fan
    from the first corner covers a point as often, modulo two, as the polygon winds around it.
    """
    y, x = np.mgrid[:H, :W].astype(np.float64)
    odd = np.zeros((H, W), bool)
    (ax, ay), rest = corners[0], corners[1:]
    for (bx, by), (cx, cy) in itertools.pairwise(rest):
        sides = [
            (qx - px) * (y - py) - (qy - py) * (x - px)
            for (px, py), (qx, qy) in (((ax, ay), (bx, by)), ((bx, by), (cx, cy)), ((cx, cy), (ax, ay)))
        ]
        odd ^= (np.min(sides, 0) > 0) | (np.max(sides, 0) < 0)
    return odd


def near_sides(corners: Any) -> Any:
    """Return where pixels touch a side of the polygon or of its fan."""
    lines = np.zeros((H, W), np.uint8)
    corners = corners.astype(np.int32)
    for k in range(len(corners)):
        cv2.line(lines, corners[k].tolist(), corners[(k + 1) % len(corners)].tolist(), 1, 3)
        cv2.line(lines, corners[0].tolist(), corners[k].tolist(), 1, 3)
    return lines > 0


def test_shadows_are_polygons() -> None:
    """Inside by the triangles of a fan, and by OpenCV, which fills crossing sides likewise."""
    x = example(8, SHAPE)
    out, params = drawn(ga.RandomShadow((0.1, 0.2, 0.9, 1.0), (1, 3), 6, (0.2, 0.7), p=1.0), x)
    corners, dark = params.corners.double().numpy(), params.intensity.double().numpy()
    assert corners.shape == (8, 3, 6, 2)
    assert corners[..., 0].min() >= int(0.1 * W) and corners[..., 0].max() < int(0.9 * W)
    assert corners[..., 1].min() >= int(0.2 * H) and corners[..., 1].max() < H
    assert {int((d > 0).sum()) for d in dark} == {1, 2, 3}
    for b in range(8):
        gain, known = np.ones((H, W)), np.ones((H, W), bool)
        for polygon, depth in zip(corners[b], dark[b], strict=True):
            inside, filled = enclosed(polygon), np.zeros((H, W), np.uint8)
            cv2.fillPoly(filled, [polygon.astype(np.int32)], 1)
            sure = ~near_sides(polygon)
            assert (inside == filled.astype(bool))[sure].all()
            gain, known = np.where(inside, gain * (1 - depth), gain), known & (sure | (depth == 0))
        assert known.mean() > 0.3 and (gain[known] < 1).any()
        np.testing.assert_allclose(out[b][:, known], (x[b].double().numpy() * gain)[:, known], atol=1e-6)


def test_a_square_shadow() -> None:
    """Between whole numbers it is clear which pixels are inside."""
    square = torch.tensor([[2.5, 1.5], [6.5, 1.5], [6.5, 4.5], [2.5, 4.5]])
    both = torch.stack((square, square.flip(0))).view(2, 1, 4, 2)
    out = ga.functional.cast_shadows(torch.ones(2, 1, 7, 9), both, torch.full((2, 1), 0.75))
    expected = torch.ones(7, 9)
    expected[2:5, 3:7] = 0.25
    assert torch.equal(out, expected.expand(2, 1, 7, 9))
    alone = [cast_shadows_one(torch.ones(1, 1, 7, 9), both[b : b + 1], torch.full((1, 1), 0.75)) for b in range(2)]
    assert torch.equal(torch.cat(alone), out)


def test_page_shadow() -> None:
    x = example(4, SHAPE)
    out, params = drawn(ga.RandomPageShadow(p=1.0), x)
    y, z = np.mgrid[:H, :W].astype(np.float64)
    for b in range(4):
        turn = np.deg2rad(float(params.angle[b]))
        normal = np.array([np.cos(turn), np.sin(turn)])
        reach = np.abs(normal) @ [W, H]
        distance = (z - (W - 1) / 2) * normal[0] + (y - (H - 1) / 2) * normal[1]
        distance -= (float(params.offset[b]) - 0.5) * reach
        width = float(params.softness[b]) * min(H, W)
        gain = 1 - float(params.intensity[b]) * 0.5 * (1 + np.tanh(2 * distance / width))
        np.testing.assert_allclose(out[b], x[b].double().numpy() * gain, atol=1e-5)


@pytest.mark.parametrize("mode", ["folds", "crumples"])
def test_creases(mode: str) -> None:
    x = example(4, SHAPE)
    out, params = drawn(ga.RandomPaperCreases((1, 3), 0.3, (0.02, 0.05), mode=mode, p=1.0), x)
    y, z = np.mgrid[:H, :W].astype(np.float64)
    off = np.abs(np.remainder(params.angle.double().numpy() + 45, 90) - 45)
    assert (off.max() < 11) == (mode == "folds")
    for b in range(4):
        gain, worn = np.ones((H, W)), np.zeros((H, W))
        for k in range(3):
            nx, ny, offset, width = params.lines[b, k].double().numpy()
            ridge, tilt, wear = params.amounts[b, k].double().numpy()
            assert abs(np.hypot(nx, ny) - 1) < 1e-6 and abs(tilt) <= abs(ridge)
            t = (nx * z + ny * y - offset) / width
            gain += ridge * t * np.exp((1 - t * t) / 2) + tilt * np.tanh(t / 2)
            worn += wear * np.exp(-4 * t * t)
        lit = x[b].double().numpy() * gain
        np.testing.assert_allclose(out[b], (lit + (1 - lit) * worn.clip(max=1)).clip(0, 1), atol=2e-5)


def test_a_crease_is_light_and_dark() -> None:
    """Across one fold of a gray page: an edge of twice the strength, and the line itself worn white."""
    page = torch.full((16, 1, 90, 120), 0.5)
    out, params = drawn(ga.RandomPaperCreases((1, 1), 0.3, 0.03, 0.8, p=1.0), page)
    for b in range(16):
        assert 0.62 < out[b].max() and out[b].min() < 0.43
        nx, ny, offset, _ = params.lines[b, 0].double().numpy()
        at, line = ((offset - ny * 45) / nx, out[b, 0, 45]) if nx > ny else ((offset - nx * 60) / ny, out[b, 0, :, 60])
        assert line[int(at) : int(at) + 2].max() > 0.8 and line.argmax() in (int(at), int(at) + 1)


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda: ga.RandomShadow((0, 0.5, 1, 0.2)), "RandomShadow: shadow_roi must be 0 <= min <= max <= 1"),
        (
            lambda: ga.RandomShadow(shadow_dimension=2),
            "RandomShadow: shadow_dimension must be a whole number of",
        ),
        (lambda: ga.RandomShadow(num_shadows_limit=(2, 1)), "RandomShadow: num_shadows_limit must be integers"),
        (lambda: ga.RandomPageShadow(1.2), "RandomPageShadow: intensity_range must be within"),
        (lambda: ga.RandomPaperCreases(mode="rips"), "RandomPaperCreases: mode must be one of folds, crumples"),
    ],
)
def test_refusals(make: Any, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        make()
    with pytest.raises(TypeError, match="RandomShadow: shadow_roi must be"):
        ga.RandomShadow((0, 1))
