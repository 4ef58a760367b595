"""Values of one sample (1, C, H, W) moved or replaced, in its own dtype and unit, on the CPU: numbers may be read.

What begins with `write` or `level` writes samples (B, C, H, W) into others, of working values or of 8 bits.
"""

from __future__ import annotations

import numpy as np
import torch
from torch import Tensor

from gpuaug.functional._door import put
from gpuaug.functional.tone import solarize
from gpuaug.sampling.noise import uniform_noise

__all__ = [
    "drop_channels_one",
    "erase_one",
    "invert_bytes",
    "level_dropped",
    "level_erased",
    "level_inverted",
    "level_permuted",
    "permute_one",
    "posterize_bytes",
    "salt_and_pepper_one",
    "solarize_bytes",
    "write_dropped",
    "write_erased",
    "write_inverted",
    "write_permuted",
]

_WHOLE = 1e-4


def _in_unit(image: Tensor, white: float, values: tuple[float, ...]) -> list[float] | None:
    """Return values on the scale 0..1 in the image's unit, one for each channel; None where it cannot hold them."""
    own = [value * white for value in values]
    if not image.dtype.is_floating_point:
        whole = [round(value) for value in own]
        if any(abs(a - b) > _WHOLE or not 0 <= b <= white for a, b in zip(own, whole, strict=True)):
            return None
        own = [float(value) for value in whole]
    return own * image.shape[1] if len(own) == 1 else own


def permute_one(image: Tensor, white: float, order: Tensor) -> Tensor:
    """Put the channels into another order."""
    return image.index_select(1, order[0])


def level_permuted(out: Tensor, image: Tensor, order: Tensor) -> None:
    """Write the channels of images of the same dtype in other orders."""
    for into, planes, row in zip(out, image, order, strict=True):
        torch.index_select(planes, 0, row, out=into)


def write_permuted(out: Tensor, image: Tensor, unit: float, order: Tensor) -> None:
    """Write the channels in other orders, as working values."""
    if image.dtype == out.dtype and unit == 1:
        level_permuted(out, image, order)
    else:
        for into, planes, row in zip(out, image, order, strict=True):
            put(into, planes.index_select(0, row), unit)


def _fill_dropped(out: Tensor, dropped: Tensor, value: float) -> None:
    for planes, row in zip(out, dropped.tolist(), strict=True):
        for plane, drop in zip(planes, row, strict=True):
            if drop:
                plane.fill_(value)


def drop_channels_one(image: Tensor, white: float, dropped: Tensor, *, fill: float = 0.0) -> Tensor | None:
    """Replace some channels by a value."""
    values = _in_unit(image, white, (fill,))
    if values is None:
        return None
    out = image.clone()
    _fill_dropped(out, dropped, values[0])
    return out


def level_dropped(out: Tensor, image: Tensor, dropped: Tensor, *, fill: float = 0.0) -> None:
    """Write images of 8 bits with some channels replaced by a level."""
    out.copy_(image)
    _fill_dropped(out, dropped, _level(fill))


def write_dropped(out: Tensor, image: Tensor, unit: float, dropped: Tensor, *, fill: float = 0.0) -> None:
    """Write working values, some channels replaced."""
    put(out, image, unit)
    _fill_dropped(out, dropped, fill)


def _level(value: float) -> int:
    """Return the level of 8 bits that a working value is rounded to."""
    return round(min(max(value, 0.0), 1.0) * 255)


def invert_bytes(image: Tensor, white: float) -> Tensor | None:
    """Exchange black and white of 8 bits."""
    return image.bitwise_not() if _is_bytes(image, white) else None


def level_inverted(out: Tensor, image: Tensor) -> None:
    """Write images of 8 bits with black and white exchanged."""
    torch.bitwise_not(image, out=out)


def write_inverted(out: Tensor, image: Tensor, unit: float) -> None:
    """Write working values with black and white exchanged."""
    if image.dtype != out.dtype:
        out.copy_(image)
        image = out
    torch.add(out.new_ones(()), image, alpha=-1 / unit, out=out)


def posterize_bytes(image: Tensor, white: float, bits: Tensor) -> Tensor | None:
    """Keep some bits of 8."""
    return image.bitwise_and(256 - 2 ** round(8 - bits.item())) if _is_bytes(image, white) else None


def solarize_bytes(image: Tensor, white: float, threshold: Tensor) -> Tensor | None:
    """Invert levels of 8 bits at or above a threshold on the scale 0..1."""
    if not _is_bytes(image, white):
        return None
    ramp = torch.arange(256, dtype=torch.float32).div_(255).view(1, 1, 16, 16)
    first = 256 - int((solarize.working(ramp, threshold) != ramp).sum())
    if first in (0, 256):
        return image if first else image.bitwise_not()
    # 255 from the first level on that is inverted, else 0: arithmetic on bytes is faster than comparing them.
    return image.bitwise_xor(image.clamp(first - 1, first).sub_(first - 1).neg_())


def _is_bytes(image: Tensor, white: float) -> bool:
    return image.dtype == torch.uint8 and white == 255


def erase_one(image: Tensor, white: float, boxes: Tensor, *, value: tuple[float, ...]) -> Tensor | None:
    """Replace rectangles (1, R, 4) of top, left, height and width."""
    values = _in_unit(image, white, value)
    if values is None:
        return None
    out = image.clone()
    _fill_boxes(out, boxes, values)
    return out


def level_erased(out: Tensor, image: Tensor, boxes: Tensor, *, value: tuple[float, ...]) -> None:
    """Write images of 8 bits with rectangles replaced by levels."""
    out.copy_(image)
    levels = [float(_level(one)) for one in value]
    _fill_boxes(out, boxes, levels * image.shape[1] if len(levels) == 1 else levels)


def write_erased(out: Tensor, image: Tensor, unit: float, boxes: Tensor, *, value: tuple[float, ...]) -> None:
    """Write working values, rectangles replaced."""
    put(out, image, unit)
    _fill_boxes(out, boxes, list(value) * image.shape[1] if len(value) == 1 else list(value))


def _fill_boxes(out: Tensor, boxes: Tensor, values: list[float]) -> None:
    alike = len(set(values)) == 1
    for planes, rectangles in zip(out, boxes.tolist(), strict=True):
        for top, left, height, width in rectangles:
            rows, across = (slice(max(a, 0), max(a + n, 0)) for a, n in ((top, height), (left, width)))
            if alike:
                planes[:, rows, across].fill_(values[0])
                continue
            for plane, new in zip(planes, values, strict=True):
                plane[rows, across].fill_(new)


def salt_and_pepper_one(image: Tensor, white: float, amount: Tensor, salt: Tensor, key: Tensor) -> Tensor:
    """Make pixels white or black, drawn from `key` (1,)."""
    noise = uniform_noise(key, 1, *image.shape[2:]).flatten()
    at = torch.from_numpy(np.flatnonzero((noise < amount.to(noise.dtype)).numpy()))
    new = (noise[at] < (amount * salt).to(noise.dtype)).to(noise.dtype).mul_(white).to(image.dtype)
    out = image.clone(memory_format=torch.contiguous_format)
    out.flatten(2).index_copy_(2, at, new.expand(1, image.shape[1], -1))
    return out
