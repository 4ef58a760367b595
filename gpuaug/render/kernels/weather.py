"""Pixel operations of weather and paper, each beside its definition in `functional`: codes from 67."""

import triton
import triton.language as tl

from gpuaug.render.kernels.head import clamp
from gpuaug.render.kernels.operands import component, constant, laid, lanes, number

__all__ = ["weather"]


@triton.jit
def _shadow(ops, strides, sample, y, x, AT: tl.constexpr, POLYGONS: tl.constexpr, SIDES: tl.constexpr):
    """Return the gain of polygons (POLYGONS, SIDES, 2), by how often a ray to the right crosses their sides."""
    px, py = x.to(tl.float32), y.to(tl.float32)
    gain = tl.zeros_like(px + py) + 1.0
    for k in tl.static_range(POLYGONS):
        inside = (px + py) != (px + py)
        for n in tl.static_range(SIDES):
            m = (n + 1) % SIDES
            x0 = component(ops, strides, AT, sample, (k * SIDES + n) * 2)
            y0 = component(ops, strides, AT, sample, (k * SIDES + n) * 2 + 1)
            x1 = component(ops, strides, AT, sample, (k * SIDES + m) * 2)
            y1 = component(ops, strides, AT, sample, (k * SIDES + m) * 2 + 1)
            left = ((px - x0) * (y1 - y0) < (py - y0) * (x1 - x0)) == (y1 > y0)
            inside = inside ^ (((y0 <= py) != (y1 <= py)) & left)
        gain = tl.where(inside, gain * (1.0 - component(ops, strides, AT + 1, sample, k)), gain)
    return gain


@triton.jit
def _creased(ops, strides, sample, y, x, AT: tl.constexpr, LINES: tl.constexpr):
    """Return the gain of creases, and how far they are worn to white."""
    px, py = x.to(tl.float32), y.to(tl.float32)
    gain = tl.zeros_like(px + py) + 1.0
    worn = tl.zeros_like(gain)
    for k in tl.static_range(LINES):
        nx, ny = component(ops, strides, AT, sample, k * 4), component(ops, strides, AT, sample, k * 4 + 1)
        offset, width = component(ops, strides, AT, sample, k * 4 + 2), component(ops, strides, AT, sample, k * 4 + 3)
        t = (nx * px + ny * py - offset) / width
        square = t * t
        gain += component(ops, strides, AT + 1, sample, k * 3) * t * tl.exp(0.5 - 0.5 * square)
        gain += component(ops, strides, AT + 1, sample, k * 3 + 1) * (2.0 / (1.0 + tl.exp(tl.minimum(-t, 80.0))) - 1.0)
        worn += component(ops, strides, AT + 1, sample, k * 3 + 2) * tl.exp(-4.0 * square)
    return gain, tl.minimum(worn, 1.0)


@triton.jit
def _crease(v, gain, worn):
    lit = v * gain
    return clamp(lit + (1.0 - lit) * worn)


@triton.jit
def _streaks(
    ops, strides, sample, y, x, h,
    AT: tl.constexpr, LAYERS: tl.constexpr, ROWS: tl.constexpr, ACROSS: tl.constexpr,
    WIDTH: tl.constexpr, BLUR: tl.constexpr,
):  # fmt: skip
    """Return how much of streaks of rain there is: see `functional.rain`."""
    cell_w, cell_h = component(ops, strides, AT + 1, sample, 0), component(ops, strides, AT + 1, sample, 1)
    shear, length = component(ops, strides, AT + 1, sample, 2), component(ops, strides, AT + 1, sample, 3)
    px = x.to(tl.float32) - shear * y.to(tl.float32) + tl.maximum(shear * (h - 1).to(tl.float32), 0.0)
    py = y.to(tl.float32) + cell_h
    column, level = tl.floor(px / cell_w), tl.floor(py / cell_h)
    toward = tl.where(px - column * cell_w < 0.5 * cell_w, -1.0, 1.0)
    total = tl.zeros_like(px)
    for n in range(4 * LAYERS):  # at run time: what is unrolled would keep too many numbers in registers
        q, r = column + toward * (n % 2), level - (n // 2) % 2
        there = (q >= 0.0) & (q < ACROSS) & (r >= 0.0) & (r < ROWS)
        row = tl.minimum(tl.maximum(r, 0.0), ROWS - 1.0).to(tl.int32) + n // 4 * ROWS
        at = row * ACROSS + tl.minimum(tl.maximum(q, 0.0), ACROSS - 1.0).to(tl.int32)
        cell = ops[AT] + sample * strides[AT] + at * 2
        begin_x, begin_y = tl.load(cell), tl.load(cell + 1)
        from_side = 0.5 * (WIDTH + BLUR) - tl.abs(px - (q + begin_x) * cell_w)
        from_top = py - (r + begin_y) * cell_h
        side = tl.minimum(tl.maximum(from_side, 0.0), min(WIDTH, BLUR)) / BLUR
        ends = tl.minimum(tl.maximum(tl.minimum(from_top, length + BLUR - from_top), 0.0), BLUR)
        total += tl.where(there & (begin_x >= 0.0), side * tl.minimum(ends, length) / BLUR, 0.0)
    return tl.minimum(total, 1.0)


@triton.jit
def _wet(v, streaks, added, brightness):
    return clamp(v + streaks * added) * brightness


@triton.jit
def _extremes(a, b, c, C: tl.constexpr):
    if C == 3:
        return tl.maximum(tl.maximum(a, b), c), tl.minimum(tl.minimum(a, b), c)
    else:
        return a, a


@triton.jit
def _lying(v, gain, white, much, sparkles, cool):
    v = clamp(v * gain + white)
    return tl.where(sparkles, 1.0, v + 0.15 * much * (cool - v))


@triton.jit
def _toward(v, share, color):
    return v + (color - v) * share


@triton.jit
def _distance(ops, strides, AT: tl.constexpr, sample, y, x, FIRST: tl.constexpr):
    dx = x.to(tl.float32) - component(ops, strides, AT, sample, FIRST)
    dy = y.to(tl.float32) - component(ops, strides, AT, sample, FIRST + 1)
    return dx * dx + dy * dy


@triton.jit
def _seen_through(ops, strides, sample, y, x, AT: tl.constexpr, RADIUS: tl.constexpr, STEPS: tl.constexpr):
    """Return how much shows through a sun: its place and a table of STEPS are the operands from AT on."""
    at = (tl.sqrt(_distance(ops, strides, AT, sample, y, x, 0)) - 1.0) * ((STEPS - 1) / (RADIUS - 1.0))
    at = tl.minimum(tl.maximum(at, 0.0), STEPS - 1.0)
    first = tl.minimum(at.to(tl.int32), STEPS - 2)
    table = ops[AT + 1] + sample * strides[AT + 1]
    low, high = tl.load(table + first), tl.load(table + first + 1)
    return low + (high - low) * (at - first.to(tl.float32))


@triton.jit
def _spike(dx, dy, SX: tl.constexpr, SY: tl.constexpr, SPREAD: tl.constexpr):
    """Return a soft ray of two pixels in one direction."""
    side, along = dx * SY - dy * SX, dx * SX + dy * SY
    ray = tl.exp(side * side * (-0.5 / (SPREAD * SPREAD))) * (0.7978845608028654 / SPREAD)
    return ray * (0.5 + 0.5 * tl.erf(along / (1.4142135623730951 * SPREAD)))


@triton.jit
def _halo(v, dx, dy, distance, near, light, RADIUS: tl.constexpr, SPREAD: tl.constexpr):
    """Return a value after a soft sun with four spikes."""
    disc = 0.5 - 0.5 * tl.erf((distance - RADIUS) / (1.4142135623730951 * SPREAD))
    spikes = _spike(dx, dy, 1.0, 0.0, SPREAD) + _spike(dx, dy, 0.7071067811865476, 0.7071067811865476, SPREAD)
    spikes += _spike(dx, dy, 0.0, 1.0, SPREAD) + _spike(dx, dy, -0.7071067811865476, 0.7071067811865476, SPREAD)
    glow = tl.minimum(disc + (1.0 - disc) * spikes, 1.0) * near * light
    return clamp(1.0 - (1.0 - v) * (1.0 - glow))


@triton.jit
def weather(
    a, b, c, d, ops, strides, sample, y, x, h, w,
    CODE: tl.constexpr, AT: tl.constexpr, EXTRA: tl.constexpr, FIRST: tl.constexpr, C: tl.constexpr,
    CONSTANTS: tl.constexpr, COLUMNS: tl.constexpr, SEEN: tl.constexpr,
):  # fmt: skip
    """Return the planes after one operation: see `pixels.operate`."""
    K0: tl.constexpr = COLUMNS & 127
    K1: tl.constexpr = (COLUMNS >> 7) & 127
    K2: tl.constexpr = (COLUMNS >> 14) & 127
    K3: tl.constexpr = (COLUMNS >> 21) & 127
    if CODE == 67:  # cast_shadows: polygons and sides, eight bits each
        gain = _shadow(ops, strides, sample, y, x, AT, EXTRA & 255, EXTRA >> 8)
        a, b, c, d = clamp(a * gain), clamp(b * gain), clamp(c * gain), clamp(d * gain)
    elif CODE == 68:  # crease: lines
        gain, worn = _creased(ops, strides, sample, y, x, AT, EXTRA)
        a, b, c, d = _crease(a, gain, worn), _crease(b, gain, worn), _crease(c, gain, worn), _crease(d, gain, worn)
    elif CODE == 69:  # rain: layers, rows, columns and how many colours, eight bits each; width, blur, brightness
        LAYERS: tl.constexpr = EXTRA & 255
        ROWS: tl.constexpr = (EXTRA >> 8) & 255
        ACROSS: tl.constexpr = (EXTRA >> 16) & 255
        ADDED: tl.constexpr = EXTRA >> 24
        streaks = _streaks(
            ops, strides, sample, y, x, h, AT, LAYERS, ROWS, ACROSS, CONSTANTS[FIRST], CONSTANTS[FIRST + 1]
        )
        bright = CONSTANTS[FIRST + 2]
        a = _wet(a, streaks, constant(CONSTANTS, FIRST + 3, ADDED, K0), bright)
        if C > 1:
            b = _wet(b, streaks, constant(CONSTANTS, FIRST + 3, ADDED, K1), bright)
        if C > 2:
            c = _wet(c, streaks, constant(CONSTANTS, FIRST + 3, ADDED, K2), bright)
        if C > 3:
            d = _wet(d, streaks, constant(CONSTANTS, FIRST + 3, ADDED, K3), bright)
    elif CODE == 70:  # snow_bleach
        a, b, c = clamp(a), clamp(b), clamp(c)
        high, low = _extremes(a, b, c, C)
        light = 0.5 * (high + low)
        brighter = tl.minimum(light * CONSTANTS[FIRST], 1.0)
        chroma = (1.0 - tl.abs(2.0 * brighter - 1.0)) / tl.maximum(1.0 - tl.abs(2.0 * light - 1.0), 1e-6)
        dark = light < number(ops, strides, AT, sample)
        a = clamp(tl.where(dark, brighter + (a - light) * chroma, a))
        b = clamp(tl.where(dark, brighter + (b - light) * chroma, b))
        c = clamp(tl.where(dark, brighter + (c - light) * chroma, c))
    elif CODE == 71:  # snow_texture: rows and columns of the map, 13 bits each
        a, b, c = clamp(a), clamp(b), clamp(c)
        high, low = _extremes(a, b, c, C)
        much = number(ops, strides, AT, sample)
        gain = tl.minimum(1.0 + CONSTANTS[FIRST] * much, 1.0 / tl.maximum(high, 1e-6))
        fall = 1.0 - 0.8 * y.to(tl.float32) / tl.maximum(h - 1, 1).to(tl.float32)
        white = laid(ops, strides, AT + 1, sample, y, x, h, w, EXTRA & 8191, EXTRA >> 13) * fall * much
        n0, _n1, _n2, _n3 = lanes(tl.load(ops[AT + 2] + sample * strides[AT + 2]), y * w + x, 0, 1, 2, 3)
        sparkles = n0 > 2.3263479
        a = _lying(a, gain, white, much, sparkles, 0.9 if C == 3 else 0.95)
        b = _lying(b, gain, white, much, sparkles, 0.95)
        c = _lying(c, gain, white, much, sparkles, 1.0)
    elif CODE == 72:  # sun_flare: circles, steps, channels of the circles, colours of the sun, 8 bits each
        OWN: tl.constexpr = (EXTRA >> 16) & 255
        SUN: tl.constexpr = EXTRA >> 24
        for m in tl.static_range(EXTRA & 255):
            r = component(ops, strides, AT, sample, m * 4 + 2)
            far = _distance(ops, strides, AT, sample, y, x, m * 4)
            share = tl.where(far <= r * r, component(ops, strides, AT, sample, m * 4 + 3), 0.0)
            a = _toward(a, share, component(ops, strides, AT + 1, sample, m * OWN + K0))
            if C > 1:
                b = _toward(b, share, component(ops, strides, AT + 1, sample, m * OWN + K1))
            if C > 2:
                c = _toward(c, share, component(ops, strides, AT + 1, sample, m * OWN + K2))
            if C > 3:
                d = _toward(d, share, component(ops, strides, AT + 1, sample, m * OWN + K3))
        hidden = 1.0 - _seen_through(ops, strides, sample, y, x, AT + 2, CONSTANTS[FIRST], (EXTRA >> 8) & 255)
        a = clamp(_toward(a, hidden, constant(CONSTANTS, FIRST + 1, SUN, K0)))
        if C > 1:
            b = clamp(_toward(b, hidden, constant(CONSTANTS, FIRST + 1, SUN, K1)))
        if C > 2:
            c = clamp(_toward(c, hidden, constant(CONSTANTS, FIRST + 1, SUN, K2)))
        if C > 3:
            d = clamp(_toward(d, hidden, constant(CONSTANTS, FIRST + 1, SUN, K3)))
    elif CODE == 73:  # sun_halo: colours
        dx = x.to(tl.float32) - component(ops, strides, AT, sample, 0)
        dy = y.to(tl.float32) - component(ops, strides, AT, sample, 1)
        away = tl.sqrt(dx * dx + dy * dy)
        near = clamp(1.0 - away / number(ops, strides, AT + 1, sample))
        RADIUS: tl.constexpr = CONSTANTS[FIRST]
        RED: tl.constexpr = 15.297058540778355 if SEEN == 3 else 15.0
        BLUE: tl.constexpr = 15.811388300841896 if SEEN == 3 else 15.0
        S0: tl.constexpr = RED if K0 == 0 else (BLUE if K0 == 2 else 15.0)
        a = _halo(a, dx, dy, away, near, constant(CONSTANTS, FIRST + 1, EXTRA, K0), RADIUS, S0)
        if C > 1:
            S1: tl.constexpr = RED if K1 == 0 else (BLUE if K1 == 2 else 15.0)
            b = _halo(b, dx, dy, away, near, constant(CONSTANTS, FIRST + 1, EXTRA, K1), RADIUS, S1)
        if C > 2:
            S2: tl.constexpr = RED if K2 == 0 else (BLUE if K2 == 2 else 15.0)
            c = _halo(c, dx, dy, away, near, constant(CONSTANTS, FIRST + 1, EXTRA, K2), RADIUS, S2)
        if C > 3:
            S3: tl.constexpr = 15.0
            d = _halo(d, dx, dy, away, near, constant(CONSTANTS, FIRST + 1, EXTRA, K3), RADIUS, S3)
    return a, b, c, d
