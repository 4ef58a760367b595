"""Scenes of blobs whose pixels say whose they are, and what a loop over samples and objects pastes of them."""

from __future__ import annotations

from typing import Any

import numpy as np
import torch
from torch import Tensor

import gpuaug as ga

H, W, N = 46, 62, 4


def blobs(batch: int, rows: int = N, h: int = H, w: int = W, seed: int = 0) -> Tensor:
    """Return masks (B, N, h, w) of ellipses that overlap within a sample: later ones lie above earlier ones."""
    rng = np.random.default_rng(seed)
    y, x = np.mgrid[:h, :w] + 0.5
    masks = np.zeros((batch, rows, h, w), dtype=bool)
    for b in range(batch):
        for n in range(rows):
            cx, cy = rng.uniform(0.15, 0.85, 2) * (w, h)
            a, c = rng.uniform((0.07, 0.07), (0.15, 0.17)) * (w, h)
            masks[b, n] = ((x - cx) / a) ** 2 + ((y - cy) / c) ** 2 < 1
            masks[b, :n] &= ~masks[b, n]
    return torch.from_numpy(masks)


def box_of(mask: Any) -> list[float]:
    """Return the box around the pixels of a mask, by NumPy."""
    y, x = np.nonzero(np.asarray(mask))
    return [x.min(), y.min(), x.max() + 1, y.max() + 1] if len(x) else [0, 0, 0, 0]


def scene(batch: int = 5, rows: int = N, seed: int = 0) -> dict[str, Tensor]:
    """Return a batch whose pixels say whose they are (1 + b) / 16, and where, with all targets."""
    masks = blobs(batch, rows, seed=seed)
    y, x = torch.meshgrid((torch.arange(H) + 0.5) / 64, (torch.arange(W) + 0.5) / 64, indexing="ij")
    whose = (1 + torch.arange(batch)) / 16
    image = torch.stack((whose[:, None, None].expand(batch, H, W), x.expand(batch, H, W), y.expand(batch, H, W)), 1)
    ids = 100 * torch.arange(batch)[:, None] + torch.arange(rows)
    boxes = torch.tensor([[box_of(m) for m in one] for one in masks], dtype=torch.float32).view(batch, rows, 4)
    points = torch.stack((boxes[..., :2] + 1.25, (boxes[..., :2] + boxes[..., 2:]) / 2), dim=2)
    return {
        "image": image.double(),
        "masks": masks,
        "boxes": boxes,
        "valid": masks.flatten(2).any(-1),
        "labels": ids % 7,
        "id": ids,
        "score": ids.double() / 10,
        "keypoints": points,
        "visible": 1 + ids[..., None].expand(batch, rows, 2) % 2,
        "mask": (10 * torch.arange(batch)[:, None, None] + (x * 64 // 9).long()).to(torch.uint8),
    }


def whole(**options: Any) -> ga.Compose:
    """Return the transform with maps of whole pixels."""
    return ga.Compose([ga.CopyPaste(scale_range=1.0, blending=False, **options)], seed=4)


def slow(data: dict[str, Tensor], params: Any) -> list[dict[str, Any]]:
    """Return what a loop over samples and objects makes of a batch, for a scale of 1."""
    drawn = params["CopyPaste"]
    out = []
    for b in range(len(data["image"])):
        j, mirrored = int(drawn.partner[b]), bool(drawn.flip[b])
        image, own = data["image"][b].clone(), data["masks"][b].clone()
        classes = data["mask"][b].clone()
        pasted, alpha = torch.zeros_like(own), torch.zeros(H, W, dtype=torch.bool)
        for n in drawn.chosen[b].nonzero().flatten().tolist():
            pasted[n] = data["masks"][j, n].flip(-1) if mirrored else data["masks"][j, n]
            alpha |= pasted[n]
        other, theirs = data["image"][j], data["mask"][j]
        image[:, alpha] = (other.flip(-1) if mirrored else other)[:, alpha]
        classes[alpha] = (theirs.flip(-1) if mirrored else theirs)[alpha]
        own &= ~alpha
        masks = torch.cat((own, pasted))
        out.append({"image": image, "mask": classes, "masks": masks, "alpha": alpha, "partner": j, "flip": mirrored})
    return out
