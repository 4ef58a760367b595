"""Mosaics made one image after another, and pictures that say where their pixels come from."""

from __future__ import annotations

import copy
from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor

import gpuaug as ga

H, W = 36, 50
WAYS = pytest.mark.parametrize("way", ["batched", "walked"])


def coded(sizes: list[tuple[int, int]]) -> list[Tensor]:
    """Images whose pixels say whose and where they are: sample, row, column."""
    images = []
    for number, (h, w) in enumerate(sizes):
        image = torch.empty(3, h, w, dtype=torch.uint8)
        image[0], image[1], image[2] = number, torch.arange(h)[:, None], torch.arange(w)
        images.append(image)
    return images


def batch_of(count: int, h: int = H, w: int = W) -> Tensor:
    return torch.stack(coded([(h, w)] * count)) if count else torch.zeros(0, 3, h, w, dtype=torch.uint8)


def four(images: list[np.ndarray], center: tuple[int, int], size: tuple[int, int], fill: float) -> tuple[Any, list]:
    """Semantics 4.2, image by image: the canvas (C, H, W), and each one's part of it with its shift."""
    high, wide = size
    canvas = np.full((images[0].shape[0], high, wide), fill, dtype=images[0].dtype)
    xc, yc = center
    parts = []
    for k, image in enumerate(images):
        h, w = image.shape[1:]
        if k == 0:
            dst = max(xc - w, 0), max(yc - h, 0), xc, yc
            src = w - (dst[2] - dst[0]), h - (dst[3] - dst[1])
        elif k == 1:
            dst = xc, max(yc - h, 0), min(xc + w, wide), yc
            src = 0, h - (dst[3] - dst[1])
        elif k == 2:
            dst = max(xc - w, 0), yc, xc, min(high, yc + h)
            src = w - (dst[2] - dst[0]), 0
        else:
            dst = xc, yc, min(xc + w, wide), min(high, yc + h)
            src = 0, 0
        x0, y0, x1, y1 = dst
        canvas[:, y0:y1, x0:x1] = image[:, src[1] : src[1] + y1 - y0, src[0] : src[0] + x1 - x0]
        parts.append((dst, (x0 - src[0], y0 - src[1])))
    return canvas, parts


def seen(params: ga.Params, i: int) -> tuple[list[int], tuple[int, int]]:
    drawn = params["Mosaic"]
    x, y = drawn.center[i].tolist()
    return drawn.partner[i].tolist(), (int(x), int(y))


def smaller_way(monkeypatch: pytest.MonkeyPatch, way: str) -> None:
    monkeypatch.setattr("gpuaug.render.backend.SMALL", 10**9 if way == "batched" else 0)


def objects(count: int) -> dict[str, Tensor]:
    """Three objects in each sample, each of its own value in a label map: 1 + 3 * sample + row; one is not there."""
    generator = torch.Generator().manual_seed(5)
    low = torch.stack(
        (
            torch.randint(0, W - 12, (count, 3), generator=generator),
            torch.randint(0, H - 10, (count, 3), generator=generator),
        ),
        dim=-1,
    )
    extent = torch.randint(4, 12, (count, 3, 2), generator=generator)
    high = torch.minimum(low + extent, torch.tensor([W, H]))
    masks = torch.zeros(count, 3, H, W, dtype=torch.uint8)
    for b in range(count):
        for n in range(3):
            (x0, y0), (x1, y1) = low[b, n].tolist(), high[b, n].tolist()
            masks[b, n, y0:y1, x0:x1] = 1
    valid = torch.ones(count, 3, dtype=torch.bool)
    valid[1::2, 2] = False
    boxes = torch.cat((low, high), dim=-1).float()
    points = torch.stack((boxes[..., :2] + 1.5, (boxes[..., :2] + boxes[..., 2:]) / 2), dim=2)
    number = torch.arange(count)
    return {
        "image": batch_of(count),
        "boxes": boxes,
        "masks": masks,
        "keypoints": points,
        "visible": torch.full((count, 3, 2), 2),
        "labels": number[:, None] * 3 + torch.arange(3),
        "valid": valid,
        "score": torch.rand((count, 3), generator=generator),
        "mask": number.view(-1, 1, 1).expand(-1, H, W).to(torch.uint8) + 100,
        "depth": torch.arange(H * W).view(1, 1, H, W).float() + 1e4 * number.view(-1, 1, 1, 1),
    }


def params_of(params: ga.Params, name: str) -> ga.Params:
    """Return the parameters of one transform of a pipeline, the first, for itself alone."""
    one = copy.copy(params)
    one.values, one.names = {name: params.values[name]}, (name,)
    return one


def recipe(*steps: Any, size: tuple[int, int] = (H, W), **settings: Any) -> ga.Compose:
    mosaic = ga.Mosaic(target_size=(2 * size[0], 2 * size[1]), cell_shape=size, center_range=(0.25, 0.75), p=0.8)
    return ga.Compose([mosaic, *steps, ga.CenterCrop(size)], **settings)


AFFINE = {
    "affine": lambda: ga.RandomAffine(12, (0.1, 0.1), (0.7, 1.5), (-8, 8)),
    "perspective": lambda: ga.RandomPerspective(0.3, p=1.0),
    "shrunk": lambda: ga.RandomAffine(180, (0.05, 0.05), (0.4, 0.6)),
}
