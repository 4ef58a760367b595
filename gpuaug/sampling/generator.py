"""Draw uniform random numbers from counters: the same in any batch, on any device, eager or compiled.

Also the one inverse CDF that has no closed form.
"""

import importlib.util
import math
import sys
import zlib
from functools import lru_cache
from typing import Any

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor

# Uniforms are multiples of 2**-24: the middle of the step keeps infinite tails finite and the law symmetric.
HALF_STEP = 2.0**-25

_MASK = 0xFFFFFFFF
_MULTIPLIERS = (0xD2511F53, 0xCD9E8D57)
_WEYL = (0x9E3779B9, 0xBB67AE85)
_ROUNDS = 10
_LANES = 4
_MAX_BLOCKS = 256
_BETA_REACH = 10.0
_BETA_NODES_PER_UNIT = 32

# The same constants as NumPy arrays, shaped to act on words (0, 2) and on the two key words at once.
_NP_MASK = np.uint64(_MASK)
_NP_MULTIPLIERS = np.array(_MULTIPLIERS, dtype=np.uint64)[:, None]
_NP_WEYL = np.arange(_ROUNDS, dtype=np.uint64)[:, None] * np.array(_WEYL, dtype=np.uint64)
_LOW = 0 if sys.byteorder == "little" else 1
"""Where the low half of 64 bits lies."""

TRITON = importlib.util.find_spec("triton") is not None
"""Whether Triton is installed; it is imported where a kernel runs."""

_NumpyWords = npt.NDArray[np.uint64]


def philox4x32(
    c0: Tensor, c1: Tensor, c2: Tensor, c3: Tensor, k0: Tensor, k1: Tensor
) -> tuple[Tensor, Tensor, Tensor, Tensor]:
    """Encrypt a 128-bit counter under a 64-bit key into four 32-bit random words.

    Args:
        c0: first counter word, int64 in [0, 2**32).
        c1: second counter word.
        c2: third counter word.
        c3: fourth counter word.
        k0: first key word, int64 in [0, 2**32).
        k1: second key word.

    Shape:
        Any shapes that broadcast -> four int64 tensors of the broadcast shape, values in [0, 2**32).

    Source:
        Salmon et al. 2011, "Parallel random numbers: as easy as 1, 2, 3"; equals Random123's philox4x32-10.

    Example:
        >>> zero = torch.zeros(3, dtype=torch.int64)
        >>> [hex(int(word[0])) for word in philox4x32(zero, zero, zero, zero, zero, zero)]
        ['0x6627e8d5', '0xe169c58d', '0xbc57ac4c', '0x9b00dbd8']
    """
    for _ in range(_ROUNDS):
        high0, low0 = _multiply(c0, _MULTIPLIERS[0])
        high1, low1 = _multiply(c2, _MULTIPLIERS[1])
        c0, c1, c2, c3 = high1 ^ c1 ^ k0, low1, high0 ^ c3 ^ k1, low0
        k0, k1 = (k0 + _WEYL[0]) & _MASK, (k1 + _WEYL[1]) & _MASK
    return c0, c1, c2, c3


def _multiply(word: Tensor, multiplier: int) -> tuple[Tensor, Tensor]:
    """Return the high and the low 32 bits of a product."""
    # Multiplying by (multiplier - 2**32) stays inside int64: signed overflow is undefined in Inductor's C++.
    product = word * (multiplier - (1 << 32))
    return (product >> 32) + word, product & _MASK


def philox4x32_numpy(
    c0: _NumpyWords, c1: _NumpyWords, c2: _NumpyWords, c3: _NumpyWords, k0: int, k1: int
) -> tuple[_NumpyWords, _NumpyWords, _NumpyWords, _NumpyWords]:
    """Encrypt as `philox4x32` does, in NumPy: a fraction of the host time for small batches.

    Args:
        c0: first counter word, uint64 in [0, 2**32).
        c1: second counter word.
        c2: third counter word.
        c3: fourth counter word.
        k0: first key word, one for all counters.
        k1: second key word.

    Shape:
        Any shapes that broadcast -> four uint64 arrays of the broadcast shape.

    Source:
        Salmon et al. 2011; equals Random123's philox4x32-10.
    """
    shape = np.broadcast_shapes(c0.shape, c1.shape, c2.shape, c3.shape)
    # Words (0, 2) and (1, 3) go through each round as one array. Halves of products are read where they lie: the
    # words that are multiplied next are written into the low halves of 64 bits, whose high halves stay zero.
    even = np.zeros((2, *shape), dtype=np.uint64)
    odd = np.empty((2, *shape), dtype=np.uint32)
    even[0], odd[0], even[1], odd[1] = c0, c1, c2, c3
    even, odd = even.reshape(2, -1), odd.reshape(2, -1)
    word = even.view(np.uint32)[:, _LOW::2]
    products = [np.empty_like(even), np.empty_like(even)]
    halves = [product.view(np.uint32)[::-1] for product in products]
    high, low = ([half[:, start::2] for half in halves] for start in (1 - _LOW, _LOW))
    for number, key in enumerate(_round_keys(k0, k1)):
        i = number & 1
        np.multiply(even, _NP_MULTIPLIERS, out=products[i])
        np.bitwise_xor(high[i], odd, out=word)
        np.bitwise_xor(word, key, out=word)
        odd = low[i]
    even, odd = even.reshape(2, *shape), odd.reshape(2, *shape).astype(np.uint64)
    return even[0], odd[0], even[1], odd[1]


@lru_cache(maxsize=64)
def _round_keys(k0: int, k1: int) -> list[npt.NDArray[np.uint32]]:
    """Return the two key words of every round, (2, 1)."""
    keys = (_NP_WEYL + np.array((k0, k1), dtype=np.uint64)) & _NP_MASK
    return list(keys.astype(np.uint32).reshape(_ROUNDS, 2, 1))


def column_words(name: str, count: int) -> tuple[list[int], list[int]]:
    """Name the counter word and the lane of each uniform column that a transform draws.

    Args:
        name: class and occurrence of the transform; it alone decides the words.
        count: number of columns, 0 to 1024.

    Returns:
        For each column, the 32-bit counter word (24 bits of hash, 8 of block index) and the lane 0 to 3.

    Raises:
        ValueError: count is negative or above 1024.

    Example:
        >>> words, lanes = column_words("RandomRotation", 5)
        >>> lanes, words[4] - words[0]
        ([0, 1, 2, 3, 0], 1)
    """
    if not 0 <= count <= _MAX_BLOCKS * _LANES:
        raise ValueError(f"column_words: count must be in [0, {_MAX_BLOCKS * _LANES}], got {count!r}")
    # crc32 is stable over processes and versions; Python's hash() is not. The top byte is folded in.
    crc = zlib.crc32(name.encode())
    base = ((crc ^ (crc >> 24)) & 0xFFFFFF) << 8
    return [base | (k // _LANES) for k in range(count)], [k % _LANES for k in range(count)]


def uniform(state: Tensor, ids: Tensor, copy: Tensor, blocks: Tensor, columns: Tensor) -> Tensor:
    """Draw one row of uniforms per sample, each value fixed by (seed, clock, id, copy, column) alone.

    Bit-identical on every device, eager or compiled, whatever else is in the batch.

    Args:
        state: (seed, clock); the seed is the key, the clock a counter word.
        ids: one id per sample; the low 32 bits count.
        copy: which copy of the sample: one for all or one per sample.
        blocks: the unique counter words, from `column_words`.
        columns: for each column wanted, 4 * (index of its block in `blocks`) + lane.

    Shape:
        state (2,), ids (B,), copy (1,) or (B,), blocks (N,), columns (K,), all int64
        -> (B, K) float32, multiples of 2**-24 in [0, 1).

    Source:
        Philox4x32-10, Salmon et al. 2011.

    Example:
        >>> words, lanes = column_words("RandomRotation", 3)
        >>> blocks, columns, copy = torch.tensor(words[:1]), torch.tensor(lanes), torch.tensor([0])
        >>> uniform(torch.tensor([7, 0]), torch.arange(5), copy, blocks, columns).shape
        torch.Size([5, 3])
    """
    # Inductor fuses plain arithmetic into the kernels around it, but not an opaque operation.
    if torch.compiler.is_compiling():
        return _uniform_arithmetic(state, ids, copy, blocks, columns)
    drawn: Tensor = _uniform_op(state, ids, copy, blocks, columns)
    return drawn


def _uniform_arithmetic(state: Tensor, ids: Tensor, copy: Tensor, blocks: Tensor, columns: Tensor) -> Tensor:
    """Compute `uniform` by elementwise tensor operations: any device, no synchronisation."""
    seed, clock = state[0], state[1]
    # One Philox call per column, not per block: wastes three lanes, but stays elementwise, so it fuses.
    words = philox4x32(
        clock & _MASK,
        (ids & _MASK)[:, None],
        (copy & _MASK)[:, None],
        (blocks & _MASK)[columns >> 2],
        seed & _MASK,
        (seed >> 32) & _MASK,
    )
    lane = columns & 3
    word = words[0]
    for index in (1, 2, 3):
        word = torch.where(lane == index, words[index], word)
    return (word >> 8).to(torch.float32) * 2.0**-24


def _uniform_numpy(state: Tensor, ids: Tensor, copy: Tensor, blocks: Tensor, columns: Tensor) -> Tensor:
    """Compute `uniform` on the CPU: about a hundred torch calls would cost more than the arithmetic."""
    seed, clock = state.tolist()
    drawn = uniform_numpy(seed, clock, 1, ids.numpy(), copy.numpy(), blocks.numpy().astype(np.uint64), columns.numpy())
    return torch.from_numpy(drawn[0])


def uniform_numpy(
    seed: int,
    clock: int,
    steps: int,
    ids: npt.NDArray[Any],
    copy: npt.NDArray[Any],
    blocks: _NumpyWords,
    columns: npt.NDArray[np.int64],
) -> npt.NDArray[np.float32]:
    """Return the uniforms (steps, B, K) of `steps` clocks one after another; arguments as those of `uniform`."""
    c0 = (np.arange(clock, clock + steps, dtype=np.int64).astype(np.uint64) & _NP_MASK)[:, None, None]
    c1 = ids.astype(np.uint64)[:, None] & _NP_MASK
    c2 = copy.astype(np.uint64)[:, None] & _NP_MASK
    c3 = blocks[None] & _NP_MASK
    words = philox4x32_numpy(c0, c1, c2, c3, seed & _MASK, (seed >> 32) & _MASK)
    lanes = np.stack(words, axis=-1).reshape(steps, ids.shape[0], 4 * blocks.shape[0])
    word = lanes.take(columns, axis=2) >> np.uint64(8)
    return word.astype(np.float32) * np.float32(2.0**-24)


def _uniform_kernel(state: Tensor, ids: Tensor, copy: Tensor, blocks: Tensor, columns: Tensor) -> Tensor:
    """Compute `uniform` by one kernel, where Triton is installed."""
    if not TRITON:
        return _uniform_arithmetic(state, ids, copy, blocks, columns)
    from gpuaug.sampling.kernels import draw_uniform

    return draw_uniform(state, ids, copy, blocks, columns)


def _uniform_fake(state: Tensor, ids: Tensor, copy: Tensor, blocks: Tensor, columns: Tensor) -> Tensor:
    """Describe the result of `uniform` without computing it."""
    return ids.new_empty((ids.shape[0], columns.shape[0]), dtype=torch.float32)


def invert_beta(u: Tensor, a: Tensor, b: Tensor) -> Tensor:
    """Map uniforms to draws from a Beta law: a table of the CDF over the logit of x, closed forms beyond it.

    Args:
        u: uniforms, multiples of 2**-24.
        a: first shape, in (0, 64], broadcastable to `u`.
        b: second shape, the same.

    Shape:
        u (B, n) float32 -> (B, n) float32 in [0, 1].

    Source:
        Equals `scipy.stats.beta.ppf(u + 2**-25, a, b)` to 1e-4.
    """
    if torch.compiler.is_compiling():
        return _beta_arithmetic(u, a, b)
    drawn: Tensor = _beta_op(u, a.detach(), b.detach())
    return drawn


def _beta_kernel(u: Tensor, a: Tensor, b: Tensor) -> Tensor:
    """Compute `invert_beta` by one kernel, where Triton is installed and shapes are those of columns."""
    if not TRITON or u.dim() != 2 or u.dtype != torch.float32 or max(a.dim(), b.dim()) > 1:
        return _beta_arithmetic(u, a, b)
    from gpuaug.sampling.kernels import draw_beta

    count = int(2 * _BETA_REACH * _BETA_NODES_PER_UNIT) + 1
    return draw_beta(u, a, b, count, 1.0 / _BETA_NODES_PER_UNIT, _BETA_REACH, HALF_STEP)


def _beta_arithmetic(u: Tensor, a: Tensor, b: Tensor) -> Tensor:
    """Compute `invert_beta` by tensor operations: any device."""
    a, b = (shape.detach().double().unsqueeze(-1) for shape in (a, b))
    step, reach = 1.0 / _BETA_NODES_PER_UNIT, _BETA_REACH
    count = int(2 * reach * _BETA_NODES_PER_UNIT) + 1
    t = torch.arange(count, device=u.device, dtype=torch.float64) * step - reach
    # Over the logit t the density goes as x**a * (1 - x)**b: smooth even where it is infinite over x.
    log_x, log_y = torch.nn.functional.logsigmoid(t), torch.nn.functional.logsigmoid(-t)
    log_f = a * log_x + b * log_y
    peak = log_f.amax(-1, keepdim=True)
    f = torch.exp(log_f - peak)
    slope = f * (a - (a + b) * torch.exp(log_x))
    # Beyond the nodes the CDF is x**a / a to first order in x = sigmoid(-reach), 5e-5.
    edge = math.exp(-reach) / (1.0 + math.exp(-reach))
    left = torch.exp(a * math.log(edge) - peak) * (1.0 / a - (b - 1.0) * edge / (a + 1.0))
    right = torch.exp(b * math.log(edge) - peak) * (1.0 / b - (a - 1.0) * edge / (b + 1.0))
    # Trapezoids with the Euler-Maclaurin correction of their ends.
    cdf = left + step * (f.cumsum(-1) - 0.5 * (f + f[..., :1]))
    cdf = cdf - step**2 / 12.0 * (slope - slope[..., :1])
    total = cdf[..., -1:] + right

    below = (u.double() + HALF_STEP).unsqueeze(-1) * total
    above = (1.0 - HALF_STEP - u.double()).unsqueeze(-1) * total
    passed = (cdf <= below).sum(-1, keepdim=True)
    cell = (passed - 1).clamp(0, count - 2)
    cdf, f = cdf.expand(*u.shape, count), f.expand(*u.shape, count).clamp(min=1e-300)
    cdf_0, cdf_1 = cdf.gather(-1, cell), cdf.gather(-1, cell + 1)
    f_0, f_1 = f.gather(-1, cell), f.gather(-1, cell + 1)
    # Hermite's cubic for t as a function of the CDF: its slope there is 1 / f.
    rise = (cdf_1 - cdf_0).clamp(min=1e-300)
    s = ((below - cdf_0) / rise).clamp(0.0, 1.0)
    r = 1.0 - s
    shift = step * s * s * (3.0 - 2.0 * s) + rise * s * r * (r / f_0 - s / f_1)
    x = torch.sigmoid(cell * step - reach + shift.clamp(0.0, step))
    x_left = torch.exp(((torch.log(below * a) + peak) / a).clamp(max=0.0))
    x_right = -torch.expm1(((torch.log(above * b) + peak) / b).clamp(max=0.0))
    x = torch.where(passed == 0, x_left, torch.where(passed == count, x_right, x))
    return x.squeeze(-1).to(u.dtype)


# Registered by hand: the first call of a `torch.library.custom_op` imports Dynamo, 1.6 s in every process.
_library: Any = torch.library.Library("gpuaug", "FRAGMENT")
_library.define(
    "uniform(Tensor state, Tensor ids, Tensor copy, Tensor blocks, Tensor columns) -> Tensor",
    tags=(torch.Tag.pt2_compliant_tag,),
)
_library.impl("uniform", _uniform_arithmetic, "CompositeExplicitAutograd")
_library.impl("uniform", _uniform_numpy, "CPU")
_library.impl("uniform", _uniform_kernel, "CUDA")
torch.library.register_fake("gpuaug::uniform", _uniform_fake, lib=_library)
_uniform_op: Any = torch.ops.gpuaug.uniform.default
_library.define("invert_beta(Tensor u, Tensor a, Tensor b) -> Tensor", tags=(torch.Tag.pt2_compliant_tag,))
_library.impl("invert_beta", _beta_arithmetic, "CompositeExplicitAutograd")
_library.impl("invert_beta", _beta_kernel, "CUDA")
torch.library.register_fake("gpuaug::invert_beta", lambda u, a, b: torch.empty_like(u), lib=_library)
_beta_op: Any = torch.ops.gpuaug.invert_beta.default


def _draw_seed(like: Tensor) -> Tensor:
    return torch.empty((), dtype=torch.int64).random_().to(like.device)


_library.define("draw_seed(Tensor like) -> Tensor", tags=(torch.Tag.nondeterministic_seeded,))
_library.impl("draw_seed", _draw_seed, "CompositeExplicitAutograd")
torch.library.register_fake("gpuaug::draw_seed", lambda like: like.new_empty((), dtype=torch.int64), lib=_library)


def draw_seed(like: Tensor) -> Tensor:
    """Return a seed from torch's default CPU generator, on the device of `like`: an operation, so that it compiles."""
    seed: Tensor = torch.ops.gpuaug.draw_seed.default(like)
    return seed
