"""Draw noise the size of the image, each sample from its own key."""

import functools
import math
from collections.abc import Callable
from typing import Any

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor

from gpuaug.sampling.generator import TRITON, philox4x32

_MASK = 0xFFFFFFFF


def normal_noise(keys: Tensor, channels: int, height: int, width: int) -> Tensor:
    """Draw standard normal noise, each sample from its own key.

    A sample's noise depends on its key, the size and the kind of device, not on the rest of the batch.

    Args:
        keys: one 48-bit key per sample.
        channels: number of channels.
        height: height in pixels.
        width: width in pixels.

    Shape:
        keys (B,) int64 -> (B, C, H, W) float32 on the device of the keys.

    Source:
        CPU: quantiles of the words of NumPy's SFC64, turned in pairs; elsewhere: Philox4x32-10 and Box-Muller.

    Example:
        >>> normal_noise(torch.tensor([1, 2]), 3, 8, 8).shape
        torch.Size([2, 3, 8, 8])
    """
    noise: Tensor = _normal_op(keys, channels, height, width)
    return noise


def uniform_noise(keys: Tensor, channels: int, height: int, width: int) -> Tensor:
    """Draw noise uniform in [0, 1), each sample from its own key.

    A sample's noise depends on its key, the size and the kind of device, not on the rest of the batch.

    Args:
        keys: one 48-bit key per sample.
        channels: number of channels.
        height: height in pixels.
        width: width in pixels.

    Shape:
        keys (B,) int64 -> (B, C, H, W) float32 on the device of the keys.

    Source:
        CPU: NumPy's SFC64; elsewhere: Philox4x32-10.

    Example:
        >>> uniform_noise(torch.tensor([1, 2]), 3, 8, 8).shape
        torch.Size([2, 3, 8, 8])
    """
    noise: Tensor = _uniform_op(keys, channels, height, width)
    return noise


@functools.cache
def _quantiles() -> Tensor:
    """Return the normal law's quantiles at the middles of 2**16 steps, scaled to a variance of one half."""
    place = (torch.arange(1 << 16, dtype=torch.float64) + 0.5) / (1 << 16)
    law = torch.special.ndtri(place)
    table: Tensor = (law / (2 * law.square().mean()).sqrt()).to(torch.float32)
    return table


def _draw_words(key: int, count: int, dtype: type[np.generic]) -> npt.NDArray[Any]:
    """Return random words of 16 or 32 bits from a key."""
    size = np.dtype(dtype).itemsize
    # NumPy keeps the stream of this generator, the quickest that it has, from version to version.
    source = np.random.SFC64(key & 0xFFFFFFFFFFFFFFFF)  # noqa: TID251  (a function of the key alone)
    drawn: npt.NDArray[Any] = source.random_raw(-(-count * size // 8))
    return drawn.astype("<u8", copy=False).view(np.dtype(dtype).newbyteorder("<"))[:count]


def _normal_cpu(keys: Tensor, channels: int, height: int, width: int) -> Tensor:
    noise = torch.empty((keys.shape[0], channels, height, width), dtype=torch.float32)
    count = channels * height * width
    half = (count + 1) // 2
    table = _quantiles()
    for image, key in zip(noise.unbind(0), keys.tolist(), strict=True):
        words = torch.from_numpy(_draw_words(key, 2 * half, np.uint16).astype(np.int32))
        first, second = table.index_select(0, words).split(half)
        # Sum and difference of two independent normal values are independent too. They are the quantiles turned by an
        # eighth: 2**32 values instead of 2**16, and tails as far out.
        values = image.view(-1)
        torch.add(first, second, out=values[:half])
        torch.sub(first[: count - half], second[: count - half], out=values[half:])
    return noise


def _uniform_cpu(keys: Tensor, channels: int, height: int, width: int) -> Tensor:
    noise = torch.empty((keys.shape[0], channels, height, width), dtype=torch.float32)
    for image, key in zip(noise.unbind(0), keys.tolist(), strict=True):
        words = _draw_words(key, image.numel(), np.uint32)
        image.view(-1).copy_(torch.from_numpy(np.right_shift(words, 8, out=words).view(np.int32)))
    return noise.mul_(2.0**-24)


def _words(keys: Tensor, channels: int, height: int, width: int) -> tuple[Tensor, ...]:
    """Return four uniforms for each pixel and group of four channels, (B, ceil(C / 4), H, W) each."""
    pixel = torch.arange(height * width, device=keys.device).view(1, 1, height, width)
    group = torch.arange((channels + 3) // 4, device=keys.device).view(1, -1, 1, 1)
    key = keys.view(-1, 1, 1, 1)
    zero = torch.zeros_like(group)
    words = philox4x32(pixel, group, zero, zero, key & _MASK, (key >> 32) & _MASK)
    return tuple((word >> 8).to(torch.float32) * 2.0**-24 for word in words)


def _join_lanes(lanes: list[Tensor], channels: int) -> Tensor:
    """Lay four lanes of shape (B, G, H, W) out as channels, lane fastest, and drop the surplus."""
    # Contiguous: sliced channels would keep the memory of the dropped ones alive, and the fake promises it.
    return torch.stack(lanes, dim=2).flatten(1, 2)[:, :channels].contiguous()


def _normal_philox(keys: Tensor, channels: int, height: int, width: int) -> Tensor:
    words = _words(keys, channels, height, width)
    lanes = []
    for first, second in (words[:2], words[2:]):
        # Half a step keeps the logarithm finite.
        radius = torch.sqrt(-2.0 * torch.log(first + 2.0**-25))
        angle = second * (2.0 * math.pi)
        lanes += [radius * torch.cos(angle), radius * torch.sin(angle)]
    return _join_lanes(lanes, channels)


def _uniform_philox(keys: Tensor, channels: int, height: int, width: int) -> Tensor:
    return _join_lanes(list(_words(keys, channels, height, width)), channels)


def _by_kernel(normal: bool, other: Callable[..., Tensor]) -> Callable[..., Tensor]:
    """Return what draws noise by one kernel where Triton is installed, and by tensor arithmetic elsewhere."""

    def draw(keys: Tensor, channels: int, height: int, width: int) -> Tensor:
        if not TRITON:
            return other(keys, channels, height, width)
        from gpuaug.sampling.kernels import draw_noise

        return draw_noise(keys, channels, height, width, normal)

    return draw


def _fake(keys: Tensor, channels: int, height: int, width: int) -> Tensor:
    return keys.new_empty((keys.shape[0], channels, height, width), dtype=torch.float32)


_library: Any = torch.library.Library("gpuaug", "FRAGMENT")
for _name, _cpu, _other in (
    ("normal_noise", _normal_cpu, _normal_philox),
    ("uniform_noise", _uniform_cpu, _uniform_philox),
):
    _library.define(
        f"{_name}(Tensor keys, SymInt channels, SymInt height, SymInt width) -> Tensor",
        tags=(torch.Tag.pt2_compliant_tag,),
    )
    _library.impl(_name, _other, "CompositeExplicitAutograd")
    _library.impl(_name, _cpu, "CPU")
    _library.impl(_name, _by_kernel(_name == "normal_noise", _other), "CUDA")
    torch.library.register_fake(f"gpuaug::{_name}", _fake, lib=_library)
_normal_op: Any = torch.ops.gpuaug.normal_noise.default
_uniform_op: Any = torch.ops.gpuaug.uniform_noise.default
