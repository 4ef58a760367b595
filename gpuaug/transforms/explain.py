"""The passes of a call, for people."""

from __future__ import annotations

import copy as copying
from typing import TYPE_CHECKING, Any

import torch

from gpuaug.data.batch import open_door
from gpuaug.geometry.canvas import Sizes, numbers
from gpuaug.transforms.rows import sampled

if TYPE_CHECKING:
    from gpuaug.transforms.layer import Layer

__all__ = ["explained"]


def explained(layer: Layer, inputs: tuple[Any, ...]) -> str:
    """Describe the passes of a call of a layer on such inputs."""
    batch, _ = open_door(inputs, type(layer).__name__, layer.settings)
    image = batch.image
    shadow = batch.map(lambda t: t.to("meta"))
    active = layer if layer.training else layer._evaluation_layer()
    with torch.no_grad():
        ghost = copying.deepcopy(active)
        shadow, params = sampled(ghost, shadow, 0)
        plan = ghost.plan(shadow, params.values)
    passes = plan.finish()
    lines = []
    sizes = numbers(batch.canvas) if isinstance(batch.canvas, Sizes) else (batch.canvas,) * len(batch)
    read = sum(h * w for h, w in sizes) * batch.channels * image.dtype.itemsize
    for number, step in enumerate(passes, 1):
        last = number == len(passes)
        size = plan.out_dtype.itemsize if last else 4
        after = numbers(step.canvas) if isinstance(step.canvas, Sizes) else (step.canvas,) * len(shadow)
        written = sum(h * w for h, w in after) * batch.channels * size
        shown = "their own sizes" if isinstance(step.canvas, Sizes) else f"{step.canvas[0]}x{step.canvas[1]}"
        lines.append(
            f"pass {number}: {', '.join(step.joined) or '-'} -> {shown}; reads {read:,} bytes, writes {written:,};"
            f" ends: {step.ended}"
        )
        read = written
    return "\n".join(lines) or "no pass: the batch comes back as it is"
