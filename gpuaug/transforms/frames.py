"""Clips: parameters of samples as parameters of their frames."""

from __future__ import annotations

from typing import TYPE_CHECKING

import torch

from gpuaug.data.batch import Batch

if TYPE_CHECKING:
    from gpuaug.transforms.layer import Values

__all__ = ["by_frame"]


def by_frame(values: Values, batch: Batch) -> Values:
    """Return parameters for every frame: its clip's, with noise of its own, and the same frame of a partner.

    What was drawn for each frame is theirs: an `alpha` (B, T, H, W).
    """
    if batch.frames == 1:
        return values
    frame = torch.arange(batch.frames, device=batch.image.device).repeat(batch.samples)
    by_frame = {
        name: {key: value.repeat_interleave(batch.frames, 0) for key, value in drawn.items()}
        for name, drawn in values.items()
    }
    for name, drawn in by_frame.items():
        if "key" in drawn:
            drawn["key"] = drawn["key"] + frame
        if "alpha" in drawn and drawn["alpha"].dim() == 4:
            drawn["alpha"] = values[name]["alpha"].flatten(0, 1)
        if "partner" in drawn:
            partner = drawn["partner"]
            drawn["partner"] = partner * batch.frames + frame.view(-1, *[1] * (partner.dim() - 1))
    return by_frame
