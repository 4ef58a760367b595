"""A blob painted at a keypoint is found where the keypoint went, and a disc of a mask too: maps that keep lines."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from fractions import Fraction
from functools import cache
from typing import Any

import cv2
import numpy as np
import pytest
import torch
from cases import CASES
from nearest import Array, chain_of, floor_of, picked, sources
from torch import Tensor

import gpuaug as ga
from gpuaug.transforms.base import Geometric

H, W = 180, 244
SIGMA, RADIUS = 6.0, 32.0
ROOM = RADIUS + 3
"""From a disc's centre to the border: more than five SIGMA, so that no tail of a blob is cut."""

RIGID: dict[str, Callable[[], list[Any]]] = {
    "identity": lambda: [ga.RandomRotation(0)],
    "flips": lambda: [ga.RandomHorizontalFlip(), ga.RandomVerticalFlip()],
    "transpose": lambda: [ga.RandomTranspose(p=1.0)],
    "turns": lambda: [ga.CenterCrop(170), ga.RandomRotate90(p=0.8)],
    "symmetries": lambda: [ga.CenterCrop(170), ga.SquareSymmetry()],
    "rotation": lambda: [ga.RandomRotation((10, 40))],
    "expanded": lambda: [ga.RandomRotation((-40, -10), expand=True)],
    "affine": lambda: [ga.RandomAffine((5, 30), (0.05, 0.05), (1.1, 1.3), (-10, 10, -5, 5))],
    "affine, smaller": lambda: [ga.RandomAffine(30, (0.1, 0.1), (0.5, 0.8))],
    "pad": lambda: [ga.Pad((20, 15, 3, 2))],
    "crop": lambda: [ga.RandomCrop((170, 230), padding=5)],
    "centre crop": lambda: [ga.CenterCrop((171, 260))],
    "resize 0.5": lambda: [ga.Resize((90, 122))],
    "resize 0.73": lambda: [ga.LongestMaxSize(177)],
    "resize 1.7": lambda: [ga.Resize((306, 415))],
    "resize 4": lambda: [ga.Resize((720, 976))],
    "uneven resize": lambda: [ga.Resize((290, 190))],
    "shorter side": lambda: [ga.SmallestMaxSize(241)],
    "drawn shorter side": lambda: [ga.RandomShortestSize([230, 270])],
    "drawn size": lambda: [ga.RandomResize(220, 320)],
    "resized crop": lambda: [ga.RandomResizedCrop((240, 260), scale=(0.45, 0.65))],
    "letterbox": lambda: [ga.LetterBox((150, 170), fill=0)],
    "letterbox, larger": lambda: [ga.LetterBox((300, 329), fill=0)],
    "zoom out": lambda: [ga.RandomZoomOut(side_range=(1.2, 1.7), p=1.0)],
    "scale jitter": lambda: [ga.ScaleJitter((230, 270), (1.2, 1.4))],
    "scale jitter, smaller": lambda: [ga.ScaleJitter((230, 270), (0.5, 0.8))],
    "overlap crop": lambda: [ga.RandomIoUCrop(max_scale=0.85)],
    "safe crop": lambda: [ga.BBoxSafeRandomCrop(p=1.0)],
    "crop of a box": lambda: [ga.AtLeastOneBBoxRandomCrop(161, 200)],
    "crop of a mask": lambda: [ga.CropNonEmptyMaskIfExists(161, 200)],
    "turned, cropped": lambda: [ga.RandomRotation((8, 20)), ga.RandomResizedCrop((200, 210), scale=(0.55, 0.75))],
    "cropped, turned, resized": lambda: [
        ga.RandomHorizontalFlip(),
        ga.RandomCrop((170, 236)),
        ga.RandomAffine((-15, -6), (0.05, 0.05), (1.0, 1.1)),
        ga.Resize((250, 240)),
    ],
}
SLOW: dict[str, Callable[[], list[Any]]] = {
    "turned a little": lambda: [ga.RandomRotation(4)],
    "cropped a little": lambda: [ga.RandomResizedCrop((H, W), scale=(0.85, 1.0))],
    "zoomed out a little": lambda: [ga.RandomZoomOut(side_range=(1.0, 1.1), p=1.0)],
    "jittered a little": lambda: [ga.ScaleJitter((H, W), (0.9, 1.0))],
}
"""Maps close to one of pixels to pixels: whole discs are read to the same side."""


@dataclass
class Run:
    """What became of one blob and one disc in each sample, of those that are seen whole."""

    blob: Array
    """(N, 2): from the keypoint to the blob's centroid, in source pixels."""
    disc: Array
    """The same for the disc."""
    step: Array
    """(N,): the longer side of an output pixel in source pixels."""
    floor: Array
    """(N,): `floor_of` the sample's matrix."""
    ties: Array
    """(N, 2): how far ties at the border of two pixels, which show the later one, move the disc."""


def painted(points: Tensor) -> tuple[Tensor, Tensor]:
    """Return blobs (B, 1, H, W) float64 and discs (B, H, W) at points (B, 2)."""
    y, x = torch.meshgrid(torch.arange(H) + 0.5, torch.arange(W) + 0.5, indexing="ij")
    r2 = (x - points[:, 0, None, None]) ** 2 + (y - points[:, 1, None, None]) ** 2
    return torch.exp(-r2 / (2 * SIGMA**2))[:, None], (r2 <= RADIUS**2).to(torch.int64) * 7


def centroid(values: Tensor) -> Array:
    """Return the centroids (B, 2) of (B, h, w)."""
    h, w = values.shape[1:]
    x = values.sum(1) @ (torch.arange(w, dtype=torch.float64) + 0.5)
    y = values.sum(2) @ (torch.arange(h, dtype=torch.float64) + 0.5)
    return (torch.stack((x, y), dim=-1) / values.sum((1, 2))[:, None]).numpy()


def tie_shift(matrix: Array) -> Array:
    """Return by how much ties move what is shown, in source pixels, of a map onto whole pixels whose axes stay axes.

    An output pixel i reads (2 i + 1) a / (2 b), a / b being the step in lowest terms. With an odd a that lies as often
    above the middle of a pixel as below. With an even a the places in a pixel are 0, 1/b, ... (b - 1) / b, of which the
    mean is 1 / (2 b) less than the middle; so what is shown lies 1 / (2 b) too near to the origin.
    """
    shift = np.zeros(2)
    if matrix[0, 1] == matrix[1, 0] == 0:
        for i in (0, 1):
            step = Fraction(1 / abs(matrix[i, i])).limit_denominator(1024)
            if step.numerator % 2 == 0 and float(step) == pytest.approx(1 / abs(matrix[i, i]), abs=1e-9):
                shift[i] = -1 / (2 * step.denominator)
    return shift


@cache
def run(name: str) -> Run:
    """Move blobs and discs through a pipeline, and hold every mask against float64 arithmetic."""
    torch.manual_seed(2)
    points = torch.rand(8 if name == "resize 4" else 32, 2, dtype=torch.float64)
    points = points * torch.tensor([W - 2 * ROOM, H - 2 * ROOM]) + ROOM
    image, mask = painted(points)
    layers = (RIGID | SLOW)[name]()
    layer = ga.Compose(layers, seed=4, keypoint_params=ga.KeypointParams(flip_pairs=()))
    boxes = torch.cat((points - ROOM, points + ROOM), dim=-1)[:, None]
    targets = {"image": image, "mask": mask, "boxes": boxes, "keypoints": points[:, None, None]}
    out, params = layer(targets, return_params=True)
    size = tuple(out["mask"].shape[1:])
    moved = out["keypoints"][:, 0, 0].numpy()
    blob, disc = centroid(out["image"][:, 0]) - moved, centroid((out["mask"] == 7).double()) - moved
    found = []
    for i in range(len(points)):
        canvas, matrix = chain_of(layers, params, i, (H, W))
        assert canvas == size
        x, y = sources(matrix, canvas)
        place = (matrix @ (*points[i].tolist(), 1.0))[:2]
        assert np.abs(place - moved[i]).max() < 1e-4
        room = min(*place, canvas[1] - place[0], canvas[0] - place[1])
        if room < (ROOM - 1) * np.linalg.norm(matrix[:2, :2], 2):
            continue
        shown = out["mask"][i].numpy()
        # At the border of two pixels either is the nearest; `test_ties_show_the_later_pixel` says which it is.
        sides = [picked(mask[i].numpy(), x + dx, y + dy) == shown for dx in (-1e-7, 1e-7) for dy in (-1e-7, 1e-7)]
        assert np.any(sides, axis=0).all()
        back = np.linalg.inv(matrix[:2, :2])
        step = np.linalg.norm(back, 2)
        found.append((back @ blob[i], back @ disc[i], step, floor_of(matrix, RADIUS), tie_shift(matrix)))
    assert len(found) >= 8
    return Run(*(np.array(column) for column in zip(*found, strict=True)))


@pytest.mark.parametrize("name", RIGID)
def test_blobs_are_where_their_keypoints_are(name: str) -> None:
    """Regressions 10: within 0.02 pixels.

    Linear interpolation keeps the centroid. Reading it at steps a little off 1 leaves a replica of the blob's spectrum
    at a frequency e, damped to about e^2, and its slope moves the centroid: by at most 0.042 / SIGMA along an axis,
    0.01 pixels together at SIGMA 6 (0.024 at 2.5).
    """
    assert np.linalg.norm(run(name).blob, axis=1).max() < 0.02


@pytest.mark.parametrize("name", RIGID)
def test_discs_are_where_their_keypoints_are(name: str) -> None:
    """Within 0.2 source pixels, or output pixels where those are larger, and to no side."""
    found = run(name)
    error = found.disc - found.ties
    assert (np.linalg.norm(error, axis=1) < 0.2 * np.maximum(1, found.step)).all()
    # The mean of independent errors: four of its deviations.
    assert np.linalg.norm(error.mean(0)) < min(0.1, 4 * np.sqrt((found.floor**2).sum()) / len(error))


@pytest.mark.parametrize("name", SLOW)
def test_discs_under_slow_beats(name: str) -> None:
    """Near a map of pixels to pixels discs are off by the formula's distance, to no side; blobs are not off."""
    found = run(name)
    error = np.linalg.norm(found.disc - found.ties, axis=1)
    assert (error < 3 * found.floor).all()
    assert (error**2).sum() < 1.3 * (found.floor**2).sum()
    assert np.linalg.norm((found.disc - found.ties).mean(0)) < 4 * np.sqrt((found.floor**2).sum()) / len(error)
    assert np.linalg.norm(found.blob, axis=1).max() < 0.02


def test_every_map_that_keeps_lines_is_here() -> None:
    """A transform of the table that is neither projective nor bends is in some pipeline of `RIGID`."""
    there = {type(layer).__name__ for make in RIGID.values() for layer in make()}
    listed = {case.name: case.make() for case in CASES}
    bent = {"ElasticTransform", "GridDistortion", "OpticalDistortion", "ThinPlateSpline", "WaterRefraction"}
    # Crops, pads and scales whose matrices tests/test_catalogue_place.py holds to torchvision's and its own arithmetic.
    elsewhere = {"CropAndPad", "PadIfNeeded", "RandomScale", "RandomSizedCrop", "SafeRotate"}
    kept = {k for k, layer in listed.items() if isinstance(layer, Geometric) and not layer.projective}
    kept -= bent | elsewhere
    assert len(kept) > 20
    assert kept == there


def test_a_shift_moves_discs_by_whole_pixels() -> None:
    """The farthest that a nearest reading can be off: a shift by t shows pixels round(t) away, halves down."""
    torch.manual_seed(0)
    points = torch.rand(16, 2, dtype=torch.float64) * torch.tensor([W - 2 * ROOM - 60, H - 2 * ROOM - 40])
    _, mask = painted(points + ROOM + torch.tensor([30, 20]))
    layer = ga.Compose([ga.RandomAffine(0, (0.1, 0.1), (1.0, 1.0))], seed=1)
    out, params = layer({"image": mask[:, None].double(), "mask": mask}, return_params=True)
    drawn = params["RandomAffine"]
    shift = torch.stack((drawn.translate_x.double() * W, drawn.translate_y.double() * H), dim=-1).numpy()
    went = centroid((out["mask"] == 7).double()) - centroid((mask == 7).double())
    assert np.abs(went - np.ceil(shift - 0.5)).max() < 1e-9
    assert np.abs(went - shift).max() > 0.4


SIZES = [(96, 48), (92, 23), (114, 19), (57, 19), (100, 25), (15, 60), (64, 64)]
UNEVEN = [(96, 64), (90, 36), (132, 55), (108, 30), (84, 98), (81, 97), (20, 26), (20, 74)]


def rows_of(have: int, want: int) -> list[int]:
    """Return the pixel that each pixel of a resized line shows, the later one at ties, in whole numbers."""
    return [(2 * i + 1) * have // (2 * want) for i in range(want)]


def resized(mask: Tensor, size: tuple[int, int]) -> Tensor:
    """Return a mask (H, W) resized."""
    targets = {"image": torch.zeros(1, 1, *mask.shape), "mask": mask[None]}
    shown: Tensor = ga.Compose([ga.Resize(size)])(targets)["mask"][0]
    return shown


@pytest.mark.parametrize(("have", "want"), SIZES)
def test_ties_show_the_later_pixel(have: int, want: int) -> None:
    """Shrinking by a whole even factor reads the border of two pixels everywhere.

    Any choice of one of them is half a pixel off; the later one is what torch and OpenCV take too.
    """
    rows, line = torch.tensor(rows_of(have, want)), torch.arange(have)
    for mask, expected in (
        (line[:, None].expand(have, 23), rows[:, None].expand(want, 29)),
        (line.expand(23, have), rows.expand(29, want)),
    ):
        h, w = expected.shape
        assert torch.equal(resized(mask, (h, w)), expected)
        peer = torch.nn.functional.interpolate(mask[None, None].double(), (h, w), mode="nearest-exact")
        assert torch.equal(peer[0, 0].long(), expected)
        flat = np.ascontiguousarray(mask.numpy().astype(np.uint8))
        opencv = cv2.resize(flat, (w, h), interpolation=cv2.INTER_NEAREST_EXACT)
        assert np.array_equal(opencv, expected.numpy())


@pytest.mark.parametrize(("have", "want"), SIZES + UNEVEN)
def test_resizes_show_the_nearest_pixel(have: int, want: int) -> None:
    """In whole numbers; where two are as near, as for every third pixel of three quarters, either of them."""
    index = torch.arange(want)
    rows = torch.tensor(rows_of(have, want))
    tied = (2 * index + 1) * have % (2 * want) == 0
    for shown in (
        resized(torch.arange(have)[:, None].expand(have, 23), (want, 29))[:, 7],
        resized(torch.arange(have).expand(23, have), (29, want))[7],
    ):
        assert torch.equal(shown[~tied], rows[~tied])
        assert ((shown == rows) | (shown == rows - 1))[tied].all()
    # The formula of the ties' shift, by which the discs of such maps are judged.
    middles = [Fraction(2 * i + 1, 2) * Fraction(have, want) for i in range(want)]
    offset = sum((r + Fraction(1, 2) - x for r, x in zip(rows.tolist(), middles, strict=True)), Fraction(0)) / want
    assert tie_shift(np.diag([want / have, 1.0]))[0] == -float(offset)


@pytest.mark.parametrize("name", ["rotation", "affine, smaller", "uneven resize", "letterbox", "resized crop"])
@pytest.mark.parametrize("part", [2, 4])
def test_masks_of_a_part_of_the_resolution(name: str, part: int) -> None:
    """They span the canvases whole: each pixel shows the one that its centre's place lies in."""
    torch.manual_seed(3)
    h, w = H // part, W // part
    masks = torch.randint(0, 200, (4, 1, h, w))
    layers = RIGID[name]()
    boxes = torch.tensor([[[30.0, 30, W - 30, H - 30]]]).expand(4, 1, 4)
    layer = ga.Compose(layers, seed=5)
    out, params = layer({"image": torch.zeros(4, 1, H, W), "boxes": boxes, "masks": masks}, return_params=True)
    for i in range(4):
        size, matrix = chain_of(layers, params, i, (H, W))
        rows, cols = round(size[0] / part), round(size[1] / part)
        assert out["masks"].shape[2:] == (rows, cols)
        scaled = np.diag([w / W, h / H, 1.0]) @ matrix @ np.diag([W / w, H / h, 1.0])
        scaled = np.diag([cols / size[1] * W / w, rows / size[0] * H / h, 1.0]) @ scaled
        x, y = sources(scaled, (rows, cols))
        clear = (np.abs(x - x.round()) > 1e-6) & (np.abs(y - y.round()) > 1e-6)
        shown = out["masks"][i, 0].numpy()
        assert clear.mean() > 0.5
        assert (shown == picked(masks[i, 0].numpy(), x, y))[clear].all()


def test_two_passes_read_twice() -> None:
    """A letterbox of a rotated canvas cuts at its border, so it reads what the rotation has shown."""
    torch.manual_seed(4)
    mask = torch.randint(1, 200, (4, H, W))
    layers = [ga.RandomRotation((5, 30)), ga.LetterBox((150, 170), fill=0)]
    layer = ga.Compose(layers, seed=6)
    out, params = layer({"image": torch.zeros(4, 1, H, W), "mask": mask}, return_params=True)
    for i in range(4):
        _, first = chain_of(layers[:1], params, i, (H, W))
        size, both = chain_of(layers, params, i, (H, W))
        second = both @ np.linalg.inv(first)
        x, y = sources(second, size)
        clear = (np.abs(x - x.round()) > 1e-6) & (np.abs(y - y.round()) > 1e-6)
        expected = picked(picked(mask[i].numpy(), *sources(first, (H, W))), x, y)
        assert (out["mask"][i].numpy() == expected)[clear].all()
