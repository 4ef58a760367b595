"""Philox4x32-10 in Triton and what is drawn from it: the uniforms of parameters, and noise, also inside the renderer.

Imported where a kernel runs only: Triton may be missing.
"""

import math
from typing import Any

import torch
import triton
import triton.language as tl
from torch import Tensor

__all__ = ["draw_beta", "draw_noise", "draw_uniform", "normal_lanes", "philox", "uniform_lanes"]


@triton.jit
def philox(c0, c1, c2, c3, k0, k1):
    """Encrypt a counter of four uint32 words under a key of two: `sampling.generator.philox4x32`."""
    for _ in tl.static_range(10):
        high0, low0 = tl.umulhi(c0, 0xD2511F53), c0 * 0xD2511F53
        high1, low1 = tl.umulhi(c2, 0xCD9E8D57), c2 * 0xCD9E8D57
        c0, c1, c2, c3 = high1 ^ c1 ^ k0, low1, high0 ^ c3 ^ k1, low0
        k0 = k0 + 0x9E3779B9
        k1 = k1 + 0xBB67AE85
    return c0, c1, c2, c3


@triton.jit
def as_uniform(word):
    """Return a multiple of 2**-24 in [0, 1)."""
    return (word >> 8).to(tl.int32).to(tl.float32) * 5.9604644775390625e-08


@triton.jit
def cosine_sine(turn):
    """Return cosine and sine of `turn` in [0, 1) turns, to 1e-7: no reduction of large angles, so no slow path."""
    quarter = tl.floor(turn * 4.0 + 0.5)
    t = (turn - quarter * 0.25) * 6.283185307179586  # in -pi/4 .. pi/4
    q = t * t
    sine = t * (1.0 + q * (-1.6666654611e-1 + q * (8.3321608736e-3 + q * -1.9515295891e-4)))
    cosine = 1.0 + q * (-0.5 + q * (4.166664568298827e-2 + q * (-1.388731625493765e-3 + q * 2.443315711809948e-5)))
    number = quarter.to(tl.int32) & 3
    odd = (number & 1) == 1
    x, y = tl.where(odd, sine, cosine), tl.where(odd, cosine, sine)
    return tl.where((number == 1) | (number == 2), -x, x), tl.where(number >= 2, -y, y)


@triton.jit
def uniform_lanes(key, pixel, group):
    """Return four uniforms in [0, 1) for each pixel: `sampling.noise` elsewhere than on the CPU."""
    zero = tl.zeros(pixel.shape, tl.uint32)
    k0, k1 = (key & 0xFFFFFFFF).to(tl.uint32), ((key >> 32) & 0xFFFFFFFF).to(tl.uint32)
    w0, w1, w2, w3 = philox(pixel.to(tl.uint32), zero + group, zero, zero, k0, k1)
    return as_uniform(w0), as_uniform(w1), as_uniform(w2), as_uniform(w3)


@triton.jit
def normal_lanes(key, pixel, group):
    """Return four standard normal values for each pixel: `sampling.noise` elsewhere than on the CPU."""
    u0, u1, u2, u3 = uniform_lanes(key, pixel, group)
    # Half a step keeps the logarithm finite.
    first = tl.sqrt(-2.0 * tl.log(u0 + 2.9802322387695312e-08))
    second = tl.sqrt(-2.0 * tl.log(u2 + 2.9802322387695312e-08))
    c0, s0 = cosine_sine(u1)
    c1, s1 = cosine_sine(u3)
    return first * c0, first * s0, second * c1, second * s1


@triton.jit
def uniform_kernel(state, ss, ids, si, copy, sy, blocks, columns, out, total, width, BLOCK: tl.constexpr):
    """Draw out (B, width), flat: `sampling.generator.uniform`."""
    at = tl.program_id(0) * BLOCK + tl.arange(0, BLOCK)
    mask = at < total
    sample, column = at // width, at % width
    seed, clock = tl.load(state), tl.load(state + ss)
    entry = tl.load(columns + column, mask=mask, other=0)
    word = tl.load(blocks + (entry >> 2), mask=mask, other=0)
    number = tl.load(ids + sample.to(tl.int64) * si, mask=mask, other=0)
    stream = tl.load(copy + sample.to(tl.int64) * sy, mask=mask, other=0)
    zero = tl.zeros((BLOCK,), tl.uint32)
    w0, w1, w2, w3 = philox(
        zero + (clock & 0xFFFFFFFF).to(tl.uint32),
        (number & 0xFFFFFFFF).to(tl.uint32),
        (stream & 0xFFFFFFFF).to(tl.uint32),
        (word & 0xFFFFFFFF).to(tl.uint32),
        (seed & 0xFFFFFFFF).to(tl.uint32),
        ((seed >> 32) & 0xFFFFFFFF).to(tl.uint32),
    )
    lane = entry & 3
    drawn = tl.where(lane == 0, w0, tl.where(lane == 1, w1, tl.where(lane == 2, w2, w3)))
    tl.store(out + at, as_uniform(drawn), mask=mask)


@triton.jit
def noise_kernel(keys, sk, out, channels, pixels, NORMAL: tl.constexpr, BLOCK: tl.constexpr):
    """Fill out (B, channels, pixels) with noise; one program takes pixels of one group of four channels."""
    sample, group = tl.program_id(0), tl.program_id(1)
    pixel = tl.program_id(2) * BLOCK + tl.arange(0, BLOCK)
    key = tl.load(keys + sample.to(tl.int64) * sk)
    if NORMAL:
        a, b, c, d = normal_lanes(key, pixel, group)
    else:
        a, b, c, d = uniform_lanes(key, pixel, group.to(tl.uint32))
    row = out + (sample.to(tl.int64) * channels + group * 4) * pixels
    left = channels - group * 4
    tl.store(row + pixel, a, mask=pixel < pixels)
    tl.store(row + pixels + pixel, b, mask=pixel < tl.where(left > 1, pixels, 0))
    tl.store(row + pixels * 2 + pixel, c, mask=pixel < tl.where(left > 2, pixels, 0))
    tl.store(row + pixels * 3 + pixel, d, mask=pixel < tl.where(left > 3, pixels, 0))


@triton.jit
def beta_kernel(
    u, ub, un, a, an, b, bn, out, width,
    COUNT: tl.constexpr, STEP: tl.constexpr, REACH: tl.constexpr, EDGE: tl.constexpr, LOG_EDGE: tl.constexpr,
    HALF: tl.constexpr, BLOCK: tl.constexpr,
):  # fmt: skip
    """Invert the CDF of one Beta law for one number: `sampling.generator.invert_beta`, all nodes in one program."""
    at = tl.program_id(0)
    sample, column = at // width, at % width
    v = tl.load(u + sample.to(tl.int64) * ub + column * un).to(tl.float64)
    p, q = tl.load(a + column * an).to(tl.float64), tl.load(b + column * bn).to(tl.float64)
    k = tl.arange(0, BLOCK)
    there = k < COUNT
    t = k.to(tl.float64) * STEP - REACH
    rest = tl.log(1.0 + tl.exp(-tl.abs(t)))
    log_x, log_y = tl.minimum(t, 0.0) - rest, tl.minimum(-t, 0.0) - rest
    log_f = tl.where(there, p * log_x + q * log_y, float("-inf"))
    peak = tl.max(log_f, 0)
    f = tl.where(there, tl.exp(log_f - peak), 0.0)
    slope = f * (p - (p + q) * tl.exp(log_x))
    first, last = k == 0, k == COUNT - 1
    f_first, slope_first = tl.sum(tl.where(first, f, 0.0), 0), tl.sum(tl.where(first, slope, 0.0), 0)
    left = tl.exp(p * LOG_EDGE - peak) * (1.0 / p - (q - 1.0) * EDGE / (p + 1.0))
    right = tl.exp(q * LOG_EDGE - peak) * (1.0 / q - (p - 1.0) * EDGE / (q + 1.0))
    cdf = left + STEP * (tl.cumsum(f, 0) - 0.5 * (f + f_first)) - STEP * STEP / 12.0 * (slope - slope_first)
    total = tl.sum(tl.where(last, cdf, 0.0), 0) + right
    below, above = (v + HALF) * total, (1.0 - HALF - v) * total
    passed = tl.sum((there & (cdf <= below)).to(tl.int32), 0)
    cell = tl.minimum(tl.maximum(passed - 1, 0), COUNT - 2)
    here, after = k == cell, k == cell + 1
    cdf_0, cdf_1 = tl.sum(tl.where(here, cdf, 0.0), 0), tl.sum(tl.where(after, cdf, 0.0), 0)
    f_0 = tl.maximum(tl.sum(tl.where(here, f, 0.0), 0), 1e-300)
    f_1 = tl.maximum(tl.sum(tl.where(after, f, 0.0), 0), 1e-300)
    rise = tl.maximum(cdf_1 - cdf_0, 1e-300)
    s = tl.minimum(tl.maximum((below - cdf_0) / rise, 0.0), 1.0)
    r = 1.0 - s
    shift = STEP * s * s * (3.0 - 2.0 * s) + rise * s * r * (r / f_0 - s / f_1)
    shift = tl.minimum(tl.maximum(shift, 0.0), STEP)
    x = 1.0 / (1.0 + tl.exp(-(cell.to(tl.float64) * STEP - REACH + shift)))
    x_left = tl.exp(tl.minimum((tl.log(below * p) + peak) / p, 0.0))
    x_right = 1.0 - tl.exp(tl.minimum((tl.log(above * q) + peak) / q, 0.0))
    x = tl.where(passed == 0, x_left, tl.where(passed == COUNT, x_right, x))
    tl.store(out + at, x.to(tl.float32))


def _on(x: Tensor) -> Any:
    return torch.cuda.device(x.device) if x.device.type == "cuda" else torch.no_grad()


def draw_uniform(state: Tensor, ids: Tensor, copy: Tensor, blocks: Tensor, columns: Tensor) -> Tensor:
    """Compute `generator.uniform` by one kernel."""
    out = torch.empty((ids.shape[0], columns.shape[0]), dtype=torch.float32, device=ids.device)
    block = 256 if isinstance(uniform_kernel, triton.JITFunction) else 4096
    if out.numel():
        with _on(ids):
            uniform_kernel[(-(-out.numel() // block),)](
                state,
                state.stride(0),
                ids,
                ids.stride(0),
                copy,
                copy.stride(0) if copy.shape[0] > 1 else 0,
                blocks.contiguous(),
                columns.contiguous(),
                out,
                out.numel(),
                columns.shape[0],
                BLOCK=block,
                num_warps=4,
            )
    return out


def draw_noise(keys: Tensor, channels: int, height: int, width: int, normal: bool) -> Tensor:
    """Compute `noise.normal_noise` or `noise.uniform_noise` by one kernel."""
    out = torch.empty((keys.shape[0], channels, height, width), dtype=torch.float32, device=keys.device)
    block = 512 if isinstance(noise_kernel, triton.JITFunction) else 1 << max(height * width - 1, 0).bit_length()
    if out.numel():
        with _on(keys):
            noise_kernel[(keys.shape[0], -(-channels // 4), -(-height * width // block))](
                keys, keys.stride(0), out, channels, height * width, NORMAL=normal, BLOCK=block, num_warps=4
            )
    return out


def draw_beta(u: Tensor, a: Tensor, b: Tensor, count: int, step: float, reach: float, half: float) -> Tensor:
    """Compute `generator.invert_beta` by one kernel; a and b have one number for each column, or one."""
    out = torch.empty(u.shape, dtype=torch.float32, device=u.device)
    edge = math.exp(-reach) / (1.0 + math.exp(-reach))
    steps = [0 if t.numel() == 1 else t.stride(-1) for t in (a, b)]
    if out.numel():
        with _on(u):
            beta_kernel[(out.numel(),)](
                u,
                *u.stride(),
                a,
                steps[0],
                b,
                steps[1],
                out,
                u.shape[1],
                COUNT=count,
                STEP=step,
                REACH=reach,
                EDGE=edge,
                LOG_EDGE=math.log(edge),
                HALF=half,
                BLOCK=1 << (count - 1).bit_length(),
                num_warps=4,
            )
    return out
