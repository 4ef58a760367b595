"""Pixel operations of noise, sensor and occlusion, each beside its definition in `functional`: codes from 96."""

import triton
import triton.language as tl

from gpuaug.render.kernels.head import clamp
from gpuaug.render.kernels.hue import from_hue, hue_of
from gpuaug.render.kernels.operands import constant, entry, lanes, number, uniforms
from gpuaug.render.kernels.statistics import partials
from gpuaug.sampling.kernels import normal_lanes, uniform_lanes

__all__ = ["speckle"]


@triton.jit
def _key(ops, strides, AT: tl.constexpr, sample):
    return tl.load(ops[AT] + sample * strides[AT])


@triton.jit
def _salted(v, u, salt, amount):
    return tl.where(u < salt, 1.0, tl.where(u < amount, 0.0, v))


@triton.jit
def _share_below(normal):
    """Return the share of the normal law below a value, to 1e-7: of few registers, which the exact one is not.

    It ends where `functional.noise.poisson` lets it end.
    """
    x = tl.abs(normal) * 0.7071067811865476
    t = 1.0 / (1.0 + 0.3275911 * x)
    tail = t * (0.254829592 + t * (-0.284496736 + t * (1.421413741 + t * (-1.453152027 + t * 1.061405429))))
    tail = 0.5 * tail * tl.exp(-x * x)
    return tl.where(normal > 0.0, 1.0 - tl.maximum(tail, 1.9073486328125e-06), tail)


@triton.jit
def _count(rate, normal, most):
    """Return counts of given rates, none above a sample's `most`: `functional.noise.poisson`."""
    few = tl.minimum(rate, 6.0)
    place = _share_below(normal)
    term = tl.exp(-few)
    below = term
    count = tl.zeros(normal.shape, tl.float32)
    most = tl.minimum(most, 6.0)
    # As many terms as matter at that rate. A loop of known length is unrolled, and keeps them all in registers.
    for k in range(1, (most + 5.0 * tl.sqrt(most)).to(tl.int32) + 4):
        count += tl.where(place > below, 1.0, 0.0)
        term = term * (few / k)
        below += term
    many = tl.maximum(rate, 6.0)
    root, square = tl.sqrt(many), normal * normal
    expanded = many + root * normal + 0.3333333333333333 + square * 0.16666666666666666
    expanded -= normal * (0.027777777777777776 + square * 0.013888888888888888) / root
    expanded += (square * 0.008641975308641974 + square * square * 0.003703703703703704 - 0.019753086419753086) / many
    return tl.where(rate < 6.0, count, tl.maximum(tl.floor(expanded), 0.0))


@triton.jit
def _power(v, exponent):
    lit = v > 0.0
    return tl.where(lit, tl.exp2(tl.log2(tl.where(lit, v, 1.0)) * exponent), 0.0)


@triton.jit
def _photons(v, scale, normal):
    one = tl.maximum(scale, 1e-12)
    count = _count(_power(clamp(v), 2.2) / one + 1e-6, normal, 1.0 / one + 1e-6)
    return tl.where(scale > 0.0, _power(tl.minimum(count * scale, 1.0), 0.45454545454545453), v)


@triton.jit
def _iso(
    a,
    b,
    c,
    ops,
    strides,
    sample,
    pixel,
    h,
    w,
    AT: tl.constexpr,
    STAT: tl.constexpr,
    PARTS: tl.constexpr,
    C: tl.constexpr,
):
    strength = number(ops, strides, AT + 1, sample)
    total = tl.sum(partials(ops, strides, STAT + 1, sample, 0, PARTS, 1), 0)
    spread = tl.sqrt(total / (h * w).to(tl.float32) + 1e-20)
    turn, normal, _, _ = normal_lanes(_key(ops, strides, AT + 2, sample), pixel, 0)
    rate = spread * strength
    count = _count(tl.zeros((1, 1), tl.float32) + rate, normal, rate)
    a, b, c = clamp(a), clamp(b), clamp(c)
    if C == 1:
        return tl.minimum(a + count * strength * (1.0 - a), 1.0), b, c
    else:
        hue, value, chroma = hue_of(a, b, c)
        light = value - 0.5 * chroma
        lit = tl.minimum(light + count * strength * (1.0 - light), 1.0)
        share = chroma / tl.maximum(1.0 - tl.abs(2.0 * light - 1.0), 1e-6)
        chroma = tl.minimum(share, 1.0) * (1.0 - tl.abs(2.0 * lit - 1.0))
        hue += 6.0 * number(ops, strides, AT, sample) * strength * turn
        a, b, c = from_hue(hue, lit + 0.5 * chroma, chroma)
        return clamp(a), clamp(b), clamp(c)


@triton.jit
def speckle(
    a, b, c, d, ops, strides, sample, y, x, h, w,
    CODE: tl.constexpr, AT: tl.constexpr, STAT: tl.constexpr, EXTRA: tl.constexpr, FIRST: tl.constexpr,
    PARTS: tl.constexpr, C: tl.constexpr, CONSTANTS: tl.constexpr, COLUMNS: tl.constexpr, SEEN: tl.constexpr,
):  # fmt: skip
    """Return the planes after one operation: see `pixels.operate`."""
    K0: tl.constexpr = COLUMNS & 127
    K1: tl.constexpr = (COLUMNS >> 7) & 127
    K2: tl.constexpr = (COLUMNS >> 14) & 127
    K3: tl.constexpr = (COLUMNS >> 21) & 127
    if CODE == 96:  # salt_and_pepper
        amount = number(ops, strides, AT, sample)
        salt = amount * number(ops, strides, AT + 1, sample)
        u, _, _, _ = uniform_lanes(_key(ops, strides, AT + 2, sample), y * w + x, 0)
        a, b, c, d = (
            _salted(a, u, salt, amount),
            _salted(b, u, salt, amount),
            _salted(c, u, salt, amount),
            _salted(d, u, salt, amount),
        )
    elif CODE == 97:  # multiplicative_noise: 1 a channel has its own, 2 a pixel has
        low = number(ops, strides, AT, sample)
        range_ = number(ops, strides, AT + 1, sample) - low
        key = _key(ops, strides, AT + 2, sample)
        place = y * w + x
        if EXTRA < 2:
            place = tl.zeros((1, 1), tl.int32)
        if EXTRA % 2 == 1:
            u0, u1, u2, u3 = uniforms(key, place, K0, K1, K2, K3)
        else:
            u0, _, _, _ = uniform_lanes(key, place, 0)
            u1, u2, u3 = u0, u0, u0
        a, b = clamp(a * (low + range_ * u0)), clamp(b * (low + range_ * u1))
        c, d = clamp(c * (low + range_ * u2)), clamp(d * (low + range_ * u3))
    elif CODE == 98:  # pixel_dropout: 64 a channel has its own, and how many values, among the constants
        prob = number(ops, strides, AT, sample)
        key, place = _key(ops, strides, AT + 1, sample), y * w + x
        if EXTRA >= 64:
            u0, u1, u2, u3 = uniforms(key, place, K0, K1, K2, K3)
        else:
            u0, _, _, _ = uniform_lanes(key, place, 0)
            u1, u2, u3 = u0, u0, u0
        VALUES: tl.constexpr = EXTRA % 64
        if VALUES == 0:
            p, q, r, s = uniforms(_key(ops, strides, AT + 2, sample), tl.zeros((1, 1), tl.int32), K0, K1, K2, K3)
            a, b = tl.where(u0 < prob, p, a), tl.where(u1 < prob, q, b)
            c, d = tl.where(u2 < prob, r, c), tl.where(u3 < prob, s, d)
        else:
            a = tl.where(u0 < prob, constant(CONSTANTS, FIRST, VALUES, K0), a)
            if C > 1:
                b = tl.where(u1 < prob, constant(CONSTANTS, FIRST, VALUES, K1), b)
            if C > 2:
                c = tl.where(u2 < prob, constant(CONSTANTS, FIRST, VALUES, K2), c)
            if C > 3:
                d = tl.where(u3 < prob, constant(CONSTANTS, FIRST, VALUES, K3), d)
    elif CODE == 99:  # shot_noise
        scale = number(ops, strides, AT, sample)
        n0, n1, n2, n3 = lanes(_key(ops, strides, AT + 1, sample), y * w + x, K0, K1, K2, K3)
        a = _photons(a, scale, n0)
        if C > 1:
            b = _photons(b, scale, n1)
        if C > 2:
            c = _photons(c, scale, n2)
        if C > 3:
            d = _photons(d, scale, n3)
    elif CODE == 100:  # iso_noise
        a, b, c = _iso(a, b, c, ops, strides, sample, y * w + x, h, w, AT, STAT, PARTS, C)
    elif CODE == 101:  # line_noise: 1 of columns, 2 a channel has its own
        sigma = number(ops, strides, AT, sample)
        key = _key(ops, strides, AT + 1, sample)
        place = y
        if EXTRA % 2 == 1:
            place = x
        if EXTRA >= 2:
            n0, n1, n2, n3 = lanes(key, place, K0, K1, K2, K3)
        else:
            n0, _, _, _ = normal_lanes(key, place, 0)
            n1, n2, n3 = n0, n0, n0
        a, b, c, d = clamp(a + sigma * n0), clamp(b + sigma * n1), clamp(c + sigma * n2), clamp(d + sigma * n3)
    elif CODE == 102:  # grid_mask
        px, py = x.to(tl.float32) + 0.5, y.to(tl.float32) + 0.5
        unit, hole = number(ops, strides, AT, sample), number(ops, strides, AT + 1, sample)
        cosine, sine = entry(ops, strides, AT + 3, sample, 0), entry(ops, strides, AT + 3, sample, 1)
        u = (px * cosine + py * sine) / unit - entry(ops, strides, AT + 2, sample, 1)
        v = (py * cosine - px * sine) / unit - entry(ops, strides, AT + 2, sample, 0)
        covered = (u - tl.floor(u) < hole) & (v - tl.floor(v) < hole)
        a = tl.where(covered, constant(CONSTANTS, FIRST, EXTRA, K0), a)
        if C > 1:
            b = tl.where(covered, constant(CONSTANTS, FIRST, EXTRA, K1), b)
        if C > 2:
            c = tl.where(covered, constant(CONSTANTS, FIRST, EXTRA, K2), c)
        if C > 3:
            d = tl.where(covered, constant(CONSTANTS, FIRST, EXTRA, K3), d)
    elif CODE == 103:  # erase_mask: width of the mask and how many values, among the constants
        covered = tl.load(ops[AT] + sample * strides[AT] + y * (EXTRA // 64) + x) != 0
        COUNT: tl.constexpr = EXTRA % 64
        a = tl.where(covered, constant(CONSTANTS, FIRST, COUNT, K0), a)
        if C > 1:
            b = tl.where(covered, constant(CONSTANTS, FIRST, COUNT, K1), b)
        if C > 2:
            c = tl.where(covered, constant(CONSTANTS, FIRST, COUNT, K2), c)
        if C > 3:
            d = tl.where(covered, constant(CONSTANTS, FIRST, COUNT, K3), d)
    return a, b, c, d
