"""Check the generator against Random123's vectors, and that draws depend on their counters alone."""

import subprocess
import sys

import numpy as np
import pytest
import scipy.stats
import torch
from torch import Tensor
from torch._subclasses.fake_tensor import FakeTensorMode

from gpuaug.sampling import generator, noise
from gpuaug.sampling.generator import column_words, philox4x32, philox4x32_numpy, uniform

# Random123, tests/kat_vectors: counter, key, result of philox4x32-10.
KNOWN_ANSWERS = [
    ([0] * 4, [0] * 2, [0x6627E8D5, 0xE169C58D, 0xBC57AC4C, 0x9B00DBD8]),
    ([0xFFFFFFFF] * 4, [0xFFFFFFFF] * 2, [0x408F276D, 0x41C83B0E, 0xA20BC7C6, 0x6D5451FD]),
    (
        [0x243F6A88, 0x85A308D3, 0x13198A2E, 0x03707344],
        [0xA4093822, 0x299F31D0],
        [0xD16CFE09, 0x94FDCCEB, 0x5001E420, 0x24126EA1],
    ),
]


def one(value: int) -> Tensor:
    return torch.tensor([value], dtype=torch.int64)


def make_inputs(
    ids: Tensor, seed: int = 2**40 + 3, clock: int = 5, copy: Tensor | None = None, count: int = 10
) -> tuple[Tensor, ...]:
    words, lanes = column_words("RandomRotation", count)
    blocks = sorted(set(words))
    columns = torch.tensor([4 * blocks.index(word) + lane for word, lane in zip(words, lanes, strict=True)])
    return torch.tensor([seed, clock]), ids, one(0) if copy is None else copy, torch.tensor(blocks), columns


def random_inputs(batch: int, count: int) -> tuple[Tensor, ...]:
    source = torch.Generator().manual_seed(0)
    ids = torch.randint(-(2**62), 2**62, (batch,), generator=source)
    copy = torch.randint(0, 2**40, (batch,), generator=source)
    inputs = make_inputs(ids, seed=-(2**61) + 12345, clock=2**33 + 7, copy=copy, count=count)
    return *inputs[:4], inputs[4].flip(0)


@pytest.mark.parametrize(("counter", "key", "expected"), KNOWN_ANSWERS)
def test_philox_known_answers(counter: list[int], key: list[int], expected: list[int]) -> None:
    words = philox4x32(*map(one, counter), *map(one, key))
    assert [int(word) for word in words] == expected
    arrays = philox4x32_numpy(*(np.array([c], dtype=np.uint64) for c in counter), *key)
    assert [int(word[0]) for word in arrays] == expected


@pytest.mark.parametrize(("counter", "key", "expected"), KNOWN_ANSWERS)
def test_uniform_lays_out_counter_key_and_words(counter: list[int], key: list[int], expected: list[int]) -> None:
    clock, sample, copy, block = counter
    seed = key[1] << 32 | key[0]
    seed -= (seed >> 63) << 64  # as int64
    draws = uniform(torch.tensor([seed, clock]), one(sample), one(copy), one(block), torch.arange(4))
    assert draws.dtype == torch.float32
    assert draws[0].tolist() == [(word >> 8) * 2.0**-24 for word in expected]


def test_numpy_equals_torch_arithmetic_bit_for_bit() -> None:
    inputs = random_inputs(batch=97, count=23)
    assert torch.equal(uniform(*inputs), generator._uniform_arithmetic(*inputs))


@pytest.mark.parametrize("backend", ["eager", "aot_eager", "inductor"])
def test_compiled_equals_eager_bit_for_bit(backend: str) -> None:
    torch._dynamo.reset()
    inputs = random_inputs(batch=33, count=9)
    compiled = torch.compile(uniform, fullgraph=True, backend=backend)
    assert torch.equal(compiled(*inputs), uniform(*inputs))


def test_compiler_sees_arithmetic_not_an_opaque_operation() -> None:
    torch._dynamo.reset()
    targets = []

    def record(graph: torch.fx.GraphModule, example_inputs: list[Tensor]) -> torch.fx.GraphModule:
        targets.extend(str(node.target) for node in graph.graph.nodes)
        return graph

    torch.compile(uniform, fullgraph=True, backend=record)(*random_inputs(batch=3, count=5))
    assert len(targets) > 100
    assert not any("gpuaug" in target for target in targets)


def test_row_does_not_depend_on_the_batch() -> None:
    ids = torch.tensor([7, 123456, 7, 2**31 + 1])
    batch = uniform(*make_inputs(ids))
    assert torch.equal(batch[0], batch[2])
    for row, sample in zip(batch, ids, strict=True):
        assert torch.equal(uniform(*make_inputs(sample[None]))[0], row)
    large = uniform(*make_inputs(torch.arange(1000)))
    assert torch.equal(large[7], batch[0])


def test_column_does_not_depend_on_the_other_columns() -> None:
    state, ids, copy, blocks, columns = make_inputs(torch.arange(6), count=10)
    every = uniform(state, ids, copy, blocks, columns)
    assert torch.equal(uniform(state, ids, copy, blocks[2:], torch.tensor([1, 0])), every[:, [9, 8]])
    assert uniform(state, ids, copy, blocks, columns[:0]).shape == (6, 0)


@pytest.mark.parametrize("function", [uniform, generator._uniform_arithmetic])
def test_every_counter_and_key_changes_the_draw(function: object) -> None:
    ids = torch.arange(50)
    variants = [
        make_inputs(ids),
        make_inputs(ids + 1000),
        make_inputs(ids, clock=6),
        make_inputs(ids, seed=2**40 + 4),
        make_inputs(ids, seed=2**41 + 3),
        make_inputs(ids, copy=one(1)),
    ]
    draws = torch.stack([function(*inputs) for inputs in variants])  # type: ignore[operator]
    # 3000 draws out of 2**24: by chance about 0.3 values occur twice.
    assert draws.unique().numel() > 2990


def test_copy_for_each_sample_equals_copy_for_all() -> None:
    ids = torch.arange(4)
    mixed = uniform(*make_inputs(ids, copy=torch.tensor([0, 1, 2, 3])))
    for value in range(4):
        assert torch.equal(mixed[value], uniform(*make_inputs(ids, copy=one(value)))[value])


def test_uniforms_are_uniform_and_uncorrelated() -> None:
    draws = uniform(*make_inputs(torch.arange(4000), count=8)).double()
    assert draws.min() >= 0 and draws.max() < 1
    assert torch.equal(draws * 2**24, (draws * 2**24).round())
    for column in draws.T:
        assert scipy.stats.kstest(column.numpy(), "uniform").pvalue > 1e-4
    correlation = torch.corrcoef(draws.T) - torch.eye(8)
    assert correlation.abs().max() < 5 / 4000**0.5
    assert abs(np.corrcoef(draws[:-1, 0], draws[1:, 0])[0, 1]) < 5 / 4000**0.5


def test_column_words() -> None:
    words, lanes = column_words("RandomRotation", 9)
    assert lanes == [0, 1, 2, 3, 0, 1, 2, 3, 0]
    assert [word & 0xFF for word in words] == [0, 0, 0, 0, 1, 1, 1, 1, 2]
    assert len({word >> 8 for word in words}) == 1
    assert column_words("RandomRotation", 3)[0] == words[:3]
    assert column_words("", 0) == ([], [])
    # zlib.crc32(b"123456789") is the CRC's published check value, 0xCBF43926.
    assert column_words("123456789", 1)[0] == [(0xF43926 ^ 0xCB) << 8]
    names = {column_words(f"RandomRotation_{i}", 1)[0][0] for i in range(200)}
    assert len(names) == 200 and all(0 <= word < 2**32 for word in names)
    assert column_words("x", 1024)[0][-1] & 0xFF == 255
    for count in (-1, 1025):
        with pytest.raises(ValueError, match=rf"column_words: count must be in \[0, 1024\], got {count}"):
            column_words("x", count)


def test_meta_and_fake() -> None:
    inputs = random_inputs(batch=5, count=6)
    for function in (uniform, generator._uniform_arithmetic):
        on_meta = function(*(tensor.to("meta") for tensor in inputs))
        assert on_meta.shape == (5, 6) and on_meta.dtype == torch.float32 and on_meta.device.type == "meta"
        with FakeTensorMode() as mode:
            fake = function(*(mode.from_tensor(tensor) for tensor in inputs))
        assert fake.shape == (5, 6) and fake.dtype == torch.float32 and fake.device.type == "cpu"


def test_operations_are_registered_soundly() -> None:
    torch.library.opcheck(torch.ops.gpuaug.uniform.default, random_inputs(batch=3, count=5))
    torch.library.opcheck(torch.ops.gpuaug.invert_beta.default, (torch.rand(3, 2), torch.ones(2), torch.ones(2)))
    torch.library.opcheck(torch.ops.gpuaug.normal_noise.default, (torch.tensor([1, 2]), 3, 4, 5))
    torch.library.opcheck(torch.ops.gpuaug.uniform_noise.default, (torch.tensor([1, 2]), 3, 4, 5))


def test_first_draw_does_not_import_dynamo() -> None:
    code = (
        "import sys, torch; from gpuaug.sampling.generator import uniform\n"
        "one = torch.tensor([1]); uniform(torch.tensor([1, 1]), one, one, one, one)\n"
        "import gpuaug as ga; ga.Mosaic(p=1.0)({'image': torch.zeros(4, 3, 8, 9), 'boxes': torch.ones(4, 1, 4)})\n"
        "ga.MixUp(num_classes=2)(torch.zeros(4, 3, 8, 9), torch.zeros(4, dtype=torch.int64))\n"
        "assert 'torch._dynamo' not in sys.modules"
    )
    subprocess.run([sys.executable, "-c", code], check=True)


def test_noise_words_depend_on_all_bits_of_the_key() -> None:
    keys = {key << shift for shift in (0, 16, 32) for key in range(1, 501)}
    assert len({tuple(noise._draw_words(key, 2, np.uint32).tolist()) for key in keys}) == len(keys)


def test_noise_on_the_cpu_is_of_the_words_in_order() -> None:
    key = 0x8123_4567_89AB
    raw = [int(word) for word in np.random.SFC64(key).random_raw(8)]
    drawn = noise.uniform_noise(one(key), 1, 3, 5).flatten().double()
    assert drawn.tolist() == [(word >> shift) % 2**32 // 256 / 2**24 for word in raw for shift in (0, 32)][:15]
    places = [((word >> shift) % 2**16 + 0.5) / 2**16 for word in raw[:4] for shift in (0, 16, 32, 48)]
    first, second = np.split(scipy.stats.norm.ppf(places) / 2**0.5, 2)
    drawn = noise.normal_noise(one(key), 3, 1, 5).flatten()
    assert np.abs(drawn.numpy() - np.concatenate((first + second, first - second))[:15]).max() < 1e-4


NOISE = [
    (noise.normal_noise, "norm"),
    (noise.uniform_noise, "uniform"),
    (noise._normal_philox, "norm"),
    (noise._uniform_philox, "uniform"),
]


@pytest.mark.parametrize(("function", "law"), NOISE)
def test_noise_law(function: object, law: str) -> None:
    drawn = function(torch.tensor([5, 2**47 + 5]), 5, 40, 50)  # type: ignore[operator]
    assert drawn.shape == (2, 5, 40, 50) and drawn.dtype == torch.float32 and drawn.is_contiguous()
    for image in drawn.double():
        assert scipy.stats.kstest(image.flatten().numpy(), law).pvalue > 1e-4
    spread = 1.0 if law == "norm" else 12**-0.5
    assert drawn.std().item() == pytest.approx(spread, rel=0.025)
    rows = drawn.double().flatten(0, 1).flatten(1)
    correlation = torch.corrcoef(rows) - torch.eye(10)
    assert correlation.abs().max() < 5 / 2000**0.5
    shifted = [np.corrcoef(row[:-1], row[1:])[0, 1] for row in rows]
    assert np.abs(shifted).max() < 5 / 2000**0.5


@pytest.mark.parametrize(("function", "law"), NOISE)
def test_noise_depends_on_its_key_alone(function: object, law: str) -> None:
    keys = torch.tensor([11, 2**32 + 11, 2**47 + 11, 12, 11])
    drawn = function(keys, 3, 6, 7)  # type: ignore[operator]
    assert torch.equal(drawn[0], drawn[4])
    for i, j in ((0, 1), (0, 2), (1, 2), (0, 3)):
        assert not torch.isclose(drawn[i], drawn[j], atol=1e-4).flatten(1).any(1).all(), "bits of the key are ignored"
    for key, image in zip(keys, drawn, strict=True):
        assert torch.equal(function(key[None], 3, 6, 7)[0], image)  # type: ignore[operator]
    state = torch.get_rng_state()
    function(keys, 3, 6, 7)  # type: ignore[operator]
    assert torch.equal(torch.get_rng_state(), state), "torch's own generator must not move"


@pytest.mark.parametrize("channels", [1, 3, 4, 6])
def test_philox_noise_uses_the_words_in_order(channels: int) -> None:
    key = 0x1234_89ABCDEF
    drawn = noise._uniform_philox(one(key), channels, 2, 3)[0]
    for channel in range(channels):
        for pixel in range(6):
            counter = (one(pixel), one(channel // 4), one(0), one(0))
            word = philox4x32(*counter, one(key & 0xFFFFFFFF), one(key >> 32))[channel % 4]
            assert drawn[channel].flatten()[pixel].item() == int(word >> 8) * 2.0**-24


@pytest.mark.parametrize("function", [noise.normal_noise, noise.uniform_noise])
def test_noise_compiled_and_meta(function: object) -> None:
    torch._dynamo.reset()
    keys = torch.tensor([3, 4])

    def double(keys: Tensor) -> Tensor:
        return function(keys, 3, 5, 6) * 2  # type: ignore[operator]

    compiled = torch.compile(double, fullgraph=True, backend="aot_eager")
    assert torch.equal(compiled(keys), double(keys))
    assert double(keys.to("meta")).shape == (2, 3, 5, 6)
    with FakeTensorMode() as mode:
        assert double(mode.from_tensor(keys)).dtype == torch.float32
