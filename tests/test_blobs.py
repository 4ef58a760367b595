"""A blob painted at a keypoint is found where the keypoint went, and a disc of a mask too: maps that keep shapes."""

from __future__ import annotations

from typing import Any

import pytest
import torch
from torch import Tensor

import gpuaug as ga

H, W = 96, 128
SIGMA, RADIUS = 2.5, 9.0

RIGID: dict[str, Any] = {
    "identity": lambda: [ga.RandomRotation(0)],
    "flips": lambda: [ga.RandomHorizontalFlip(), ga.RandomVerticalFlip()],
    "transpose": lambda: [ga.RandomTranspose(p=1.0)],
    "symmetries": lambda: [ga.CenterCrop(90), ga.SquareSymmetry()],
    "rotation": lambda: [ga.RandomRotation(40)],
    "expanded": lambda: [ga.RandomRotation(40, expand=True)],
    "affine": lambda: [ga.RandomAffine(30, (0.1, 0.1), (0.8, 1.3))],
    "crop": lambda: [ga.RandomCrop((90, 100), padding=5)],
    "resize 0.5": lambda: [ga.Resize((48, 64))],
    "resize 1.7": lambda: [ga.LongestMaxSize(218)],
    "resize 4": lambda: [ga.Resize((384, 512))],
    "uneven resize": lambda: [ga.Resize((150, 110))],
    "resized crop": lambda: [ga.RandomResizedCrop((120, 100), scale=(0.6, 1.0))],
    "letterbox": lambda: [ga.LetterBox((100, 100), fill=0)],
    "zoom out": lambda: [ga.RandomZoomOut(side_range=(1.0, 1.6), p=1.0)],
    "scale jitter": lambda: [ga.ScaleJitter((110, 120), (0.7, 1.4))],
    "chain": lambda: [ga.RandomRotation(20), ga.RandomResizedCrop((110, 90), scale=(0.7, 1.0))],
}


def painted(points: Tensor) -> tuple[Tensor, Tensor]:
    """Return blobs (B, 1, H, W) float64 and discs (B, H, W) at points (B, 2)."""
    y, x = torch.meshgrid(torch.arange(H) + 0.5, torch.arange(W) + 0.5, indexing="ij")
    r2 = (x - points[:, 0, None, None]) ** 2 + (y - points[:, 1, None, None]) ** 2
    return torch.exp(-r2 / (2 * SIGMA**2))[:, None].double(), (r2 <= RADIUS**2).to(torch.int64) * 7


def centroid(values: Tensor) -> Tensor:
    """Return the centroids (B, 2) of (B, h, w)."""
    h, w = values.shape[1:]
    total = values.sum((1, 2))
    x = (values * (torch.arange(w) + 0.5)).sum((1, 2)) / total
    y = (values * (torch.arange(h) + 0.5)[:, None]).sum((1, 2)) / total
    return torch.stack((x, y), dim=-1)


@pytest.mark.parametrize("name", RIGID)
def test_blobs_and_discs_are_where_their_keypoints_are(name: str) -> None:
    torch.manual_seed(2)
    points = torch.rand(12, 2) * torch.tensor([W - 60.0, H - 60.0]) + 30
    image, mask = painted(points)
    layer = ga.Compose(RIGID[name](), seed=4, keypoint_params=ga.KeypointParams(flip_pairs=()))
    out, params = layer({"image": image, "mask": mask, "keypoints": points[:, None]}, return_params=True)
    moved = out["keypoints"][:, 0]
    scale = torch.linalg.det(params.matrix[:, :2, :2]).abs().sqrt()
    longest = torch.linalg.matrix_norm(params.matrix[:, :2, :2], 2)
    h, w = out["image"].shape[2:]
    room = torch.stack((moved[:, 0], moved[:, 1], w - moved[:, 0], h - moved[:, 1])).amin(0)
    seen = (room > (RADIUS + 1.5) * longest) & (out["visible"][:, 0] > 0)
    assert seen.sum() >= 6
    # Halving puts every centre on the border of two pixels: the later one is shown, half a source pixel off.
    tie = 0.25 if name == "resize 0.5" else 0.0
    blob = (centroid(out["image"][seen, 0]) - moved[seen]).norm(dim=-1) / scale[seen]
    disc = (centroid((out["mask"][seen] == 7).double()) + tie - moved[seen]).norm(dim=-1) / scale[seen]
    assert blob.max() < 0.05, blob
    # A disc of whole pixels is itself up to 0.14 pixels from its centre: in source pixels, or the output's if larger.
    disc = disc * scale[seen].clamp(max=1)
    assert disc.mean() < 0.2 and disc.max() < 0.4, disc
    assert set(out["mask"].unique().tolist()) == {0, 7}
