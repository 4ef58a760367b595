"""Philox4x32-10 in Triton and what is drawn from it: the uniforms of parameters, and noise, also inside the renderer.

Imported where a kernel runs only: Triton may be missing.
"""

from typing import Any

import torch
import triton
import triton.language as tl
from torch import Tensor

__all__ = ["draw_noise", "draw_uniform", "invert_beta", "normal_lanes", "philox"]


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
def normal_lanes(key, pixel, group):
    """Return four standard normal values for each pixel: `sampling.noise` elsewhere than on the CPU."""
    zero = tl.zeros(pixel.shape, tl.uint32)
    k0, k1 = (key & 0xFFFFFFFF).to(tl.uint32), ((key >> 32) & 0xFFFFFFFF).to(tl.uint32)
    w0, w1, w2, w3 = philox(pixel.to(tl.uint32), zero + group, zero, zero, k0, k1)
    # Half a step keeps the logarithm finite.
    first = tl.sqrt(-2.0 * tl.log(as_uniform(w0) + 2.9802322387695312e-08))
    second = tl.sqrt(-2.0 * tl.log(as_uniform(w2) + 2.9802322387695312e-08))
    c0, s0 = cosine_sine(as_uniform(w1))
    c1, s1 = cosine_sine(as_uniform(w3))
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
        zero = tl.zeros(pixel.shape, tl.uint32)
        k0, k1 = (key & 0xFFFFFFFF).to(tl.uint32), ((key >> 32) & 0xFFFFFFFF).to(tl.uint32)
        w0, w1, w2, w3 = philox(pixel.to(tl.uint32), zero + group.to(tl.uint32), zero, zero, k0, k1)
        a, b, c, d = as_uniform(w0), as_uniform(w1), as_uniform(w2), as_uniform(w3)
    row = out + (sample.to(tl.int64) * channels + group * 4) * pixels
    left = channels - group * 4
    tl.store(row + pixel, a, mask=pixel < pixels)
    tl.store(row + pixels + pixel, b, mask=pixel < tl.where(left > 1, pixels, 0))
    tl.store(row + pixels * 2 + pixel, c, mask=pixel < tl.where(left > 2, pixels, 0))
    tl.store(row + pixels * 3 + pixel, d, mask=pixel < tl.where(left > 3, pixels, 0))


@triton.jit
def beta_kernel(
    u, a, sa, b, sb, out, rows, width, REACH: tl.constexpr, PER: tl.constexpr, NODES: tl.constexpr, ROWS: tl.constexpr
):
    """Invert the law of one column for some rows of out (B, width): `sampling.generator.invert_beta`, in float64."""
    column = tl.program_id(1)
    p, q = tl.load(a + column * sa).to(tl.float64), tl.load(b + column * sb).to(tl.float64)
    count: tl.constexpr = 2 * REACH * PER + 1
    node = tl.arange(0, NODES)
    there = node < count
    step = 1.0 / PER
    t = node.to(tl.float64) * step - REACH
    # The logarithm of the logistic function, on both sides without overflow.
    rest = tl.log(1.0 + tl.exp(-tl.abs(t)))
    log_x, log_y = tl.minimum(t, 0.0) - rest, tl.minimum(-t, 0.0) - rest
    log_f = p * log_x + q * log_y
    peak = tl.max(tl.where(there, log_f, -1e300), axis=0)
    f = tl.where(there, tl.exp(log_f - peak), 0.0)
    slope = f * (p - (p + q) * tl.exp(log_x))
    zero = tl.zeros([], tl.float64)
    log_edge = zero - REACH - tl.log(zero + 1.0 + tl.exp(zero - REACH))
    edge = tl.exp(log_edge)
    left = tl.exp(p * log_edge - peak) * (1.0 / p - (q - 1.0) * edge / (p + 1.0))
    right = tl.exp(q * log_edge - peak) * (1.0 / q - (p - 1.0) * edge / (q + 1.0))
    first, slope_0 = tl.sum(tl.where(node == 0, f, 0.0), axis=0), tl.sum(tl.where(node == 0, slope, 0.0), axis=0)
    cdf = left + step * (tl.cumsum(f, axis=0) - 0.5 * (f + first)) - step * step / 12.0 * (slope - slope_0)
    total = tl.sum(tl.where(node == count - 1, cdf, 0.0), axis=0) + right
    for r in range(ROWS):
        row = tl.program_id(0) * ROWS + r
        inside = row < rows
        draw = tl.load(u + row.to(tl.int64) * width + column, mask=inside, other=0.5).to(tl.float64)
        below, above = (draw + 2.9802322387695312e-08) * total, (1.0 - 2.9802322387695312e-08 - draw) * total
        passed = tl.sum((there & (cdf <= below)).to(tl.int32), axis=0)
        cell = tl.minimum(tl.maximum(passed - 1, 0), count - 2)
        here, after = node == cell, node == cell + 1
        cdf_0, cdf_1 = tl.sum(tl.where(here, cdf, 0.0), axis=0), tl.sum(tl.where(after, cdf, 0.0), axis=0)
        f_0 = tl.maximum(tl.sum(tl.where(here, f, 0.0), axis=0), 1e-300)
        f_1 = tl.maximum(tl.sum(tl.where(after, f, 0.0), axis=0), 1e-300)
        rise = tl.maximum(cdf_1 - cdf_0, 1e-300)
        s = tl.minimum(tl.maximum((below - cdf_0) / rise, 0.0), 1.0)
        o = 1.0 - s
        shift = step * s * s * (3.0 - 2.0 * s) + rise * s * o * (o / f_0 - s / f_1)
        logit = cell.to(tl.float64) * step - REACH + tl.minimum(tl.maximum(shift, 0.0), step)
        x = 1.0 / (1.0 + tl.exp(-logit))
        x_left = tl.exp(tl.minimum((tl.log(below * p) + peak) / p, 0.0))
        x_right = 1.0 - tl.exp(tl.minimum((tl.log(above * q) + peak) / q, 0.0))
        x = tl.where(passed == 0, x_left, tl.where(passed == count, x_right, x))
        tl.store(out + row.to(tl.int64) * width + column, x.to(tl.float32), mask=inside)


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


def invert_beta(u: Tensor, a: Tensor, b: Tensor) -> Tensor:
    """Compute `generator.invert_beta` of u (B, n) by one kernel."""
    out = torch.empty(u.shape, dtype=torch.float32, device=u.device)
    rows, width = u.shape
    a, b = a.expand(width), b.expand(width)
    if out.numel():
        with _on(u):
            beta_kernel[(-(-rows // 4), width)](
                u.contiguous(),
                a,
                a.stride(0),
                b,
                b.stride(0),
                out,
                rows,
                width,
                REACH=10,
                PER=32,
                NODES=1024,
                ROWS=4,
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
