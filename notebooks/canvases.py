"""Digits on canvases of 2x2 places, a small net that says where which one is, and its training: for mosaic.ipynb.

No detector: the net gives a map of 8x8 cells with a number for each class, and is told which cell the middle of which
box lies in. What a mosaic does to boxes and classes decides what it learns.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import torch
from sklearn.metrics import average_precision_score
from torch import Tensor, nn
from torch.nn import functional as F

import gpuaug as ga
from gpuaug.demo import load_digits

SIDE, CELLS, CLASSES = 48, 8, 10
DIGIT = 16

Batch = dict[str, Tensor]


def canvases(images: Tensor, labels: Tensor, count: int, seed: int) -> Batch:
    """Paste digits onto canvases: each of 2x2 places holds one in three of four cases, anywhere within it.

    Args:
        images: (N, 1, 16, 16) uint8.
        labels: (N,).
        count: number of canvases.
        seed: of what is where.

    Returns:
        `image` (count, 1, 48, 48) uint8, `boxes` (count, 4, 4), `labels` (count, 4) and `valid` (count, 4).
    """
    rng = np.random.default_rng(seed)
    room = SIDE // 2 - DIGIT
    image = torch.zeros(count, 1, SIDE, SIDE, dtype=torch.uint8)
    boxes, classes = torch.zeros(count, 4, 4), torch.zeros(count, 4, dtype=torch.int64)
    valid = torch.from_numpy(rng.random((count, 4)) < 0.75)
    for b in range(count):
        for k in range(4):
            if not valid[b, k]:
                continue
            which = int(rng.integers(len(images)))
            x, y = (int(rng.integers(room + 1)) + (k >> axis & 1) * SIDE // 2 for axis in (0, 1))
            image[b, :, y : y + DIGIT, x : x + DIGIT] = images[which]
            boxes[b, k] = torch.tensor([x, y, x + DIGIT, y + DIGIT])
            classes[b, k] = labels[which]
    return {"image": image, "boxes": boxes, "labels": classes, "valid": valid}


def data(train: int, seed: int) -> tuple[Batch, Batch]:
    """Return canvases to learn from, of few digits, and others of digits that are not among them."""
    digits = load_digits(150, seed)
    learnt = canvases(digits.train_images, digits.train_labels, train, seed)
    return learnt, canvases(digits.test_images, digits.test_labels, 400, seed + 1)


def recipe(mixing: bool, seed: int) -> ga.Compose:
    """Return what canvases go through: a mosaic and a mix of two, and the values that the net takes; or these alone."""
    mixes = [ga.Mosaic(p=0.7, center_range=(0.25, 0.75)), ga.MixUp(alpha=8.0, p=0.2, labels_getter=None)]
    steps = [*(mixes if mixing else []), ga.Normalize((0.5,), (0.5,))]
    return ga.Compose(steps, seed=seed, bbox_params=ga.BboxParams(min_visibility=0.5))


def target(batch: Batch) -> Tensor:
    """Return (B, classes, 8, 8): 1 in the cell in which the middle of a box of the class lies."""
    middle = (batch["boxes"][..., :2] + batch["boxes"][..., 2:]) / 2
    place = (middle * (CELLS / SIDE)).long().clamp(0, CELLS - 1)
    index = (batch["labels"] * CELLS + place[..., 1]) * CELLS + place[..., 0]
    flat = torch.zeros(len(index), CLASSES * CELLS * CELLS)
    flat.scatter_reduce_(1, index, batch["valid"].float(), "amax")
    return flat.view(-1, CLASSES, CELLS, CELLS)


def net(seed: int) -> nn.Module:
    """Return a small convolutional net, (B, 1, 48, 48) to (B, classes, 8, 8)."""
    torch.manual_seed(seed)

    def block(inputs: int, outputs: int, stride: int) -> list[nn.Module]:
        conv = nn.Conv2d(inputs, outputs, 3, stride, padding=1, bias=False)
        return [conv, nn.BatchNorm2d(outputs), nn.ReLU()]

    last = nn.Conv2d(64, CLASSES, 1)
    nn.init.constant_(last.bias, -4.0)  # most cells hold nothing
    blocks = [*block(1, 24, 2), *block(24, 48, 1), *block(48, 64, 3), *block(64, 64, 1)]
    return nn.Sequential(*blocks, last)


def fit(learnt: Batch, augment: Callable[[Any], Any], steps: int, seed: int, batch: int = 24) -> nn.Module:
    """Train a net on canvases that were augmented; the order and the first weights are those of the seed."""
    model, order = net(seed), torch.Generator().manual_seed(seed)
    optimiser = torch.optim.AdamW(model.parameters(), lr=3e-3, weight_decay=0.02)
    schedule = torch.optim.lr_scheduler.OneCycleLR(optimiser, 6e-3, steps)
    for _ in range(steps):
        rows = torch.randint(len(learnt["image"]), (batch,), generator=order)
        shown = augment({key: value[rows] for key, value in learnt.items()})
        loss = F.binary_cross_entropy_with_logits(model(shown["image"]), target(shown), reduction="sum") / batch
        optimiser.zero_grad()
        loss.backward()
        optimiser.step()
        schedule.step()
    return model.eval()


@torch.no_grad()
def score(model: nn.Module, prepare: Callable[[Any], Any], held_out: Batch) -> float:
    """Return the mean over classes of the average precision of all cells, in [0, 1]."""
    shown = prepare(held_out)
    found, truth = model(shown["image"]).transpose(0, 1).flatten(1), target(held_out).transpose(0, 1).flatten(1)
    return float(np.mean([average_precision_score(t, f) for f, t in zip(found.numpy(), truth.numpy(), strict=True)]))
